"""What came in by itself, and when: volumes of somebody who knows no time base, and boundaries that nobody had to ask for."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial

from appserver.metering.consumption import Mark, Term, advance
from appserver.metering.house import OF_BUILDING, HouseView
from appserver.metering.store import PointHistory, point_history, reverse_growth
from appserver.metering.timebase import HOUR_US, MAX_AHEAD_US, day_of
from appserver.models.columns import from_micro

OLDEST_US = 62 * 24 * HOUR_US
"""Nobody takes an older value for an edge."""


@dataclass(slots=True)
class Asked:
    """A boundary that a device was asked for and told."""

    dev_eui: str
    archive: str
    device_time: str
    """The stamp of the record, as it was asked for."""
    answers: int


def asked_for(house: HouseView, first: int, last: int) -> dict[int, dict[int, Asked]]:
    """Boundaries that devices were asked for and told, by point and day."""
    found: dict[int, dict[int, Asked]] = {}
    for point_id, day, *query in house.connection.execute(
        "SELECT point_id, day, dev_eui, archive, device_time, count(*) FROM archive_query"
        f" WHERE point_id IN {OF_BUILDING} AND day BETWEEN :first AND :last AND state = 'answered'"
        " GROUP BY point_id, day, dev_eui, archive, device_time",
        {**house.parameters, "first": first, "last": last},
    ).fetchall():
        found.setdefault(point_id, {})[day] = Asked(*query)
    return found


def without_answers(house: HouseView, marks: Sequence[Mark], asked: Mapping[int, Asked]) -> list[Mark]:
    """Marks of a point, in order of time, without those at either end that only an answer told."""

    def only_answered(mark: Mark) -> bool:
        query = asked.get(day_of(mark.at_us, house.zone))
        return query is not None and not _also_by_itself(house, query, mark.at_us)

    kept = list(marks)
    while kept and only_answered(kept[-1]):
        kept.pop()
    while kept and only_answered(kept[0]):
        kept.pop(0)
    return kept


def _also_by_itself(house: HouseView, query: Asked, at_us: int) -> bool:
    """Whether more frames told a record than were asked for: a record that is late is asked for, and comes all the same."""
    stamp = datetime.fromisoformat(query.device_time)
    stamps = {query.device_time}
    if query.archive.startswith("day") and stamp.hour == 23:  # a day is stamped with its last hour, or with its end
        stamps.add((stamp + timedelta(hours=1)).isoformat())
    told = Counter(
        packet
        for packet, archive, device_time in house.connection.execute(
            "SELECT json_extract(object, '$.packet'), json_extract(object, '$.archive'),"
            " json_extract(object, '$.device_time') FROM uplink WHERE dev_eui = ? AND received_at_us BETWEEN ? AND ?"
            " AND object IS NOT NULL",
            (query.dev_eui, at_us, at_us + OLDEST_US),
        ).fetchall()
        if archive == query.archive and device_time in stamps
    )
    return max(told.values(), default=0) > query.answers


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
