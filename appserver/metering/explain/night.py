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


def night_residuals(
    house: Sequence[float | None], flats: Sequence[PointSeries], unmetered: int
) -> tuple[list[float | None], float]:
    """Each night's flow an hour that no flat explains, and the share of flats whose night was known."""
    residuals: list[float | None] = []
    known = asked = 0
    for day, flow in enumerate(house):
        if flow is None:
            residuals.append(None)
            continue
        nights = [series.nights[day] if day < len(series.nights) else None for series in flats]
        told = [night for night in nights if night is not None]
        asked += len(nights)
        known += len(told)
        residuals.append(flow - sum(told) - ALLOWANCE_M3H * (len(nights) - len(told) + unmetered))
    return residuals, known / asked if asked else 1.0


def leaks(residuals: Sequence[float | None], known_share: float, step: float = 0.0) -> list[Leak]:
    """Leaks out of the nights; ``step`` is how far one night may be off by the common meter's pulses, per hour."""
    days = [day for day, value in enumerate(residuals) if value is not None]
    values = [value for value in residuals if value is not None]
    if len(values) < MIN_DAYS:
        return []
    sure = known_share >= KNOWN_SHARE
    least = max(LEAST_M3H, step / sqrt(len(values)))
    found = []
    parts = segments(values, least)
    for index, part in enumerate(parts):
        nights = values[part.start : part.end]
        # Where flats' nights are not known, late comers draw water: the quiet quarter of the nights tells the leak.
        level = fmean(nights) if sure or len(nights) < 4 else quantiles(nights, n=4)[0]
        bound = 2 * max(noise(nights), step / 2) / sqrt(len(nights))
        if level < least or level < bound:
            continue
        start = days[part.start] if index else 0
        end = days[parts[index + 1].start] if index + 1 < len(parts) else len(residuals)
        found.append(Leak(start, end, level, bound, sure))
    return found
