"""The packed hours follow what was noted as due: in small transactions, soon after the readings."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

import structlog

from appserver.db import ERRORS, Connection, Database
from appserver.metering.hours.computing import Days, refreshed

log = structlog.get_logger("hours")

ROWS_A_CHUNK, DAYS_A_CHUNK, DAYS_A_POINT = 500, 500, 31
EVERY_S = 60.0
_KEEP = (
    "INSERT INTO point_hours (point_id, month, volumes, ranks) VALUES (?, ?, ?, ?)"
    " ON CONFLICT (point_id, month) DO UPDATE SET volumes = excluded.volumes, ranks = excluded.ranks"
)


def settle(db: Database) -> int:
    """Compute what is due, chunk by chunk, each in its own transaction; returns how many days of points that were.

    Whatever dies in between, what is due stays noted until its hours are kept.
    """
    done = 0
    while True:
        chunk = _settle_one(db)
        if not chunk:
            return done
        done += chunk


def _settle_chunk(connection: Connection) -> int:
    rows = connection.execute(
        "SELECT d.point_id, d.first_day, d.last_day FROM hours_due d JOIN point p ON p.id = d.point_id"
        " ORDER BY d.point_id, d.first_day, d.last_day LIMIT ?",
        (ROWS_A_CHUNK,),
    ).fetchall()
    due: dict[int, list[Days]] = {}
    taken: list[tuple[int, int, int]] = []
    rest: list[tuple[int, int, int]] = []
    days = 0
    for point, first, last in rows:
        if days >= DAYS_A_CHUNK:
            break
        end = min(last, first + DAYS_A_POINT - 1)
        if end < last:
            rest.append((point, end + 1, last))
        due.setdefault(point, []).append((first, end))
        taken.append((point, first, last))
        days += end - first + 1
    if not taken:
        return 0
    months = refreshed(connection, due)
    kept = [(*key, *its.packed) for key, its in months.items() if not its.is_empty]
    connection.executemany(_KEEP, kept)
    gone = [key for key, its in months.items() if its.is_empty]
    if gone:
        connection.executemany("DELETE FROM point_hours WHERE point_id = ? AND month = ?", gone)
    connection.executemany("DELETE FROM hours_due WHERE point_id = ? AND first_day = ? AND last_day = ?", taken)
    if rest:
        connection.executemany(
            "INSERT INTO hours_due (point_id, first_day, last_day) VALUES (?, ?, ?) ON CONFLICT DO NOTHING", rest
        )
    return days


async def keep_settling(db: Database, stop: asyncio.Event, clock: Callable[[], int]) -> None:
    """Settle what is due every minute until ``stop``; between chunks others may write."""
    while not stop.is_set():
        try:
            while not stop.is_set() and await db.run(_settle_one, db):
                pass
        except ERRORS as error:
            log.warning("hours cannot be settled; trying again", error=str(error))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), EVERY_S)


def _settle_one(db: Database) -> int:
    with db.transaction() as connection:
        return _settle_chunk(connection)
