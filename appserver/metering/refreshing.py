"""Boundary values of many points at once: what is needed of all of them is read by a handful of queries.

A batch of the ingest touches a thousand points; asked one by one, each would cost ten queries.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from itertools import islice
from typing import Any

from appserver.db import Connection
from appserver.metering.boundary import MAX_GAP_US, BoundaryValue, Sample, boundary_value
from appserver.metering.consumption import Mark, Term, advance
from appserver.metering.store import COLUMNS, PointHistory, Row, corrected, mark_of_row, reverse_growth, with_acts
from appserver.metering.store import point_histories as read_histories
from appserver.metering.timebase import midnight_us
from appserver.models.columns import from_micro, to_micro

POINTS_A_QUERY = 500
_UPSERT = (
    f"INSERT INTO boundary (point_id, {COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (point_id, day) DO UPDATE SET "
    + ", ".join(f"{column} = excluded.{column}" for column in COLUMNS.split(", ")[1:])
)


@dataclass(slots=True)
class _Work:
    """One point on its way."""

    history: PointHistory
    wanted: list[int]
    before: Row | None = None
    stored: dict[int, Row] = field(default_factory=dict)
    has_later: bool = False
    fresh: dict[int, tuple[Term, BoundaryValue]] = field(default_factory=dict)


def refresh_many(connection: Connection, days_of: Mapping[int, Iterable[int]]) -> int:
    """Compute the boundary values of these days of these points anew, and what follows from them.

    Writes only what differs, and stops at the first unchanged mark after the last of a point's days. Returns how many rows
    changed. Needs an open transaction. Raises KeyError when there is no such point.
    """
    wanted = {point: sorted(set(days)) for point, days in sorted(days_of.items()) if days}
    changed = 0
    points = iter(wanted)
    while chunk := list(islice(points, POINTS_A_QUERY)):
        changed += _refresh(connection, {point: wanted[point] for point in chunk})
    return changed


def _refresh(connection: Connection, wanted: dict[int, list[int]]) -> int:
    histories = read_histories(connection, list(wanted))
    works = {point: _Work(histories[point], days) for point, days in wanted.items()}
    _read_values(connection, works)
    _read_marks(connection, works)
    rows: list[tuple[object, ...]] = []
    gone: list[tuple[int, int]] = []
    for point, work in works.items():
        lost = [day for day in work.wanted if day in work.stored and day not in work.fresh]
        gone += [(point, day) for day in lost]
        for day in lost:
            del work.stored[day]
        rows += _marks(connection, point, work)
    if gone:
        connection.executemany("DELETE FROM boundary WHERE point_id = ? AND day = ?", gone)
    connection.executemany(_UPSERT, rows)
    return len(rows) + len(gone)


def _marks(connection: Connection, point_id: int, work: _Work) -> list[tuple[object, ...]]:
    """Rows of one point that differ from those that are there."""
    history, zone = work.history, work.history.zone
    growth = partial(reverse_growth, connection, history.register_name)
    previous: Mark | None = mark_of_row(work.before, zone) if work.before else None
    changed: list[tuple[object, ...]] = []

    def place(
        day: int, term_id: int, value: Decimal, quality: str, clock_us: int | None, spread: int | None, old: Row | None
    ) -> bool:
        nonlocal previous
        mark = advance(previous, history.terms, midnight_us(day, zone), value, quality, growth)
        previous = mark
        row = (day, term_id, to_micro(value), to_micro(mark.total), mark.breaks, quality, mark.event, clock_us, spread)
        if row == old:
            return False
        changed.append((point_id, *row))
        return True

    def keep(old: Row) -> bool:
        return place(old[0], old[1], from_micro(old[2]), old[5], old[7], old[8], old)

    for day in sorted(work.stored.keys() | work.fresh.keys()):
        old = work.stored.get(day)
        if day in work.fresh:
            term, value = work.fresh[day]
            place(day, term.id, value.value, value.quality, value.clock_us, to_micro(value.spread * term.ratio), old)
        elif old is not None:
            keep(old)
    if work.has_later:
        later = connection.execute(
            f"SELECT {COLUMNS} FROM boundary WHERE point_id = ? AND day > ? ORDER BY day", (point_id, work.wanted[-1])
        )
        for old in later:
            if not keep(old):
                break
        later.close()
    return changed


# ------------------------------------------------------------------------------------------------------------- reading


def listed(rows: Sequence[Sequence[Any]]) -> tuple[str, list[Any]]:
    """``(?, ?), (?, ?)`` for a VALUES list, with its parameters."""
    one = f"({', '.join('?' * len(rows[0]))})"
    return ", ".join([one] * len(rows)), [value for row in rows for value in row]


def _chunks(rows: Sequence[Sequence[Any]], size: int = 1000) -> Iterator[Sequence[Sequence[Any]]]:
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


def _read_marks(connection: Connection, works: dict[int, _Work]) -> None:
    """The mark before each point's days, those within them, and whether there are later ones."""
    names = ", ".join(f"b.{name}" for name in COLUMNS.split(", "))
    values, parameters = listed([(point, work.wanted[0], work.wanted[-1]) for point, work in works.items()])
    for point, *row in connection.execute(
        f"WITH w (point_id, low, high) AS (VALUES {values})"
        f" SELECT w.point_id, {names} FROM w CROSS JOIN boundary b ON b.point_id = w.point_id AND b.day BETWEEN"
        " coalesce((SELECT max(day) FROM boundary WHERE point_id = w.point_id AND day < w.low), w.low) AND"
        " coalesce((SELECT min(day) FROM boundary WHERE point_id = w.point_id AND day > w.high), w.high)",
        parameters,
    ):
        work, day = works[point], row[0]
        if day < work.wanted[0]:
            work.before = tuple(row)
        elif day > work.wanted[-1]:
            work.has_later = True
        else:
            work.stored[day] = tuple(row)


