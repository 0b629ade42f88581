"""What balances and explanations read of one building: its points, their marks by day and by hour."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from appserver.errors import RegistryError
from appserver.metering.balance import Ends, PointInfo
from appserver.metering.boundary import MAX_GAP_US, boundary_value
from appserver.metering.consumption import ZERO, Mark, advance
from appserver.metering.store import point_history, reverse_growth, samples_around
from appserver.metering.timebase import midnight_us, zone_of
from appserver.models.columns import exact, from_micro

MARK = (
    "b.point_id, b.day, b.installation_id, b.value_micro, b.total_micro, b.breaks, b.quality, b.event,"
    " b.clock_us, b.spread_micro"
)
OF_BUILDING = "(SELECT id FROM point WHERE building_id = :building AND resource = :resource)"
_DIGITS = re.compile(r"\s*[+-]?\d{1,18}", re.ASCII)

EndsOf = dict[int, Ends]
"""First and last mark by point."""


@dataclass(slots=True)
class HouseView:
    """What a balance reads of the registry."""

    connection: sqlite3.Connection
    building_id: int
    resource: str
    address: str
    zone: ZoneInfo
    points: list[PointInfo]
    origins: dict[int, Mark]
    """First installation of each point: nothing was counted before it."""
    all_points: int
    """Also those that no balance counts (nodes of networks)."""

    @property
    def parameters(self) -> dict[str, object]:
        return {"building": self.building_id, "resource": self.resource}


def read_house(connection: sqlite3.Connection, building_id: int, resource: str) -> HouseView:
    """The points of a building that count one resource. Raises RegistryError ``not_found``."""
    row = connection.execute("SELECT address, timezone FROM building WHERE id = ?", (building_id,)).fetchone()
    if row is None:
        raise RegistryError("not_found", "building_id", f"There is no building {building_id}.")
    place = (building_id, resource)
    meters: dict[int, tuple[int, str]] = {}
    origins: dict[int, Mark] = {}
    for point_id, id_, meter_id, serial, from_us, until_us, start in connection.execute(
        "SELECT p.id, i.id, i.meter_id, m.serial, i.installed_at_us, i.removed_at_us, i.start_value FROM point p"
        " CROSS JOIN installation i ON i.point_id = p.id CROSS JOIN meter m ON m.id = i.meter_id"
        " WHERE p.building_id = ? AND p.resource = ? ORDER BY p.id, i.installed_at_us",
        place,
    ):
        if until_us is None:
            meters[point_id] = meter_id, serial
        if point_id not in origins:
            origins[point_id] = Mark(from_us, id_, from_micro(start), ZERO, event="origin", clock_us=0, spread=ZERO)
    rows = connection.execute(
        "SELECT p.id, p.role, p.direction, p.name, pr.id, pr.number, pr.kind, pr.account_number FROM point p"
        " LEFT JOIN premises pr ON pr.id = p.premises_id WHERE p.building_id = ? AND p.resource = ?",
        place,
    ).fetchall()
    points = [
        PointInfo(
            *(id_, role, direction, name, premises_id, number or "", kind or "", account or ""),
            *meters.get(id_, (None, "")),
        )
        for id_, role, direction, name, premises_id, number, kind, account in rows
        if role != "node"
    ]
    points.sort(key=_as_listed)
    return HouseView(connection, building_id, resource, row[0], zone_of(row[1]), points, origins, len(rows))


def _as_listed(point: PointInfo) -> tuple[bool, bool, int, str, str, int]:
    """The house's own points first, then what is in no premises, then flats in the order of their numbers: 2, 10, 10а."""
    digits = _DIGITS.match(point.premises)
    number = int(digits[0]) if digits else 0
    own = point.role == "individual", point.premises_id is not None
    return *own, number, point.premises, point.name, point.point_id


def outermost(house: HouseView, first: int, last: int) -> EndsOf:
    """First and last mark of each point between two days, both included."""
    firsts: dict[int, Mark] = {}
    lasts: dict[int, Mark] = {}
    rows = house.connection.execute(
        f"SELECT {MARK} FROM point p CROSS JOIN boundary b ON b.point_id = p.id AND b.day IN (:first, :last)"
        " WHERE p.building_id = :building AND p.resource = :resource",
        {**house.parameters, "first": first, "last": last},
    )
    for row in rows:
        mark = mark_of(row, house.zone)
        if row[1] == first:
            firsts[row[0]] = mark
        if row[1] == last:
            lasts[row[0]] = mark
    for marks, end in ((firsts, "min"), (lasts, "max")):
        if len(marks) < house.all_points:  # the others have their first or last one on another day, or none
            query = (
                f"SELECT {MARK} FROM point p CROSS JOIN boundary b ON b.point_id = p.id AND b.day ="
                f" (SELECT {end}(day) FROM boundary WHERE point_id = p.id AND day BETWEEN :first AND :last)"
                " WHERE p.building_id = :building AND p.resource = :resource"
            )
            rows = house.connection.execute(query, {**house.parameters, "first": first, "last": last})
            marks.update((row[0], mark_of(row, house.zone)) for row in rows)
    start_us = midnight_us(first, house.zone)
    return {point: Ends(origin_of(house, point, mark, start_us), lasts[point]) for point, mark in firsts.items()}


def mark_of(row: tuple[Any, ...], zone: ZoneInfo) -> Mark:
    """A row of ``MARK`` as a mark."""
    _, day, term_id, value, total, *rest, spread = row
    spread = None if spread is None else exact(spread)
    return Mark(midnight_us(day, zone), term_id, exact(value), exact(total), *rest, spread)


def origin_of(house: HouseView, point_id: int, first: Mark, start_us: int) -> Mark:
    """A point's very first mark stands for an installation within the period: nothing was counted earlier."""
    if "installed" not in first.event:
        return first
    origin = house.origins[point_id]
    return origin if origin.at_us >= start_us else first


def hour_marks(house: HouseView, point_id: int, edges: Sequence[int], max_gap_us: int = MAX_GAP_US) -> dict[int, Mark]:
    """Marks of a point at those edges where its register is known, interpolated over ``max_gap_us`` at most."""
    connection = house.connection
    history = point_history(connection, point_id)
    growth = partial(reverse_growth, connection, history.register_name)
    marks: dict[int, Mark] = {}
    previous: Mark | None = None
    for term in history.terms:
        inside = [edge for edge in edges if term.holds(edge)]
        if not inside:
            continue
        samples = samples_around(connection, history, term, inside[0], inside[-1])
        for edge in inside:
            value = boundary_value(samples, edge, max_gap_us, term.register.step)
            if value is not None:
                previous = advance(previous, history.terms, edge, value.value, value.quality, growth)
                marks[edge] = replace(previous, clock_us=value.clock_us, spread=value.spread * term.ratio)
    return marks
