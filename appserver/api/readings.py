"""Readings, the balance of a building, and how much is collected."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from appserver.api.fields import (
    Day,
    Id,
    Input,
    Output,
    Page,
    PageQuery,
    Time,
    Volume,
    microseconds_of,
    time_of,
)
from appserver.api.registry import IdPath, Resource
from appserver.api.router import Api, Call
from appserver.auth.grants import Operation
from appserver.metering.balance import Balance as BalanceValue
from appserver.metering.balance import PeriodRow, PointRow
from appserver.metering.closed import counted_balance
from appserver.metering.collection import collection
from appserver.metering.explain import Explanation as ExplanationValue
from appserver.metering.explain import explain_balance, norm_a_person, norm_rule
from appserver.metering.frozen import summary_of
from appserver.metering.readings import (
    LAST_PLACE,
    LastReadingRow,
    ReadingRow,
    add_manual_reading,
    last_readings,
    point_readings,
)
from appserver.rules.entered import rule_book

api = Api("Metering")

Register = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]{0,40}$")]


class Reading(Output):
    """A value of a meter's register at a moment, with where it came from."""

    meter_id: int
    serial: str
    register_name: str = Field(alias="register")
    measured_at: Time
    value: Volume
    quality: str
    source: str
    received_at: Time
    recorded_at: Time
    device_time: Time | None
    codec: str
    author: str
    conflict: bool
    dev_eui: str | None
    frame_id: int | None
    fcnt_up: int | None


class ReadingsQuery(Input):
    """Readings of a meter, or of all meters of a point while they hung there, newest first."""

    point_id: Id | None = None
    meter_id: Id | None = None
    register_name: Annotated[Register, Field(alias="register")] = ""
    since: Annotated[Time | None, Field(alias="from")] = None
    until: Annotated[Time | None, Field(alias="to", description="Excluded")] = None
    limit: int = Field(100, ge=1, le=1000)
    cursor: Annotated[str, StringConstraints(max_length=200)] = ""


class NewReading(Input):
    """A reading taken by eye, or brought from elsewhere; the author is kept."""

    meter_id: Id
    value: Volume
    measured_at: Time
    register_name: Annotated[Register, Field(alias="register")] = ""
    source: Literal["manual", "import"] = "manual"


class Kept(Output):
    """Whether the reading was new."""

    new: bool


def reading_view(row: ReadingRow) -> Reading:
    """The API's form of a reading."""
    names = [name for name in Reading.model_fields if hasattr(row, name)]
    return Reading.model_construct(
        **{name: getattr(row, name) for name in names},
        measured_at=time_of(row.measured_at_us),
        received_at=time_of(row.received_at_us),
        recorded_at=time_of(row.recorded_at_us),
        device_time=time_of(row.device_time_us),
        fcnt_up=row.f_cnt,
    )


@api.add("GET", "/readings", answers=Page[Reading], summary="List readings of a meter or a point, newest first")
async def list_readings(call: Call, query: ReadingsQuery) -> Page[Reading]:
    db = call.services.database
    rows, cursor = await db.run(
        point_readings,
        db,
        point_id=query.point_id,
        meter_id=query.meter_id,
        register_name=query.register_name,
        from_us=microseconds_of(query.since) if query.since else 0,
        until_us=microseconds_of(query.until) if query.until else 2**62,
        cursor=query.cursor,
        limit=query.limit,
    )
    return Page(items=[reading_view(row) for row in rows], next_cursor=cursor)


@api.add("POST", "/readings", answers=Kept, status=201, summary="Enter a reading")
async def post_reading(call: Call, body: NewReading) -> Kept:
    db = call.services.database
    new = await db.run(
        add_manual_reading,
        db,
        body.meter_id,
        body.value,
        microseconds_of(body.measured_at),
        call.services.clock(),
        call.who.name,
        body.register_name,
        body.source,
    )
    if new:
        await call.audit("reading.enter", f"meter/{body.meter_id}", {"value": str(body.value)})
    return Kept(new=new)


