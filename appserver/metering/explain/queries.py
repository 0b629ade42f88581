"""What an explanation needs, out of application.db."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from itertools import pairwise

from appserver.db import Database
from appserver.metering.balance import Balance, Ends, PointInfo, errors_of
from appserver.metering.consumption import ZERO, Mark
from appserver.metering.explain.causes import LEAST_CLOCK_US, explain
from appserver.metering.explain.clocks import NEAR_US, Weight, day_part, error_near, house_weight, surplus
from appserver.metering.explain.course import course
from appserver.metering.explain.model import Explanation, HouseSeries, Place, PointSeries, Stage, Unmetered
from appserver.metering.explain.night import OFTEN, WINDOWS
from appserver.metering.explain.received import asked_for, received_volumes, without_answers
from appserver.metering.house import MARK, OF_BUILDING, HouseView, hour_marks, mark_of, origin_of, outermost, read_house
from appserver.metering.store import REVERSE, point_history
from appserver.metering.timebase import HOUR_US, date_of, day_of, midnight_us
from appserver.models.columns import from_micro
from appserver.models.registry import REGISTERS
from appserver.rules import Norm, Rule, RuleBook

MAX_DAYS = 400
HISTORY_DAYS = 60
MONTH_DAYS = 365.25 / 12
NIGHT_GAP_US = HOUR_US * 3 // 2
"""Readings may be so far apart at night: over more, a night is only guessed."""
NIGHT_CLOCK_US = HOUR_US // 3
"""A clock that is further off tells no night."""
QSTART = {"cold_water": Decimal("0.015"), "hot_water": Decimal("0.015"), "gas": Decimal("0.02")}
"""Starting flow when the meter's passport does not say, m³/h: class B of 15 mm, half its smallest flow; gas G1.6–G4."""


def explain_balance(db: Database, balance: Balance, norm_a_person: Decimal | None = None) -> Explanation | None:
    """The explanation of a balance's total; None when its imbalance is not known or it is longer than 400 days.

    ``norm_a_person`` is the norm for a person without a meter, a month; without it they count like others.
    """
    if balance.total.imbalance is None:
        return None
    with db.snapshot() as connection:
        house = read_house(connection, balance.building_id, balance.resource)
        start_us, end_us = (round(edge.timestamp()) * 1_000_000 for edge in (balance.total.start, balance.total.end))
        first, last = day_of(start_us, house.zone), day_of(end_us, house.zone)
        if not 0 < last - first <= MAX_DAYS:
            return None
        series = _series(house, balance, first, last, norm_a_person)
        explanation = explain(series)
        return replace(explanation, course=_course(house, series, explanation, (start_us, end_us), (first, last)))


def norm_rule(book: RuleBook, balance: Balance) -> Rule | None:
    """The rule that says the norm of consumption for a building in a balance's time."""
    return book.find("norm", balance.from_date, balance.address, resource=balance.resource)


def norm_a_person(book: RuleBook, balance: Balance) -> Decimal | None:
    """The norm a person and month that holds for a building in a balance's time, if there is one."""
    rule = norm_rule(book, balance)
    return rule.values.per_person if rule is not None and isinstance(rule.values, Norm) else None


def _series(house: HouseView, balance: Balance, first: int, last: int, norm: Decimal | None) -> HouseSeries:
    marks = _marks(house, first, last)
    before = outermost(house, first - HISTORY_DAYS, first)
    about = _about(house)
    flags = _flags(house, first, last)
    points = []
    for info in house.points:
        its = marks.get(info.point_id, [])
        ends = before.get(info.point_id)
        residents, qstart, device_us = about.get(info.point_id, (None, None, None))
        mean = None
        if ends is not None and ends.first is not None and ends.last is not None and ends.known:
            mean = float(ends.last.total - ends.first.total) * 86_400e6 / (ends.last.at_us - ends.first.at_us)
        series = PointSeries(info, _places(house, its, first), residents, mean, qstart=qstart or ZERO)
        series.flags = flags.get(info.point_id, ())
        if its:
            series.clock_us = (
                _clock(house, info, its[0], device_us),
                _clock(house, info, its[-1], device_us),
            )
            series.clock_bound = _clock_bound(its)
            series.spread = sum((mark.spread or ZERO for mark in (its[0], its[-1])), ZERO)
            series.reverse = _reverse(house.connection, info.point_id, house.resource, its[0].at_us, its[-1].at_us)
        points.append(series)
    _clock_surplus(house, points, marks)
    mains = [series for series in points if series.info.role == "house"]
    flats = [series for series in points if series.info.role == "individual"]
    assert balance.total.imbalance is not None
    result = HouseSeries(
        date_of(first),
        last - first,
        balance.total.imbalance,
        _house_days(mains, last - first),
        mains,
        flats,
        _without(house, flats, norm),
    )
    _nights(house, result, first)
    return result


