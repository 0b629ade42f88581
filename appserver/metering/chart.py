"""The days of a house: the same rows as the balance makes of marks, out of whole millionths.

A month of a house is six thousand boundary values. As numbers of the database they add up in the time that it takes to
make decimals of them.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from appserver.metering.balance import QUALITY_ORDER, PeriodRow, summed_row
from appserver.metering.house import HouseView
from appserver.metering.timebase import clock_bound_us, midnight_us, moment
from appserver.models.columns import neat

_RANK = {quality: rank for rank, quality in enumerate(QUALITY_ORDER)}
_MISSING, _DISPUTED = _RANK["missing"], _RANK["disputed"]
_QUERY = (
    "SELECT b.day, b.point_id, b.total_micro, b.breaks, b.quality, b.event, b.clock_us, b.spread_micro FROM point p"
    " CROSS JOIN boundary b ON b.point_id = p.id AND b.day BETWEEN :first AND :last"
    " WHERE p.building_id = :building AND p.resource = :resource"
)
_ORIGIN = (0, 0, "measured", "origin", 0, 0)
_Value = tuple[int, int, str, str, int | None, int | None]
"""total_micro, breaks, quality, event, clock_us, spread_micro."""


def day_rows(house: HouseView, pairs: list[tuple[int, int]]) -> list[PeriodRow]:
    """A row for each pair of day numbers, of whose midnights the values are known or not."""
    by_day: dict[int, dict[int, _Value]] = {}
    parameters = {**house.parameters, "first": pairs[0][0], "last": pairs[-1][1]}
    for day, point_id, *value in house.connection.execute(_QUERY, parameters):
        of_day = by_day.get(day)
        if of_day is None:
            of_day = by_day[day] = {}
        of_day[point_id] = value
    points = [
        (p.point_id, p.role, -1 if p.direction == "out" else 1, p.premises_id or -p.point_id) for p in house.points
    ]
    return [_row(house, points, by_day.get(first, {}), by_day.get(last, {}), first, last) for first, last in pairs]


def _row(
    house: HouseView,
    points: list[tuple[int, str, int, int]],
    starts: dict[int, Any],
    stops: dict[int, Any],
    first: int,
    last: int,
) -> PeriodRow:
    start_us, end_us = midnight_us(first, house.zone), midnight_us(last, house.zone)
    individual = common = spread = 0
    common_rank, has_common = 0, False
    flats: dict[int, int] = {}
    moving: dict[int, int] = {}
    """By length of time: millionths that may be clock, times that length."""
    for point_id, role, sign, flat in points:
        end = stops.get(point_id)
        volume, rank = 0, _MISSING
        if end is not None:
            begin, from_us = starts.get(point_id), start_us
            if (begin is None or "installed" in begin[3]) and "installed" in (begin or end)[3]:
                # Its very first mark stands for the installation: nothing was counted earlier.
                origin_us = house.origins[point_id].at_us
                if origin_us >= start_us:
                    begin, from_us = _ORIGIN, origin_us
            if begin is not None and from_us < end_us:
                volume = end[0] - begin[0]
                rank = max(_RANK[begin[2]], _RANK[end[2]])
                if begin[1] != end[1] and rank < _DISPUTED:
                    rank = _DISPUTED
                off_us = clock_bound_us(begin[4], begin[2] == "server_time")
                off_us += clock_bound_us(end[4], end[2] == "server_time")
                moving[end_us - from_us] = moving.get(end_us - from_us, 0) + abs(volume) * off_us
                spread += (begin[5] or 0) + (end[5] or 0)
        if role == "individual":
            if flats.get(flat, -1) < rank:
                flats[flat] = rank
            individual += volume
        elif role == "house":
            common_rank = max(common_rank, rank)
            if rank != _MISSING:
                common, has_common = common + sign * volume, True
    clock = _ceiling(moving, 0)
    return summed_row(
        _micro(common) if has_common else None,
        QUALITY_ORDER[common_rank],
        _micro(individual),
        flats.values(),
        moment(start_us, house.zone),
        moment(end_us, house.zone),
        neat(_micro(clock)),
        neat(_micro(_ceiling(moving, spread))),
    )


def _ceiling(moving: dict[int, int], more: int) -> int:
    """The sum of the quotients and ``more``, rounded up: a bound must not promise more than is known."""
    if len(moving) == 1:
        ((length, product),) = moving.items()
        return more - (-product // length)
    numerator, denominator = more, 1
    for length, product in moving.items():
        numerator, denominator = numerator * length + product * denominator, denominator * length
    return -(-numerator // denominator)


def _micro(value: int) -> Decimal:
    return Decimal(value).scaleb(-6)
