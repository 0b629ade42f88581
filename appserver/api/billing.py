"""The registry for billing, as a file."""

from __future__ import annotations

from typing import Annotated, Literal

from aiohttp import web
from pydantic import Field

from appserver.api.fields import Day, Id, Input, Text
from appserver.api.registry import Resource
from appserver.api.router import Api, Call
from appserver.exchange import billing

api = Api("Imports and exports")


class BillingQuery(Input):
    """A building in the month that ``month`` lies in; ``columns`` such as ``account=LSHET,value=POK_TEK`` choose and name."""

    building_id: Id
    month: Day
    resource: Resource | None = None
    columns: Annotated[Text, Field(max_length=1000)] = ""
    header: bool = True
    separator: Literal["semicolon", "comma", "tab"] = "semicolon"
    encoding: Literal["utf-8", "cp1251", "cp866"] = "utf-8"
    decimal: Literal["point", "comma"] = "point"


@api.add("GET", "/billing/registry", answers="text/csv", summary="Registry of a month for billing")
async def get_billing_registry(call: Call, query: BillingQuery) -> web.Response:
    db = call.services.database
    how = billing.template(query.columns, query.header, query.separator, query.encoding, query.decimal == "comma")
    found = await db.run(billing.rows, db, query.building_id, query.month, query.resource or "")
    await call.audit("billing", f"building/{query.building_id}", {"month": f"{query.month:%Y-%m}", "rows": len(found)})
    name = f"billing-{query.building_id}-{query.month:%Y-%m}.csv"
    return web.Response(
        body=billing.write(found, how),
        headers={
            "Content-Type": f"text/csv; charset={query.encoding}",
            "Content-Disposition": f'attachment; filename="{name}"',
            "Cache-Control": "no-store",
        },
    )
