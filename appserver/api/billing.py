"""The registry for billing and readings for ГИС ЖКХ, as files."""

from __future__ import annotations

from typing import Annotated, Literal

from aiohttp import web
from pydantic import Field, ValidationError

from appserver.api.fields import Day, Id, Input, Text
from appserver.api.jobs import read_upload
from appserver.api.problems import from_validation
from appserver.api.registry import Resource
from appserver.api.router import Api, Call
from appserver.auth.grants import Operation
from appserver.exchange import billing, gis
from appserver.metering.charges import next_month

api = Api("Imports and exports")
MAX_EXPORT = 50 * 1024 * 1024


class GisFields(Input):
    """The building, and the month that ``month`` lies in."""

    building_id: Id
    month: Day


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


@api.add(
    "POST",
    "/billing/gis",
    answers="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    upload=True,
    summary="Readings of a month as the XLSX of ГИС ЖКХ",
)
async def post_gis_readings(call: Call) -> web.Response:
    """Takes the export «Сведения о ПУ» as ``file``, before it ``building_id`` and ``month``."""
    _, data, fields = await read_upload(call, MAX_EXPORT)
    try:
        given = GisFields.model_validate(fields)
    except ValidationError as error:
        raise from_validation(error, "form") from error
    month = given.month.replace(day=1)
    days = (month, next_month(month))
    await call.need((Operation.report, Operation.personal), "building", given.building_id, days, "*")
    db = call.services.database
    numbers = await db.run(gis.numbers_of, data)
    found = await db.run(gis.readings, db, given.building_id, given.month, numbers)
    body = await db.run(gis.workbook, found)
    detail = {"month": f"{given.month:%Y-%m}", "rows": len(found)}
    await call.audit("gis", f"building/{given.building_id}", detail)
    name = f"gis-{given.building_id}-{given.month:%Y-%m}.xlsx"
    return web.Response(
        body=body,
        headers={
            "Content-Type": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
            "Content-Disposition": f'attachment; filename="{name}"',
            "Cache-Control": "no-store",
        },
    )
