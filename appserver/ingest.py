"""The network's events become readings.

A batch of events is one transaction of application.db: uplinks, readings, boundary values, device states, the outbox
and the cursor. Whatever dies, the next start takes the same events again, and what is there already stays as it is.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import Callable, Collection, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol, TypeVar

import msgspec
import structlog

from appserver import device_flags
from appserver.db import ERRORS, Database, insert_returning
from appserver.decoding import Device, Frame, clock_offset_us, clock_zone, load_devices, read_frame, readings_of
from appserver.heat import records as calculators
from appserver.integrations import chirpstack
from appserver.integrations.metering import tell_readings
from appserver.integrations.outbox import enqueue, wanted_types
from appserver.metering.readings import NewReading, store
from internalapi.client import ApiError, NetworkUnavailable
from internalapi.messages import Event, EventsResult, NetworkStatus

log = structlog.get_logger("ingest")
T = TypeVar("T")

CURSOR = "readings"
BATCH = 1000
LONG_POLL_S = 20.0
RETRY_S = (0.2, 0.5, 1.0, 2.0, 5.0)


class EventSource(Protocol):
    """Where events come from: the client of the internal API."""

    async def events(self, *, after: int, limit: int, wait_s: float) -> EventsResult:
        """Events after an id; waits when there are none."""
        ...

    async def status(self) -> NetworkStatus:
        """State of the network process."""
        ...


@dataclass(slots=True)
class Taken:
    """What one batch brought."""

    events: int = 0
    uplinks: int = 0
    readings: int = 0
    undecoded: int = 0
    cursor: int = 0


class Ingest:
    """Writes events into application.db. One call at a time."""

    def __init__(self, db: Database, clock: Callable[[], int] = lambda: time.time_ns() // 1000) -> None:
        self._db = db
        self._clock = clock

    def cursor(self) -> int:
        """The last event that is taken."""
        rows = self._db.rows("SELECT event_id FROM event_cursor WHERE name = ?", (CURSOR,))
        return int(rows[0][0]) if rows else 0

    def check(self, last_event_id: int) -> int:
        """The cursor after a look at the network's last event id.

        A network whose ids are behind the cursor was restored or made anew: its events are taken from the first on,
        and those that are known already change nothing.
        """
        cursor = self.cursor()
        if last_event_id >= cursor:
            return cursor
        log.warning("the network's events start anew; taking all of them", cursor=cursor, last_event_id=last_event_id)
        with self._db.transaction() as connection:
            connection.execute("UPDATE event_cursor SET event_id = 0 WHERE name = ?", (CURSOR,))
        return 0

    def take(self, events: Sequence[Event]) -> Taken:
        """Take a batch in one transaction; events up to the cursor are left out."""
        now_us = self._clock()
        self._db.make_room()
        with self._db.transaction() as connection:
            row = connection.execute("SELECT event_id FROM event_cursor WHERE name = ?", (CURSOR,)).fetchone()
            after = row[0] if row else 0
            fresh = [event for event in events if event.id > after]
            taken = Taken(events=len(fresh), cursor=after)
            if not fresh:
                return taken
            batch = _Batch(connection, now_us, wanted_types(connection))
            batch.receive([event for event in fresh if event.type == "up"])
            for event in fresh:
                batch.add(event)
            taken.readings = batch.write()
            taken.uplinks, taken.undecoded, taken.cursor = batch.uplinks, batch.undecoded, fresh[-1].id
            connection.execute(
                "INSERT INTO event_cursor (name, event_id, taken_at_us) VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE"
                " SET event_id = excluded.event_id, taken_at_us = excluded.taken_at_us",
                (CURSOR, taken.cursor, now_us),
            )
        return taken


_NEW_UPLINK = (
    "INSERT INTO uplink (event_id, frame_id, dev_eui, session_id, f_cnt, f_port, data, received_at_us, codec, state,"
    " reason, object) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
    " RETURNING id, dev_eui, session_id, f_cnt, received_at_us"
)
_Key = tuple[str, int, int, int]
"""What makes an uplink one: module, session, counter, moment."""


def _key_of(event: Event) -> _Key:
    return event.dev_eui, event.session_id, event.f_cnt, event.time_us


def _uplink_row(event: Event, result: Frame) -> tuple[object, ...]:
    return (
        event.id,
        event.frame_id,
        event.dev_eui,
        event.session_id,
        event.f_cnt,
        event.f_port,
        event.data,
        event.time_us,
        result.label,
        result.state,
        result.reason,
        result.json,
    )


@lru_cache(maxsize=64)
def _state_upsert(columns: tuple[str, ...]) -> str:
    """Says some columns of a module's state; moments only go forward, in whatever order frames come."""
    first = {"clock_zone": "''", "commissioned_at_us": "0", "flags": "''"}
    others = {name: value for name, value in first.items() if name not in columns}
    said = ", ".join(
        f"{column} = max(coalesce(device_state.{column}, 0), excluded.{column})"
        if column in ("last_uplink_at_us", "last_reading_at_us")
        else f"{column} = excluded.{column}"
        for column in columns
    )
    return (
        f"INSERT INTO device_state (dev_eui, {', '.join((*columns, *others))})"
        f" VALUES (?{', ?' * len(columns)}{''.join(f', {value}' for value in others.values())})"
        f" ON CONFLICT (dev_eui) DO UPDATE SET {said}"
    )


