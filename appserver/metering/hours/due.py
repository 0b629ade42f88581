"""Which hours of which points are to be computed again: noted in the transaction of what moved them."""

from __future__ import annotations

from collections.abc import Iterable

from appserver.db import Connection
from appserver.metering.boundary import MAX_GAP_US
from appserver.metering.timebase import HOUR_US
from appserver.models.registry import REGISTERS

DAY_US = 24 * HOUR_US
REACH_US = MAX_GAP_US + HOUR_US
"""A value decides hours that begin or end so far away from it."""
_NOTE = "INSERT INTO hours_due (point_id, first_day, last_day) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
"""Days are those of UTC: they bound the moments that something was said of."""


def due_around(connection: Connection, moments: Iterable[tuple[int, int]]) -> None:
    """Something new is known of these points at these moments: pairs of a point's id and microseconds."""
    days = sorted({(point_id, at_us // DAY_US) for point_id, at_us in moments})
    if days:
        connection.executemany(_NOTE, [(point_id, day, day) for point_id, day in days])


def due_of_point(connection: Connection, point_id: int) -> None:
    """All hours of a point are in doubt (its installations or its zone changed); what was kept of them goes."""
    for table in ("point_hours", "hours_due"):
        connection.execute(f"DELETE FROM {table} WHERE point_id = ?", (point_id,))
    spans = connection.execute(
        "SELECT i.installed_at_us, i.removed_at_us, i.meter_id, p.resource FROM installation i"
        " JOIN point p ON p.id = i.point_id WHERE i.point_id = ? ORDER BY i.installed_at_us",
        (point_id,),
    ).fetchall()
    if not spans:
        return
    first_us = last_us = int(spans[0][0])
    for _, until_us, meter_id, resource in spans:
        for table in ("reading", "correction"):
            (newest,) = connection.execute(
                f"SELECT max(measured_at_us) FROM {table} WHERE meter_id = ? AND register = ?",
                (meter_id, REGISTERS[resource]),
            ).fetchone()
            last_us = max(last_us, newest or 0, until_us or 0)
    connection.executemany(_NOTE, [(point_id, first_us // DAY_US, last_us // DAY_US)])
