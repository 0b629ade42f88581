"""Decoding kept frames again after a codec has changed, and what that changes in statements.

Readings are append-only: what the new codec gives is added, and what the old one gave for the same frame and the new one
does not is taken away by a correction that names the codec. A person's correction stands above both. A dry run does all of
it in one transaction and takes that back.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal

import msgspec
import structlog

from appserver.codecs import CODECS
from appserver.db import Database
from appserver.decoding import Device, load_device, read_frame, readings_of
from appserver.metering.readings import NewReading, affected, follow, store
from appserver.metering.recalculations import STANDING
from appserver.models.columns import from_micro

log = structlog.get_logger("redecoding")

CHUNK = 500
DRY_RUN_S = 10.0
"""How long a dry run holds the write lock; less than others wait for it."""
MAX_STATEMENTS = 5000
AUTHOR = "redecode"
EPOCH_DAY = date(1970, 1, 1)

Totals = dict[int, tuple[int, int, int]]
"""Day to value, total and breaks, as ``boundary`` has them."""


@dataclass(frozen=True, slots=True)
class StatementChange:
    """A month of a point whose consumption comes out otherwise."""

    building_id: int
    address: str
    premises: str
    point_id: int
    resource: str
    month: str
    """``2024-03``."""
    before: Decimal | None
    after: Decimal | None
    """None: no boundary value at one of the month's ends."""
    days: int
    """Days of it whose boundary value changes."""
    closed: bool
    """The period has been closed: what was charged stays as it was, the difference is listed after close."""


@dataclass(slots=True)
class Report:
    """What decoding again brought, or would bring."""

    dry_run: bool
    frames: int = 0
    decoded: int = 0
    undecoded: int = 0
    unbound: int = 0
    readings: int = 0
    """New ones."""
    withdrawn: int = 0
    """Readings of the old codec that the new one does not give."""
    complete: bool = True
    """False: a dry run that saw only a part of the frames in the time it may take."""
    statements: list[StatementChange] = field(default_factory=list)


def redecode_with_report(
    db: Database,
    now_us: int,
    codec: str = "",
    dev_euis: Sequence[str] | None = None,
    dry_run: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
    clock: Callable[[], float] = time.monotonic,
) -> Report:
    """Decode frames again that wait, and those that a codec's former content decoded.

    ``codec`` leaves only that codec's frames, ``dev_euis`` only those devices'.
    """
    report = Report(dry_run)
    before: dict[int, Totals] = {}
    total = _count(db, codec, dev_euis)
    until = clock() + DRY_RUN_S
    last = 0
    if dry_run:
        with suppress(_TakeBack), db.transaction() as connection:
            while last := _chunk(connection, now_us, codec, dev_euis, last, report, before):
                progress(report.frames, total)
                if clock() > until:
                    break
            report.complete = not last
            report.statements = _statements(connection, before)
            raise _TakeBack
        return report
    while True:
        with db.transaction() as connection:
            last = _chunk(connection, now_us, codec, dev_euis, last, report, before)
        progress(report.frames, total)
        if not last:
            break
    with db.snapshot() as connection:
        report.statements = _statements(connection, before)
    return report


class _TakeBack(Exception):
    """Ends the transaction of a dry run without keeping it."""


def _stale(codec: str, dev_euis: Sequence[str] | None) -> tuple[str, list[object]]:
    """The frames to decode again: the condition and its parameters."""
    labels = {name: entry.label for name, entry in CODECS.items()}
    # A frame that was decoded says by which content; one that was not says the codec's name, or nothing is known of it.
    condition = (
        "(state <> 'decoded' OR codec NOT IN (SELECT value FROM json_each(?)) AND instr(codec, '@')"
        " AND substr(codec, 1, instr(codec, '@') - 1) IN (SELECT value FROM json_each(?)))"
    )
    parameters: list[object] = [_json(list(labels.values())), _json(list(labels))]
    if codec:
        condition += " AND (codec = ? OR substr(codec, 1, length(?) + 1) = ? || '@')"
        parameters += [codec, codec, codec]
    if dev_euis is not None:
        condition += " AND dev_eui IN (SELECT value FROM json_each(?))"
        parameters.append(_json(list(dev_euis)))
    return condition, parameters


def _json(values: list[str]) -> str:
    return msgspec.json.encode(values).decode()


def _count(db: Database, codec: str, dev_euis: Sequence[str] | None) -> int:
    condition, parameters = _stale(codec, dev_euis)
    return int(db.rows(f"SELECT count(*) FROM uplink WHERE {condition}", parameters)[0][0])


def _chunk(
    connection: sqlite3.Connection,
    now_us: int,
    codec: str,
    dev_euis: Sequence[str] | None,
    after: int,
    report: Report,
    before: dict[int, Totals],
) -> int:
    """Decode the next frames; the id of the last one, 0 when there are no more."""
    condition, parameters = _stale(codec, dev_euis)
    rows = connection.execute(
        "SELECT id, dev_eui, f_port, data, received_at_us, codec FROM uplink"
        f" WHERE id > ? AND {condition} ORDER BY id LIMIT ?",
        [after, *parameters, CHUNK],
    ).fetchall()
    devices: dict[str, Device] = {}
    for id_, dev_eui, f_port, data, received_at_us, label in rows:
        device = devices.get(dev_eui) or devices.setdefault(dev_eui, load_device(connection, dev_eui))
        result = read_frame(label.partition("@")[0], f_port, data, received_at_us)
        state, reason = result.state, result.reason
        readings: list[NewReading] = []
        if result.decoded is not None:
            try:
                readings = list(readings_of(device, result.decoded, id_, received_at_us, result.label))
            except (ArithmeticError, ValueError, KeyError) as error:
                state, reason = "undecoded", f"its values cannot be readings: {type(error).__name__}: {error}"[:500]
            else:
                if result.decoded.measurements and not readings:
                    channels = sorted({m.channel for m in result.decoded.measurements})
                    state = "unbound"
                    reason = f"channel {', '.join(map(str, channels))} of the device is bound to no meter"
        report.frames += 1
        report.decoded += state == "decoded"
        report.undecoded += state == "undecoded"
        report.unbound += state == "unbound"
        connection.execute(
            "UPDATE uplink SET state = ?, reason = ?, codec = ?, object = ? WHERE id = ?",
            (state, reason, result.label, result.json, id_),
        )
        if state != "undecoded":
            _take(connection, now_us, id_, readings, result.label, report, before)
    return rows[-1][0] if rows else 0


