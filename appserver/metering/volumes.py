"""What every point of a town counted in a period: the rows of monthly statements, streamed, in the order of registry.

The same numbers as in the balance of each building, read by sets: two marks a point, integers until they are shown.
Memory does not grow with the town: points are taken in blocks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from itertools import groupby
from typing import Any

from appserver.db import Connection, Database
from appserver.errors import RegistryError
from appserver.metering.balance import shown, worse
from appserver.metering.queries import house_balance
from appserver.metering.timebase import clock_bound_us, date_of, day_number, microseconds, midnight_us, zone_of
from appserver.models.columns import from_micro
from appserver.models.registry import REGISTERS, UNITS

BLOCK = 5000
"""Points that are read together."""
SPREAD = 4
"""Ids of a block's points are near each other when there are so many times more of them at most."""


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
    clock: Decimal | None = None
    """How much of the volume may be clock, at most; like ``error`` only where bounds were asked for."""
    error: Decimal | None = None
    """Bound of its whole error."""


def volumes(
    db: Database,
    from_date: date,
    to_date: date,
    resource: str = "",
    organisation_id: int | None = None,
    individual: bool = True,
    whole_period: bool = False,
    bounds: bool = False,
) -> Iterator[PointVolume]:
    """Every point of the town (of an organisation) from ``from_date`` to ``to_date`` (excluded), by building and premises.

    ``individual``: without the common meters of houses; ``whole_period`` as for a house's balance;
    ``bounds``: each volume with how far it may be off. Raises RegistryError
    ``invalid`` for a resource or dates that make no sense. Blocks are read one after another: what comes in between may
    show in later ones.
    """
    if resource and resource not in REGISTERS:
        raise RegistryError("invalid", "resource", f"There is no resource {resource!r}; use {', '.join(REGISTERS)}.")
    if not from_date < to_date:
        raise RegistryError("invalid", "to", "The period is empty: `to` is excluded and must be after `from`.")
    return _blocks(
        db, day_number(from_date), day_number(to_date), resource, organisation_id, individual, whole_period, bounds
    )


