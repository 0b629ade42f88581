"""MET-04: a daily chain of hashes over what was recorded, so that a change of the file itself shows.

Every row has a digest, SHA-256 of its columns as a JSON array, the first 16 bytes. A day's seal is SHA-256 over the root
of the seal before, the day's number and the digests in order; it keeps the digests, so that a check names the row. Days
are UTC days of ``recorded_at_us``; a day is sealed once it is over. The root of the last seal stands for all that came
before: it is written to the log, to be kept where this machine cannot reach it.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import sqlite3
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import structlog

from appserver.db import ERRORS, Connection, Database, stream
from appserver.metering.timebase import HOUR_US, date_of, moment

log = structlog.get_logger("seals")

DAY_US = 24 * HOUR_US
DIGEST = 16
ROWS_A_PASS = 2_000_000
"""Rows whose digests a check keeps in memory at once."""
EVERY_S = 600.0

_READING = (
    "meter_id, register, measured_at_us, value_micro, quality, source, received_at_us, recorded_at_us, device_time_us,"
    " uplink_id, codec, author, conflict, clock_error_us"
)
_RECORDED = 7
_CORRECTION = (
    "id, meter_id, register, measured_at_us, value_micro, supersedes_micro, supersedes_id, author, reason, document,"
    " recorded_at_us"
)
_encode = msgspec.json.Encoder().encode


def digest(row: tuple[Any, ...]) -> bytes:
    """The digest of a row: of its columns as a JSON array."""
    return hashlib.sha256(_encode(row)).digest()[:DIGEST]


def root_of(previous: str, day: int, digests: bytes) -> str:
    """The root of a seal, in hex."""
    return hashlib.sha256(previous.encode() + day.to_bytes(8, "big") + digests).hexdigest()


# ------------------------------------------------------------------------------------------------------------- sealing


def seal(db: Database, now_us: int) -> list[str]:
    """Seal the days that are over and not sealed yet, each in one transaction; returns their roots."""
    today = now_us // DAY_US
    days = {
        day
        for (day,) in db.rows(
            "SELECT DISTINCT recorded_at_us / ?1 FROM unsealed WHERE recorded_at_us < ?2 UNION"
            " SELECT DISTINCT recorded_at_us / ?1 FROM correction WHERE recorded_at_us < ?2 AND recorded_at_us >="
            "  (SELECT coalesce(max(day) + 1, 0) FROM day_seal) * ?1",
            (DAY_US, today * DAY_US),
        )
    }
    roots = []
    for day in sorted(days):
        with db.transaction() as connection:
            roots.append(_seal_day(connection, day, now_us))
        log.info("day sealed", day=date_of(day).isoformat(), root=roots[-1])
    return roots


def _seal_day(connection: sqlite3.Connection, day: int, now_us: int) -> str:
    span = (day * DAY_US, (day + 1) * DAY_US - 1)
    names = ", ".join(f"r.{name.strip()}" for name in _READING.split(","))
    rows = connection.execute(
        f"SELECT {names} FROM unsealed u CROSS JOIN reading r ON r.meter_id = u.meter_id AND r.register = u.register"
        " AND r.measured_at_us = u.measured_at_us AND r.value_micro = u.value_micro"
        " WHERE u.recorded_at_us BETWEEN ? AND ? ORDER BY 1, 2, 3, 4",
        span,
    )
    digests = bytearray(b"".join(map(digest, rows)))
    readings = len(digests) // DIGEST
    sequence, previous = connection.execute(
        "SELECT coalesce(max(sequence), 0), coalesce((SELECT root FROM day_seal ORDER BY sequence DESC LIMIT 1), '')"
        " FROM day_seal"
    ).fetchone()
    known = connection.execute("SELECT coalesce(sum(corrections), 0) FROM day_seal WHERE day = ?", (day,)).fetchone()[0]
    words = connection.execute(
        f"SELECT {_CORRECTION} FROM correction WHERE recorded_at_us BETWEEN ? AND ? ORDER BY id LIMIT -1 OFFSET ?",
        (*span, known),
    )
    digests += b"".join(map(digest, words))
    root = root_of(previous, day, bytes(digests))
    connection.execute(
        "INSERT INTO day_seal (sequence, day, readings, corrections, digests, previous, root, sealed_at_us)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (sequence + 1, day, readings, len(digests) // DIGEST - readings, bytes(digests), previous, root, now_us),
    )
    connection.execute("DELETE FROM unsealed WHERE recorded_at_us BETWEEN ? AND ?", span)
    return root


async def keep_sealing(db: Database, stop: asyncio.Event, clock: Callable[[], int]) -> None:
    """Seal days soon after they are over, until ``stop``."""
    while not stop.is_set():
        try:
            await db.run(seal, db, clock())
        except ERRORS as error:
            log.warning("days cannot be sealed; trying again", error=str(error))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), EVERY_S)


# ------------------------------------------------------------------------------------------------------------ checking


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that does not fit the seals."""

    day: int | None
    """Days since 1970-01-01; None when it concerns no one day."""
    what: str

    def __str__(self) -> str:
        return self.what if self.day is None else f"{date_of(self.day).isoformat()}: {self.what}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check found."""

    seals: int
    rows: int
    waiting: int
    """Rows of days that are not sealed yet."""
    root: str
    """Of the last seal: compare it with the one you kept."""
    faults: tuple[Fault, ...]


def verify_file(path: Path, limit: int = 100) -> Verdict | None:
    """Check the seals of an application.db without writing; None when it is of a version without seals."""
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)) as connection:
        has = connection.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'day_seal'").fetchone()[0]
        if not has:
            return None
        connection.execute("BEGIN")
        return verify(connection, limit)


