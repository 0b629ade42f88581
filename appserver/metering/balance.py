"""The balance of a building: what came in through the common meters against what the individual ones counted."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import ROUND_CEILING, ROUND_HALF_EVEN, Decimal

from appserver.metering.consumption import ZERO, Mark
from appserver.metering.timebase import clock_bound_us
from appserver.models.columns import neat

QUALITY_ORDER = ("measured", "interpolated", "server_time", "disputed", "partial", "missing")
"""Best first; a volume is as good as the worse of its two ends."""
_WORSE = {quality: rank for rank, quality in enumerate(QUALITY_ORDER)}
ESTIMATED = ("interpolated", "server_time", "disputed")
_PERCENT, _STEP = Decimal("0.1"), Decimal("0.000001")


@dataclass(frozen=True, slots=True)
class PointInfo:
    """A metering point as balances and lists show it."""

    point_id: int
    role: str
    direction: str
    name: str = ""
    premises_id: int | None = None
    premises: str = ""
    premises_kind: str = ""
    account_number: str = ""
    meter_id: int | None = None
    """The meter that hangs there now."""
    serial: str = ""


@dataclass(frozen=True, slots=True)
class PointRow:
    """What one point counted in a period."""

    point_id: int
    premises_id: int | None
    premises: str
    account_number: str
    role: str
    direction: str
    name: str
    meter_id: int | None
    serial: str
    start: Decimal | None
    """Register at the start; None when missing."""
    end: Decimal | None
    start_at: datetime | None
    """The moment ``start`` is of: the period's start unless the quality is ``partial``."""
    end_at: datetime | None
    volume: Decimal | None
    """Signed; of the known part when the quality is ``partial``; None when missing."""
    quality: str
    events: tuple[str, ...] = ()
    clock: Decimal | None = None
    """How much of the volume may be clock, at most."""
    error: Decimal | None = None
    """Bound of its whole error."""


@dataclass(frozen=True, slots=True)
class PeriodRow:
    """A building in one period."""

    start: datetime
    end: datetime
    house: Decimal | None
    """Common meters, in minus out; None when one of them is not known at both ends."""
    individual: Decimal
    """Sum of the individual points as far as they are known."""
    imbalance: Decimal | None
    imbalance_pct: Decimal | None
    """Of ``house``."""
    measured: int
    """Flats (premises) all of whose points are measured at both ends."""
    interpolated: int
    """Flats that are known with a weaker quality: interpolated, on server time, disputed."""
    partial: int
    """Flats that are known for a part of the period only."""
    missing: int
    coverage_pct: Decimal | None
    """Share of flats known for the whole period."""
    house_quality: str = "missing"
    clock: Decimal = ZERO
    """How much of the imbalance clocks may make, at most: what flows while they are off, over all points."""
    error: Decimal = ZERO
    """Bound of the whole error: clocks, interpolation, and the registers' own steps."""


@dataclass(frozen=True, slots=True)
class Balance:
    """A building's balance of one resource."""

    building_id: int
    address: str
    resource: str
    unit: str
    step: str
    timezone: str
    from_date: date
    to_date: date
    """Excluded."""
    flats: int
    """Premises with individual points of this resource."""
    unmetered: int
    """Flats of the building without one."""
    total: PeriodRow
    """Over the part of the asked time that the meters have told; its ``start`` and ``end`` say which.

    It ends with the last midnight known of nine tenths of the points, so that a day that is still coming in does not look
    like a loss.
    """
    periods: list[PeriodRow] = field(default_factory=list)
    points: list[PointRow] = field(default_factory=list)
    """Over the same part as ``total``: common meters first, then by premises."""


@dataclass(frozen=True, slots=True)
class Ends:
    """First and last mark of a point within a period, with the base of its very first one."""

    first: Mark | None
    last: Mark | None

    @property
    def known(self) -> bool:
        """Whether there are two different moments."""
        return self.first is not None and self.last is not None and self.last.at_us > self.first.at_us


NOTHING = Ends(None, None)


def worse(one: str, other: str) -> str:
    """The worse of two qualities."""
    return one if _WORSE[one] >= _WORSE[other] else other


def shown(value: Decimal) -> Decimal:
    """A bound to the millionth, rounded up: it must not promise more than is known."""
    return neat(value.quantize(_STEP, ROUND_CEILING))


def volume_of(ends: Ends, start_us: int, end_us: int) -> tuple[Decimal | None, str]:
    """Volume and quality of a point in a period. Before a point's first installation there was nothing to count."""
    first, last = ends.first, ends.last
    if first is None or last is None or last.at_us <= first.at_us:
        return None, "missing"
    quality = worse(first.quality, last.quality)
    if first.breaks != last.breaks:
        quality = worse(quality, "disputed")
    if (first.at_us > start_us and first.event != "origin") or last.at_us < end_us:
        quality = "partial"
    return last.total - first.total, quality


