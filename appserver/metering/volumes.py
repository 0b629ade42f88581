"""What every point of a town counted in a period: the rows of monthly statements, streamed, in the order of registry.

The same numbers as in the balance of each building, read by sets: two marks a point, integers until they are shown.
Memory does not grow with the town: points are taken in blocks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from itertools import groupby
from typing import Any

from appserver.db import Connection, Database
from appserver.errors import RegistryError
from appserver.metering.balance import worse
from appserver.metering.queries import house_balance
from appserver.metering.timebase import date_of, day_number, microseconds, midnight_us, zone_of
from appserver.models.columns import from_micro
from appserver.models.registry import REGISTERS, UNITS

BLOCK = 5000
"""Points that are read together."""


@dataclass(slots=True)
class PointVolume:
    """A point in a period."""

    point_id: int
    building_id: int
    address: str
    premises: str
    account_number: str
    resource: str
    unit: str
    role: str
    name: str
    serial: str
    """Of the meter that hangs there now."""
    start: Decimal | None
    """Register at the start; None when missing."""
    end: Decimal | None
    start_us: int | None
    """The moment ``start`` is of: the period's start unless the quality is ``partial``."""
    end_us: int | None
    volume: Decimal | None
    quality: str


def volumes(
    db: Database,
    from_date: date,
    to_date: date,
    resource: str = "",
    organisation_id: int | None = None,
    individual: bool = True,
) -> Iterator[PointVolume]:
    """Every point of the town (of an organisation) from ``from_date`` to ``to_date`` (excluded), by building and premises.

    ``individual``: without the common meters of houses. Raises RegistryError ``invalid`` for a resource or dates that make
    no sense. Blocks are read one after another: what comes in between may show in later ones.
    """
    if resource and resource not in REGISTERS:
        raise RegistryError("invalid", "resource", f"There is no resource {resource!r}; use {', '.join(REGISTERS)}.")
    if not from_date < to_date:
        raise RegistryError("invalid", "to", "The period is empty: `to` is excluded and must be after `from`.")
    return _blocks(db, day_number(from_date), day_number(to_date), resource, organisation_id, individual)


def _blocks(
    db: Database, first: int, last: int, resource: str, organisation_id: int | None, individual: bool
) -> Iterator[PointVolume]:
    parameters = {
        "first": first,
        "last": last,
        "resource": resource,
        "organisation": organisation_id,
    }
    after = 0
    while True:
        with db.snapshot() as connection:
            buildings = _next_buildings(connection, after, parameters)
            if not buildings:
                return
            given = parameters | {"low": buildings[0], "high": buildings[-1]}
            rows = connection.execute(_POINTS, given).fetchall()
            marks = _marks(connection, rows, given)
            found: list[PointVolume] = []
            for (building, of), group in groupby(rows, key=lambda row: (row[1], row[6])):
                house = list(group)
                if _is_told(house, marks, first, last):
                    found += [_volume(row, *marks[row[0]], first, last) for row in house]
                else:
                    found += _as_balanced(db, connection, building, of, house, first, last)
        after = buildings[-1]
        yield from (one for one in found if not individual or one.role == "individual")


def _is_told(rows: list[Any], marks: dict[int, _Ends], first: int, last: int) -> bool:
    """Whether the whole period is known of a house, so that its balance goes over the whole period as well."""
    ends = [marks[row[0]] for row in rows]
    starts = any(start is not None and start[0] == first for start, _ in ends)
    return starts and 10 * sum(end is not None and end[0] == last for _, end in ends) >= 9 * len(rows)


def _as_balanced(
    db: Database, connection: Connection, building: int, resource: str, rows: list[Any], first: int, last: int
) -> Iterator[PointVolume]:
    """A house whose period is told in part: its balance says which part it goes over."""
    balance = house_balance(db, building, resource, date_of(first), date_of(last), "month", connection)
    of_point = {row[0]: row for row in rows}
    for point in balance.points:
        row = of_point[point.point_id]
        yield PointVolume(
            point.point_id,
            building,
            row[2],
            point.premises,
            point.account_number,
            resource,
            UNITS[resource],
            point.role,
            point.name,
            point.serial,
            point.start,
            point.end,
            None if point.start_at is None else microseconds(point.start_at),
            None if point.end_at is None else microseconds(point.end_at),
            point.volume,
            point.quality,
        )


