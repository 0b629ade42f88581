"""The hours of a house: its common meters, the sum of the individual ones, and how much of them is known."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

from appserver.db import Connection, Database, blobs
from appserver.errors import RegistryError
from appserver.metering.hours.computing import Days, refreshed
from appserver.metering.hours.packed import MISSING, counted, hours_in, month_edges, month_of, summed, unpacked
from appserver.metering.timebase import HOUR_US, day_number, midnight_us, zone_of
from appserver.models.registry import REGISTERS, UNITS

MAX_DAYS = 366
PART = "hours"
"""Part of a closing that keeps them."""
COLUMNS = ("house", "individual", "known", "estimated")
_POINTS = (
    "SELECT id, role, direction FROM point WHERE building_id = ? AND resource = ? AND role IN ('house', 'individual')"
)
_DUE = (
    "SELECT d.point_id, d.first_day, d.last_day FROM point p CROSS JOIN hours_due d ON d.point_id = p.id"
    " WHERE p.building_id = ? AND p.resource = ? AND p.role IN ('house', 'individual')"
)
_KEPT = (
    "SELECT h.point_id, h.month, h.volumes, h.ranks FROM point p CROSS JOIN point_hours h ON h.point_id = p.id"
    " AND h.month BETWEEN ? AND ? WHERE p.building_id = ? AND p.resource = ? AND p.role IN ('house', 'individual')"
)


@dataclass(frozen=True, slots=True)
class HouseHours:
    """One resource of a building hour by hour; all lists run parallel, volumes are whole millionths of the unit."""

    building_id: int
    address: str
    resource: str
    unit: str
    timezone: str
    from_date: date
    to_date: date
    """Excluded."""
    start_us: int
    """When the first hour begins; the others follow one another, also where the clocks change."""
    points: int
    """Individual points of the resource."""
    house: list[int | None]
    """Common meters, in minus out; None where one of them is not known at both ends of the hour."""
    individual: list[int]
    """Sum of the individual points that are known."""
    known: list[int]
    """How many individual points are known at both ends of the hour."""
    estimated: list[int]
    """How many of these are known with less than a measured value: interpolated, on server time, disputed."""

    @property
    def imbalance(self) -> list[int | None]:
        """House minus individual where the house is known."""
        return [None if a is None else a - b for a, b in zip(self.house, self.individual, strict=True)]

    @property
    def frozen(self) -> dict[str, Any]:
        """As a closing keeps them."""
        return {"start_us": self.start_us, **{name: getattr(self, name) for name in COLUMNS}}


@dataclass(slots=True)
class _Place:
    """What hours need to know of a building."""

    address: str
    zone: ZoneInfo
    signs: dict[int, int]
    """Of the common meters, by point: 1 in, -1 out."""
    individual: list[int]


Blocks = dict[int, dict[int, tuple[bytes, bytes]]]
"""Volumes and ranks by month and point."""


def house_hours(
    db: Database,
    building_id: int,
    resource: str,
    from_date: date,
    to_date: date,
    connection: Connection | None = None,
) -> HouseHours:
    """The hours of a building from ``from_date`` to ``to_date`` (excluded) of its calendar, as they are known now.

    Raises RegistryError ``not_found`` for a building, ``invalid`` for a resource or dates that make no sense.
    """
    _check(resource, from_date, to_date)
    with db.snapshot() if connection is None else nullcontext(connection) as reading:
        place = _place(reading, building_id, resource)
        span = tuple(midnight_us(day_number(day), place.zone) for day in (from_date, to_date))
        blocks = _blocks(reading, place.zone, building_id, resource, (span[0], span[1]))
    house: list[int | None] = []
    columns: tuple[list[int], list[int], list[int]] = ([], [], [])
    for month, its in _months(blocks, place.zone, (span[0], span[1])):
        part = _hours_within(month, place.zone, (span[0], span[1]))
        of_month = _of_month(its, place, hours_in(month, place.zone))
        house += of_month[0][part]
        for column, values in zip(columns, of_month[1:], strict=True):
            column += values[part]
    return HouseHours(
        building_id, place.address, resource, UNITS[resource], place.zone.key, from_date, to_date, span[0],
        len(place.individual), house, *columns,
    )  # fmt: skip


def point_hours(
    db: Database, building_id: int, resource: str, from_date: date, to_date: date
) -> tuple[int, dict[int, list[int | None]]]:
    """The hours of every point of a building's resource: when the first begins, and millionths by point.

    Raises RegistryError as :func:`house_hours` does.
    """
    _check(resource, from_date, to_date)
    with db.snapshot() as connection:
        place = _place(connection, building_id, resource)
        span = (midnight_us(day_number(from_date), place.zone), midnight_us(day_number(to_date), place.zone))
        blocks = _blocks(connection, place.zone, building_id, resource, span)
    series: dict[int, list[int | None]] = {point: [] for point in [*place.signs, *place.individual]}
    for month, its in _months(blocks, place.zone, span):
        part = _hours_within(month, place.zone, span)
        nothing: list[int | None] = [None] * hours_in(month, place.zone)
        for point, column in series.items():
            column += (unpacked(*its[point]) if point in its else nothing)[part]
    return span[0], series


def _check(resource: str, from_date: date, to_date: date) -> None:
    if resource not in REGISTERS:
        known = ", ".join(REGISTERS)
        raise RegistryError("invalid", "resource", f"There is no resource {resource!r}; use one of {known}.")
    if not from_date < to_date:
        raise RegistryError("invalid", "to", "The period is empty: `to` is excluded and must be after `from`.")
    if (to_date - from_date).days > MAX_DAYS:
        raise RegistryError("invalid", "to", f"Hours go over {MAX_DAYS} days at most.")


def _place(connection: Connection, building_id: int, resource: str) -> _Place:
    row = connection.execute("SELECT address, timezone FROM building WHERE id = ?", (building_id,)).fetchone()
    if row is None:
        raise RegistryError("not_found", "building_id", f"There is no building {building_id}.")
    place = _Place(row[0], zone_of(row[1]), {}, [])
    for point, role, direction in connection.execute(_POINTS, (building_id, resource)):
        if role == "house":
            place.signs[point] = 1 if direction == "in" else -1
        else:
            place.individual.append(point)
    return place


def _blocks(connection: Connection, zone: ZoneInfo, building_id: int, resource: str, span: tuple[int, int]) -> Blocks:
    """The packed months of a building's points, with what is due computed."""
    whose = (building_id, resource)
    first, last = month_of(span[0], zone), month_of(span[1] - 1, zone)
    blocks: Blocks = {}
    for point, month, volumes, ranks in blobs(connection, _KEPT, (first, last, *whose)):
        blocks.setdefault(month, {})[point] = (volumes, ranks)
    due: dict[int, list[Days]] = {}
    for point, first_day, last_day in connection.execute(_DUE, whose):
        due.setdefault(point, []).append((first_day, last_day))
    if due:
        whole = (month_edges(first, zone)[0], month_edges(last, zone)[1])
        for (point, month), its in refreshed(connection, due, whole).items():
            blocks.setdefault(month, {})[point] = its.packed
    return blocks


