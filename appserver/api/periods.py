"""Closed periods: what would be frozen, what was, what came after, and opening one again."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from pydantic import Field

from appserver.api.fields import Day, Id, Input, Name, Output, RequiredName, Time, Volume, time_of
from appserver.api.registry import IdPath, Resource
from appserver.api.router import Api, Call
from appserver.metering import periods
from appserver.metering.frozen import Summary, hash_of, summary_of

api = Api("Metering")
OutputT = TypeVar("OutputT", bound=Output)


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
    stands: bool
    """Whether it is what counts for the period: not opened again, and the last revision."""
    reopened_at: Time | None
    reopened_by: str
    reopened_reason: str


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


class Recalculation(Output):
    """What an earlier closed period turned out to differ by."""

    close_id: int
    first_day: Day
    last_day: Day
    point_id: int
    premises: str
    account_number: str
    before: Volume | None
    after: Volume | None
    volume: Volume
    reason: str


class Charged(Output):
    """What a point was charged for, on which basis and by which clause."""

    point_id: int
    volume: Volume | None
    basis: str
    clause: str


class RuleUsed(Output):
    """A version of a rule and its source."""

    version: str
    source: str


class ClosedPeriodValues(ClosedPeriod):
    """A closed period with its points, charges, recalculations of earlier periods, and the rules used; with its hash."""

    points: list[ClosedValue]
    charges: list[Charged]
    recalculations: list[Recalculation]
    rules: list[RuleUsed]
    sha256: str
    """Of everything that was frozen; the prints carry it. Empty for a closing of before results were kept."""


class PreviewPoint(Output):
    """A point of a period that is not closed yet."""

    point_id: int
    premises: str
    start: Volume | None
    end: Volume | None
    volume: Volume | None
    quality: str


class ClosePreview(Output):
    """What closing would freeze now; nothing is changed."""

    house: Volume | None
    individual: Volume
    imbalance: Volume | None
    coverage_pct: Volume | None
    points: list[PreviewPoint]
    charges: list[Charged]
    recalculations: list[Recalculation]
    rules: list[RuleUsed]


class ClosePreviewQuery(Input):
    building_id: Id
    resource: Resource
    first_day: Day
    last_day: Annotated[Day, Field(description="Excluded")]


class Reopening(Input):
    reason: RequiredName


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
        **{name: getattr(row, name) for name in names},
        closed_at=time_of(row.closed_at_us),
        reopened_at=time_of(row.reopened_at_us),
    )


def _summary(value: Summary) -> dict[str, Any]:
    return {
        "charges": [_same(Charged, one) for one in value.charges],
        "recalculations": [_same(Recalculation, one) for one in value.recalculations],
        "rules": [_same(RuleUsed, one) for one in value.rules],
    }


def _same(model: type[OutputT], value: object) -> OutputT:
    return model.model_construct(**{name: getattr(value, name) for name in model.model_fields})


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


@api.add("GET", "/closed-periods/preview", answers=ClosePreview, summary="What closing a period would freeze")
async def preview_period(call: Call, query: ClosePreviewQuery) -> ClosePreview:
    db = call.services.database
    made = await db.run(periods.preview_close, db, query.building_id, query.resource, query.first_day, query.last_day)
    total = made.balance.total
    return ClosePreview.model_construct(
        house=total.house,
        individual=total.individual,
        imbalance=total.imbalance,
        coverage_pct=total.coverage_pct,
        points=[_same(PreviewPoint, point) for point in made.balance.points],
        **_summary(made.summary),
    )


@api.add("GET", "/closed-periods/{id}", answers=ClosedPeriodValues, summary="Volumes of a closed period, then and now")
async def get_period(call: Call, path: IdPath) -> ClosedPeriodValues:
    db = call.services.database
    period = await db.run(periods.closed_period, db, path.id)
    values = await db.run(periods.closed_values, db, path.id)
    points = [
        ClosedValue.model_construct(**{name: getattr(value, name) for name in ClosedValue.model_fields})
        for value in values
    ]
    summary = await db.run(summary_of, db, path.id)
    return ClosedPeriodValues.model_construct(
        **dict(_period(period)), points=points, **_summary(summary), sha256=await db.run(hash_of, db, path.id)
    )


@api.add("POST", "/closed-periods/{id}/reopen", answers=ClosedPeriod, summary="Open a closed period again")
async def reopen_period(call: Call, path: IdPath, body: Reopening) -> ClosedPeriod:
    services = call.services
    row = await services.database.run(
        periods.reopen_period,
        services.database,
        path.id,
        author=call.who.name,
        reason=body.reason,
        now_us=services.clock(),
    )
    detail = {"resource": row.resource, "first_day": str(row.first_day), "reason": body.reason}
    await call.audit("period.reopen", f"building/{row.building_id}", detail)
    return _period(row)


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
