"""Volumes as somebody reckons them who knows no time base: the last value that came in before an edge is the edge's."""

from __future__ import annotations

import sqlite3
from decimal import Decimal
from functools import partial

from appserver.metering.consumption import Mark, Term, advance
from appserver.metering.house import HouseView
from appserver.metering.store import PointHistory, point_history, reverse_growth
from appserver.metering.timebase import HOUR_US, MAX_AHEAD_US
from appserver.models.columns import from_micro

OLDEST_US = 62 * 24 * HOUR_US
"""Nobody takes an older value for an edge."""


def received_volumes(house: HouseView, start_us: int, end_us: int) -> dict[int, Decimal | None]:
    """Volume of each point between two edges by what had been received at them; acts of replacement count."""
    return {info.point_id: _volume(house.connection, info.point_id, start_us, end_us) for info in house.points}


def _volume(connection: sqlite3.Connection, point_id: int, start_us: int, end_us: int) -> Decimal | None:
    history = point_history(connection, point_id)
    growth = partial(reverse_growth, connection, history.register_name)
    first = _mark(connection, history, start_us, None, growth)
    begun = any(start_us <= term.from_us < end_us for term in history.terms[:1])
    if first is None and not begun:
        return None
    last = _mark(connection, history, end_us, first, growth)
    if last is None or (first is not None and last.breaks != first.breaks):
        return None
    return last.total - (first.total if first is not None else Decimal(0))


def _mark(
    connection: sqlite3.Connection, history: PointHistory, at_us: int, before: Mark | None, growth: partial[Decimal]
) -> Mark | None:
    term = history.term_at(at_us)
    if term is None:
        return None
    value = _received(connection, history, term, at_us)
    if value is None and term.from_us < at_us - OLDEST_US:
        return None
    return advance(before, history.terms, at_us, term.start_value if value is None else value, "measured", growth)


def _received(connection: sqlite3.Connection, history: PointHistory, term: Term, at_us: int) -> Decimal | None:
    row = connection.execute(
        "SELECT value_micro FROM reading WHERE meter_id = ? AND register = ? AND measured_at_us BETWEEN ? AND ?"
        " AND received_at_us <= ? ORDER BY received_at_us DESC, measured_at_us DESC LIMIT 1",
        (
            term.meter_id,
            history.register_name,
            max(at_us - OLDEST_US, term.from_us),
            at_us + MAX_AHEAD_US,
            at_us,
        ),
    ).fetchone()
    return None if row is None else from_micro(row[0])
