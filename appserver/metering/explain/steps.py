"""Steps in a daily series: where the mean changes and stays changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import inf, sqrt
from statistics import fmean, median

MIN_DAYS = 3
"""The shortest part that counts as one."""
LIMIT_T = 4.5
"""A step must be so many times its own uncertainty."""


@dataclass(frozen=True, slots=True)
class Segment:
    """Days with one mean; ``end`` is excluded."""

    start: int
    end: int
    mean: float


def noise(values: Sequence[float]) -> float:
    """Standard deviation within the segments: out of the differences of neighbours, which steps hardly touch."""
    differences = [abs(b - a) for a, b in pairwise(values)]
    return median(differences) / 0.6745 / sqrt(2) if differences else 0.0


def t_of(before: Sequence[float], after: Sequence[float], sigma: float) -> float:
    """How many times its uncertainty the difference of two means is."""
    difference = abs(fmean(after) - fmean(before))
    error = sigma * sqrt(1 / len(before) + 1 / len(after))
    return difference / error if error > 0 else (inf if difference > 0 else 0.0)


def segments(values: Sequence[float], least: float) -> list[Segment]:
    """Parts of constant mean by binary segmentation; steps under ``least`` are not told."""
    sigma = noise(values)
    cuts = [0, *sorted(_cuts(values, 0, len(values), sigma, least)), len(values)]
    return [Segment(a, b, fmean(values[a:b])) for a, b in pairwise(cuts) if b > a]


def _cuts(values: Sequence[float], start: int, end: int, sigma: float, least: float) -> list[int]:
    best, best_t = 0, 0.0
    best_gain = 0.0
    for cut in range(start + MIN_DAYS, end - MIN_DAYS + 1):
        before, after = values[start:cut], values[cut:end]
        difference = fmean(after) - fmean(before)
        gain = difference * difference * len(before) * len(after) / (end - start)
        if gain > best_gain:
            best, best_gain, best_t = cut, gain, t_of(before, after, sigma)
            best_difference = abs(difference)
    if not best or best_t < LIMIT_T or best_difference < least:
        return []
    return [*_cuts(values, start, best, sigma, least), best, *_cuts(values, best, end, sigma, least)]
