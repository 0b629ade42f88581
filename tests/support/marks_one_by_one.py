"""Boundary values one point after another, each by its own queries: what the refreshing of many is compared with."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from functools import partial
from zoneinfo import ZoneInfo

from appserver.db import Connection
from appserver.metering.boundary import BoundaryValue
from appserver.metering.consumption import Mark, Term, advance
from appserver.metering.store import point_history, reverse_growth, value_at
from appserver.metering.timebase import midnight_us
from appserver.models.columns import from_micro, to_micro

_COLUMNS = "day, installation_id, value_micro, total_micro, breaks, quality, event, clock_us, spread_micro"
Row = tuple[int, int, int, int, int, str, str, int | None, int | None]


def _mark(row: Row, zone: ZoneInfo) -> Mark:
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


def refresh_one(connection: Connection, point_id: int, days: Iterable[int]) -> int:
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
    stored: dict[int, Row] = {
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
        day: int, term_id: int, value: Decimal, quality: str, clock_us: int | None, spread: int | None, old: Row | None
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