class LastReading(Output):
    """A meter, its place, and the last reading of its principal register."""

    meter_id: int
    serial: str
    model: str
    resource: str
    unit: str
    verification_until: str | None
    point_id: int | None
    role: str | None
    building_id: int | None
    address: str | None
    premises_id: int | None
    premises: str | None
    account_number: str | None
    dev_eui: str | None
    value: Volume | None
    measured_at: Time | None
    quality: str | None
    received_at: Time | None


class LastReadingsQuery(PageQuery):
    """By building and flat."""

    building_id: Id | None = None
    resource: Resource | None = None
    silent_hours: int | None = Field(None, ge=1, le=10000)
    """Only meters without a reading received for so long."""


def last_reading_view(row: LastReadingRow) -> LastReading:
    """The API's form of a meter with its last reading."""
    names = [name for name in LastReading.model_fields if hasattr(row, name)]
    return LastReading.model_construct(
        **{name: getattr(row, name) for name in names},
        measured_at=time_of(row.measured_at_us),
        received_at=time_of(row.received_at_us),
    )


@api.add("GET", "/readings/last", answers=Page[LastReading], summary="List meters with their last reading")
async def list_last_readings(call: Call, query: LastReadingsQuery) -> Page[LastReading]:
    db = call.services.database
    silent_since = call.services.clock() - query.silent_hours * 3_600_000_000 if query.silent_hours else None
    page = await db.run(
        last_readings,
        db,
        query.building_id,
        query.resource or "",
        query.q,
        query.cursor,
        query.limit,
        silent_since,
        call.covered(Operation.read, *LAST_PLACE),
        call.personal,
    )
    return Page(items=[last_reading_view(row) for row in page.items], next_cursor=page.next_cursor)


# ----------------------------------------------------------------------------------------------------------- balance


class Period(Output):
    """A building in one period: common meters against the sum of the flats."""

    start: Time
    end: Time
    house: Volume | None
    individual: Volume
    imbalance: Volume | None
    imbalance_pct: Volume | None
    house_quality: str
    measured: int
    interpolated: int
    partial: int
    missing: int
    coverage_pct: Volume | None
    clock: Volume
    """How much of the imbalance may be clock, at most."""
    error: Volume
    """Bound of the whole error."""


class PointVolume(Output):
    """What one point counted."""

    point_id: int
    premises_id: int | None
    premises: str
    account_number: str
    role: str
    direction: str
    name: str
    meter_id: int | None
    serial: str
    start: Volume | None
    end: Volume | None
    start_at: Time | None
    end_at: Time | None
    volume: Volume | None
    quality: str
    events: list[str]
    clock: Volume | None
    error: Volume | None


class Evidence(Output):
    """A reason behind a row; ``number`` is minutes, days, persons or a flow, as ``what`` says."""

    what: str
    volume: Volume | None
    point_id: int | None
    meter_id: int | None
    premises: str
    since: Day | None
    until: Day | None
    number: Volume | None


class Cause(Output):
    """What one cause adds to the imbalance, how far it may be off, and why it is believed."""

    cause: str
    volume: Volume
    bound: Volume | None
    confidence: str
    evidence: list[Evidence]


class Stage(Output):
    """The imbalance as one way of counting sees it: ``raw`` (the last value received before an edge), ``time_base``,
    ``gaps_filled`` (with what devices were asked for), ``lost`` (without what was only not counted)."""

    name: str
    imbalance: Volume | None
    change: Volume | None
    """Against the stage before."""
    points: int
    """How many points count otherwise than in the stage before."""


class Explanation(Output):
    """The imbalance by its causes: their volumes add up to it, ``rest`` is what none of them explains."""

    imbalance: Volume
    explained_pct: Volume | None
    rows: list[Cause]
    course: list[Stage]
    """How the imbalance became what it is."""


