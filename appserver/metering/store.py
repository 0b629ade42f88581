"""Boundary values of points, kept up to date beside the readings.

:func:`refresh` brings the marks of one point in line after something changed on some days; it writes only what differs,
and stops at the first unchanged mark after the last of those days.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from zoneinfo import ZoneInfo

from appserver.metering.boundary import MAX_GAP_US, BoundaryValue, Sample, boundary_value
from appserver.metering.consumption import KARAT_MODULUS, QMAX, ZERO, Mark, Register, Term, advance
from appserver.metering.timebase import midnight_us, midnights_near, zone_of
from appserver.models.columns import from_micro, to_micro
from appserver.models.registry import REGISTERS

REVERSE = "_reverse"
FOREVER = 2**62
_QMAX_SMALL, _QMAX_LARGE = 0, 1


@dataclass(frozen=True, slots=True)
class PointHistory:
    """A point with its installations: what boundary values need to know of the registry."""

    point_id: int
    zone: ZoneInfo
    register_name: str
    terms: tuple[Term, ...]

    def term_at(self, at_us: int) -> Term | None:
        """The installation that holds at a moment."""
        return next((term for term in reversed(self.terms) if term.holds(at_us)), None)


def point_history(connection: sqlite3.Connection, point_id: int) -> PointHistory:
    """Read a point's installations, oldest first. Raises KeyError when there is no such point."""
    row = connection.execute(
        "SELECT p.resource, p.role, b.timezone FROM point p JOIN building b ON b.id = p.building_id WHERE p.id = ?",
        (point_id,),
    ).fetchone()
    if row is None:
        raise KeyError(point_id)
    resource, role, timezone = row
    default_qmax = QMAX[resource][_QMAX_SMALL if role == "individual" else _QMAX_LARGE]
    terms = []
    for id_, meter_id, from_us, until_us, start, end, ratio, digits, qmax in connection.execute(
        "SELECT i.id, i.meter_id, i.installed_at_us, i.removed_at_us, i.start_value, i.end_value, i.ratio, m.digits, m.qmax"
        " FROM installation i JOIN meter m ON m.id = i.meter_id WHERE i.point_id = ? ORDER BY i.installed_at_us",
        (point_id,),
    ).fetchall():
        channels = connection.execute(
            "SELECT DISTINCT weight, counter_bits FROM module_channel WHERE meter_id = ? ORDER BY 1, 2", (meter_id,)
        ).fetchall()
        moduli = {Decimal(10) ** digits, KARAT_MODULUS, *(Decimal(weight) * 2**bits for weight, bits in channels)}
        pulse = max((Decimal(weight) for weight, _ in channels if Decimal(weight) != 1), default=ZERO)
        register = Register(tuple(moduli), from_micro(qmax) if qmax is not None else default_qmax, step=pulse)
        ending = from_micro(end) if end is not None else None
        terms.append(Term(id_, from_us, until_us, from_micro(start), ending, register, meter_id, Decimal(ratio)))
    return PointHistory(point_id, zone_of(timezone), REGISTERS[resource], tuple(terms))


def samples_around(
    connection: sqlite3.Connection,
    history: PointHistory,
    term: Term,
    from_us: int,
    until_us: int,
    known_us: int = FOREVER,
) -> list[Sample]:
    """Readings of a term that decide the values between two moments, with those of its acts, in order of time.

    What a correction says of a moment replaces all that was read for it. ``known_us`` leaves out what was recorded
    later: the samples as they were believed at that moment.
    """
    key = (
        term.meter_id,
        history.register_name,
        max(from_us - MAX_GAP_US, term.from_us + 1),
        min(until_us + MAX_GAP_US, term.until_us - 1 if term.until_us is not None else FOREVER),
        known_us,
    )
    where = " WHERE meter_id = ? AND register = ? AND measured_at_us BETWEEN ? AND ? AND recorded_at_us <= ?"
    rows = connection.execute(
        "SELECT measured_at_us, value_micro, quality, received_at_us, clock_error_us FROM reading"
        f"{where} ORDER BY measured_at_us",
        key,
    )
    samples = [Sample(at_us, from_micro(value), *rest) for at_us, value, *rest in rows]
    corrections = connection.execute(f"SELECT measured_at_us, value_micro FROM correction{where} ORDER BY id", key)
    samples = corrected(samples, dict(corrections))
    samples.insert(0, Sample(term.from_us, term.start_value, "archive", clock_us=0))
    if term.until_us is not None and term.end_value is not None:
        samples.append(Sample(term.until_us, term.end_value, "archive", clock_us=0))
    return samples


def corrected(samples: list[Sample], words: dict[int, int | None]) -> list[Sample]:
    """Samples with people's words in place of what was read for those moments."""
    if not words:
        return samples
    kept = [sample for sample in samples if sample.at_us not in words]
    kept += [
        Sample(at_us, from_micro(value), "corrected", clock_us=0) for at_us, value in words.items() if value is not None
    ]
    return sorted(kept, key=lambda sample: sample.at_us)


def value_at(
    connection: sqlite3.Connection, history: PointHistory, at_us: int, known_us: int = FOREVER
) -> tuple[Term, BoundaryValue] | None:
    """The register of the point's meter at a moment, None when it is not known or no meter hung there.

    With ``known_us`` it is what was believed then.
    """
    term = history.term_at(at_us)
    if term is None:
        return None
    samples = samples_around(connection, history, term, at_us, at_us, known_us)
    value = boundary_value(samples, at_us, step=term.register.step)
    return None if value is None else (term, value)