def errors_of(ends: Ends) -> tuple[Decimal, Decimal]:
    """How much of a volume may be clock, and the bound of its whole error: (clock, all), both at most.

    Clocks count with the mean flow of the period; values of before errors were kept count with their clocks only.
    """
    first, last = ends.first, ends.last
    if first is None or last is None or last.at_us <= first.at_us:
        return ZERO, ZERO
    bounds_us = sum(clock_bound_us(m.clock_us, m.quality == "server_time") for m in (first, last))
    clock = abs(last.total - first.total) * bounds_us / (last.at_us - first.at_us)
    return clock, clock + (first.spread or ZERO) + (last.spread or ZERO)


Measured = tuple[Decimal | None, str, Decimal, Decimal]
"""Volume and quality of a point, how much of it may be clock, the bound of its whole error."""


def measured(ends: Sequence[Ends], start_us: int, end_us: int) -> list[Measured]:
    """What each point counted in a period."""
    return [(*volume_of(its, start_us, end_us), *errors_of(its)) for its in ends]


def imbalance(house: Decimal, individual: Decimal, unmetered: Decimal = ZERO) -> tuple[Decimal, Decimal | None]:
    """``house - individual - unmetered`` and its share of ``house`` in per cent, one decimal."""
    difference = house - individual - unmetered
    return difference, (difference * 100 / house).quantize(_PERCENT, ROUND_HALF_EVEN) if house else None


def period_row(
    points: Sequence[PointInfo], ends: Sequence[Ends], start_us: int, end_us: int, start: datetime, end: datetime
) -> PeriodRow:
    """One period of a building: ``ends`` runs parallel to ``points``."""
    return sum_of(points, measured(ends, start_us, end_us), start, end)


def sum_of(points: Sequence[PointInfo], counted: Sequence[Measured], start: datetime, end: datetime) -> PeriodRow:
    """One period of a building: ``counted`` runs parallel to ``points``."""
    house: Decimal | None = None
    house_quality = "measured"
    individual = clock = error = ZERO
    flats: dict[object, int] = {}
    for point, (volume, quality, of_clock, of_all) in zip(points, counted, strict=True):
        clock, error = clock + of_clock, error + of_all
        if point.role == "house":
            house_quality = worse(house_quality, quality)
            if volume is not None:
                house = (house or ZERO) + (volume if point.direction == "in" else -volume)
        elif point.role == "individual":
            flat = point.premises_id or -point.point_id
            rank = _WORSE[quality]
            if flats.get(flat, -1) < rank:
                flats[flat] = rank
            if volume is not None:
                individual += volume
    return summed_row(house, house_quality, individual, flats.values(), start, end, shown(clock), shown(error))


def summed_row(
    house: Decimal | None,
    house_quality: str,
    individual: Decimal,
    flats: Collection[int],
    start: datetime,
    end: datetime,
    clock: Decimal,
    error: Decimal,
) -> PeriodRow:
    """A period out of its sums; ``flats`` has the rank of the worst quality of each."""
    if house is None or house_quality == "missing":
        house, house_quality = None, "missing"
    counts = [0] * len(QUALITY_ORDER)
    for rank in flats:
        counts[rank] += 1
    difference, percent = None, None
    if house is not None and house_quality != "partial":
        difference, percent = imbalance(house, individual)
    whole = counts[0] + sum(counts[_WORSE[q]] for q in ESTIMATED)
    coverage = (Decimal(100 * whole) / len(flats)).quantize(_PERCENT, ROUND_HALF_EVEN) if flats else None
    return PeriodRow(
        start=start,
        end=end,
        house=neat(house) if house is not None else None,
        individual=neat(individual),
        imbalance=neat(difference) if difference is not None else None,
        imbalance_pct=percent,
        measured=counts[0],
        interpolated=whole - counts[0],
        partial=counts[_WORSE["partial"]],
        missing=counts[_WORSE["missing"]],
        coverage_pct=coverage,
        house_quality=house_quality,
        clock=clock,
        error=error,
    )


def point_row(
    point: PointInfo,
    ends: Ends,
    counted: Measured,
    moments: tuple[datetime | None, datetime | None],
    events: Iterable[str] = (),
) -> PointRow:
    """One point over a period; ``moments`` are those of its ends."""
    volume, quality, clock, error = counted
    return PointRow(
        point_id=point.point_id,
        premises_id=point.premises_id,
        premises=point.premises,
        account_number=point.account_number,
        role=point.role,
        direction=point.direction,
        name=point.name,
        meter_id=point.meter_id,
        serial=point.serial,
        start=neat(ends.first.value) if ends.first else None,
        end=neat(ends.last.value) if ends.last else None,
        start_at=moments[0],
        end_at=moments[1],
        volume=neat(volume) if volume is not None else None,
        quality=quality,
        events=tuple(events),
        clock=shown(clock) if volume is not None else None,
        error=shown(error) if volume is not None else None,
    )
