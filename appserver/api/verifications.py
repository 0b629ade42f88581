"""Verifications of meters: which end next, and every one that there ever was."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any, Literal

from appserver import registry
from appserver.api.fields import LATEST_DAY, Day, Id, Input, Name, Output, Page, PageQuery
from appserver.api.registry import IdPath, Shelf, enter, note_of
from appserver.api.router import Api, Call
from appserver.db import Database, contains
from appserver.metering.readings import read_cursor, write_cursor
from appserver.registry import verifications

api = Api("Registry")
EPOCH = date(1970, 1, 1)


class Verification(Output):
    """When a meter was verified last, and until when that holds. ``id`` is the meter's."""

    id: int
    serial: str
    model: str
    resource: str
    verified_on: Day | None
    verification_until: Day | None
    overdue: bool


class NewVerification(Input):
    """The outcome of a verification; without ``verification_until`` the meter's interval says it."""

    meter_id: Id
    verified_on: Day
    verification_until: Day | None = None
    result: Literal["fit", "unfit"] = "fit"
    document: Name = ""
    arshin_number: Name = ""
    """Number of the record in ФГИС «Аршин»."""
    organisation: Name = ""
    remark: Name = ""


class VerificationQuery(PageQuery):
    due_before: Day | None = None
    """Only meters whose verification ends before this day."""
    building_id: Id | None = None
    """Only meters that hang in this building."""


_DUE = (
    "SELECT id, serial, model, resource, verified_on, verification_until FROM meter"
    " WHERE verification_until IS NOT NULL AND verification_until < ?1 AND (verification_until, id) > (?2, ?3)"
    " AND (fold(serial) LIKE ?4 ESCAPE '\\' OR fold(model) LIKE ?4 ESCAPE '\\')"
    " AND (?5 IS NULL OR id IN (SELECT i.meter_id FROM installation i JOIN point p ON p.id = i.point_id"
    "  WHERE i.removed_at_us IS NULL AND p.building_id = ?5))"
    " ORDER BY verification_until, id LIMIT ?6"
)


def _today(call: Call) -> date:
    return EPOCH + timedelta(microseconds=call.services.clock())


def _verification(row: Any, today: date) -> Verification:
    id_, serial, model, resource, verified_on, until = row
    return Verification(
        id=id_,
        serial=serial,
        model=model,
        resource=resource,
        verified_on=verified_on,
        verification_until=until,
        overdue=until is not None and str(until) < today.isoformat(),
    )


@api.add("GET", "/verifications", answers=Page[Verification], summary="List verifications, the next to end first")
async def list_verifications(call: Call, query: VerificationQuery) -> Page[Verification]:
    db, today = call.services.database, _today(call)
    after = read_cursor(query.cursor, 2) if query.cursor else ["", 0]
    before = (query.due_before or LATEST_DAY).isoformat()
    rows = await db.run(db.rows, _DUE, [before, *after, contains(query.q), query.building_id, query.limit + 1])
    more = len(rows) > query.limit
    rows = rows[: query.limit]
    return Page(
        items=[_verification(row, today) for row in rows],
        next_cursor=write_cursor([rows[-1][5], rows[-1][0]]) if more else None,
    )


@api.add("POST", "/verifications", answers=Verification, status=201, summary="Write down a verification")
async def post_verification(call: Call, body: NewVerification) -> Verification:
    db = call.services.database
    values = body.model_dump(exclude_unset=True)
    if "verification_until" in values:
        values["valid_until"] = values.pop("verification_until")
    row = await db.run(registry.create, db, "verification", values, note_of(call))
    await call.audit("meter.verify", f"meter/{body.meter_id}", {"verification": row.id, "result": row.result})
    return await _of_meter(call, body.meter_id)


@api.add("GET", "/verifications/{id}", answers=Verification, summary="Show a meter's verification")
async def get_verification(call: Call, path: IdPath) -> Verification:
    return await _of_meter(call, path.id)


@api.add("DELETE", "/verifications/{id}", answers=None, status=204, summary="Forget a meter's newest verification")
async def delete_verification(call: Call, path: IdPath) -> None:
    db = call.services.database
    await db.run(registry.get, db, "meter", path.id)
    newest = await db.run(_newest, db, path.id)
    if newest is not None:
        await db.run(registry.delete, db, "verification", newest, note_of(call))
        await call.audit("verification.delete", f"meter/{path.id}", {"verification": newest})


def _newest(db: Database, meter_id: int) -> int | None:
    with db.reading() as session:
        found = verifications.of_meter(session, meter_id)
    return found[0].id if found else None


async def _of_meter(call: Call, meter_id: int) -> Verification:
    db = call.services.database
    meter = await db.run(registry.get, db, "meter", meter_id)
    about = (meter.id, meter.serial, meter.model, meter.resource, meter.verified_on, meter.verification_until)
    return _verification(about, _today(call))


# --------------------------------------------------------------------------------------------------------- every one


class ChangedRecord(Input):
    meter_id: Id = 0
    verified_on: Day | None = None
    valid_until: Day | None = None
    """Last day on which it holds; the meter's interval says it when left out."""
    result: Literal["fit", "unfit"] = "fit"
    document: Name = ""
    arshin_number: Name = ""
    organisation: Name = ""
    remark: Name = ""


class NewRecord(ChangedRecord):
    meter_id: Id
    verified_on: Day


class Record(Output):
    """One verification of a meter."""

    id: int
    meter_id: int
    verified_on: Day | None
    valid_until: Day | None
    result: str
    document: str
    arshin_number: str
    organisation: str
    remark: str


class RecordQuery(PageQuery):
    meter_id: Id | None = None
    result: Literal["fit", "unfit"] | None = None


_RECORDS = Shelf(
    "verification-records", "verification", Record, NewRecord, ChangedRecord, RecordQuery, "verification_record"
)
enter(api, _RECORDS)