def _course(
    house: HouseView, series: HouseSeries, explanation: Explanation, edges: tuple[int, int], days: tuple[int, int]
) -> tuple[Stage, ...]:
    asked = asked_for(house, *days)
    whole = _marks(house, *days)
    by_itself = {point: without_answers(house, its, asked.get(point, {})) for point, its in whole.items()}
    infos = [one.info for one in (*series.mains, *series.flats)]
    raw = received_volumes(house, *edges)
    return course(infos, raw, _volumes(by_itself), _volumes(whole), explanation.rows)


def _volumes(marks: dict[int, list[Mark]]) -> dict[int, Decimal | None]:
    return {
        point: its[-1].total - its[0].total if its[-1].at_us > its[0].at_us else None
        for point, its in marks.items()
        if its
    }


def _marks(house: HouseView, first: int, last: int) -> dict[int, list[Mark]]:
    query = (
        f"SELECT {MARK} FROM boundary b WHERE b.point_id IN {OF_BUILDING}"
        " AND b.day BETWEEN :first AND :last ORDER BY b.point_id, b.day"
    )
    marks: dict[int, list[Mark]] = {}
    start_us = midnight_us(first, house.zone)
    for row in house.connection.execute(query, {**house.parameters, "first": first, "last": last}):
        its = marks.setdefault(row[0], [])
        mark = mark_of(row, house.zone)
        if not its and row[0] in house.origins:
            origin = origin_of(house, row[0], mark, start_us)
            if origin.at_us < mark.at_us:
                its.append(origin)
        its.append(mark)
    return marks


def _places(house: HouseView, marks: Sequence[Mark], first: int) -> list[Place]:
    start_us = midnight_us(first, house.zone)
    places = []
    for mark in marks:
        day = day_of(mark.at_us, house.zone)
        begun, ended = midnight_us(day, house.zone), midnight_us(day + 1, house.zone)
        at = day - first + (mark.at_us - begun) / (ended - begun)
        origin = mark.event == "origin" or (not places and "installed" in mark.event and mark.at_us >= start_us)
        places.append(Place(at, float(mark.total), mark.breaks, origin and not places))
    return places


def _house_days(mains: Sequence[PointSeries], length: int) -> list[float | None]:
    """What came in on each day whose two midnights all common meters tell."""
    days: list[float | None] = [0.0] * length if mains else [None] * length
    for main in mains:
        sign = 1 if main.info.direction == "in" else -1
        known = {place.at: place for place in main.places}
        for day in range(length):
            a, b = known.get(day), known.get(day + 1)
            before = days[day]
            if a is None or b is None or a.breaks != b.breaks or before is None:
                days[day] = None
            else:
                days[day] = before + sign * (b.total - a.total)
    return days


def _about(house: HouseView) -> dict[int, tuple[int | None, Decimal | None, int | None]]:
    """Residents, starting flow, and the last known error of the device's clock, by point."""
    return {
        point: (residents, from_micro(qstart) if qstart is not None else QSTART.get(house.resource), offset_us)
        for point, residents, qstart, offset_us in house.connection.execute(
            "SELECT p.id, pr.residents, m.qstart, (SELECT d.clock_offset_us FROM module_channel c"
            "  JOIN device_state d ON d.dev_eui = c.dev_eui WHERE c.meter_id = m.id AND c.valid_until_us IS NULL LIMIT 1)"
            " FROM point p LEFT JOIN premises pr ON pr.id = p.premises_id"
            " LEFT JOIN installation i ON i.point_id = p.id AND i.removed_at_us IS NULL"
            " LEFT JOIN meter m ON m.id = i.meter_id WHERE p.building_id = :building AND p.resource = :resource",
            house.parameters,
        )
    }


