"""Integrations: webhooks and brokers with the state of their delivery."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from appserver import integrations
from appserver.api.events import EventType, NumberCursor
from appserver.api.fields import Id, Input, Limit, Name, Output, Page, RequiredName, Time, microseconds_of, time_of
from appserver.api.problems import not_found
from appserver.api.registry import IdPath
from appserver.api.router import Api, Call
from appserver.integrations.addresses import AllowList
from appserver.models import Sink

api = Api("Integrations")

HeaderName = Annotated[str, StringConstraints(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}$")]
HeaderValue = Annotated[str, StringConstraints(pattern=r"^[\x20-\x7e]{0,2000}$")]
Url = Annotated[str, StringConstraints(min_length=1, max_length=2000, pattern=r"^[\x21-\x7e]+$")]
SinkEvent = EventType | Literal["incident", "reading", "balance"]
Pem = Annotated[str, StringConstraints(max_length=100_000, pattern=r"^[\x20-\x7e\r\n]*$")]
MASK = "•••"


class Integration(Output):
    """A webhook or a broker, and how delivery to it goes. Header values and the password are write-only."""

    id: int
    kind: str
    name: str
    url: str
    headers: dict[str, str]
    username: str
    has_password: bool
    ca: str
    commands: bool
    """Whether downlinks are taken from the broker."""
    events: list[str]
    enabled: bool
    created_at: Time
    delivered: int
    delivered_at: Time | None
    pending: int
    error: str


class ChangedIntegration(Input):
    """Changes; what is left out keeps its value."""

    name: Name | None = None
    url: Url | None = None
    headers: Annotated[dict[HeaderName, HeaderValue], Field(max_length=20)] | None = None
    events: Annotated[list[SinkEvent], Field(min_length=1, max_length=12)] | None = None
    enabled: bool | None = None
    username: Name | None = None
    password: Annotated[str, StringConstraints(max_length=1000)] | None = None
    ca: Pem | None = None
    """Certificate authority of the broker, PEM; empty: those of the system."""
    commands: bool | None = None
    """Whether downlinks are taken from ``…/command/down`` of the broker."""


class NewIntegration(ChangedIntegration):
    """A webhook, or a broker (``mqtt://host`` or ``mqtts://host``), to add; it gets events from now on."""

    kind: Literal["webhook", "mqtt"] = "webhook"
    name: RequiredName
    url: Url


def _view(call: Call, sink: Sink) -> Integration:
    return Integration.model_construct(
        id=sink.id or 0,
        kind=sink.kind,
        name=sink.name,
        url=sink.url,
        headers=dict.fromkeys(sink.headers, MASK),
        username=sink.username,
        has_password=bool(sink.password),
        ca=sink.ca,
        commands=sink.commands,
        events=sink.events.split(),
        enabled=sink.enabled,
        created_at=time_of(sink.created_at_us),
        delivered=sink.delivered,
        delivered_at=time_of(sink.delivered_at_us),
        pending=integrations.pending_count(call.services.database, sink.id or 0),
        error=sink.error,
    )


def _values(body: ChangedIntegration) -> dict[str, Any]:
    values = {name: value for name, value in body.model_dump(exclude_unset=True).items() if value is not None}
    if "events" in values:
        values["events"] = " ".join(dict.fromkeys(values["events"]))
    return values


def _allow(call: Call) -> AllowList:
    return AllowList(call.services.settings.webhook_allow)


async def _find(call: Call, sink_id: int) -> Sink:
    db = call.services.database
    for sink in await db.run(integrations.sinks, db):
        if sink.id == sink_id:
            return sink
    raise not_found("integration", sink_id)


@api.add("GET", "/integrations", answers=Page[Integration], summary="List integrations")
async def list_integrations(call: Call) -> Page[Integration]:
    db = call.services.database
    found = await db.run(integrations.sinks, db)
    return Page(items=await db.run(lambda: [_view(call, sink) for sink in found]))


@api.add("POST", "/integrations", answers=Integration, status=201, summary="Add an integration")
async def post_integration(call: Call, body: NewIntegration) -> Integration:
    db = call.services.database
    values = {"kind": "webhook"} | _values(body)
    sink = await db.run(integrations.create_sink, db, values, call.services.clock(), _allow(call))
    await call.audit("integration.create", f"integration/{sink.id}", {"url": sink.url})
    return await db.run(_view, call, sink)


@api.add("GET", "/integrations/{id}", answers=Integration, summary="Show an integration")
async def get_integration(call: Call, path: IdPath) -> Integration:
    return await call.services.database.run(_view, call, await _find(call, path.id))


@api.add("PUT", "/integrations/{id}", answers=Integration, summary="Change an integration")
async def put_integration(call: Call, path: IdPath, body: ChangedIntegration) -> Integration:
    db = call.services.database
    sink = await db.run(integrations.update_sink, db, path.id, _values(body), _allow(call))
    await call.audit("integration.change", f"integration/{path.id}", {"fields": sorted(body.model_fields_set)})
    return await db.run(_view, call, sink)


@api.add("DELETE", "/integrations/{id}", answers=None, status=204, summary="Remove an integration")
async def delete_integration(call: Call, path: IdPath) -> None:
    db = call.services.database
    await db.run(integrations.delete_sink, db, path.id)
    await call.audit("integration.delete", f"integration/{path.id}")


class DeadLetterView(Output):
    """An event that was given up."""

    id: int
    event_id: int
    dev_eui: str
    type: str
    time: Time
    attempts: int
    error: str


class DeadLettersQuery(Input):
    limit: Limit = 100
    cursor: NumberCursor = ""


class Retry(Input):
    """Which of them to send again."""

    ids: Annotated[list[Id], Field(min_length=1, max_length=1000)]


class Replay(Input):
    """From when on to send everything again."""

    since: Time


class Replayed(Output):
    """How many events go out again."""

    events: int


@api.add("GET", "/integrations/{id}/deliveries", answers=Page[DeadLetterView], summary="Events that were given up")
async def list_deliveries(call: Call, path: IdPath, query: DeadLettersQuery) -> Page[DeadLetterView]:
    db = call.services.database
    await _find(call, path.id)
    before = int(query.cursor) if query.cursor else None
    letters = await db.run(integrations.dead_letters, db, path.id, before, query.limit + 1)
    more = len(letters) > query.limit
    items = [
        DeadLetterView.model_construct(
            id=letter.id,
            event_id=letter.event_id,
            dev_eui=letter.dev_eui,
            type=letter.type,
            time=time_of(letter.time_us),
            attempts=letter.attempts,
            error=letter.error,
        )
        for letter in letters[: query.limit]
    ]
    return Page(items=items, next_cursor=str(items[-1].id) if more else None)


@api.add("POST", "/integrations/{id}/deliveries", answers=Replayed, summary="Send given-up events again")
async def post_deliveries(call: Call, path: IdPath, body: Retry) -> Replayed:
    db = call.services.database
    await _find(call, path.id)
    for letter_id in body.ids:
        await db.run(integrations.retry, db, letter_id)
    await call.audit("integration.retry", f"integration/{path.id}", {"events": len(body.ids)})
    return Replayed(events=len(body.ids))


@api.add("POST", "/integrations/{id}/replay", answers=Replayed, summary="Send everything again from a moment on")
async def post_replay(call: Call, path: IdPath, body: Replay) -> Replayed:
    db = call.services.database
    await _find(call, path.id)
    events = await db.run(integrations.replay, db, path.id, microseconds_of(body.since))
    await call.audit("integration.replay", f"integration/{path.id}", {"events": events})
    return Replayed(events=events)
