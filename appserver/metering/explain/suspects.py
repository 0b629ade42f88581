"""FR-26: whose consumption stepped down on the day on which the house's residual stepped up.

A suspicion is not a proof: it names the day, both steps and what the meter's module reported, for a person to go and see.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import inf
from statistics import fmean

from appserver.metering.explain.filled import Filled
from appserver.metering.explain.steps import Segment, noise, segments, t_of

MOST = 3
"""Suspects a house and period: rather few that are right."""
LEAST_SHARE = 0.4
"""A flat's fall must be so much of the residual's rise, and of its own consumption."""
LEAST_T = 3.0
SURE_SHARE, SURE_T = 0.7, 4.5
TAMPER = frozenset({"magnetic_tamper", "head_detached", "case_opened", "indicator_blocked", "tamper_a", "tamper_b"})


@dataclass(frozen=True, slots=True)
class Suspect:
    """A flat whose fall explains a rise of the residual."""

    flat: Filled
    start: int
    """First day."""
    end: int
    """Excluded."""
    volume: float
    """What the residual has above its level of before."""
    fall: float
    """Of the flat's own consumption, a day."""
    sure: bool


@dataclass(frozen=True, slots=True)
class Rise:
    """A rise of the residual that no flat's fall explains."""

    start: int
    end: int
    a_day: float


def find(
    residual: Sequence[float], flats: Sequence[Filled], least: float, leaks: Sequence[tuple[int, float]] = ()
) -> tuple[list[Suspect], list[Rise]]:
    """Suspects, and the rises that have none. ``leaks`` are rises of the night flow: (day, units a day)."""
    parts = segments(residual, least)
    suspects: list[Suspect] = []
    rises: list[Rise] = []
    for index, (before, after) in enumerate(pairwise(parts)):
        rise = after.mean - before.mean
        if rise <= 0 or any(abs(day - after.start) <= 2 and 0.5 * rise <= a_day <= 2 * rise for day, a_day in leaks):
            continue
        end = _lasts(parts, index + 1, before.mean + rise / 2)
        best = max((_match(flat, before, after, rise) for flat in flats), key=lambda match: match[0], default=None)
        if best is None or best[0] <= 0 or best[1] is None:
            rises.append(Rise(after.start, end, rise))
            continue
        _, flat, fall, t = best
        volume = sum(residual[after.start : end]) - before.mean * (end - after.start)
        if min(fall, rise) / max(fall, rise) >= SURE_SHARE:
            volume = _both(volume / (end - after.start), fall, noise(residual), noise(flat.days)) * (end - after.start)
        sure = bool(TAMPER & set(flat.series.flags)) or (
            min(fall, rise) / max(fall, rise) >= SURE_SHARE and t >= SURE_T
        )
        suspects.append(Suspect(flat, after.start, end, volume, fall, sure))
    suspects.sort(key=lambda suspect: -suspect.volume)
    return suspects[:MOST], rises


def _both(rise: float, fall: float, noise_of_rise: float, noise_of_fall: float) -> float:
    """Two measurements of one theft: the quieter one weighs more."""
    if noise_of_rise + noise_of_fall <= 0:
        return (rise + fall) / 2
    weight = noise_of_fall**2 / (noise_of_rise**2 + noise_of_fall**2)
    return weight * rise + (1 - weight) * fall


def _lasts(parts: Sequence[Segment], index: int, level: float) -> int:
    """The end of the last part in a row that stays above a level."""
    end = parts[index].end
    for part in parts[index + 1 :]:
        if part.mean < level:
            break
        end = part.end
    return end


def _match(flat: Filled, before: Segment, after: Segment, rise: float) -> tuple[float, Filled | None, float, float]:
    earlier, later = flat.days[before.start : before.end], flat.days[after.start : after.end]
    fall = fmean(earlier) - fmean(later)
    if fall < LEAST_SHARE * rise or fall < LEAST_SHARE * fmean(earlier):
        return 0.0, None, fall, 0.0
    t = t_of(earlier, later, max(noise(earlier), noise(later)))
    if t < LEAST_T and not TAMPER & set(flat.series.flags):
        return 0.0, None, fall, t
    closeness = min(fall, rise) / max(fall, rise)
    return closeness + (1.0 if TAMPER & set(flat.series.flags) else 0.0), flat, fall, min(t, inf)
