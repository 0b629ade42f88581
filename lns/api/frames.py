"""The frame log and the events that are handed over."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from typing import Any

import msgspec

from internalapi import messages as m
from lns.api import parse
from lns.api.errors import invalid
from lns.device import Device
from lns.network import Network
from lns.session import Session
from lns.state import unpack
from lorawan.commands import describe, parse_commands
from lorawan.errors import FrameError
from lorawan.hot import data_header, data_payload

MAX_WAIT_S = 60.0
TYPES = {
    "up": ("up", "late"),
    "down": ("down", "join_accept"),
    "join": ("join_request", "join_accept", "rejoin_request"),
    "join_request": ("join_request",),
    "join_accept": ("join_accept",),
    "rejoin_request": ("rejoin_request",),
}
_event = m.decoder(m.Event)


async def events(network: Network, request: m.EventsRequest) -> Any:
    """Events after a cursor, oldest first. Their bodies go out as they lie in the journal."""
    limit, after = parse.limit(request.limit), parse.row_id(request.after, "after")
    if request.acknowledge:
        network.consumed_event_id = max(network.consumed_event_id, after)

    def query(db: sqlite3.Connection) -> list[msgspec.Raw]:
        rows = db.execute("SELECT body FROM event WHERE id > ? ORDER BY id LIMIT ?", (after, limit))
        return [msgspec.Raw(body) for (body,) in rows]

    arrived = network.events_arrived
    bodies = await network.read(query)
    if not bodies and request.wait_s > 0:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(arrived.wait(), min(request.wait_s, MAX_WAIT_S))
        bodies = await network.read(query)
    return {"events": bodies}


async def frames(network: Network, request: m.FramesRequest) -> m.FramePage:
    limit = parse.limit(request.limit)
    where, parameters = _filter(network, request)
    order = "ASC" if request.after is not None else "DESC"
    sql = (
        "SELECT f.id, f.kind, f.time_us, f.device_id, f.session_id, f.dev_addr, f.f_cnt, f.f_port, f.confirmed,"
        " f.frequency_hz, f.datr, f.phy, f.detail, f.gateway, f.reply_to, f.outcome"
        f" FROM frame f{' INDEXED BY frame_by_device' if request.dev_eui else ''} WHERE {where} ORDER BY f.id {order} LIMIT ?"
    )

    def query(db: sqlite3.Connection) -> list[tuple[tuple[Any, ...], m.Event | None]]:
        rows = db.execute(sql, (*parameters, limit)).fetchall()
        return [(row, _event_of(db, row)) for row in rows]

    arrived = network.frames_arrived
    found = await network.read(query)
    if not found and request.wait_s > 0 and request.after is not None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(arrived.wait(), min(request.wait_s, MAX_WAIT_S))
        found = await network.read(query)
    items = [_record(network, row, event) for row, event in found]
    more = request.after is None and len(items) == limit
    return m.FramePage(items, items[-1].id if more else None)


def _filter(network: Network, request: m.FramesRequest) -> tuple[str, list[Any]]:
    clauses: list[str] = ["1"]
    parameters: list[Any] = []

    def add(clause: str, *values: Any) -> None:
        clauses.append(clause)
        parameters.extend(values)

    if request.after is not None:
        add("f.id > ?", parse.row_id(request.after, "after"))
    if request.before is not None:
        add("f.id < ?", parse.row_id(request.before, "before"))
    if request.dev_eui:
        device = network.state.devices.get(parse.eui(request.dev_eui, "dev_eui"))
        add("f.device_id = ?", device.id if device is not None else -1)
    if request.gateway_eui:
        add("f.gateway = ?", str(parse.eui(request.gateway_eui, "gateway_eui")))
    if request.type:
        kinds = TYPES.get(request.type)
        if kinds is None:
            raise invalid(f"type: one of {', '.join(TYPES)}", "type")
        add(f"f.kind IN ({', '.join('?' * len(kinds))})", *kinds)
    if request.since_us is not None:
        add("f.time_us >= ?", parse.row_id(request.since_us, "since_us"))
    if request.until_us is not None:
        add("f.time_us < ?", parse.row_id(request.until_us, "until_us"))
    return " AND ".join(clauses), parameters


def _event_of(db: sqlite3.Connection, row: tuple[Any, ...]) -> m.Event | None:
    """The event that an uplink became: it carries all receptions."""
    if row[1] not in ("up", "late"):
        return None
    found = db.execute("SELECT body FROM event WHERE frame_id = ? LIMIT 1", (row[0],)).fetchone()
    return _event.decode(found[0]) if found is not None else None


def _record(network: Network, row: tuple[Any, ...], event: m.Event | None) -> m.FrameRecord:
    (
        id, kind, time_us, device_id, session_id, dev_addr, f_cnt, f_port, confirmed, frequency_hz, datr, phy, detail,
        gateway, reply_to, outcome,
    ) = row  # fmt: skip
    device = network.state.devices_by_id.get(device_id)
    uplink = kind in ("up", "late")
    return m.FrameRecord(
        id=id,
        type="up" if uplink else kind,
        time_us=time_us,
        phy=phy,
        dev_eui=device.dev_eui_text if device is not None else "",
        device_name=device.name if device is not None else "",
        dev_addr=f"{dev_addr:08x}" if dev_addr is not None else "",
        f_cnt=f_cnt,
        f_port=f_port,
        confirmed=bool(confirmed),
        frequency_hz=frequency_hz,
        datr=datr,
        receptions=event.receptions if event is not None else (),
        mac_commands=_mac_commands(network, device, session_id, phy, f_cnt, uplink) if uplink or kind == "down" else (),
        outcome=outcome or ("handed_over" if event is not None else "accepted"),
        timeline=tuple((step, us) for step, us in unpack(detail)) if detail and kind in TYPES["down"] else (),
        gateway_eui=gateway,
        reply_to=reply_to,
    )


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
