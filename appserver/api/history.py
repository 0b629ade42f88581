"""Readings from elsewhere in batches, corrections and conflicts, closed periods, seals."""

from __future__ import annotations

from typing import Annotated, Literal

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
from appserver.api.registry import IdPath, Resource
from appserver.api.router import Api, Call
from appserver.metering import corrections, incoming, periods
from appserver.metering.timebase import date_of

api = Api("Metering")


# ------------------------------------------------------------------------------------------------------------- batches


class PushedReading(Input):
    """A reading as another system tells it; ``serial`` will do when only one meter has this number."""

    meter_id: Id | None = None
    serial: Name = ""
    register_name: Annotated[Register, Field(alias="register")] = ""
    measured_at: Time
    value: Volume
    archive: bool = True
    """Stored by the meter at that moment, as against read while asked."""


class PushedReadings(Input):
    """Readings over the reserve channel (``gprs``), or brought from elsewhere."""

    source: Literal["gprs", "import", "gis"] = "gprs"
    readings: Annotated[list[PushedReading], Field(min_length=1, max_length=5000)]


class PushError(Output):
    """A reading that was not taken."""

    index: int
    message: str


class Pushed(Output):
    """What became of a batch: sending it again changes nothing."""

    new: int
    known: int
    errors: list[PushError]


@api.add("POST", "/readings/batch", answers=Pushed, summary="Take readings that came beside the radio")
async def push_readings(call: Call, body: PushedReadings) -> Pushed:
    items = [
        incoming.Item(r.measured_at, r.value, r.serial, r.meter_id, r.register_name, r.archive) for r in body.readings
    ]
    services = call.services
    done = await services.database.run(
        incoming.take, services.database, items, body.source, services.clock(), call.who.name
    )
    return Pushed(new=done.new, known=done.known, errors=[PushError(index=n, message=what) for n, what in done.errors])


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


@api.add("POST", "/corrections", answers=Correction, status=201, summary="Correct a reading, or decide a conflict")
async def post_correction(call: Call, body: NewCorrection) -> Correction:
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
    return _correction(row)


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


# ------------------------------------------------------------------------------------------------------------- periods


class NewClosedPeriod(Input):
    """From a day (included) to a day (excluded); a further revision of a closed period needs a reason."""

    building_id: Id
    resource: Resource
    first_day: Day
    last_day: Annotated[Day, Field(description="Excluded")]
    reason: Name = ""


class ClosedPeriod(Output):
    """A building's resource in a period as it was charged."""

    id: int
    building_id: int
    resource: str
    first_day: Day
    last_day: Day
    revision: int
    author: str
    reason: str
    closed_at: Time


class ClosedValue(Output):
    """A point in a closed period, and what is known of it by now."""

    point_id: int
    premises: str
    start: Volume | None
    end: Volume | None
    volume: Volume | None
    quality: str
    volume_now: Volume | None
    quality_now: str
    changed: bool


class ClosedPeriodValues(ClosedPeriod):
    """A closed period with its points."""

    points: list[ClosedValue]


class LateRow(Output):
    """A reading or a correction that came after the close; ``source`` is the reason of a correction."""

    kind: str
    meter_id: int
    serial: str
    measured_at: Time
    value: Volume | None
    recorded_at: Time
    source: str


class ClosedPeriodsQuery(Input):
    building_id: Id | None = None
    resource: Resource | None = None


def _period(row: periods.ClosedPeriod) -> ClosedPeriod:
    names = [name for name in ClosedPeriod.model_fields if hasattr(row, name)]
    return ClosedPeriod.model_construct(
        **{name: getattr(row, name) for name in names}, closed_at=time_of(row.closed_at_us)
    )


@api.add("GET", "/closed-periods", answers=list[ClosedPeriod], summary="List closed periods, newest first")
async def list_periods(call: Call, query: ClosedPeriodsQuery) -> list[ClosedPeriod]:
    db = call.services.database
    rows = await db.run(periods.closed_periods, db, query.building_id, query.resource or "")
    return [_period(row) for row in rows]


@api.add("POST", "/closed-periods", answers=ClosedPeriod, status=201, summary="Close a period of a building")
async def post_period(call: Call, body: NewClosedPeriod) -> ClosedPeriod:
    services = call.services
    row = await services.database.run(
        periods.close_period,
        services.database,
        body.building_id,
        body.resource,
        body.first_day,
        body.last_day,
        author=call.who.name,
        now_us=services.clock(),
        reason=body.reason,
    )
    detail = {"resource": row.resource, "first_day": str(row.first_day), "revision": row.revision}
    await call.audit("period.close", f"building/{row.building_id}", detail)
    return _period(row)


@api.add("GET", "/closed-periods/{id}", answers=ClosedPeriodValues, summary="Volumes of a closed period, then and now")
async def get_period(call: Call, path: IdPath) -> ClosedPeriodValues:
    db = call.services.database
    period = await db.run(periods.closed_period, db, path.id)
    values = await db.run(periods.closed_values, db, path.id)
    points = [
        ClosedValue.model_construct(**{name: getattr(value, name) for name in ClosedValue.model_fields})
        for value in values
    ]
    return ClosedPeriodValues.model_construct(**_period(period).model_dump(), points=points)


@api.add("GET", "/closed-periods/{id}/after", answers=list[LateRow], summary="What came after a period was closed")
async def list_late(call: Call, path: IdPath) -> list[LateRow]:
    db = call.services.database
    return [
        LateRow.model_construct(
            kind=row.kind,
            meter_id=row.meter_id,
            serial=row.serial,
            measured_at=time_of(row.measured_at_us),
            value=row.value,
            recorded_at=time_of(row.recorded_at_us),
            source=row.source,
        )
        for row in await db.run(periods.after_close, db, path.id)
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