def _flags(house: HouseView, first: int, last: int) -> dict[int, tuple[str, ...]]:
    """Flags that the points' modules had up in the period."""
    span = {"from": midnight_us(first, house.zone), "until": midnight_us(last, house.zone)}
    found: dict[int, list[str]] = {}
    for point, flag in house.connection.execute(
        "SELECT DISTINCT i.point_id, f.flag FROM installation i JOIN module_channel c ON c.meter_id = i.meter_id"
        " JOIN device_flag f ON f.dev_eui = c.dev_eui WHERE i.point_id IN "
        f"{OF_BUILDING} AND f.raised_at_us < :until AND coalesce(f.cleared_at_us, :until) > :from ORDER BY 1, 2",
        {**house.parameters, **span},
    ):
        found.setdefault(point, []).append(flag)
    return {point: tuple(flags) for point, flags in found.items()}


def _clock(house: HouseView, info: PointInfo, mark: Mark, device_us: int | None) -> int | None:
    """Error of the clock behind a mark; where its reading did not tell, as it was seen nearest to it."""
    if mark.quality == "server_time":
        return 0
    if mark.clock_us is not None:
        return mark.clock_us
    history = point_history(house.connection, info.point_id)
    term = history.term_at(mark.at_us)
    return device_us if term is None else error_near(house.connection, history, term.meter_id, mark.at_us, device_us)


def _clock_surplus(house: HouseView, points: Sequence[PointSeries], marks: dict[int, list[Mark]]) -> None:
    """What clocks that are off did to the points' two marks: by their own values, else as parts of a day's flow."""
    mains = [series.info.point_id for series in points if series.info.role == "house"]
    weights: dict[int, Weight] = {}
    for series in points:
        its = marks.get(series.info.point_id, [])
        if len(its) < 2 or all(abs(error or 0) < LEAST_CLOCK_US for error in series.clock_us):
            continue
        history = point_history(house.connection, series.info.point_id)
        for end, mark, error_us in zip((0, 1), (its[0], its[-1]), series.clock_us, strict=True):
            if error_us is None or abs(error_us) < LEAST_CLOCK_US:
                continue
            if mark.at_us not in weights:
                weights[mark.at_us] = house_weight(house, mains, mark.at_us)
            weight = weights[mark.at_us]
            series.surplus[end] = surplus(house.connection, history, mark, error_us, weight)
            series.day_part[end] = day_part(mark.at_us, error_us, weight)


def _clock_bound(marks: Sequence[Mark]) -> Decimal:
    return errors_of(Ends(marks[0], marks[-1]))[0]


def _reverse(connection: sqlite3.Connection, point_id: int, resource: str, from_us: int, to_us: int) -> Decimal:
    """Growth of the reverse registers of the meters that hung at a point."""
    total = ZERO
    for meter_id, since_us, until_us in connection.execute(
        "SELECT meter_id, max(installed_at_us, ?2), min(coalesce(removed_at_us, ?3), ?3) FROM installation"
        " WHERE point_id = ?1 AND installed_at_us < ?3 AND coalesce(removed_at_us, ?3) > ?2",
        (point_id, from_us, to_us),
    ).fetchall():
        first, last = connection.execute(
            "SELECT min(value_micro), max(value_micro) FROM reading WHERE meter_id = ? AND register = ?"
            " AND measured_at_us BETWEEN ? AND ?",
            (meter_id, REGISTERS[resource] + REVERSE, since_us, until_us),
        ).fetchone()
        if first is not None:
            total += from_micro(last - first)
    return total


