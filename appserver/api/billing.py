"""The registry for billing and readings for ГИС ЖКХ, as files."""

from __future__ import annotations

from typing import Annotated, Literal

from aiohttp import web
from pydantic import Field, ValidationError

from appserver.api.fields import Day, Id, Input, Month, Output, Page, Text, Time, time_of
from appserver.api.jobs import read_upload
from appserver.api.problems import from_validation
from appserver.api.registry import Resource
from appserver.api.router import Api, Call
from appserver.auth.grants import Operation
from appserver.exchange import billing, gis, gis_status
from appserver.metering.charges import next_month
from appserver.models import GisReading

api = Api("Imports and exports")
MAX_EXPORT = 50 * 1024 * 1024


class GisFields(Input):
    """The building, and the month that ``month`` lies in."""

    building_id: Id
    month: Month


class BillingQuery(Input):
    """A building in the month that ``month`` lies in; ``columns`` such as ``account=LSHET,value=POK_TEK`` choose and name."""

    building_id: Id
    month: Month
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
    """Takes the export «Сведения о ПУ» as ``file``, before it ``building_id`` and ``month``.

    What ГИС accepted already with the same value is left out; the rest is remembered as sent.
    """
    _, data, fields = await read_upload(call, MAX_EXPORT)
    return await gis_file(call, data, fields)


async def gis_file(call: Call, data: bytes, fields: dict[str, str]) -> web.Response:
    """The file for ГИС."""
    try:
        given = GisFields.model_validate(fields)
    except ValidationError as error:
        raise from_validation(error, "form") from error
    month = given.month.replace(day=1)
    days = (month, next_month(month))
    await call.need((Operation.report, Operation.personal), "building", given.building_id, days, "*")
    db = call.services.database
    numbers = await db.run(gis.numbers_of, data)
    rows = await db.run(gis.told, db, given.building_id, month, numbers)
    found = await db.run(gis_status.unsent, db, given.building_id, month, rows)
    body = await db.run(gis.workbook, [row.cells for row in found])
    now = call.services.clock()
    await db.run(gis_status.remember, db, given.building_id, month, found, call.who.name, now)
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


class GisRow(Output):
    """A reading that was told to ГИС; ``said`` is column J, ``state`` what it means: sent, accepted or refused."""

    meter_id: int
    number: str
    resource: str
    month: Day
    values: list[str]
    taken_on: Day
    sent_at: Time
    sent_by: str
    state: str
    said: str
    said_at: Time | None


class GisQuery(Input):
    """The month that ``month`` lies in."""

    building_id: Id
    month: Month


class GisOutcome(Output):
    """What the statuses came to; ``unknown`` are numbers in ГИС of rows that were not sent from here."""

    accepted: int
    refused: int
    waiting: int
    unknown: list[str]


class StatusFields(Input):
    building_id: Id


def gis_view(row: GisReading) -> GisRow:
    """The API's form of a reading told to ГИС."""
    plain = {name: getattr(row, name) for name in GisRow.model_fields if name in GisReading.model_fields}
    moments = {"sent_at": time_of(row.sent_at_us), "said_at": time_of(row.said_at_us)}
    return GisRow.model_construct(**plain, **moments, values=row.values_told.split())


@api.add("GET", "/billing/gis/status", answers=Page[GisRow], summary="What was told to ГИС ЖКХ, and what it said")
async def get_gis_status(call: Call, query: GisQuery) -> Page[GisRow]:
    db = call.services.database
    rows = await db.run(gis_status.sent, db, query.building_id, query.month.replace(day=1))
    return Page(items=[gis_view(row) for row in rows])


async def take_statuses(call: Call, data: bytes, fields: dict[str, str]) -> gis_status.Outcome:
    """Read column J of a file that came back from ГИС."""
    try:
        given = StatusFields.model_validate(fields)
    except ValidationError as error:
        raise from_validation(error, "form") from error
    await call.need((Operation.report,), "building", given.building_id, resource="*")
    db, now = call.services.database, call.services.clock()
    done = await db.run(gis_status.take_statuses, db, given.building_id, data, now)
    detail = {"accepted": done.accepted, "refused": done.refused}
    await call.audit("gis.status", f"building/{given.building_id}", detail)
    return done


@api.add(
    "POST", "/billing/gis/status", answers=GisOutcome, upload=True, summary="Read the statuses (column J) of ГИС ЖКХ"
)
async def post_gis_status(call: Call) -> GisOutcome:
    """Takes the file as it came back from ГИС as ``file``, before it ``building_id``."""
    _, data, fields = await read_upload(call, MAX_EXPORT)
    done = await take_statuses(call, data, fields)
    return GisOutcome(accepted=done.accepted, refused=done.refused, waiting=done.waiting, unknown=done.unknown)