class Balance(Output):
    """The balance of a building's resource; ``total`` is over the part of the asked time that is known."""

    building_id: int
    address: str
    resource: str
    unit: str
    step: str
    timezone: str
    since: Day = Field(alias="from")
    until: Day = Field(alias="to")
    flats: int
    unmetered: int
    total: Period
    periods: list[Period]
    points: list[PointVolume]
    explanation: Explanation | None
    """Of the total; null when its imbalance is not known, or when it was not asked for."""
    rules: list[str]
    """Versions of the rules that were used."""
    closed_periods: list[int]
    """Closings with days in it: their rows are as they were frozen; one of exactly this time is the whole answer."""


class BalanceQuery(Input):
    """From a day (included) to a day (excluded) of the building's calendar."""

    resource: Resource = "cold_water"
    since: Annotated[Day, Field(alias="from")]
    until: Annotated[Day, Field(alias="to", description="Excluded")]
    step: Literal["hour", "day", "month"] = "day"
    explain: bool = True
    """Also take the imbalance apart into its causes."""


def _period(row: PeriodRow) -> Period:
    return Period.model_construct(**{name: getattr(row, name) for name in Period.model_fields})


def _point(row: PointRow) -> PointVolume:
    values: dict[str, Any] = {name: getattr(row, name) for name in PointVolume.model_fields}
    return PointVolume.model_construct(**(values | {"events": list(row.events)}))


def explanation_view(value: ExplanationValue) -> Explanation:
    """The API's form of an explanation."""
    rows = [
        Cause.model_construct(
            cause=row.cause,
            volume=row.volume,
            bound=row.bound,
            confidence=row.confidence,
            evidence=[
                Evidence.model_construct(**{name: getattr(e, name) for name in Evidence.model_fields})
                for e in row.evidence
            ],
        )
        for row in value.rows
    ]
    course = [
        Stage.model_construct(**{name: getattr(stage, name) for name in Stage.model_fields}) for stage in value.course
    ]
    return Explanation.model_construct(
        imbalance=value.imbalance, explained_pct=value.explained_pct, rows=rows, course=course
    )


def balance_view(
    value: BalanceValue,
    explanation: ExplanationValue | None = None,
    rules: Sequence[str] = (),
    closed: Sequence[int] = (),
) -> Balance:
    """The API's form of a balance; ``rules`` are the versions of those that were used."""
    same = ["building_id", "address", "resource", "unit", "step", "timezone", "flats", "unmetered"]
    return Balance.model_construct(
        **{name: getattr(value, name) for name in same},
        since=value.from_date,
        until=value.to_date,
        total=_period(value.total),
        periods=[_period(row) for row in value.periods],
        points=[_point(row) for row in value.points],
        explanation=explanation_view(explanation) if explanation is not None else None,
        rules=list(rules),
        closed_periods=list(closed),
    )


@api.add("GET", "/buildings/{id}/balance", answers=Balance, summary="Balance of a building")
async def get_balance(call: Call, path: IdPath, query: BalanceQuery) -> Balance:
    db = call.services.database
    counted = await db.run(counted_balance, db, path.id, query.resource, query.since, query.until, query.step)
    value = counted.balance
    closed = [each.id for each in counted.within]
    if counted.closing is not None:
        summary = await db.run(summary_of, db, counted.closing.id)
        used = [rule.version for rule in summary.rules]
        return balance_view(value, summary.explanation if query.explain else None, used, closed)
    explanation, rules = None, []
    if query.explain:
        book = await db.run(rule_book, db)
        rules = [rule.version for rule in [norm_rule(book, value)] if rule is not None]
        explanation = await db.run(explain_balance, db, value, norm_a_person(book, value))
    return balance_view(value, explanation, rules, closed)


class Collection(Output):
    """How much of what should be known is known."""

    points: int
    known: int
    rate_pct: Volume | None
    silent: int
    undecoded: int


@api.add("GET", "/collection", answers=Collection, summary="Collection rate of the last midnight")
async def get_collection(call: Call) -> Collection:
    services = call.services
    value = await services.database.run(collection, services.database, services.clock(), services.settings.timezone)
    return Collection.model_construct(**{name: getattr(value, name) for name in Collection.model_fields})
