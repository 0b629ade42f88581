"""Balances out of application.db."""

from __future__ import annotations

import itertools
import sqlite3
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from typing import Literal

from appserver.db import Database
from appserver.errors import RegistryError
from appserver.metering.balance import (
    NOTHING,
    Balance,
    Ends,
    PeriodRow,
    PointRow,
    measured,
    period_row,
    point_row,
    sum_of,
)
from appserver.metering.chart import day_rows
from appserver.metering.consumption import Mark
from appserver.metering.house import (
    OF_BUILDING,
    EndsOf,
    HouseView,
    hour_marks,
    origin_of,
    outermost,
    read_house,
)
from appserver.metering.timebase import HOUR_US, date_of, day_number, midnight_us, moment
from appserver.models.registry import REGISTERS, UNITS

BalanceStep = Literal["hour", "day", "month"]
MAX_DAYS = {"hour": 31, "day": 400, "month": 3700}


@dataclass(frozen=True, slots=True)
class _Period:
    start_us: int
    end_us: int


def house_balance(
    db: Database,
    building_id: int,
    resource: str,
    from_date: date,
    to_date: date,
    step: BalanceStep = "day",
    connection: sqlite3.Connection | None = None,
    whole_period: bool = False,
) -> Balance:
    """The balance of a building from ``from_date`` to ``to_date`` (excluded), by hour, day or month of its zone.

    Its total reaches as far as nine tenths of the points have told; with ``whole_period`` (what charges go by) it is the
    period from end to end, and who has not told all of it is known in part.
    ``connection`` is one with a transaction of its own. Raises RegistryError ``not_found`` for a building, ``invalid``
    for a resource, a step or dates that make no sense.
    """
    if resource not in REGISTERS:
        raise RegistryError(
            "invalid", "resource", f"There is no resource {resource!r}; use one of {', '.join(REGISTERS)}."
        )
    if step not in MAX_DAYS:
        raise RegistryError("invalid", "step", f"There is no step {step!r}; use hour, day or month.")
    if not from_date < to_date:
        raise RegistryError("invalid", "to", "The period is empty: `to` is excluded and must be after `from`.")
    if (to_date - from_date).days > MAX_DAYS[step]:
        raise RegistryError("invalid", "to", f"By {step} a balance goes over {MAX_DAYS[step]} days at most.")
    with db.snapshot() if connection is None else nullcontext(connection) as connection:
        house = read_house(connection, building_id, resource)
        read = _hourly if step == "hour" else partial(_daily, step=step, whole_period=whole_period)
        periods, rows, whole = read(house, from_date, to_date)
        span = (periods[0].start_us, periods[-1].end_us) if whole_period else _covered(whole, periods)
        total, points = _whole(house, whole, span, _events(house, from_date, to_date))
        flats = {p.premises_id or -p.point_id for p in house.points if p.role == "individual"}
        return Balance(
            building_id=building_id,
            address=house.address,
            resource=resource,
            unit=UNITS[resource],
            step=step,
            timezone=house.zone.key,
            from_date=from_date,
            to_date=to_date,
            flats=len(flats),
            unmetered=_unmetered(house, flats),
            total=total,
            periods=rows or [total],
            points=points,
        )


_Read = tuple[list[_Period], list[PeriodRow], EndsOf]
"""Periods, their rows (none: the only period is what the total says), ends of the whole."""


def _rows(house: HouseView, periods: list[_Period], ends_of: list[EndsOf]) -> list[PeriodRow]:
    return [
        period_row(
            house.points,
            [ends.get(point.point_id, NOTHING) for point in house.points],
            period.start_us,
            period.end_us,
            moment(period.start_us, house.zone),
            moment(period.end_us, house.zone),
        )
        for period, ends in zip(periods, ends_of, strict=True)
    ]


# ------------------------------------------------------------------------------------------------- by day and month


def _periods(house: HouseView, from_date: date, to_date: date, step: str) -> list[tuple[int, int]]:
    """Periods as pairs of day numbers."""
    edges = [from_date]
    while edges[-1] < to_date:
        last = edges[-1]
        following = (
            last + timedelta(days=1) if step == "day" else (last.replace(day=1) + timedelta(days=32)).replace(day=1)
        )
        edges.append(min(following, to_date))
    return [(day_number(a), day_number(b)) for a, b in itertools.pairwise(edges)]


def _daily(house: HouseView, from_date: date, to_date: date, step: str, whole_period: bool = False) -> _Read:
    pairs = _periods(house, from_date, to_date, step)
    first, last = pairs[0][0], pairs[-1][1]
    whole = outermost(house, first, last)
    settled = last if whole_period else _settled(house, whole, first, last)
    if settled != last:
        whole = outermost(house, first, settled)
    periods = [_Period(midnight_us(first, house.zone), midnight_us(last, house.zone)) for first, last in pairs]
    if step == "day":
        return periods, day_rows(house, first, last), whole
    if len(pairs) == 1 and settled == last:
        is_total = whole_period or _covered(whole, periods) == (periods[0].start_us, periods[0].end_us)
        return periods, [] if is_total else _rows(house, periods, [whole]), whole
    return periods, _rows(house, periods, [outermost(house, first, last) for first, last in pairs]), whole