def reverse_growth(connection: sqlite3.Connection, register_name: str, term: Term, from_us: int, to_us: int) -> Decimal:
    """Growth of a meter's reverse register between two moments, zero when it has none."""
    values = [
        connection.execute(
            "SELECT value_micro FROM reading WHERE meter_id = ? AND register = ? AND measured_at_us <= ?"
            " ORDER BY measured_at_us DESC LIMIT 1",
            (term.meter_id, register_name + REVERSE, at_us),
        ).fetchone()
        for at_us in (from_us, to_us)
    ]
    after = from_micro(values[1][0]) if values[1] else ZERO
    before = from_micro(values[0][0]) if values[0] else ZERO
    return after - before


_COLUMNS = "day, installation_id, value_micro, total_micro, breaks, quality, event, clock_us, spread_micro"
_Row = tuple[int, int, int, int, int, str, str, int | None, int | None]


def _mark(row: _Row, zone: ZoneInfo) -> Mark:
    day, term_id, value, total, breaks, quality, event, clock_us, spread = row
    return Mark(
        midnight_us(day, zone),
        term_id,
        from_micro(value),
        from_micro(total),
        breaks,
        quality,
        event,
        clock_us,
        from_micro(spread) if spread is not None else None,
    )


def refresh(connection: sqlite3.Connection, point_id: int, days: Iterable[int]) -> int:
    """Compute the boundary values of these days anew, and what follows from them. Returns how many rows changed.

    Needs an open transaction.
    """
    wanted = sorted(set(days))
    if not wanted:
        return 0
    history = point_history(connection, point_id)
    zone = history.zone
    fresh: dict[int, tuple[Term, BoundaryValue]] = {}
    for day in wanted:
        found = value_at(connection, history, midnight_us(day, zone))
        if found is not None:
            fresh[day] = found
    before = connection.execute(
        f"SELECT {_COLUMNS} FROM boundary WHERE point_id = ? AND day < ? ORDER BY day DESC LIMIT 1",
        (point_id, wanted[0]),
    ).fetchone()
    previous = _mark(before, zone) if before else None
    stored: dict[int, _Row] = {
        row[0]: row
        for row in connection.execute(
            f"SELECT {_COLUMNS} FROM boundary WHERE point_id = ? AND day BETWEEN ? AND ?",
            (point_id, wanted[0], wanted[-1]),
        )
    }
    gone = [day for day in wanted if day in stored and day not in fresh]
    for day in gone:
        connection.execute("DELETE FROM boundary WHERE point_id = ? AND day = ?", (point_id, day))
        del stored[day]
    growth = partial(reverse_growth, connection, history.register_name)
    changed: list[tuple[object, ...]] = []

    def place(
        day: int, term_id: int, value: Decimal, quality: str, clock_us: int | None, spread: int | None, old: _Row | None
    ) -> bool:
        nonlocal previous
        mark = advance(previous, history.terms, midnight_us(day, zone), value, quality, growth)
        previous = mark
        total = to_micro(mark.total)
        row = (day, term_id, to_micro(value), total, mark.breaks, quality, mark.event, clock_us, spread)
        if row == old:
            return False
        changed.append((point_id, *row))
        return True

    for day in sorted(stored.keys() | fresh.keys()):
        old = stored.get(day)
        if day in fresh:
            term, value = fresh[day]
            spread = to_micro(value.spread * term.ratio)
            place(day, term.id, value.value, value.quality, value.clock_us, spread, old)
        elif old is not None:
            place(day, old[1], from_micro(old[2]), old[5], old[7], old[8], old)
    later = connection.execute(
        f"SELECT {_COLUMNS} FROM boundary WHERE point_id = ? AND day > ? ORDER BY day", (point_id, wanted[-1])
    )
    for old in later:
        if not place(old[0], old[1], from_micro(old[2]), old[5], old[7], old[8], old):
            break
    later.close()
    connection.executemany(
        f"INSERT INTO boundary (point_id, {_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (point_id, day) DO UPDATE SET "
        + ", ".join(f"{column} = excluded.{column}" for column in _COLUMNS.split(", ")[1:]),
        changed,
    )
    return len(changed) + len(gone)


def rebuild(connection: sqlite3.Connection, point_id: int) -> int:
    """Compute all boundary values of a point from its readings: after a change of its installations or zone."""
    history = point_history(connection, point_id)
    connection.execute("DELETE FROM boundary WHERE point_id = ?", (point_id,))
    days: set[int] = set()
    for term in history.terms:
        days |= set(days_near(term.from_us, history.zone))
        if term.until_us is not None:
            days |= set(days_near(term.until_us, history.zone))
        for (at_us,) in connection.execute(
            "SELECT measured_at_us FROM reading WHERE meter_id = ? AND register = ? AND measured_at_us BETWEEN ? AND ?",
            (term.meter_id, history.register_name, term.from_us, term.until_us or 2**62),
        ):
            days |= set(days_near(at_us, history.zone))
    return refresh(connection, point_id, days)


def days_near(at_us: int, zone: ZoneInfo) -> Sequence[int]:
    """Days whose midnight a reading at this moment can decide."""
    return tuple(midnights_near(at_us, MAX_GAP_US, zone))
