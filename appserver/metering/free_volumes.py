"""What the points of a building, or one of them, counted in a period of anybody's choice: whole, or step by step.

Edges at midnights are read from boundary values, all others are made of readings as boundary values are. Each volume says
how good it is and how far it may be off.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Literal
from zoneinfo import ZoneInfo

from appserver.db import Database
from appserver.errors import RegistryError
from appserver.metering.balance import NOTHING, Ends, PointInfo, errors_of, shown, volume_of
from appserver.metering.consumption import Mark
from appserver.metering.house import MARK, EndsOf, HouseView, hour_marks, mark_of, origin_of, outermost, read_house
from appserver.metering.timebase import HOUR_US, day_number, day_of, microseconds, midnight_us, moment, zone_of
from appserver.models.columns import neat
from appserver.models.registry import REGISTERS, UNITS

Step = Literal["whole", "month", "day", "hour"]
MAX_DAYS = {"whole": 3700, "month": 3700, "day": 400, "hour": 31}
MAX_ROWS = 20_000
FINE_US = 72 * HOUR_US
"""Up to this length a period is looked through hour by hour for the part of it that is known, beyond by days."""

Edge = date | datetime
"""A day stands for its first moment in the building's zone; a time has a zone of its own."""


@dataclass(frozen=True, slots=True)
class PeriodVolume:
    """A point in a period."""

    resource: str
    point: PointInfo
    period_start: datetime
    period_end: datetime
    start: Decimal | None
    """Register at the start; None when missing."""
    end: Decimal | None
    start_at: datetime | None
    """The moment ``start`` is of: the period's start unless the quality is ``partial``."""
    end_at: datetime | None
    volume: Decimal | None
    quality: str
    clock: Decimal | None
    """How much of the volume may be clock, at most."""
    error: Decimal | None
    """Bound of its whole error."""

    @property
    def unit(self) -> str:
        return UNITS[self.resource]


@dataclass(frozen=True, slots=True)
class Volumes:
    """Volumes of a building or a point."""

    building_id: int
    address: str
    timezone: str
    start: datetime
    end: datetime
    step: str
    rows: list[PeriodVolume]


def free_volumes(
    db: Database,
    since: Edge,
    until: Edge,
    building_id: int | None = None,
    point_id: int | None = None,
    resource: str = "",
    step: Step = "whole",
) -> Volumes:
    """Volumes from ``since`` to ``until`` (excluded) of a point, or of all points of a building (of a resource).

    Points in the order of statements, of each its periods in time. Raises RegistryError ``not_found`` for a building or a
    point, ``invalid`` for a resource, a step or edges that make no sense, and for more than :data:`MAX_ROWS` rows.
    """
    if resource and resource not in REGISTERS:
        raise RegistryError("invalid", "resource", f"There is no resource {resource!r}; use {', '.join(REGISTERS)}.")
    if step not in MAX_DAYS:
        raise RegistryError("invalid", "step", f"There is no step {step!r}; use {', '.join(MAX_DAYS)}.")
    if (building_id is None) == (point_id is None):
        raise RegistryError("invalid", "building_id", "Name a building or a point, one of the two.")
    with db.snapshot() as connection:
        if point_id is not None:
            row = connection.execute("SELECT building_id, resource FROM point WHERE id = ?", (point_id,)).fetchone()
            if row is None:
                raise RegistryError("not_found", "point_id", f"There is no point {point_id}.")
            building_id, resources = row[0], [row[1]]
            if resource not in ("", row[1]):
                raise RegistryError("invalid", "resource", f"Point {point_id} counts {row[1]}, not {resource}.")
        else:
            found = connection.execute("SELECT DISTINCT resource FROM point WHERE building_id = ?", (building_id,))
            counted = {name for (name,) in found.fetchall()}
            resources = [name for name in REGISTERS if name in counted and resource in ("", name)]
        place = connection.execute("SELECT address, timezone FROM building WHERE id = ?", (building_id,)).fetchone()
        if place is None:
            raise RegistryError("not_found", "building_id", f"There is no building {building_id}.")
        zone = zone_of(place[1])
        start_us, end_us = (_us(edge, zone) for edge in (since, until))
        edges = _edges(start_us, end_us, step, zone)
        rows: list[PeriodVolume] = []
        for name in resources:
            house = read_house(connection, building_id, name)
            if point_id is not None:
                house.points = [point for point in house.points if point.point_id == point_id]
            if len(rows) + len(house.points) * (len(edges) - 1) > MAX_ROWS:
                raise RegistryError(
                    "invalid", "step", f"These are more than {MAX_ROWS} values; take fewer or longer steps."
                )
            rows += _rows(house, name, edges, step)
    start, end = moment(start_us, zone), moment(end_us, zone)
    return Volumes(int(building_id or 0), place[0], zone.key, start, end, step, rows)