def _next_buildings(connection: Connection, after: int, parameters: dict[str, Any]) -> list[int]:
    """Buildings of one block: whole ones, with about as many points as a block holds."""
    found: list[int] = []
    points = 0
    for building, count in connection.execute(
        "SELECT b.id, (SELECT count(*) FROM point p WHERE p.building_id = b.id) FROM building b WHERE b.id > :after"
        " AND (:organisation IS NULL OR b.organisation_id = :organisation) ORDER BY b.id LIMIT 500",
        {"after": after, **parameters},
    ).fetchall():
        if found and points + count > BLOCK:
            break
        found.append(building)
        points += count
    return found


_WANTED = (
    " WHERE p.building_id BETWEEN :low AND :high AND (:organisation IS NULL OR b.organisation_id = :organisation)"
    " AND (:resource = '' OR p.resource = :resource)"
    " AND p.role <> 'node'"
)
_POINTS = (
    "SELECT p.id, p.building_id, b.address, b.timezone, r.number, r.account_number, p.resource, p.role, p.name, m.serial,"
    " f.installed_at_us, f.start_value FROM building b"
    " CROSS JOIN point p ON p.building_id = b.id LEFT JOIN premises r ON r.id = p.premises_id"
    " LEFT JOIN installation i ON i.point_id = p.id AND i.removed_at_us IS NULL LEFT JOIN meter m ON m.id = i.meter_id"
    " LEFT JOIN installation f ON f.point_id = p.id AND f.installed_at_us ="
    "  (SELECT min(installed_at_us) FROM installation WHERE point_id = p.id)"
    f"{_WANTED} AND b.id BETWEEN :low AND :high"
    " ORDER BY p.building_id, p.resource, p.role = 'individual', CAST(r.number AS INTEGER), r.number, p.name, p.id"
)
_MARK = "day, value_micro, total_micro, breaks, quality, event"
_Mark = tuple[int, int, int, int, str, str]
_Ends = tuple[_Mark | None, _Mark | None]


def _marks(connection: Connection, rows: list[Any], parameters: dict[str, Any]) -> dict[int, _Ends]:
    """First and last mark of each point: nearly all have one at both ends, the others are looked for one by one."""
    found: dict[int, list[_Mark | None]] = {row[0]: [None, None] for row in rows}
    for end, day in enumerate((parameters["first"], parameters["last"])):
        for point, *mark in connection.execute(
            f"SELECT b.point_id, {', '.join('b.' + c for c in _MARK.split(', '))} FROM point p"
            " CROSS JOIN boundary b ON b.point_id = p.id AND b.day = :at WHERE p.building_id BETWEEN :low AND :high",
            {**parameters, "at": day},
        ):
            if point in found:
                found[point][end] = tuple(mark)
    for point, ends in found.items():
        for end, order in enumerate(("", " DESC")):
            if ends[end] is None:
                ends[end] = connection.execute(
                    f"SELECT {_MARK} FROM boundary WHERE point_id = ? AND day BETWEEN ? AND ? ORDER BY day{order} LIMIT 1",
                    (point, parameters["first"], parameters["last"]),
                ).fetchone()
    return {point: (ends[0], ends[1]) for point, ends in found.items()}


def _volume(row: Any, start: _Mark | None, end: _Mark | None, first: int, last: int) -> PointVolume:
    point, building, address, timezone, premises, account, resource, role, name, serial, from_us, start_value = row
    zone = zone_of(timezone)
    start_us = end_us = volume = value = None
    quality = "missing"
    if start is not None and end is not None:
        start_us, end_us, value = midnight_us(start[0], zone), midnight_us(end[0], zone), start[1]
        volume, breaks, begins, origin = start[2], start[3], start[4], False
        if from_us is not None and "installed" in start[5] and from_us >= midnight_us(first, zone):
            # Its very first mark stands for the installation: nothing was counted earlier.
            start_us, value, volume, breaks, begins, origin = from_us, start_value, 0, 0, "measured", True
        if end_us > start_us:
            quality = worse(begins, end[4])
            if breaks != end[3]:
                quality = worse(quality, "disputed")
            if (start[0] > first and not origin) or end[0] < last:
                quality = "partial"
            volume = end[2] - volume
        else:
            volume = None
    return PointVolume(
        point,
        building,
        address,
        premises or "",
        account or "",
        resource,
        UNITS[resource],
        role,
        name,
        serial or "",
        None if value is None else from_micro(value),
        None if end is None else from_micro(end[1]),
        start_us,
        end_us,
        None if volume is None else from_micro(volume),
        quality,
    )