def _take(
    connection: sqlite3.Connection,
    now_us: int,
    uplink_id: int,
    readings: list[NewReading],
    label: str,
    report: Report,
    before: dict[int, Totals],
) -> None:
    """Write what a frame gives now, and take away what it gave before and does not give any more."""
    given = {(r.meter_id, r.register_name, r.measured_at_us): r.value_micro for r in readings}
    old = [
        NewReading(meter_id, register, at_us, value, "corrected", "lorawan", now_us)
        for meter_id, register, at_us, value in connection.execute(
            "SELECT meter_id, register, measured_at_us, value_micro FROM reading WHERE uplink_id = ?", (uplink_id,)
        )
        if given.get((meter_id, register, at_us)) != value
    ]
    days = affected(connection, [*readings, *old])
    for point_id in days:
        if point_id not in before:
            before[point_id] = _totals(connection, point_id)
    report.readings += store(connection, readings, now_us)
    withdrawn = 0
    for reading in old:
        key = (reading.meter_id, reading.register_name, reading.measured_at_us)
        spoken = connection.execute(
            "SELECT value_micro, author FROM correction WHERE meter_id = ? AND register = ? AND measured_at_us = ?"
            " ORDER BY id DESC LIMIT 1",
            key,
        ).fetchone()
        word = given.get(key)
        if spoken is not None and (spoken[1] != AUTHOR or spoken[0] == word):
            continue  # a person has decided, or it is said already
        others = connection.execute(
            "SELECT 1 FROM reading WHERE meter_id = ? AND register = ? AND measured_at_us = ? AND value_micro = ?"
            " AND uplink_id IS NOT ? LIMIT 1",
            (*key, reading.value_micro, uplink_id),
        ).fetchone()
        if others is not None:
            continue  # something else tells the same
        connection.execute(
            "INSERT INTO correction (meter_id, register, measured_at_us, value_micro, supersedes_micro, supersedes_id,"
            " author, reason, document, recorded_at_us) VALUES (?, ?, ?, ?, ?, NULL, ?, ?, ?, ?)",
            (*key, word, reading.value_micro, AUTHOR, f"decoded again by {label}", f"uplink/{uplink_id}", now_us),
        )
        withdrawn += 1
    report.withdrawn += withdrawn
    if withdrawn:
        follow(connection, [*readings, *old])


# ---------------------------------------------------------------------------------------------------- what it changes


def _totals(connection: sqlite3.Connection, point_id: int) -> Totals:
    rows = connection.execute(
        "SELECT day, value_micro, total_micro, breaks FROM boundary WHERE point_id = ?", (point_id,)
    )
    return {day: (value, total, breaks) for day, value, total, breaks in rows}


def _month(day: int) -> date:
    return (EPOCH_DAY + timedelta(days=day)).replace(day=1)


def _volume(totals: Totals, month: date) -> Decimal | None:
    """The month's consumption; None when a value at one of its ends is missing, or a jump lies between them."""
    following = (month + timedelta(days=32)).replace(day=1)
    start, end = (totals.get((at - EPOCH_DAY).days) for at in (month, following))
    if start is None or end is None or start[2] != end[2]:
        return None
    return from_micro(end[1] - start[1])


def _statements(connection: sqlite3.Connection, before: dict[int, Totals]) -> list[StatementChange]:
    changes: list[StatementChange] = []
    for point_id, was in sorted(before.items()):
        now = _totals(connection, point_id)
        days = {day for day in was.keys() | now.keys() if (was.get(day) or (None,))[0] != (now.get(day) or (None,))[0]}
        # A value at a month's first midnight also ends the month before it.
        months = {_month(day) for day in days} | {_month(day - 1) for day in days}
        moved = [month for month in sorted(months) if _volume(was, month) != _volume(now, month)]
        seen = {_month(day) for day in days}
        for month in sorted(set(moved) | seen):
            changes.append(_change(connection, point_id, month, was, now, sum(_month(day) == month for day in days)))
            if len(changes) == MAX_STATEMENTS:
                return changes
    return changes


def _change(
    connection: sqlite3.Connection, point_id: int, month: date, was: Totals, now: Totals, days: int
) -> StatementChange:
    building_id, address, premises, resource = connection.execute(
        "SELECT b.id, b.address, coalesce(r.number, ''), p.resource FROM point p JOIN building b ON b.id = p.building_id"
        " LEFT JOIN premises r ON r.id = p.premises_id WHERE p.id = ?",
        (point_id,),
    ).fetchone()
    first = month.isoformat()
    closed = connection.execute(
        "SELECT 1 FROM period_close c WHERE c.building_id = ? AND c.resource = ? AND c.first_day <= ? AND c.last_day > ?"
        f" AND {STANDING.format('c')} LIMIT 1",
        (building_id, resource, first, first),
    ).fetchone()
    return StatementChange(
        building_id,
        address,
        premises,
        point_id,
        resource,
        f"{month:%Y-%m}",
        _volume(was, month),
        _volume(now, month),
        days,
        closed is not None,
    )
