"""The passport of a meter: JSON for programs, PDF for people."""

from __future__ import annotations

from typing import Any, Literal

from aiohttp import web

from appserver.api.fields import Input, Output
from appserver.api.registry import IdPath
from appserver.api.router import Api, Call
from appserver.auth.gate import today_of
from appserver.auth.grants import Operation
from appserver.auth.places import covered_installations
from appserver.reports import passport as paper

api = Api("Registry")


class PassportQuery(Input):
    format: Literal["json", "pdf"] = "json"
    language: Literal["ru", "en"] = "ru"


class Passport(Output):
    """Everything that is written down about a meter; dates are ISO texts, moments microseconds since 1970 (``*_us``)."""

    meter_id: int
    unit: str
    timezone: str
    facts: dict[str, Any]
    verifications: list[dict[str, Any]]
    seals: list[dict[str, Any]]
    installations: list[dict[str, Any]]
    events: list[dict[str, Any]]
    modules: list[dict[str, Any]]
    photos: list[dict[str, Any]]
    readings: list[dict[str, Any]]


async def passport_of(call: Call, meter_id: int) -> paper.Passport:
    """The passport as far as the caller may see it: a member sees the own installations, and no readings without ``read``."""
    db, scope = call.services.database, call.who.scope
    if scope is None:
        return await db.run(paper.passport_of, db, meter_id)
    today = today_of(call.services)
    own = await db.run(covered_installations, db, scope, Operation.meters, meter_id, today)
    found = await db.run(paper.passport_of, db, meter_id, own)
    reading = await db.run(covered_installations, db, scope, Operation.read, meter_id, today)
    limited = any(grant.since or grant.until for grant in scope.grants)
    if not own <= reading or limited:
        found.readings.clear()
        found.events.clear()
    shown = [one for one in found.photos if await call.sees_photo(one["id"])]
    found.photos[:] = shown
    return found


async def passport_pdf(call: Call, meter_id: int, language: str) -> web.Response:
    """The form «Паспорт прибора учёта»."""
    services, found = call.services, await passport_of(call, meter_id)
    async with services.reports:
        data = await services.database.run(paper.passport_pdf, services.database, found, language, today_of(services))
    await call.audit("passport.print", f"meter/{meter_id}")
    name = f'inline; filename="passport-{meter_id}.pdf"'
    headers = {"Content-Type": "application/pdf", "Content-Disposition": name, "Cache-Control": "no-store"}
    return web.Response(body=data, headers=headers)


@api.add("GET", "/meters/{id}/passport", answers=Passport, summary="The passport of a meter, as JSON or PDF")
async def get_passport(call: Call, path: IdPath, query: PassportQuery) -> Any:
    if query.format == "pdf":
        return await passport_pdf(call, path.id, query.language)
    found = await passport_of(call, path.id)
    return Passport.model_construct(**{name: getattr(found, name) for name in Passport.model_fields})