def _us(edge: Edge, zone: ZoneInfo) -> int:
    return microseconds(edge) if isinstance(edge, datetime) else midnight_us(day_number(edge), zone)


def _edges(start_us: int, end_us: int, step: str, zone: ZoneInfo) -> list[int]:
    """Where periods begin and end: the first and the last may be shorter than the others."""
    if not start_us < end_us:
        raise RegistryError("invalid", "to", "The period is empty: `to` is excluded and must be after `from`.")
    first, last = day_of(start_us, zone), day_of(end_us - 1, zone)
    if last - first + 1 > MAX_DAYS[step]:
        raise RegistryError("invalid", "to", f"By {step} volumes go over {MAX_DAYS[step]} days at most.")
    inner: Iterator[int] | range = range(0)
    if step == "hour":
        inner = range(start_us - start_us % HOUR_US + HOUR_US, end_us, HOUR_US)
    elif step == "day":
        inner = (midnight_us(day, zone) for day in range(first + 1, last + 1))
    elif step == "month":
        inner = (midnight_us(day, zone) for day in range(first + 1, last + 1) if _begins_month(day))
    return [start_us, *(edge for edge in inner if start_us < edge < end_us), end_us]


def _begins_month(day: int) -> bool:
    return (date(1970, 1, 1) + timedelta(days=day)).day == 1


def _rows(house: HouseView, resource: str, edges: list[int], step: str) -> list[PeriodVolume]:
    days = [day_of(edge, house.zone) for edge in edges]
    if step == "hour" or any(midnight_us(day, house.zone) != edge for day, edge in zip(days, edges, strict=True)):
        ends_of = _by_readings(house, edges, step)
    elif step == "day":
        ends_of = _by_days(house, days)
    else:
        ends_of = [outermost(house, first, last) for first, last in itertools.pairwise(days)]
    periods = list(zip(itertools.pairwise(edges), ends_of, strict=True))
    return [
        _row(house, resource, point, start_us, end_us, ends.get(point.point_id, NOTHING))
        for point in house.points
        for (start_us, end_us), ends in periods
    ]


def _by_days(house: HouseView, days: Sequence[int]) -> list[EndsOf]:
    marks: dict[tuple[int, int], Mark] = {}
    for point in house.points:
        found = house.connection.execute(
            f"SELECT {MARK} FROM boundary b WHERE b.point_id = ? AND b.day BETWEEN ? AND ?",
            (point.point_id, days[0], days[-1]),
        )
        marks.update(((row[0], row[1]), mark_of(row, house.zone)) for row in found)
    return [
        {
            point.point_id: Ends(origin_of(house, point.point_id, start or stop, midnight_us(first, house.zone)), stop)
            for point in house.points
            if (stop := marks.get((point.point_id, last))) is not None
            for start in (marks.get((point.point_id, first)),)
        }
        for first, last in itertools.pairwise(days)
    ]


def _by_readings(house: HouseView, edges: list[int], step: str) -> list[EndsOf]:
    """Ends out of readings. A long period that is not known from edge to edge is taken as far as it is known."""
    asked = edges if step in ("hour", "day") else sorted({*edges, *_between(edges[0], edges[-1], house.zone)})
    found: list[EndsOf] = [{} for _ in edges[1:]]
    for point in house.points:
        id_ = point.point_id
        marks = hour_marks(house, id_, asked)
        known = sorted(marks)
        for (start_us, end_us), ends in zip(itertools.pairwise(edges), found, strict=True):
            inside = [at for at in known if start_us <= at <= end_us]
            if inside:
                first, last = marks[inside[0]], marks[inside[-1]]
                ends[id_] = Ends(origin_of(house, id_, first, start_us), last)
    return found


def _between(start_us: int, end_us: int, zone: ZoneInfo) -> list[int]:
    if end_us - start_us <= FINE_US:
        return list(range(start_us - start_us % HOUR_US + HOUR_US, end_us, HOUR_US))
    return [midnight_us(day, zone) for day in range(day_of(start_us, zone) + 1, day_of(end_us - 1, zone) + 1)]


def _row(house: HouseView, resource: str, point: PointInfo, start_us: int, end_us: int, ends: Ends) -> PeriodVolume:
    volume, quality = volume_of(ends, start_us, end_us)
    clock, error = errors_of(ends)
    first, last = ends.first, ends.last
    return PeriodVolume(
        resource=resource,
        point=point,
        period_start=moment(start_us, house.zone),
        period_end=moment(end_us, house.zone),
        start=neat(first.value) if first else None,
        end=neat(last.value) if last else None,
        start_at=moment(first.at_us, house.zone) if first else None,
        end_at=moment(last.at_us, house.zone) if last else None,
        volume=neat(volume) if volume is not None else None,
        quality=quality,
        clock=shown(clock) if volume is not None else None,
        error=shown(error) if volume is not None else None,
    )
