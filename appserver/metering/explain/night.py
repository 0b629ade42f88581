"""FR-12 (f): leaks by the flow of the night, when next to nobody draws water."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import fmean, quantiles

from appserver.metering.explain.model import PointSeries
from appserver.metering.explain.steps import MIN_DAYS, noise, segments

WINDOWS = ((2, 5), (2, 4), (1, 5), (0, 4), (0, 6))
"""Hours of the night, the best first; the first that the common meters tell often enough is taken."""
OFTEN = 0.7
ALLOWANCE_M3H = 0.0015
"""What a flat whose hours are not known may draw at night, m³/h: one tank of a toilet in six to seven hours."""
LEAST_M3H = 0.002
KNOWN_SHARE = 0.9
CLEAR_NIGHTS = 7
"""So many nights that most flats tell make the others needless."""
OWN_NIGHTS = 5
"""Of so many known nights the mean stands in for a flat's unknown ones."""


@dataclass(frozen=True, slots=True)
class Leak:
    """A flow that does not stop at night."""

    start: int
    """First day."""
    end: int
    """Excluded."""
    per_hour: float
    bound: float
    """Of the flow, per hour."""
    sure: bool
    """The flats' own night flow was known and taken off."""


@dataclass(frozen=True, slots=True)
class Night:
    """What no flat explains of a night's flow, an hour."""

    residual: float
    known: float
    """Share of flats whose own values tell this night."""
    sure: float
    """Share of flats whose own values tell this night or others."""


def night_residuals(house: Sequence[float | None], flats: Sequence[PointSeries], unmetered: int) -> list[Night | None]:
    """The nights; None where the house's flow is not known.

    A night that is not known goes by the flat's other ones, else by those of the other flats.
    """
    means = [_mean(series.nights) for series in flats]
    told = [mean for mean in means if mean is not None]
    other = fmean(told) if len(told) >= OWN_NIGHTS else ALLOWANCE_M3H
    nights: list[Night | None] = []
    for day, flow in enumerate(house):
        if flow is None:
            nights.append(None)
            continue
        drawn = other * unmetered
        own = stood_in = 0
        for series, mean in zip(flats, means, strict=True):
            night = series.nights[day] if day < len(series.nights) else None
            own += night is not None
            stood_in += night is None and mean is not None
            drawn += next((one for one in (night, mean) if one is not None), other)
        asked = max(len(flats), 1)
        nights.append(Night(flow - drawn, own / asked, (own + stood_in) / asked if flats else 1.0))
    return nights


def _mean(nights: Sequence[float | None]) -> float | None:
    """A flat's night as far as it is known often enough to stand in for its other ones."""
    told = [night for night in nights if night is not None]
    return fmean(told) if len(told) >= OWN_NIGHTS else None


def leaks(nights: Sequence[Night | None], step: float = 0.0) -> list[Leak]:
    """Leaks out of the nights; ``step`` is how far one night may be off by the common meter's pulses, per hour.

    Nights that flats tell badly are left out where enough others tell.
    """
    told = [(day, night) for day, night in enumerate(nights) if night is not None]
    clear = [(day, night) for day, night in told if night.known >= KNOWN_SHARE]
    if len(clear) >= CLEAR_NIGHTS:
        told = clear
    days, values = [day for day, _ in told], [night.residual for _, night in told]
    if len(values) < MIN_DAYS:
        return []
    sure = fmean(night.sure for _, night in told) >= KNOWN_SHARE
    least = max(LEAST_M3H, step / sqrt(len(values)))
    found = []
    parts = segments(values, least)
    for index, part in enumerate(parts):
        its = values[part.start : part.end]
        # Where flats' nights are not known, late comers draw water: the quiet quarter of the nights tells the leak.
        level = fmean(its) if sure or len(its) < 4 else quantiles(its, n=4)[0]
        bound = 2 * max(noise(its), step / 2) / sqrt(len(its))
        if level < least or level < bound:
            continue
        start = days[part.start] if index else 0
        end = days[parts[index + 1].start] if index + 1 < len(parts) else len(nights)
        found.append(Leak(start, end, level, bound, sure))
    return found
