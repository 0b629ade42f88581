"""Events of the network by cursor and as a stream, with the bodies that integrations get; and the codecs behind them."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from aiohttp import web
from pydantic import Field, StringConstraints

from appserver.api.fields import Base64, Eui, Input, Limit, Output, Page, Slug, Time, Volume, microseconds_of
from appserver.api.problems import Problem, not_found
from appserver.api.router import Api, Call
from appserver.codecs import CODECS, Codec, CodecError, decode
from appserver.decoding import read_frame
from appserver.integrations import chirpstack
from appserver.live import stream_events
from internalapi import messages as m

api = Api("Events")

EventType = Literal["up", "join", "ack", "txack", "status", "log", "location"]
SeenType = EventType | Literal["gateway"]
"""Types of this API: also what concerns a gateway and no device, which no integration has a form for."""
NumberCursor = Annotated[str, StringConstraints(pattern=r"^\d{0,18}$")]
SCAN = 10_000
"""How many events one request looks at when filters leave most of them out."""


class EventFilter(Input):
    """Which events."""

    dev_eui: Eui | None = None
    type: SeenType | None = None

    def passes(self, event: m.Event) -> bool:
        """Whether the filter lets the event through."""
        return (not self.dev_eui or event.dev_eui == self.dev_eui) and (not self.type or event.type == self.type)


class EventsQuery(EventFilter):
    """Events after ``cursor`` (an event's id), oldest first."""

    cursor: NumberCursor = ""
    limit: Limit = 100


class StreamQuery(EventFilter):
    """Events after ``cursor``; without it, from now on."""

    cursor: NumberCursor = ""


def event_body(event: m.Event) -> dict[str, Any]:
    """The body of an event as integrations get it, with its id."""
    if event.type == "gateway":
        return {"id": event.id, "type": event.type} | chirpstack.gateway_body(event)
    values: dict[str, Any] | None = None
    if event.type == "up" and event.codec:
        decoded = read_frame(event.codec, event.f_port, event.data, event.time_us).decoded
        values = decoded.values if decoded is not None else None
    return {"id": event.id, "type": event.type} | chirpstack.body(event, values)


@api.add("GET", "/events", answers=Page[dict[str, Any]], summary="List events after a cursor, oldest first")
async def list_events(call: Call, query: EventsQuery) -> Page[dict[str, Any]]:
    found: list[m.Event] = []
    after, looked = int(query.cursor or 0), 0
    more = True
    while more and len(found) < query.limit and looked < SCAN:
        batch = (await call.services.network.events(after=after, limit=1000)).events
        more = len(batch) == 1000
        for position, event in enumerate(batch):
            after, looked = event.id, looked + 1
            if query.passes(event):
                found.append(event)
                if len(found) == query.limit:
                    more = more or position + 1 < len(batch)
                    break
    return Page(items=[event_body(event) for event in found], next_cursor=str(after) if more else None)


@api.add(
    "GET",
    "/events/stream",
    answers="text/event-stream",
    summary="Events as they come (server-sent events); goes on after Last-Event-ID",
    headers=("Last-Event-ID",),
)
async def stream_all_events(call: Call, query: StreamQuery) -> web.StreamResponse:
    last = call.request.headers.get("Last-Event-ID", "") or query.cursor
    if last and not (last.isascii() and last.isdigit() and len(last) <= 18):
        raise Problem(422, "Last-Event-ID: must be the id of an event.")
    network = call.services.network
    after = int(last) if last else (await network.status()).last_event_id

    async def write(event: m.Event) -> tuple[str, str]:
        return str(event.id), json.dumps(event_body(event), ensure_ascii=False)

    return await stream_events(call.request, network, after, query.passes, write)


# ------------------------------------------------------------------------------------------------------------ codecs


class CodecView(Output):
    """A codec: payload to measurements."""

    name: str
    version: int
    title: str
    clock: str


class CodecPath(Input):
    name: Slug


class CodecTrial(Input):
    """A payload to decode."""

    f_port: int = Field(ge=0, le=255)
    data: Annotated[Base64, Field(max_length=250)]
    received_at: Time | None = None


class MeasurementView(Output):
    """One register of one channel."""

    channel: int
    value: Volume
    unit: str
    variant: str
    at: str | None
    archive: bool


class CodecResult(Output):
    """What the payload says, or why it says nothing."""

    measurements: list[MeasurementView]
    object: dict[str, Any] | None
    flags: list[str] | None
    battery_pct: int | None
    error: str


def _codec_view(codec: Codec) -> CodecView:
    return CodecView(name=codec.name, version=codec.version, title=codec.title, clock=codec.clock)


def _find_codec(name: str) -> Codec:
    if name not in CODECS:
        raise not_found("codec", name)
    return CODECS[name]


@api.add("GET", "/codecs", answers=Page[CodecView], summary="List codecs")
async def list_codecs(call: Call) -> Page[CodecView]:
    return Page(items=[_codec_view(codec) for codec in CODECS.values()])


@api.add("GET", "/codecs/{name}", answers=CodecView, summary="Show a codec")
async def get_codec(call: Call, path: CodecPath) -> CodecView:
    return _codec_view(_find_codec(path.name))


@api.add("POST", "/codecs/{name}/test", answers=CodecResult, summary="Decode a payload")
async def test_codec(call: Call, path: CodecPath, body: CodecTrial) -> CodecResult:
    _find_codec(path.name)
    at_us = microseconds_of(body.received_at) if body.received_at else call.services.clock()
    try:
        decoded = decode(path.name, body.f_port, body.data, at_us)
    except CodecError as error:
        return CodecResult(measurements=[], object=None, flags=None, battery_pct=None, error=str(error))
    measurements = [
        MeasurementView(
            channel=item.channel,
            value=item.value,
            unit=item.unit,
            variant=item.variant,
            at=item.at.isoformat() if item.at else None,
            archive=item.archive,
        )
        for item in decoded.measurements
    ]
    return CodecResult(
        measurements=measurements,
        object=decoded.values,
        flags=list(decoded.flags) if decoded.flags is not None else None,
        battery_pct=decoded.battery_pct,
        error="",
    )