def _blocks(
    db: Database,
    first: int,
    last: int,
    resource: str,
    organisation_id: int | None,
    individual: bool,
    whole_period: bool,
    bounds: bool,
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
            rows = sorted(connection.execute(_POINTS, given).fetchall(), key=_place)
            marks = _marks(connection, rows, given, _BOUND if bounds else _MARK)
            origins = _origins(connection, marks)
            found: list[PointVolume] = []
            for (building, of), group in groupby(rows, key=lambda row: (row[1], row[6])):
                house = list(group)
                if whole_period or _is_told(house, marks, first, last):
                    found += [_volume(row, *marks[row[0]], origins.get(row[0]), first, last) for row in house]
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
            point.clock,
            point.error,
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


_POINTS = (
    "SELECT p.id, p.building_id, b.address, b.timezone, r.number, r.account_number, p.resource, p.role, p.name, m.serial"
    " FROM building b CROSS JOIN point p ON p.building_id = b.id LEFT JOIN premises r ON r.id = p.premises_id"
    " LEFT JOIN installation i ON i.point_id = p.id AND i.removed_at_us IS NULL LEFT JOIN meter m ON m.id = i.meter_id"
    " WHERE b.id BETWEEN :low AND :high AND (:organisation IS NULL OR b.organisation_id = :organisation)"
    " AND (:resource = '' OR p.resource = :resource) AND p.role <> 'node'"
)
_DIGITS = re.compile(r"\s*([+-]?\d+)")


def _place(row: Any) -> tuple[object, ...]:
    """The order of statements: by house, resource, common meters first, then as the doors are numbered."""
    number, digits = row[4], _DIGITS.match(row[4] or "")
    return (
        row[1],
        row[6],
        row[7] == "individual",
        number is not None,
        int(digits[1]) if digits else 0,
        number or "",
        row[8],
        row[0],
    )


_MARK = "day, value_micro, total_micro, breaks, quality, event"
_BOUND = f"{_MARK}, clock_us, spread_micro"
_BOUNDS_AT = 6
_Mark = tuple[Any, ...]
"""What :data:`_MARK` or :data:`_BOUND` names."""
_Ends = tuple[_Mark | None, _Mark | None]


def _marks(connection: Connection, rows: list[Any], parameters: dict[str, Any], columns: str) -> dict[int, _Ends]:
    """First and last mark of each point: nearly all have one at both ends, the others are looked for one by one."""
    found: dict[int, list[_Mark | None]] = {row[0]: [None, None] for row in rows}
    if not found:
        return {}
    low, high = min(found), max(found)
    if high - low < SPREAD * len(found):
        asked = f"SELECT point_id, {columns} FROM boundary WHERE day = ? AND point_id BETWEEN ? AND ?"
        queries = [(asked, (parameters[name], low, high)) for name in ("first", "last")]
    else:
        names = ", ".join(f"b.{name}" for name in columns.split(", "))
        asked = (
            f"SELECT b.point_id, {names} FROM point p CROSS JOIN boundary b ON b.point_id = p.id"
            " AND b.day IN (?, ?) WHERE p.building_id BETWEEN ? AND ?"
        )
        queries = [(asked, tuple(parameters[name] for name in ("first", "last", "low", "high")))]
    for query, given in queries:
        for point, *mark in connection.execute(query, given):
            if point in found:
                found[point][0 if mark[0] == parameters["first"] else 1] = tuple(mark)
    for point, ends in found.items():
        for end, order in enumerate(("", " DESC")):
            if ends[end] is None:
                ends[end] = connection.execute(
                    f"SELECT {columns} FROM boundary WHERE point_id = ? AND day BETWEEN ? AND ? ORDER BY day{order} LIMIT 1",
                    (point, parameters["first"], parameters["last"]),
                ).fetchone()
    return {point: (ends[0], ends[1]) for point, ends in found.items()}


_Origin = tuple[int, int]
"""When the first meter of a point was installed, and what it showed."""


def _origins(connection: Connection, marks: dict[int, _Ends]) -> dict[int, _Origin]:
    """Of those points whose first mark follows their installation."""
    new = [point for point, (start, _) in marks.items() if start is not None and "installed" in start[5]]
    origins: dict[int, _Origin] = {}
    for point, from_us, value in connection.execute(
        "SELECT point_id, installed_at_us, start_value FROM installation"
        " WHERE point_id IN (SELECT value FROM json_each(?)) ORDER BY point_id, installed_at_us",
        (str(new),),
    ):
        origins.setdefault(point, (from_us, value))
    return origins


def _volume(
    row: Any, start: _Mark | None, end: _Mark | None, installed: _Origin | None, first: int, last: int
) -> PointVolume:
    point, building, address, timezone, premises, account, resource, role, name, serial = row
    zone = zone_of(timezone)
    start_us = end_us = volume = value = clock = error = None
    quality = "missing"
    if start is not None and end is not None:
        start_us, end_us, value = midnight_us(start[0], zone), midnight_us(end[0], zone), start[1]
        volume, breaks, begins, origin = start[2], start[3], start[4], False
        if installed is not None and installed[0] >= midnight_us(first, zone):
            # Its very first mark stands for the installation: nothing was counted earlier.
            (start_us, value), volume, breaks, begins, origin = installed, 0, 0, "measured", True
        if end_us > start_us:
            quality = worse(begins, end[4])
            if breaks != end[3]:
                quality = worse(quality, "disputed")
            if (start[0] > first and not origin) or end[0] < last:
                quality = "partial"
            volume = end[2] - volume
            if len(end) > _BOUNDS_AT:
                ends = (_AT_ORIGIN if origin else start[_BOUNDS_AT:], end[_BOUNDS_AT:])
                clock, error = _bounds(volume, ends, (begins, end[4]), end_us - start_us)
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
        clock,
        error,
    )


_AT_ORIGIN = (0, 0)
"""An act has neither a clock nor a step."""


def _bounds(
    volume: int, ends: tuple[tuple[Any, ...], tuple[Any, ...]], qualities: tuple[str, str], length_us: int
) -> tuple[Decimal, Decimal]:
    """As :func:`appserver.metering.balance.errors_of`, out of millionths."""
    off_us = sum(clock_bound_us(its[0], of == "server_time") for its, of in zip(ends, qualities, strict=True))
    clock = from_micro(abs(volume)) * off_us / length_us
    return shown(clock), shown(clock + from_micro(sum(its[1] or 0 for its in ends)))