Window = tuple[int, int, int]
"""Meter, and from when to when its samples decide a value."""


def _read_values(connection: Connection, works: dict[int, _Work]) -> None:
    """The register of each point at its midnights, where it is known."""
    asked: list[tuple[_Work, int, Term, Window]] = []
    of_register: dict[str, dict[Window, list[Sample]]] = defaultdict(dict)
    for work in works.values():
        for day in work.wanted:
            at_us = midnight_us(day, work.history.zone)
            term = work.history.term_at(at_us)
            if term is None:
                continue
            until_us = term.until_us - 1 if term.until_us is not None else at_us + MAX_GAP_US
            window = (term.meter_id, max(at_us - MAX_GAP_US, term.from_us + 1), min(at_us + MAX_GAP_US, until_us))
            asked.append((work, day, term, window))
            of_register[work.history.register_name][window] = []
    words: dict[str, dict[Window, dict[int, int | None]]] = {
        register: read_samples(connection, register, windows) for register, windows in of_register.items()
    }
    for work, day, term, window in asked:
        register = work.history.register_name
        samples = corrected(of_register[register][window], words[register].get(window, {}))
        value = boundary_value(with_acts(term, samples), midnight_us(day, work.history.zone), step=term.register.step)
        if value is not None:
            work.fresh[day] = (term, value)


Told = tuple[int, int, str, int, int | None]
"""A reading as it lies in the database: moment, millionths, quality, reception, error of the clock."""


def sample_of(told: Told) -> Sample:
    """A reading as boundary values take it."""
    return Sample(told[0], from_micro(told[1]), *told[2:])


def read_samples(
    connection: Connection, register: str, windows: dict[Window, list[Sample]]
) -> dict[Window, dict[int, int | None]]:
    """Fill the windows with their readings in order of time; returns what people said of moments in them."""
    told: dict[Window, list[Told]] = {window: [] for window in windows}
    said = read_told(connection, register, told)
    for window, rows in told.items():
        windows[window] += map(sample_of, rows)
    return said


def read_told(
    connection: Connection, register: str, windows: dict[Window, list[Told]]
) -> dict[Window, dict[int, int | None]]:
    """The same with readings as they lie in the database."""
    said: dict[Window, dict[int, int | None]] = {}
    for chunk in _chunks(list(windows)):
        values, parameters = listed(chunk)
        with_windows = f"WITH w (meter_id, low, high) AS (VALUES {values}) SELECT w.meter_id, w.low, w.high,"
        of_window = (
            "r ON r.meter_id = w.meter_id AND r.register = ? AND r.measured_at_us BETWEEN w.low AND w.high ORDER BY"
        )
        for meter, low, high, *told in connection.execute(
            f"{with_windows} r.measured_at_us, r.value_micro, r.quality, r.received_at_us, r.clock_error_us FROM w"
            f" CROSS JOIN reading {of_window} w.meter_id, w.low, w.high, r.measured_at_us",
            [*parameters, register],
        ):
            windows[meter, low, high].append(tuple(told))
        for meter, low, high, at_us, value in connection.execute(
            f"{with_windows} r.measured_at_us, r.value_micro FROM w CROSS JOIN correction {of_window} r.id",
            [*parameters, register],
        ):
            said.setdefault((meter, low, high), {})[at_us] = value
    return said
