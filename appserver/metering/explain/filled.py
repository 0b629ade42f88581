"""Every day of a point, known or estimated, and how much of it the balance does not have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import ceil
from statistics import median

from appserver.metering.explain.model import PointSeries

EPSILON = 1e-9


@dataclass(frozen=True, slots=True)
class Gap:
    """A part of the period that a point does not tell; places in days since its start."""

    kind: str
    """``start``, ``end``, ``break`` (a jump or days without a meter) or ``all``."""
    from_day: float
    until_day: float
    volume: float
    """What is likely to have flowed and is not counted."""

    @property
    def days(self) -> float:
        return self.until_day - self.from_day


@dataclass(slots=True)
class Filled:
    """A point's days, the gaps put in."""

    series: PointSeries
    days: list[float]
    rate: float
    """Mean volume a day."""
    gaps: list[Gap] = field(default_factory=list)
    spread: set[int] = field(default_factory=set)
    """Days whose volume is known only together with that of others."""

    def guessed(self, day: int) -> bool:
        """Whether the day, or a part of it, is an estimate."""
        return any(gap.from_day < day + 1 and gap.until_day > day for gap in self.gaps)

    def blurred(self, day: int) -> bool:
        """Whether the day is known less well than by its own two midnights and one clock."""
        return day in self.spread or day in self.series.turned or self.guessed(day)


def known_rate(series: PointSeries) -> float | None:
    """Mean volume a day over the parts that are known without a break."""
    passed = volume = 0.0
    for a, b in pairwise(series.places):
        if a.breaks == b.breaks:
            passed += b.at - a.at
            volume += b.total - a.total
    return volume / passed if passed > 0.5 else None


def fill(series: PointSeries, length: int, typical: float) -> Filled:
    """Spread known volumes over their days; gaps get the point's own rate, else that of before, else the typical one."""
    own = known_rate(series)
    rate = own if own is not None else series.before if series.before is not None else typical
    filled = Filled(series, [0.0] * length, rate)
    places = series.places

    def gap(kind: str, from_day: float, until_day: float, counted: float = 0.0) -> None:
        missing = rate * (until_day - from_day) - counted
        _spread(filled.days, from_day, until_day, counted + missing)
        filled.gaps.append(Gap(kind, from_day, until_day, missing))

    if len(places) < 2:
        if not (places and places[0].origin and places[0].at >= length):
            gap("all", max(places[0].at, 0.0) if places and places[0].origin else 0.0, float(length))
        return filled
    if places[0].at > EPSILON and not places[0].origin:
        gap("start", 0.0, places[0].at)
    for a, b in pairwise(places):
        if a.breaks == b.breaks:
            _spread(filled.days, a.at, b.at, b.total - a.total)
            if b.at - a.at > 1 + EPSILON:
                filled.spread.update(range(int(a.at), ceil(b.at)))
        else:
            gap("break", a.at, b.at, b.total - a.total)
    if length - places[-1].at > EPSILON:
        gap("end", places[-1].at, float(length))
    return filled


def _spread(days: list[float], from_day: float, until_day: float, volume: float) -> None:
    span = until_day - from_day
    if span <= 0:
        return
    for day in range(max(int(from_day), 0), min(int(until_day - EPSILON) + 1, len(days))):
        days[day] += volume * (min(day + 1, until_day) - max(day, from_day)) / span


def typical_rates(flats: Sequence[PointSeries]) -> tuple[float, float | None]:
    """Median volume a day of a metered flat, and of a person in one (None when nobody's number is known)."""
    rates = [(rate, series.residents) for series in flats if (rate := known_rate(series)) is not None]
    if not rates:
        return 0.0, None
    persons = [rate / residents for rate, residents in rates if residents]
    return median(rate for rate, _ in rates), median(persons) if persons else None