def verify(connection: Connection, limit: int = 100) -> Verdict:
    """Check all seals: the chain, then every row of every sealed day. Stops after ``limit`` faults."""
    faults: list[Fault] = []
    days: dict[int, int] = {}
    seals = rows = 0
    root = ""
    try:
        for sequence, day, count, words, digests, previous, stated in connection.execute(
            "SELECT sequence, day, readings, corrections, digests, previous, root FROM day_seal ORDER BY sequence"
        ):
            seals += 1
            if sequence != seals:
                faults.append(Fault(day, f"seal {seals} is gone; the next is number {sequence}"))
                seals = sequence
            if previous != root:
                faults.append(Fault(day, f"seal {sequence} does not follow from the seal before it"))
            if stated != root_of(previous, day, digests) or len(digests) != DIGEST * (count + words):
                faults.append(Fault(day, f"seal {sequence} itself was changed"))
            root = stated
            days[day] = days.get(day, 0) + count + words
        for group in _groups(days):
            rows += _check_group(connection, group, faults, limit)
        waiting = connection.execute("SELECT count(*) FROM unsealed").fetchone()[0]
        if len(faults) < limit:
            faults += _unknown(connection, days)
        faults += _closings(connection)
    except ERRORS as error:
        faults.append(Fault(None, f"the file itself is damaged: {error}"))
        waiting = 0
    return Verdict(seals, rows, waiting, root, tuple(faults[:limit]))


def _groups(days: dict[int, int]) -> Iterator[set[int]]:
    """Days in groups whose digests fit into memory."""
    group: set[int] = set()
    rows = 0
    for day, count in sorted(days.items()):
        if group and rows + count > ROWS_A_PASS:
            yield group
            group, rows = set(), 0
        group.add(day)
        rows += count
    if group:
        yield group


def _check_group(connection: sqlite3.Connection, group: set[int], faults: list[Fault], limit: int) -> int:
    expected: dict[int, dict[bytes, int]] = {day: {} for day in group}
    marks = (min(group), max(group))
    for day, digests in connection.execute("SELECT day, digests FROM day_seal WHERE day BETWEEN ? AND ?", marks):
        of_day = expected[day]
        for at in range(0, len(digests), DIGEST):
            one = digests[at : at + DIGEST]
            of_day[one] = of_day.get(one, 0) + 1
    rows = 0
    strangers: dict[int, list[str]] = {}
    for row in stream(connection, f"SELECT {_READING} FROM reading"):
        day = row[_RECORDED] // DAY_US
        of_day = expected.get(day)  # type: ignore[assignment]
        if of_day is None:
            continue
        rows += 1
        if not _take(of_day, row) and not _waits(connection, row):
            strangers.setdefault(day, []).append(_name(row))
    for row in connection.execute(f"SELECT {_CORRECTION} FROM correction"):
        day = row[-1] // DAY_US
        if (of_day := expected.get(day)) is not None:  # type: ignore[assignment]
            rows += 1
            if not _take(of_day, row):
                strangers.setdefault(day, []).append(f"correction {row[0]} of meter {row[1]}")
    for day in sorted(group):
        gone = sum(expected[day].values())
        names = strangers.get(day, [])
        faults += [Fault(day, f"{name} was changed, or put in afterwards") for name in names[:limit]]
        if gone > len(names):
            faults.append(Fault(day, f"{gone - len(names)} of its rows are gone, or were moved to another day"))
        if len(faults) >= limit:
            break
    return rows


def _take(expected: dict[bytes, int], row: tuple[Any, ...]) -> bool:
    one = digest(row)
    left = expected.get(one)
    if left is None:
        return False
    if left == 1:
        del expected[one]
    else:
        expected[one] = left - 1
    return True


def _waits(connection: sqlite3.Connection, row: tuple[Any, ...]) -> bool:
    key = (row[_RECORDED], *row[:4])
    return bool(
        connection.execute(
            "SELECT count(*) FROM unsealed WHERE recorded_at_us = ? AND meter_id = ? AND register = ?"
            " AND measured_at_us = ? AND value_micro = ?",
            key,
        ).fetchone()[0]
    )


def _name(row: tuple[Any, ...]) -> str:
    meter_id, register, at_us, value = row[:4]
    when = moment(at_us).isoformat(timespec="seconds") if isinstance(at_us, int) and abs(at_us) < 1 << 57 else at_us
    return f"the reading of meter {meter_id}, {register}, {when}, {value} millionths"


def _closings(connection: sqlite3.Connection) -> Iterator[Fault]:
    """Parts of closed periods that are not what their hash says."""
    try:
        rows = connection.execute(
            "SELECT close_id, part, content, sha256 FROM period_result ORDER BY close_id, part"
        ).fetchall()
    except ERRORS:
        return  # a file of a version without them
    for close_id, part, content, sha in rows:
        try:
            same = hashlib.sha256(zlib.decompress(content)).hexdigest() == sha
        except zlib.error:
            same = False
        if not same:
            yield Fault(None, f"part {part!r} of closing {close_id} was changed")


def _unknown(connection: sqlite3.Connection, days: Iterable[int]) -> list[Fault]:
    """Readings of days without a seal that do not wait for one either."""
    sealed = ", ".join(map(str, days)) or "-1"
    found = connection.execute(
        f"SELECT {_READING} FROM reading r WHERE recorded_at_us / {DAY_US} NOT IN ({sealed})"
        " AND NOT EXISTS (SELECT 1 FROM unsealed u WHERE u.recorded_at_us = r.recorded_at_us"
        " AND u.meter_id = r.meter_id AND u.register = r.register AND u.measured_at_us = r.measured_at_us"
        " AND u.value_micro = r.value_micro) LIMIT 100"
    ).fetchall()
    return [Fault(row[_RECORDED] // DAY_US, f"{_name(row)} was put on a day that has no seal") for row in found]