def _settled(house: HouseView, whole: EndsOf, first: int, last: int) -> int:
    """The last midnight that nine tenths of the points have told: after a midnight, meters take hours to report it."""
    told_last = sum(
        ends.last is not None and ends.last.at_us == midnight_us(last, house.zone) for ends in whole.values()
    )
    if told_last and told_last * 10 >= 9 * house.all_points:
        return last  # no day is told of more points than there are
    counts = house.connection.execute(
        "SELECT b.day, count(*) FROM point p CROSS JOIN boundary b ON b.point_id = p.id AND b.day BETWEEN :first AND :last"
        " WHERE p.building_id = :building AND p.resource = :resource GROUP BY b.day",
        {**house.parameters, "first": first, "last": last},
    ).fetchall()
    most = max((count for _, count in counts), default=0)
    told = [day for day, count in counts if count * 10 >= most * 9]
    return max(told) if told and max(told) > min(day for day, _ in counts) else last


# ---------------------------------------------------------------------------------------------------------- by hour


def _hourly(house: HouseView, from_date: date, to_date: date) -> _Read:
    start_us = midnight_us(day_number(from_date), house.zone)
    end_us = midnight_us(day_number(to_date), house.zone)
    edges = [*range(start_us, end_us, HOUR_US), end_us]
    series = {point.point_id: hour_marks(house, point.point_id, edges) for point in house.points}
    periods = [_Period(a, b) for a, b in itertools.pairwise(edges)]
    ends_of = [
        {
            point: Ends(origin_of(house, point, marks.get(period.start_us) or stop, period.start_us), stop)
            for point, marks in series.items()
            if (stop := marks.get(period.end_us)) is not None
        }
        for period in periods
    ]
    whole = {
        point: Ends(origin_of(house, point, marks[min(marks)], start_us), marks[max(marks)])
        for point, marks in series.items()
        if marks
    }
    return periods, _rows(house, periods, ends_of), whole


# ---------------------------------------------------------------------------------------------------------- together


def _covered(whole: EndsOf, periods: list[_Period]) -> tuple[int, int]:
    """The part of the asked time for which anything is known."""
    start_us, end_us = periods[0].start_us, periods[-1].end_us
    firsts = [ends.first.at_us for ends in whole.values() if ends.first is not None]
    lasts = [ends.last.at_us for ends in whole.values() if ends.last is not None]
    if not firsts or max(lasts) <= start_us:
        return start_us, end_us
    return max(start_us, min(firsts)), min(end_us, max(lasts))


def _whole(
    house: HouseView, whole: EndsOf, span: tuple[int, int], events: dict[int, list[str]]
) -> tuple[PeriodRow, list[PointRow]]:
    """The building and each of its points between two moments."""
    start_us, end_us = span
    ends = [whole.get(point.point_id, NOTHING) for point in house.points]
    counted = measured(ends, start_us, end_us)
    moments: dict[int, datetime] = {}

    def moment_of(mark: Mark | None) -> datetime | None:
        if mark is None:
            return None
        found = moments.get(mark.at_us)
        if found is None:
            found = moments[mark.at_us] = moment(mark.at_us, house.zone)
        return found

    rows = [
        point_row(point, its, of, (moment_of(its.first), moment_of(its.last)), events.get(point.point_id, ()))
        for point, its, of in zip(house.points, ends, counted, strict=True)
    ]
    return sum_of(house.points, counted, moment(start_us, house.zone), moment(end_us, house.zone)), rows


def _events(house: HouseView, from_date: date, to_date: date) -> dict[int, list[str]]:
    """What happened at each point, as far as its daily marks tell."""
    events: dict[int, list[str]] = {}
    query = (
        "SELECT b.point_id, b.event FROM point p CROSS JOIN boundary b ON b.point_id = p.id AND b.event <> ''"
        " AND b.day > :first AND b.day <= :last WHERE p.building_id = :building AND p.resource = :resource"
        " ORDER BY b.point_id, b.day"
    )
    parameters = {**house.parameters, "first": day_number(from_date), "last": day_number(to_date)}
    for point, words in house.connection.execute(query, parameters):
        known = events.setdefault(point, [])
        known.extend(word for word in words.split() if word not in known)
    return events


def _unmetered(house: HouseView, flats: set[int]) -> int:
    rows = house.connection.execute(
        "SELECT id FROM premises WHERE building_id = ? AND kind = 'flat'", (house.building_id,)
    )
    return sum(1 for (premises,) in rows if premises not in flats)


# ------------------------------------------------------------------------------------------------------------- other


def last_day(db: Database, building_id: int, resource: str) -> date | None:
    """The last day whose first moment is known for any point: balances reach up to it."""
    rows = db.rows(
        f"SELECT max(day) FROM boundary WHERE point_id IN {OF_BUILDING}",
        {"building": building_id, "resource": resource},
    )
    return None if rows[0][0] is None else date_of(rows[0][0])


def is_over(db: Database, building_id: int, resource: str, to_date: date) -> bool:
    """Whether any point of a building's resource has told the midnight that ends a period."""
    last = last_day(db, building_id, resource)
    return last is not None and last >= to_date