class _Batch:
    """The events of one transaction on their way into the tables."""

    def __init__(self, connection: sqlite3.Connection, now_us: int, wanted: frozenset[str]) -> None:
        self._connection = connection
        self._now_us = now_us
        self._wanted = wanted
        self._devices: dict[str, Device] = {}
        self._readings: list[NewReading] = []
        self._received: dict[_Key, tuple[int, Frame]] = {}
        """Uplinks that are new, with their rows."""
        self._late_flags: dict[str, int] = {}
        """Devices of which a frame with flags came after later ones, and the moment of the first such frame."""
        self.uplinks = 0
        self.undecoded = 0

    def receive(self, events: Sequence[Event]) -> None:
        """Keep the uplinks that are new, decoded, and read what is known of their devices."""
        frames: dict[_Key, tuple[Event, Frame]] = {}
        for event in events:
            if (key := _key_of(event)) not in frames:
                frames[key] = event, read_frame(event.codec, event.f_port, event.data, event.time_us)
        self.know({event.dev_eui for event in events})
        rows = [_uplink_row(event, result) for event, result in frames.values()]
        for id_, dev_eui, session_id, f_cnt, received_at_us in insert_returning(self._connection, _NEW_UPLINK, rows):
            key = (dev_eui, session_id, f_cnt, received_at_us)
            self._received[key] = id_, frames[key][1]

    def know(self, dev_euis: Collection[str]) -> None:
        """Read what is known of devices that are about to be needed, all at once."""
        unknown = set(dev_euis) - self._devices.keys()
        if unknown:
            self._devices |= load_devices(self._connection, unknown)

    def add(self, event: Event) -> None:
        """Take one event."""
        values: dict[str, Any] | None = None
        if event.type == "up":
            new, values = self._add_uplink(event)
            if not new:
                return
        elif event.type == "status" and event.battery is not None and 1 <= event.battery <= 254:
            level = round((event.battery - 1) * 100 / 253)
            self._device(event.dev_eui).says("battery_at_us", event.time_us, again=True, battery_pct=level)
        elif event.type == "gateway":
            self._connection.execute(
                "INSERT INTO gateway_log (gateway_eui, at_us, level, code, text) VALUES (?, ?, ?, ?, ?)"
                " ON CONFLICT DO NOTHING",
                (event.gateway_eui, event.time_us, event.level, event.code, event.text),
            )
        elif event.type == "log" and (action := event.context.get("audit")):
            self._audit(event, action)
        if event.type in self._wanted:
            enqueue(self._connection, event, chirpstack.body(event, values))

    def _audit(self, event: Event, action: str) -> None:
        """The network made an exception to its rules; taken again it is still one."""
        same = (event.time_us, action, event.dev_eui)
        told = "SELECT 1 FROM audit WHERE at_us = ? AND action = ? AND object_kind = 'device' AND object_id = ?"
        if self._connection.execute(told, same).fetchone() is None:
            self._connection.execute(
                "INSERT INTO audit (at_us, actor, action, object_kind, object_id, detail, address)"
                " VALUES (?, 'network', ?, 'device', ?, ?, '')",
                (*same, msgspec.json.encode({"text": event.text}).decode()),
            )

    def _add_uplink(self, event: Event) -> tuple[bool, dict[str, Any] | None]:
        id_, result = self._received.pop(_key_of(event), (None, None))
        if id_ is None or result is None:
            return False, None
        device = self._device(event.dev_eui)
        self.uplinks += 1
        state = device.state
        state["last_uplink_at_us"] = max(event.time_us, state.get("last_uplink_at_us") or 0)
        if result.decoded is None:
            self.undecoded += result.state == "undecoded"
            return True, None
        self.try_decoded(id_, event.dev_eui, event.time_us, result)
        return True, result.decoded.values

    def try_decoded(self, uplink_id: int, dev_eui: str, received_at_us: int, result: Frame, fresh: bool = True) -> bool:
        """Readings out of a decoded frame. Values that cannot be any leave the frame undecoded, with the reason."""
        try:
            self._add_decoded(uplink_id, dev_eui, received_at_us, result, fresh)
        except (ArithmeticError, ValueError, KeyError) as error:
            log.warning("frame gives no readings", dev_eui=dev_eui, uplink=uplink_id, error=repr(error))
            self.undecoded += 1
            self._connection.execute(
                "UPDATE uplink SET state = 'undecoded', reason = ? WHERE id = ?",
                (f"its values cannot be readings: {type(error).__name__}: {error}"[:500], uplink_id),
            )
            return False
        return True

    def _add_decoded(
        self, uplink_id: int, dev_eui: str, received_at_us: int, result: Frame, fresh: bool = True
    ) -> None:
        """Readings and the device's state out of a decoded frame; an old frame (not ``fresh``) changes no state."""
        decoded = result.decoded
        assert decoded is not None
        device = self._device(dev_eui)
        readings = list(readings_of(device, decoded, uplink_id, received_at_us, result.label))
        self._readings += readings
        if decoded.measurements and not readings:
            channels = ", ".join(str(channel) for channel in sorted({m.channel for m in decoded.measurements}))
            self._connection.execute(
                "UPDATE uplink SET state = 'unbound', reason = ? WHERE id = ?",
                (f"channel {channels} of the device is bound to no meter", uplink_id),
            )
        zone = clock_zone(device, result.clock, None, received_at_us)
        calculators.keep(self._connection, dev_eui, uplink_id, received_at_us, decoded.values, zone)
        if not fresh:
            return
        state = device.state
        if readings:
            state["last_reading_at_us"] = max(received_at_us, state.get("last_reading_at_us") or 0)
        if decoded.battery_pct is not None:
            device.says("battery_at_us", received_at_us, battery_pct=decoded.battery_pct)
        if decoded.temperature_c is not None:
            device.says("temperature_at_us", received_at_us, temperature_c=decoded.temperature_c)
        if decoded.clock is not None:
            offset_us = clock_offset_us(device, decoded, result.clock, received_at_us)
            seen_us = None if decoded.clock_step_s else received_at_us
            device.says("clock_at_us", received_at_us, clock_seen_at_us=seen_us, clock_offset_us=offset_us)
        if decoded.flags is not None:
            self._flags(dev_eui, device, decoded.flags, received_at_us, uplink_id)

    def write(self) -> int:
        """Write what was gathered; returns how many readings are new."""
        new = store(self._connection, self._readings, self._now_us)
        if new and "reading" in self._wanted:
            tell_readings(self._connection, self._readings, self._now_us)
        for dev_eui, from_us in self._late_flags.items():
            device = self._device(dev_eui)
            device.flags = device.state["flags"] = " ".join(device_flags.rebuild(self._connection, dev_eui, from_us))
        told: dict[tuple[str, ...], list[tuple[object, ...]]] = {}
        for dev_eui, device in sorted(self._devices.items()):
            if device.state:
                told.setdefault(tuple(device.state), []).append((dev_eui, *device.state.values()))
        for columns, rows in told.items():
            self._connection.executemany(_state_upsert(columns), rows)
        return new

    def _flags(self, dev_eui: str, device: Device, flags: tuple[str, ...], received_at_us: int, uplink_id: int) -> None:
        late_us = self._late_flags.get(dev_eui)
        if device.says("flags_at_us", received_at_us, flags=" ".join(flags)):
            before, device.flags = device.flags.split(), " ".join(flags)
            if late_us is None and set(before) != set(flags):
                device_flags.turn(self._connection, dev_eui, before, flags, received_at_us, uplink_id)
        elif flags or late_us is not None or device.flags or device_flags.has_any(self._connection, dev_eui):
            self._late_flags[dev_eui] = min(received_at_us, received_at_us if late_us is None else late_us)

    def _device(self, dev_eui: str) -> Device:
        device = self._devices.get(dev_eui)
        if device is None:
            device = self._devices[dev_eui] = load_devices(self._connection, [dev_eui])[dev_eui]
        return device


