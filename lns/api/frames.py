"""The frame log and the events that are handed over."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import msgspec

from internalapi import messages as m
from lns.api import parse
from lns.api.errors import invalid
from lns.device import Device
from lns.network import Network
from lns.session import Session
from lns.state import unpack
from lns.store.embedded.blocks import KeptFrame
from lns.store.embedded.search import Found, Search, find
from lns.uplink import way
from lns.uplink.reception import heard_of
from lorawan.commands import describe, parse_commands
from lorawan.errors import FrameError
from lorawan.hot import data_header, data_payload

MAX_WAIT_S = 60.0
NO_DEVICE = 0xFFFF_FFFF
MAX_DEVICES = 10_000
TYPES = {
    "up": frozenset(["up", "late"]),
    "down": frozenset(["down", "join_accept"]),
    "join": frozenset(["join_request", "join_accept", "rejoin_request"]),
    "join_request": frozenset(["join_request"]),
    "join_accept": frozenset(["join_accept"]),
    "rejoin_request": frozenset(["rejoin_request"]),
    "rejected": frozenset(["rejected"]),
}
_event = m.decoder(m.Event)


async def events(network: Network, request: m.EventsRequest) -> Any:
    """Events after a cursor, oldest first. Their bodies go out as they lie in the journal."""
    limit, after = parse.limit(request.limit), parse.row_id(request.after, "after")
    if request.acknowledge:
        network.consumed_event_id = max(network.consumed_event_id, after)

    def query(db: sqlite3.Connection) -> list[msgspec.Raw]:
        log = network.frame_log
        packed = log.events(after, limit) if after < log.last_event_id else []
        rows = db.execute(
            "SELECT body FROM event WHERE id > ? ORDER BY id LIMIT ?",
            (max(after, log.last_event_id), limit - len(packed)),
        )
        return packed + [msgspec.Raw(body) for (body,) in rows]

    arrived = network.events_arrived
    bodies = await network.read(query)
    if not bodies and request.wait_s > 0:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(arrived.wait(), min(request.wait_s, MAX_WAIT_S))
        bodies = await network.read(query)
    return {"events": bodies}


async def frames(network: Network, request: m.FramesRequest) -> m.FramePage:
    limit = parse.limit(request.limit)
    before = parse.row_id(request.before, "before") if request.before is not None else None
    after = parse.row_id(request.after, "after") if request.after is not None else None
    search = _search(network, request)

    def query(db: sqlite3.Connection) -> Found:
        words = request.q.strip()
        wanted = replace(search, **_text(db, words)) if words else search
        return find(db, network.frame_log, wanted, before, after, limit)

    arrived = network.frames_arrived
    found = await network.read(query)
    if not found.items and request.wait_s > 0 and after is not None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(arrived.wait(), min(request.wait_s, MAX_WAIT_S))
        found = await network.read(query)
    items = [_record(network, frame, _event.decode(body) if body is not None else None) for frame, body in found.items]
    return m.FramePage(items, found.next if after is None else None)


def _search(network: Network, request: m.FramesRequest) -> Search:
    device_ids = kinds = None
    if request.dev_eui:
        device = network.state.devices.get(parse.eui(request.dev_eui, "dev_eui"))
        device_ids = frozenset([device.id if device is not None else NO_DEVICE])
    if request.type:
        kinds = TYPES.get(request.type)
        if kinds is None:
            raise invalid(f"type: one of {', '.join(TYPES)}", "type")
    return Search(
        device_ids,
        str(parse.eui(request.gateway_eui, "gateway_eui")) if request.gateway_eui else "",
        kinds,
        parse.row_id(request.since_us, "since_us") if request.since_us is not None else None,
        parse.row_id(request.until_us, "until_us") if request.until_us is not None else None,
    )


def _text(db: sqlite3.Connection, words: str) -> dict[str, Any]:
    """A search for words: devices that are called so, or a DevAddr, or bytes, or what became of a frame."""
    words = words.lower()
    devices = frozenset(
        id
        for (id,) in db.execute(
            "SELECT id FROM device WHERE instr(fold(name), ?1) OR instr(lower(hex(dev_eui)), ?1) LIMIT ?2",
            (words, MAX_DEVICES),
        )
    )
    if devices:
        return {"device_ids": devices}
    try:
        data = bytes.fromhex(words)
    except ValueError:
        data = b""
    dev_addr = int.from_bytes(data, "big") if len(data) == 4 else None

    def takes(frame: KeptFrame, event: Callable[[], msgspec.Raw | None]) -> bool:
        if words in frame.outcome.lower() or (dev_addr is not None and frame.dev_addr == dev_addr):
            return True
        passed = way.from_bytes(frame.way)
        if passed is not None and words in passed.silence.lower():
            return True
        if not data:
            return False
        if data in frame.phy:
            return True
        body = event()
        return body is not None and data in _event.decode(body).data

    return {"takes": takes}


def _record(network: Network, frame: KeptFrame, event: m.Event | None) -> m.FrameRecord:
    device = network.state.devices_by_id.get(frame.device_id)
    uplink = frame.kind in TYPES["up"]
    passed = way.from_bytes(frame.way)
    heard = event.receptions if event is not None else tuple(heard_of(frame.kind, frame.detail, frame.time_us))
    return m.FrameRecord(
        id=frame.id,
        type="up" if uplink else frame.kind,
        time_us=frame.time_us,
        phy=frame.phy,
        dev_eui=device.dev_eui_text if device is not None else "",
        device_name=device.name if device is not None else "",
        dev_addr=f"{frame.dev_addr:08x}" if frame.dev_addr is not None else "",
        f_cnt=frame.f_cnt,
        f_port=frame.f_port,
        confirmed=bool(frame.confirmed),
        frequency_hz=frame.frequency_hz,
        datr=frame.datr,
        receptions=heard,
        mac_commands=_mac_commands(network, device, frame.session_id, frame.phy, frame.f_cnt or 0, uplink)
        if uplink or frame.kind == "down"
        else (),
        outcome=frame.outcome or ("handed_over" if event is not None else "accepted"),
        timeline=_timeline(frame, heard, passed),
        gateway_eui=frame.gateway,
        reply_to=frame.reply_to,
        silence=passed.silence if passed is not None else "",
        downlink_id=passed.downlink_id if passed is not None else 0,
    )


def _timeline(frame: KeptFrame, heard: Sequence[m.Reception], passed: way.Way | None) -> tuple[tuple[str, int], ...]:
    """The steps of a frame's way and when they were, microseconds after its own time."""
    if frame.kind in TYPES["down"]:
        return tuple((step, us) for step, us in unpack(frame.detail)) if frame.detail else ()
    steps = [(f"heard by {one.gateway_eui}", one.received_at_us - frame.time_us) for one in heard]
    first_us = min((us for _, us in steps), default=0)  # a late frame's own time is before
    if passed is not None:
        if passed.durable_us is not None:
            steps.append(("accepted", first_us + passed.durable_us))
        steps.append(("handed over", first_us + passed.handed_over_us))
    return tuple(sorted(steps, key=lambda step: step[1]))


def _mac_commands(
    network: Network, device: Device | None, session_id: int, phy: bytes, f_cnt: int, uplink: bool
) -> tuple[str, ...]:
    """MAC commands of a data frame in words; empty when its session's keys are gone and they are encrypted."""
    session: Session | None = None
    if device is not None:
        session = next((one for one in device.sessions if one.id == session_id), None)
    try:
        f_opts, f_port, data = data_payload(phy, data_header(phy)[2])
    except FrameError:
        return ()
    if f_port == 0:
        if session is None:
            return ()
        f_opts = network.state.cipher(session).payload(0, data, f_cnt, uplink)
    elif f_opts and session is not None and session.lorawan_1_1:
        f_opts = network.state.cipher(session).f_opts(f_opts, f_cnt, uplink, a_f_cnt=not uplink and bool(f_port))
    elif f_opts and session is None:
        return ()
    commands = parse_commands(f_opts, uplink=uplink, lorawan_1_1=session.lorawan_1_1 if session is not None else False)
    return tuple(describe(command) for command in commands)
