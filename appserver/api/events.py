"""Events of the network by cursor and as a stream, with the bodies that integrations get."""

from __future__ import annotations

import asyncio
import json
from typing import Annotated, Any, Literal

from aiohttp import web
from pydantic import StringConstraints

from appserver.api.fields import Eui, Input, Limit, Page
from appserver.api.problems import Problem
from appserver.api.router import Api, Call
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
    bodies = await asyncio.to_thread(
        lambda: [event_body(event) for event in found]
    )  # a maker's script may take its time
    return Page(items=bodies, next_cursor=str(after) if more else None)


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
        return str(event.id), json.dumps(await asyncio.to_thread(event_body, event), ensure_ascii=False)

    return await stream_events(call.request, network, after, query.passes, write)
