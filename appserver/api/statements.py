"""Statements of a building, as JSON or as a file."""

from __future__ import annotations

from typing import Annotated, Literal

from aiohttp import web
from pydantic import Field

from appserver import reports
from appserver.api.fields import Day, Id, Input
from appserver.api.registry import Resource
from appserver.api.router import Api, Call

api = Api("Metering")

STATEMENT_CSP = "default-src 'none'; style-src 'unsafe-inline'; sandbox"
"""A statement as HTML carries its style within it, so that it can be saved and sent; nothing in it can run."""


class StatementPath(Input):
    name: Literal["individual", "house", "balance", "heat"]


class StatementQuery(Input):
    """Days of the building's calendar; ``to`` is excluded."""

    building_id: Id
    since: Annotated[Day, Field(alias="from")]
    until: Annotated[Day, Field(alias="to", description="Excluded")]
    resource: Resource | None = None
    step: Literal["hour", "day", "month"] = "day"
    format: Literal["json", "csv", "xlsx", "html", "pdf"] = "json"
    language: Literal["ru", "en"] = "ru"


async def statement_file(call: Call, name: str, query: StatementQuery) -> web.Response:
    """The statement as a download; HTML opens in the browser."""
    services, db = call.services, call.services.database

    def work() -> bytes:
        statement = reports.make(
            db, name, query.building_id, query.since, query.until, query.resource or "", query.step, query.language
        )
        return reports.render(statement, query.format)

    async with services.reports:
        data = await db.run(work)
    headers = {"Content-Type": reports.MEDIA_TYPES[query.format], "Cache-Control": "no-store"}
    if query.format == "html":
        headers["Content-Security-Policy"] = STATEMENT_CSP
    elif query.format != "json":
        filename = f"{name}-{query.building_id}-{query.since}-{query.until}.{query.format}"
        headers["Content-Disposition"] = f'attachment; filename="{filename}"'
        await call.audit("statement", f"building/{query.building_id}", {"name": name, "format": query.format})
    return web.Response(body=data, headers=headers)


@api.add("GET", "/statements/{name}", answers="application/octet-stream", summary="Make a statement of a building")
async def get_statement(call: Call, path: StatementPath, query: StatementQuery) -> web.Response:
    return await statement_file(call, path.name, query)
