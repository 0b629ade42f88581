"""The frame log: uplinks, downlinks and joins with their timeline; live as server-sent events."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

from aiohttp import web
from pydantic import Field, StringConstraints

from appserver.api.fields import Base64, Eui, Id, Input, Limit, Output, Page, Time, microseconds_of, time_of
from appserver.api.problems import not_found
from appserver.api.router import Api, Call
from appserver.live import stream
from internalapi import messages as m

api = Api("Frames")


class Reception(Output):
    """How one gateway heard a frame."""

    gateway_eui: str
    received_at: Time
    rssi_dbm: float | None
    snr_db: float | None
    tmst: int | None
    channel: int | None
    rf_chain: int | None
    antenna: int | None
    gateway_time: Time | None
    frequency_hz: int | None


class Step(Output):
    """A step of a frame's way, in milliseconds after the frame's time."""

    step: str
    after_ms: float


class Frame(Output):
    """A frame of the log."""

    id: int
    type: str
    time: Time
    phy: Base64
    dev_eui: str
    device_name: str
    dev_addr: str
    f_cnt: int | None
    f_port: int | None
    confirmed: bool
    frequency_hz: int
    datr: str
    receptions: list[Reception]
    mac_commands: list[str]
    outcome: str
    timeline: list[Step]
    gateway_eui: str
    reply_to: int | None
    silence: str
    downlink_id: int | None


FrameType = Literal["up", "down", "join", "rejected"]


class FrameFilter(Input):
    """Which frames."""

    dev_eui: Eui | None = None
    gateway_eui: Eui | None = None
    type: FrameType | None = None
    q: Annotated[
        str,
        StringConstraints(strip_whitespace=True, max_length=200),
        Field(
            description="A device's name or DevEUI or a part of them, a DevAddr, bytes in hex, or words of the outcome"
        ),
    ] = ""


class FramesQuery(FrameFilter):
    """A page of the log, newest first."""

    limit: Limit = 100
    cursor: Annotated[str, StringConstraints(pattern=r"^\d{0,18}$")] = ""
    since: Annotated[Time | None, Field(description="Not before")] = None
    until: Annotated[Time | None, Field(description="Before")] = None


def reception_view(item: m.Reception) -> Reception:
    """The API's form of a reception."""
    names = [name for name in Reception.model_fields if name in m.Reception.__struct_fields__]
    return Reception.model_construct(
        **{name: getattr(item, name) for name in names},
        received_at=time_of(item.received_at_us),
        gateway_time=time_of(item.gateway_time_us),
    )


def frame_view(record: m.FrameRecord) -> Frame:
    """The API's form of a frame."""
    names = [
        name for name in _SAME_NAME if name not in ("receptions", "timeline", "reply_to", "downlink_id", "mac_commands")
    ]
    return Frame.model_construct(
        **{name: getattr(record, name) for name in names},
        time=time_of(record.time_us),
        receptions=[reception_view(item) for item in record.receptions],
        timeline=[Step.model_construct(step=step, after_ms=after / 1000) for step, after in record.timeline],
        mac_commands=list(record.mac_commands),
        reply_to=record.reply_to or None,
        downlink_id=record.downlink_id or None,
    )


_SAME_NAME = [name for name in Frame.model_fields if name in m.FrameRecord.__struct_fields__]


def _filters(query: FrameFilter) -> dict[str, Any]:
    return {
        "dev_eui": query.dev_eui or "",
        "gateway_eui": query.gateway_eui or "",
        "type": query.type or "",
        "q": query.q,
    }


@api.add("GET", "/frames", answers=Page[Frame], summary="Search the frame log, newest first")
async def list_frames(call: Call, query: FramesQuery) -> Page[Frame]:
    page = await call.services.network.frames(
        before=int(query.cursor) if query.cursor else None,
        limit=query.limit,
        since_us=microseconds_of(query.since) if query.since else None,
        until_us=microseconds_of(query.until) if query.until else None,
        **_filters(query),
    )
    cursor = None if page.next_before is None else str(page.next_before)
    return Page(items=[frame_view(item) for item in page.items], next_cursor=cursor)


async def find_frame(call: Call, id: int) -> m.FrameRecord:
    """A frame of the log. Raises Problem 404."""
    if 0 < id < 1 << 62:
        page = await call.services.network.frames(after=id - 1, limit=1)
        if page.items and page.items[0].id == id:
            return page.items[0]
    raise not_found("frame", id)


def _has(record: m.FrameRecord, words: str) -> bool:
    texts = (record.device_name, record.dev_eui, record.dev_addr, record.outcome, record.silence, record.phy.hex())
    return any(words in text.lower() for text in texts)


def wanted(query: FrameFilter) -> Callable[[m.FrameRecord], bool]:
    """What tells whether a frame passes the filter."""

    def passes(record: m.FrameRecord) -> bool:
        if query.dev_eui and record.dev_eui != query.dev_eui:
            return False
        if query.type and query.type not in record.type:
            return False
        if query.q and not _has(record, query.q.lower()):
            return False
        heard = {item.gateway_eui for item in record.receptions} | {record.gateway_eui}
        return not query.gateway_eui or query.gateway_eui in heard

    return passes


@api.add(
    "GET",
    "/frames/stream",
    answers="text/event-stream",
    summary="Frames as they come and change (server-sent events)",
)
async def stream_frames(call: Call, query: FrameFilter) -> web.StreamResponse:
    def text(record: m.FrameRecord) -> tuple[str, str]:
        return str(record.id), frame_view(record).model_dump_json(by_alias=True)

    return await stream(call.request, call.services.live.frames, wanted(query), text, event="frame")


class FramePath(Input):
    id: Id


@api.add("GET", "/frames/{id}", answers=Frame, summary="One frame with its whole way")
async def get_frame(call: Call, path: FramePath) -> Frame:
    return frame_view(await find_frame(call, path.id))
