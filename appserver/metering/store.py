"""Boundary values of points, kept up to date beside the readings.

:func:`refresh` brings the marks of one point in line after something changed on some days;
:mod:`appserver.metering.refreshing` does so for many points at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from zoneinfo import ZoneInfo

from appserver.db import Connection
from appserver.metering.boundary import MAX_GAP_US, BoundaryValue, Sample, boundary_value
from appserver.metering.consumption import KARAT_MODULUS, QMAX, ZERO, Mark, Register, Term
from appserver.metering.timebase import midnight_us, midnights_near, zone_of
from appserver.models.columns import from_micro
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


def point_history(connection: Connection, point_id: int) -> PointHistory:
    """Read a point's installations, oldest first. Raises KeyError when there is no such point."""
    return point_histories(connection, [point_id])[point_id]


def point_histories(connection: Connection, point_ids: Sequence[int]) -> dict[int, PointHistory]:
    """The same for several points at once."""
    chosen = (str(list(point_ids)),)
    points = {
        id_: (resource, role, timezone)
        for id_, resource, role, timezone in connection.execute(
            "SELECT p.id, p.resource, p.role, b.timezone FROM point p CROSS JOIN building b ON b.id = p.building_id"
            " WHERE p.id IN (SELECT value FROM json_each(?))",
            chosen,
        )
    }
    installations = connection.execute(
        "SELECT i.point_id, i.id, i.meter_id, i.installed_at_us, i.removed_at_us, i.start_value, i.end_value, i.ratio,"
        " m.digits, m.qmax FROM installation i CROSS JOIN meter m ON m.id = i.meter_id"
        " WHERE i.point_id IN (SELECT value FROM json_each(?)) ORDER BY i.point_id, i.installed_at_us",
        chosen,
    ).fetchall()
    channels = _channels(connection, {row[2] for row in installations})
    terms: dict[int, list[Term]] = {id_: [] for id_ in point_ids}
    for point_id, id_, meter_id, from_us, until_us, start, end, ratio, digits, qmax in installations:
        resource, role, _ = points[point_id]
        most = (
            from_micro(qmax)
            if qmax is not None
            else QMAX[resource][_QMAX_SMALL if role == "individual" else _QMAX_LARGE]
        )
        register = _register(digits, most, channels.get(meter_id, ()))
        ending = from_micro(end) if end is not None else None
        terms[point_id].append(
            Term(id_, from_us, until_us, from_micro(start), ending, register, meter_id, Decimal(ratio))
        )
    return {
        id_: PointHistory(id_, zone_of(points[id_][2]), REGISTERS[points[id_][0]], tuple(terms[id_]))
        for id_ in point_ids
    }


def _channels(connection: Connection, meter_ids: set[int]) -> dict[int, tuple[tuple[str, int], ...]]:
    found: dict[int, list[tuple[str, int]]] = {}
    for meter_id, weight, bits in connection.execute(
        "SELECT DISTINCT meter_id, weight, counter_bits FROM module_channel"
        " WHERE meter_id IN (SELECT value FROM json_each(?)) ORDER BY 1, 2, 3",
        (str(sorted(meter_ids)),),
    ):
        found.setdefault(meter_id, []).append((weight, bits))
    return {meter_id: tuple(its) for meter_id, its in found.items()}


@lru_cache(maxsize=4096)
def _register(digits: int, qmax: Decimal, channels: tuple[tuple[str, int], ...]) -> Register:
    """A meter's register and where it wraps: its digits, the counters of its modules."""
    weights = [(Decimal(weight), bits) for weight, bits in channels]
    moduli = {Decimal(10) ** digits, KARAT_MODULUS, *(weight * 2**bits for weight, bits in weights)}
    pulse = max((weight for weight, _ in weights if weight != 1), default=ZERO)
    return Register(tuple(moduli), qmax, step=pulse)


def samples_around(
    connection: Connection,
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
    return with_acts(term, corrected(samples, dict(corrections)))


def with_acts(term: Term, samples: list[Sample]) -> list[Sample]:
    """Samples of a term with the values of its acts at both ends."""
    samples = samples.copy()
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
    connection: Connection, history: PointHistory, at_us: int, known_us: int = FOREVER
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


def reverse_growth(connection: Connection, register_name: str, term: Term, from_us: int, to_us: int) -> Decimal:
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


COLUMNS = "day, installation_id, value_micro, total_micro, breaks, quality, event, clock_us, spread_micro"
Row = tuple[int, int, int, int, int, str, str, int | None, int | None]
"""A row of ``boundary`` without its point."""


def mark_of_row(row: Row, zone: ZoneInfo) -> Mark:
    """A row of ``boundary`` as a mark."""
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


def refresh(connection: Connection, point_id: int, days: Iterable[int]) -> int:
    """Compute the boundary values of these days anew, and what follows from them. Returns how many rows changed.

    Needs an open transaction.
    """
    from appserver.metering.refreshing import refresh_many  # which is made of the parts above

    return refresh_many(connection, {point_id: days})


def rebuild(connection: Connection, point_id: int) -> int:
    """Compute all boundary values of a point from its readings: after a change of its installations or zone.

    Its hours follow later.
    """
    from appserver.metering.hours.due import due_of_point  # which is made of the parts above

    due_of_point(connection, point_id)
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