# ---------------------------------------------------------------------------------------------------------- decode again


@dataclass(slots=True)
class Redecoded:
    """What decoding again brought."""

    frames: int = 0
    decoded: int = 0
    readings: int = 0


def redecode(
    db: Database,
    now_us: int,
    dev_euis: Sequence[str] | None = None,
    codec: str = "",
    include_decoded: bool = False,
    chunk: int = 1000,
) -> Redecoded:
    """Decode kept frames again: those without readings, or (``include_decoded``) all.

    After a codec was added or changed, or a channel was bound. ``codec`` stands in for the one a frame came with.
    Readings that come out are added to those that are there.
    """
    done = Redecoded()
    last = 0
    conditions = "id > ?" if include_decoded else "id > ? AND state <> 'decoded'"
    if dev_euis is not None:
        conditions += " AND dev_eui IN (SELECT value FROM json_each(?))"
    while True:
        with db.transaction() as connection:
            parameters = [last, *([msgspec.json.encode(list(dev_euis)).decode()] if dev_euis is not None else [])]
            rows = connection.execute(
                "SELECT id, dev_eui, f_port, data, received_at_us, codec FROM uplink"
                f" WHERE {conditions} ORDER BY id LIMIT ?",
                [*parameters, chunk],
            ).fetchall()
            if not rows:
                return done
            batch = _Batch(connection, now_us, frozenset())
            for id_, dev_eui, f_port, data, received_at_us, label in rows:
                result = read_frame(codec or label.partition("@")[0], f_port, data, received_at_us)
                done.frames += 1
                connection.execute(
                    "UPDATE uplink SET state = ?, reason = ?, codec = ?, object = ? WHERE id = ?",
                    (result.state, result.reason, result.label, result.json, id_),
                )
                if result.decoded is not None:
                    done.decoded += batch.try_decoded(id_, dev_eui, received_at_us, result, fresh=False)
            done.readings += batch.write()
            last = rows[-1][0]


