"""The days of a house: the same rows as the balance makes of marks, out of whole millionths.

A month of a house is six thousand boundary values. Added up as they come out of the database, one point after another,
they cost less than making decimals of them.
"""

from __future__ import annotations

from decimal import Decimal

from appserver.metering.balance import QUALITY_ORDER, PeriodRow, summed_row
from appserver.metering.house import HouseView
from appserver.metering.timebase import clock_bound_us, midnight_us, moment
from appserver.models.columns import neat

_RANK = {quality: rank for rank, quality in enumerate(QUALITY_ORDER)}
_MISSING, _DISPUTED = _RANK["missing"], _RANK["disputed"]
_QUERY = (
    "SELECT b.point_id, b.day, b.total_micro, b.breaks, b.quality, b.event, b.clock_us, b.spread_micro FROM point p"
    " CROSS JOIN boundary b ON b.point_id = p.id AND b.day BETWEEN :first AND :last"
    " WHERE p.building_id = :building AND p.resource = :resource"
)


def day_rows(house: HouseView, first: int, last: int) -> list[PeriodRow]:
    """A row for each day from ``first`` to ``last`` (excluded), both numbers of days."""
    count = last - first
    edges = [midnight_us(day, house.zone) for day in range(first, last + 1)]
    known = {point.point_id: point for point in house.points}
    ranks: dict[int, bytearray] = {}
    sums = {"individual": [0] * count, "house": [0] * count}
    spreads = [0] * count
    moving: list[dict[int, int]] = [{} for _ in range(count)]
    """By day and by length of time: millionths that may be clock, times that length."""
    current, sign = None, 1
    before_day = before_total = before_breaks = before_rank = before_off_us = before_spread = 0
    of_point, of_role = bytearray(), sums["individual"]
    marks = house.connection.execute(_QUERY, {**house.parameters, "first": first, "last": last}).fetchall()
    marks.sort()  # by point and day: they come nearly so, and a database that must promise it takes longer
    for point_id, day, total, breaks, quality, event, clock_us, spread in marks:
        if point_id != current:
            if (point := known.get(point_id)) is None:
                continue
            current, before_day = point_id, -1
            of_point = ranks[point_id] = bytearray([_MISSING]) * count
            of_role, sign = sums[point.role], -1 if point.direction == "out" and point.role == "house" else 1
        rank = _RANK[quality]
        off_us = abs(clock_us) if clock_us is not None and rank != 2 else clock_bound_us(clock_us, rank == 2)
        spread = spread or 0
        at = day - first - 1
        if at >= 0:
            from_us = edges[at]
            start = (before_total, before_breaks, before_rank, before_off_us, before_spread)
            counts = before_day == day - 1
            if event and not counts and "installed" in event:
                # Its very first mark stands for the installation: nothing was counted earlier.
                from_us, start = house.origins[point_id].at_us, (0, 0, 0, 0, 0)
                counts = edges[at] <= from_us < edges[at + 1]
            if counts:
                volume = total - start[0]
                worst = rank if rank > start[2] else start[2]
                of_point[at] = _DISPUTED if breaks != start[1] and worst < _DISPUTED else worst
                of_role[at] += sign * volume
                length, of_day = edges[at + 1] - from_us, moving[at]
                of_day[length] = of_day.get(length, 0) + abs(volume) * (off_us + start[3])
                spreads[at] += spread + start[4]
        before_day, before_total, before_breaks = day, total, breaks
        before_rank, before_off_us, before_spread = rank, off_us, spread
        if event and "installed" in event and house.origins[point_id].at_us >= edges[day - first]:
            before_total = before_breaks = before_rank = before_off_us = before_spread = 0
    worst_of = _by_flat(house, ranks, count)
    commons = [ranks.get(p.point_id, bytearray([_MISSING]) * count) for p in house.points if p.role == "house"]
    return [
        _row(
            _micro(sums["house"][at]) if any(of[at] != _MISSING for of in commons) else None,
            max((of[at] for of in commons), default=0),
            _micro(sums["individual"][at]),
            [of[at] for of in worst_of],
            (moment(edges[at], house.zone), moment(edges[at + 1], house.zone)),
            (_ceiling(moving[at], 0), _ceiling(moving[at], spreads[at])),
        )
        for at in range(count)
    ]


def _by_flat(house: HouseView, ranks: dict[int, bytearray], count: int) -> list[bytearray]:
    """The worst of each flat's points, day by day."""
    flats: dict[int, bytearray] = {}
    nothing = bytearray([_MISSING]) * count
    for point in house.points:
        if point.role == "individual":
            flat, its = point.premises_id or -point.point_id, ranks.get(point.point_id, nothing)
            other = flats.get(flat)
            flats[flat] = its if other is None else bytearray(map(max, other, its))
    return list(flats.values())


def _row(
    common: Decimal | None,
    common_rank: int,
    individual: Decimal,
    flats: list[int],
    moments: tuple[object, object],
    bounds: tuple[int, int],
) -> PeriodRow:
    clock, error = (neat(_micro(bound)) for bound in bounds)
    return summed_row(common, QUALITY_ORDER[common_rank], individual, flats, *moments, clock, error)  # type: ignore[arg-type]


def _ceiling(moving: dict[int, int], more: int) -> int:
    """The sum of the quotients and ``more``, rounded up: a bound must not promise more than is known."""
    numerator, denominator = more, 1
    for length, product in moving.items():
        numerator, denominator = numerator * length + product * denominator, denominator * length
    return -(-numerator // denominator)


def _micro(value: int) -> Decimal:
    return Decimal(value).scaleb(-6)
