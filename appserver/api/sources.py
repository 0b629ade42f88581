"""Readings beside the radio: in batches and tables, in the form of their sender, what was refused of them; the sources."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from appserver.api.events import NumberCursor
from appserver.api.fields import Id, Input, Limit, Name, Output, Page, RequiredName, Time, Volume, time_of
from appserver.api.problems import Problem, invalid
from appserver.api.readings import Register
from appserver.api.registry import IdPath, Resource
from appserver.api.router import Api, Call
from appserver.integrations.addresses import AllowList
from appserver.metering.incoming import Item
from appserver.models import Source as SourceRow
from appserver.sources import intake, store
from appserver.sources.intake import Delivery, Receipt, Row, digest_of
from appserver.sources.mapping import MAX_ITEMS, Mapping
from appserver.sources.messages import FORM, readers, rows_of
from appserver.sources.tables import read_readings

api = Api("Sources")

Origin = Literal["gprs", "import", "gis"]
TABLES = ("text/csv", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet")
MESSAGES = ("application/json", FORM, "text/plain")


class PushedReading(Input):
    """A reading as another system tells it. What tells the meter: ``meter_id``; or ``serial``, when only one meter has this
    number; or ``point_id``; or ``account``, with ``resource`` where it has several meters."""

    meter_id: Id | None = None
    serial: Name = ""
    point_id: Id | None = None
    account: Name = ""
    resource: Resource | Literal[""] = ""
    register_name: Annotated[Register, Field(alias="register")] = ""
    measured_at: Time
    value: Volume
    archive: bool = True
    """Stored by the meter at that moment, as against read while asked."""


class PushedReadings(Input):
    """Readings over the reserve channel (``gprs``), or brought from elsewhere."""

    source: Origin = "gprs"
    readings: Annotated[list[PushedReading], Field(min_length=1, max_length=MAX_ITEMS)]


class PushError(Output):
    """A reading that was not taken. ``index``: from 0, in a table the line."""

    index: int
    message: str


class Pushed(Output):
    """What became of a delivery: sending it again changes nothing."""

    delivery_id: int | None
    """Null when all was known already."""
    new: int
    known: int
    errors: list[PushError]
    repeated: bool
    """The Idempotency-Key was known: this is the first answer again."""


def _pushed(receipt: Receipt) -> Pushed:
    return Pushed(
        delivery_id=receipt.intake_id,
        new=receipt.new,
        known=receipt.known,
        errors=[PushError(index=number, message=what) for number, what in receipt.errors],
        repeated=receipt.repeated,
    )


async def _deliver(
    call: Call, rows: list[Row], origin: str, data: bytes, name: str = "", source: int | None = None
) -> Pushed:
    key = call.request.headers.get("Idempotency-Key", "")
    if len(key) > 200 or not key.isascii() or not key.isprintable():
        raise Problem(422, "Idempotency-Key: at most 200 printable ASCII characters.")
    delivery = Delivery("http", call.who.name, rows, origin, name, source, key, digest_of(data))
    services = call.services
    return _pushed(await services.database.run(intake.deliver, services.database, delivery, services.clock()))


@api.add(
    "POST",
    "/readings/batch",
    answers=Pushed,
    headers=("Idempotency-Key",),
    summary="Take readings that came beside the radio",
)
async def push_readings(call: Call, body: PushedReadings) -> Pushed:
    rows = [
        Row(
            number,
            Item(
                r.measured_at,
                r.value,
                r.serial,
                r.meter_id,
                r.register_name,
                r.archive,
                r.point_id,
                r.account,
                r.resource,
            ),
        )
        for number, r in enumerate(body.readings)
    ]
    return await _deliver(call, rows, body.source, await call.request.read())


class TableQuery(Input):
    source: Origin = "gprs"
    name: Name = ""
    """Name of the file, for the list of deliveries."""


@api.add(
    "POST",
    "/readings/table",
    answers=Pushed,
    headers=("Idempotency-Key",),
    media=TABLES,
    summary="Take a CSV or XLSX table of readings",
)
async def push_table(call: Call, query: TableQuery) -> Pushed:
    data = await call.request.read()
    try:
        rows = await call.services.database.run(read_readings, data)
    except ValueError as error:
        raise invalid("body", str(error)) from error
    return await _deliver(call, rows, query.source, data, query.name)


# ------------------------------------------------------------------------------------------------------------- refused


class RefusedReading(Output):
    """A reading that was not taken, as it was told."""

    id: int
    channel: str
    name: str
    author: str
    number: int
    told: dict[str, Any]
    reason: str
    state: str
    attempts: int
    seen_at: Time


class RefusedQuery(Input):
    state: Literal["open", "taken", "dropped"] = "open"
    limit: Limit = 100
    cursor: NumberCursor = ""


class Chosen(Input):
    """Which of them."""

    ids: Annotated[list[Id], Field(min_length=1, max_length=1000)]


class Retried(Output):
    """How many were taken now, and how many are refused still."""

    taken: int
    refused: int


class Dropped(Output):
    """How many were put aside."""

    dropped: int


@api.add("GET", "/readings/refused", answers=Page[RefusedReading], summary="List readings that were not taken")
async def list_refused(call: Call, query: RefusedQuery) -> Page[RefusedReading]:
    db = call.services.database
    before = int(query.cursor) if query.cursor else None
    rows = await db.run(intake.refused, db, query.state, before, query.limit + 1)
    items = [
        RefusedReading.model_construct(
            **{name: getattr(row, name) for name in RefusedReading.model_fields if hasattr(row, name)},
            seen_at=time_of(row.seen_at_us),
        )
        for row in rows[: query.limit]
    ]
    return Page(items=items, next_cursor=str(items[-1].id) if len(rows) > query.limit else None)


@api.add("POST", "/readings/refused/retry", answers=Retried, summary="Try refused readings again")
async def retry_refused(call: Call, body: Chosen) -> Retried:
    db = call.services.database
    taken, left = await db.run(intake.try_again, db, body.ids, call.services.clock(), readers(db))
    await call.audit("reading.retry", "refused_reading", {"taken": taken, "refused": left})
    return Retried(taken=taken, refused=left)


@api.add("POST", "/readings/refused/drop", answers=Dropped, summary="Put refused readings aside for good")
async def drop_refused(call: Call, body: Chosen) -> Dropped:
    db = call.services.database
    dropped = await db.run(intake.drop, db, body.ids, call.services.clock())
    await call.audit("reading.drop", "refused_reading", {"dropped": dropped, "ids": body.ids[:100]})
    return Dropped(dropped=dropped)


class DeliveryView(Output):
    """A delivery of readings and what became of it."""

    id: int
    channel: str
    source_id: int | None
    name: str
    author: str
    received_at: Time
    new: int
    known: int
    errors: int


class DeliveriesQuery(Input):
    limit: Limit = 100
    cursor: NumberCursor = ""


@api.add("GET", "/deliveries", answers=Page[DeliveryView], summary="List deliveries of readings, newest first")
async def list_intakes(call: Call, query: DeliveriesQuery) -> Page[DeliveryView]:
    db = call.services.database
    before = int(query.cursor) if query.cursor else None
    rows = await db.run(intake.intakes, db, before, query.limit + 1)
    items = [
        DeliveryView.model_construct(
            **{name: getattr(row, name) for name in DeliveryView.model_fields if hasattr(row, name)},
            received_at=time_of(row.received_at_us),
        )
        for row in rows[: query.limit]
    ]
    return Page(items=items, next_cursor=str(items[-1].id) if len(rows) > query.limit else None)


# ------------------------------------------------------------------------------------------------------------- sources


class Source(Output):
    """Where readings come from, and how that goes. The password is write-only."""

    id: int
    kind: str
    name: str
    url: str
    username: str
    has_password: bool
    ca: str
    topics: list[str]
    mapping: Mapping
    origin: str
    enabled: bool
    created_at: Time
    connected: bool
    error: str
    seen_at: Time | None
    taken: int
    refused: int


Topic = Annotated[str, StringConstraints(min_length=1, max_length=500, pattern=r"^[^\s\x00]+$")]
Pem = Annotated[str, StringConstraints(max_length=100_000, pattern=r"^[\x20-\x7e\r\n]*$")]


class ChangedSource(Input):
    """Changes; what is left out keeps its value."""

    name: Name | None = None
    url: Annotated[str, StringConstraints(max_length=2000, pattern=r"^[\x21-\x7e]*$")] | None = None
    username: Name | None = None
    password: Annotated[str, StringConstraints(max_length=1000)] | None = None
    ca: Pem | None = None
    topics: Annotated[list[Topic], Field(max_length=100)] | None = None
    mapping: Mapping | None = None
    origin: Origin | None = None
    enabled: bool | None = None


class NewSource(ChangedSource):
    """``mqtt``: a broker to subscribe at; ``http``: a program that posts to ``/sources/{id}/push`` in its own form."""

    kind: Literal["mqtt", "http"]
    name: RequiredName
    mapping: Mapping


def _view(row: SourceRow) -> Source:
    names = [name for name in Source.model_fields if hasattr(row, name)]
    return Source.model_construct(
        **{name: getattr(row, name) for name in names}
        | {
            "has_password": bool(row.password),
            "topics": row.topics.split(),
            "mapping": Mapping.model_validate(row.mapping),
            "created_at": time_of(row.created_at_us),
            "seen_at": time_of(row.seen_at_us),
        }
    )


def _values(body: ChangedSource) -> dict[str, Any]:
    values = {name: value for name, value in body.model_dump(exclude_unset=True).items() if value is not None}
    if body.mapping is not None:
        values["mapping"] = body.mapping.model_dump(mode="json", exclude_defaults=True)
    if "topics" in values:
        values["topics"] = " ".join(dict.fromkeys(values["topics"]))
    return values


def allowed(call: Call) -> AllowList:
    """Addresses that may be called although they are not public."""
    return AllowList(call.services.settings.webhook_allow)


@api.add("GET", "/sources", answers=Page[Source], summary="List sources of readings")
async def list_sources(call: Call) -> Page[Source]:
    db = call.services.database
    return Page(items=[_view(row) for row in await db.run(store.sources, db)])


@api.add("POST", "/sources", answers=Source, status=201, summary="Add a source of readings")
async def post_source(call: Call, body: NewSource) -> Source:
    db = call.services.database
    row = await db.run(store.create_source, db, _values(body), call.services.clock(), allowed(call))
    await call.audit("source.create", f"source/{row.id}", {"name": row.name, "kind": row.kind})
    return _view(row)


@api.add("GET", "/sources/{id}", answers=Source, summary="Show a source of readings")
async def get_source(call: Call, path: IdPath) -> Source:
    db = call.services.database
    return _view(await db.run(store.find_source, db, path.id))


@api.add("PUT", "/sources/{id}", answers=Source, summary="Change a source of readings")
async def put_source(call: Call, path: IdPath, body: ChangedSource) -> Source:
    db = call.services.database
    row = await db.run(store.update_source, db, path.id, _values(body), allowed(call))
    await call.audit("source.change", f"source/{path.id}", {"fields": sorted(body.model_fields_set)})
    return _view(row)


@api.add("DELETE", "/sources/{id}", answers=None, status=204, summary="Remove a source of readings")
async def delete_source(call: Call, path: IdPath) -> None:
    db = call.services.database
    await db.run(store.delete_source, db, path.id)
    await call.audit("source.delete", f"source/{path.id}")


@api.add(
    "POST",
    "/sources/{id}/push",
    answers=Pushed,
    headers=("Idempotency-Key",),
    media=MESSAGES,
    summary="Take readings in the form of a source",
)
async def push_message(call: Call, path: IdPath) -> Pushed:
    db = call.services.database
    source = await db.run(store.find_source, db, path.id)
    if source.kind != "http" or not source.enabled:
        raise Problem(409, "Nothing can be pushed to this source: it is switched off, or a broker's.")
    payload = await call.request.read()
    form = call.request.content_type == FORM
    rows = await db.run(rows_of, source, payload, "", call.services.clock(), form)
    return await _deliver(call, rows, source.origin, payload, source.name, source.id)


class Sample(Input):
    """A message to try the mapping of a source with."""

    topic: Annotated[str, StringConstraints(max_length=500)] = ""
    payload: Annotated[str, StringConstraints(max_length=1_000_000)]


class TriedRow(Output):
    """What a message would give. Nothing is kept."""

    reading: dict[str, Any] | None
    problem: str


@api.add("POST", "/sources/{id}/test", answers=list[TriedRow], summary="Try a source's mapping with a message")
async def post_sample(call: Call, path: IdPath, body: Sample) -> list[TriedRow]:
    db = call.services.database
    source = await db.run(store.find_source, db, path.id)
    rows = rows_of(source, body.payload.encode(), body.topic, call.services.clock())
    return [TriedRow(reading=intake.told_of(row.item) if row.item else None, problem=row.problem) for row in rows]