def _months(
    blocks: Blocks, zone: ZoneInfo, span: tuple[int, int]
) -> Iterator[tuple[int, dict[int, tuple[bytes, bytes]]]]:
    for month in range(month_of(span[0], zone), month_of(span[1] - 1, zone) + 1):
        hours = hours_in(month, zone)
        # Blocks of before the zone changed are due, and not here any more; what does not fit is never believed.
        yield month, {point: its for point, its in blocks.get(month, {}).items() if len(its[1]) == hours}


def _hours_within(month: int, zone: ZoneInfo, span: tuple[int, int]) -> slice:
    """The hours of a month that begin within a span."""
    start_us, hours = month_edges(month, zone)[0], hours_in(month, zone)
    return slice(*(bisect_left(range(hours), edge, key=lambda hour: start_us + hour * HOUR_US) for edge in span))


def _of_month(
    its: dict[int, tuple[bytes, bytes]], place: _Place, hours: int
) -> tuple[list[int | None], list[int], list[int], list[int]]:
    individual = [its[point] for point in place.individual if point in its]
    known, estimated = counted([ranks for _, ranks in individual], hours)
    volumes = summed([volumes for volumes, _ in individual], hours)
    return _common(its, place, hours), volumes, known, estimated


def _common(its: dict[int, tuple[bytes, bytes]], place: _Place, hours: int) -> list[int | None]:
    """The common meters together; None where one of them is missing, or where there is none."""
    if not place.signs or any(point not in its for point in place.signs):
        return [None] * hours
    missing: Sequence[Any] = bytes(map(max, *(its[point][1] for point in place.signs), bytes(hours)))
    sums = [summed([its[p][0] for p, sign in place.signs.items() if sign == way], hours) for way in (1, -1)]
    return [None if rank == MISSING else came - went for rank, came, went in zip(missing, *sums, strict=True)]
