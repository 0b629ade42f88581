"""Readings from elsewhere in batches, corrections and conflicts, seals."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from appserver.api.fields import (
    Day,
    Id,
    Input,
    Limit,
    Name,
    Output,
    Page,
    RequiredName,
    Time,
    Volume,
    microseconds_of,
    time_of,
)
from appserver.api.readings import Register
from appserver.api.router import Api, Call
from appserver.metering import corrections
from appserver.metering.closed import closings_of_meter
from appserver.metering.timebase import date_of

api = Api("Metering")


# --------------------------------------------------------------------------------------------------------- corrections


class NewCorrection(Input):
    """What a register showed at a moment; without a value nothing known for the moment counts."""

    meter_id: Id
    register_name: Annotated[Register, Field(alias="register")] = ""
    measured_at: Time
    value: Volume | None = None
    reason: RequiredName
    document: Name = ""


class Correction(Output):
    """A correction; ``supersedes`` is what counted before it."""

    id: int
    meter_id: int
    register_name: str = Field(alias="register")
    measured_at: Time
    value: Volume | None
    supersedes: Volume | None
    author: str
    reason: str
    document: str
    recorded_at: Time


class NewCorrectionKept(Correction):
    """The correction, and the closings that it does not change: the next period recalculates them."""

    closed_periods: list[int]


class CorrectionsQuery(Input):
    """Newest first."""

    meter_id: Id | None = None
    limit: Limit = 100
    cursor: Annotated[str, StringConstraints(pattern=r"^\d{0,18}$")] = ""


def _correction(row: corrections.CorrectionRow) -> Correction:
    names = [name for name in Correction.model_fields if hasattr(row, name)]
    return Correction.model_construct(
        **{name: getattr(row, name) for name in names},
        measured_at=time_of(row.measured_at_us),
        recorded_at=time_of(row.recorded_at_us),
    )


@api.add("GET", "/corrections", answers=Page[Correction], summary="List corrections of readings")
async def list_corrections(call: Call, query: CorrectionsQuery) -> Page[Correction]:
    db = call.services.database
    before = int(query.cursor) if query.cursor else None
    rows = await db.run(corrections.corrections, db, query.meter_id, before, query.limit)
    return Page(
        items=[_correction(row) for row in rows],
        next_cursor=str(rows[-1].id) if len(rows) == query.limit else None,
    )


@api.add(
    "POST", "/corrections", answers=NewCorrectionKept, status=201, summary="Correct a reading, or decide a conflict"
)
async def post_correction(call: Call, body: NewCorrection) -> NewCorrectionKept:
    services = call.services
    row = await services.database.run(
        corrections.correct,
        services.database,
        body.meter_id,
        microseconds_of(body.measured_at),
        body.value,
        author=call.who.name,
        reason=body.reason,
        document=body.document,
        now_us=services.clock(),
        register_name=body.register_name,
    )
    detail = {"value": str(row.value), "supersedes": str(row.supersedes), "reason": row.reason}
    await call.audit("reading.correct", f"meter/{body.meter_id}", detail)
    touched = await services.database.run(
        closings_of_meter, services.database, row.meter_id, row.register_name, row.measured_at_us
    )
    return NewCorrectionKept.model_construct(**dict(_correction(row)), closed_periods=[each.id for each in touched])


class Conflict(Output):
    """Values of equal rank for one moment; a correction decides which holds."""

    meter_id: int
    serial: str
    register_name: str = Field(alias="register")
    measured_at: Time
    values: list[Volume]
    sources: list[str]


class ConflictsQuery(Input):
    building_id: Id | None = None
    limit: Limit = 100


@api.add("GET", "/readings/conflicts", answers=list[Conflict], summary="List readings that contradict each other")
async def list_conflicts(call: Call, query: ConflictsQuery) -> list[Conflict]:
    db = call.services.database
    rows = await db.run(corrections.open_conflicts, db, query.building_id, query.limit)
    return [
        Conflict.model_construct(
            meter_id=row.meter_id,
            serial=row.serial,
            register_name=row.register_name,
            measured_at=time_of(row.measured_at_us),
            values=list(row.values),
            sources=list(row.sources),
        )
        for row in rows
    ]


# --------------------------------------------------------------------------------------------------------------- seals


class Seal(Output):
    """The seal of everything recorded on one UTC day."""

    sequence: int
    day: Day
    readings: int
    corrections: int
    root: str
    sealed_at: Time


class SealsQuery(Input):
    limit: Limit = 31


@api.add("GET", "/seals", answers=list[Seal], summary="List the daily seals of the readings, newest first")
async def list_seals(call: Call, query: SealsQuery) -> list[Seal]:
    db = call.services.database
    rows = await db.run(
        db.rows,
        "SELECT sequence, day, readings, corrections, root, sealed_at_us FROM day_seal ORDER BY sequence DESC LIMIT ?",
        (query.limit,),
    )
    return [
        Seal(sequence=n, day=date_of(day), readings=readings, corrections=words, root=root, sealed_at=time_of(at_us))
        for n, day, readings, words, root, at_us in rows
    ]