@dataclass(frozen=True, slots=True)
class WaitingFrame:
    """A kept frame that gave no readings yet."""

    id: int
    dev_eui: str
    received_at_us: int
    f_port: int | None
    data: bytes
    codec: str
    state: str
    """``undecoded`` or ``unbound``."""
    reason: str


def waiting_frames(db: Database, dev_eui: str = "", before: int | None = None, limit: int = 100) -> list[WaitingFrame]:
    """Frames that wait for a codec or for the binding of their channel, newest first; ``before`` is an id."""
    rows = db.rows(
        "SELECT id, dev_eui, received_at_us, f_port, data, codec, state, reason FROM uplink WHERE state <> 'decoded'"
        " AND (?1 = '' OR dev_eui = ?1) AND (?2 IS NULL OR id < ?2) ORDER BY id DESC LIMIT ?3",
        (dev_eui, before, limit),
    )
    return [WaitingFrame(*row) for row in rows]


# --------------------------------------------------------------------------------------------------------- the consumer


def decode_bound(db: Database, now_us: int) -> Redecoded:
    """Decode frames that wait for a meter although their module has one by now.

    Binding a channel decodes them; a process that died in between did not come to it.
    """
    waiting = db.rows(
        "SELECT DISTINCT uplink.dev_eui FROM uplink JOIN module_channel ON module_channel.dev_eui = uplink.dev_eui"
        " WHERE uplink.state = 'unbound'"
    )
    return redecode(db, now_us, [dev_eui for (dev_eui,) in waiting]) if waiting else Redecoded()


async def consume(
    network: EventSource,
    db: Database,
    stop: asyncio.Event,
    clock: Callable[[], int] = lambda: time.time_ns() // 1000,
    on_taken: Callable[[Taken], None] | None = None,
) -> None:
    """Take events until ``stop``. Survives the network process being away and a database that cannot be written."""
    ingest = Ingest(db, clock)
    failures = 0
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(1, "ingest") as thread:
        after: int | None = None
        caught_up = False
        while not stop.is_set():
            try:
                if not caught_up:
                    await loop.run_in_executor(thread, decode_bound, db, clock())
                    caught_up = True
                if after is None:
                    status = await _until(stop, network.status())
                    if status is None:
                        return
                    after = await loop.run_in_executor(thread, ingest.check, status.last_event_id)
                result = await _until(stop, network.events(after=after, limit=BATCH, wait_s=LONG_POLL_S))
                if result is None:
                    return
                if result.events:
                    taken = await loop.run_in_executor(thread, ingest.take, result.events)
                    after = taken.cursor
                    if on_taken is not None:
                        on_taken(taken)
                if failures:
                    log.info("events are taken again", after=after)
                failures = 0
            except (NetworkUnavailable, ApiError, *ERRORS) as error:
                if failures == 0 or not isinstance(error, NetworkUnavailable):
                    log.warning("events cannot be taken; trying again", error=str(error), after=after)
                after = None
                delay = RETRY_S[min(failures, len(RETRY_S) - 1)]
                failures += 1
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), delay)


async def _until(stop: asyncio.Event, coroutine: Coroutine[Any, Any, T]) -> T | None:
    """The coroutine's result, or None when ``stop`` is set first."""
    work = asyncio.ensure_future(coroutine)
    stopped = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({work, stopped}, return_when=asyncio.FIRST_COMPLETED)
        return work.result() if work.done() else None
    finally:
        for task in (work, stopped):
            if not task.done():
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, Exception):
                    await task