def _without(house: HouseView, flats: Sequence[PointSeries], norm: Decimal | None) -> list[Unmetered]:
    metered = {series.info.premises_id for series in flats}
    return [
        Unmetered(
            number, kind, residents, None if norm is None or not residents else float(norm) * residents / MONTH_DAYS
        )
        for id_, number, kind, residents in house.connection.execute(
            "SELECT id, number, kind, residents FROM premises WHERE building_id = :building AND kind <> 'common'"
            " ORDER BY CAST(number AS INTEGER), number",
            {"building": house.building_id},
        )
        if id_ not in metered
    ]


def _nights(house: HouseView, series: HouseSeries, first: int) -> None:
    """The flow of each night, in the window that most flats tell of those that the common meters tell often."""
    hours = sorted({hour for window in WINDOWS for hour in window})
    edges = [midnight_us(first + day, house.zone) + hour * HOUR_US for day in range(series.days) for hour in hours]
    mains = [(main, hour_marks(house, main.info.point_id, edges, NIGHT_GAP_US)) for main in series.mains]
    told = {}
    for window in WINDOWS:
        flows = [
            _sum([_flow(house, marks, first + day, window, main.info.direction) for main, marks in mains])
            for day in range(series.days)
        ]
        if mains and sum(flow is not None for flow in flows) >= OFTEN * series.days:
            told[window] = flows
    if not told:
        series.house_nights = [None] * series.days
        return
    hours = sorted({hour for window in told for hour in window})
    edges = [midnight_us(first + day, house.zone) + hour * HOUR_US for day in range(series.days) for hour in hours]
    flats = [hour_marks(house, flat.info.point_id, edges, NIGHT_GAP_US) for flat in series.flats]

    wrong = [_clock_course(house, flat, first, series.days) for flat in series.flats]

    def nights(window: tuple[int, int]) -> list[list[float | None]]:
        return [
            [None if day in bad else _flow(house, marks, first + day, window, "in") for day in range(series.days)]
            for marks, bad in zip(flats, wrong, strict=True)
        ]

    by_window = {window: nights(window) for window in told}
    best = max(told, key=lambda window: sum(flow is not None for nights in by_window[window] for flow in nights))
    series.house_nights = told[best]
    for flat, its in zip(series.flats, by_window[best], strict=True):
        flat.nights = its


def _clock_course(house: HouseView, series: PointSeries, first: int, days: int) -> set[int]:
    """Days whose hours a point's module did not know: its clock was seen to be off, last before or next after.

    Notes the days on which the clock went wrong or right.
    """
    start_us, end_us = midnight_us(first, house.zone), midnight_us(first + days, house.zone)
    seen = house.connection.execute(
        "SELECT r.measured_at_us, r.clock_error_us FROM installation i JOIN reading r ON r.meter_id = i.meter_id"
        " WHERE i.point_id = ? AND r.measured_at_us BETWEEN ? AND ? AND r.clock_error_us IS NOT NULL"
        " AND r.quality <> 'server_time' ORDER BY 1",
        (series.info.point_id, start_us - NEAR_US, end_us + NEAR_US),
    ).fetchall()
    wrong: set[int] = set()
    for (from_us, before), (until_us, after) in pairwise([(start_us, 0), *seen, (end_us, seen[-1][1] if seen else 0)]):
        span = range(max(day_of(from_us, house.zone) - first, 0), day_of(until_us, house.zone) - first + 1)
        if max(abs(before), abs(after)) > NIGHT_CLOCK_US:
            wrong.update(span)
        if abs(after - before) > NIGHT_CLOCK_US:
            series.turned.update(span)
    return wrong


def _flow(house: HouseView, marks: dict[int, Mark], day: int, window: tuple[int, int], direction: str) -> float | None:
    start_us = midnight_us(day, house.zone)
    a, b = (marks.get(start_us + hour * HOUR_US) for hour in window)
    if a is None or b is None or a.breaks != b.breaks:
        return None
    flow = float(b.total - a.total) / (window[1] - window[0])
    return flow if direction == "in" else -flow


def _sum(flows: Sequence[float | None]) -> float | None:
    known = [flow for flow in flows if flow is not None]
    return sum(known) if len(known) == len(flows) else None
