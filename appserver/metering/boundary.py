"""The value of a register at a moment."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal

from appserver.metering.timebase import HOUR_US, clock_bound_us

MAX_GAP_US = 6 * HOUR_US
"""Longest gap between two readings that is interpolated."""
TOLERANCE = Decimal("0.005")
"""A decrease up to this is noise of the last digits, not an event."""
_STEP = Decimal("0.000001")

RANK = {"corrected": -1, "archive": 0, "manual": 1, "import": 1, "measured": 2, "server_time": 3}
"""Of values for one moment the one of the least rank counts; a weaker one never takes the place of a stronger."""
NO_RANK = 9


@dataclass(frozen=True, slots=True)
class Sample:
    """A reading of one register."""

    at_us: int
    value: Decimal
    quality: str = "measured"
    received_at_us: int = 0
    clock_us: int | None = None
    """Error of the clock that stamped it; None: nothing compared it."""


@dataclass(frozen=True, slots=True)
class BoundaryValue:
    """A register's value at a boundary: ``measured``, ``interpolated``, ``server_time`` or ``disputed``."""

    value: Decimal
    quality: str
    clock_us: int | None = None
    """Error of the clock behind it (of the worse one, when two readings are behind it)."""
    spread: Decimal = Decimal(0)
    """How far it may be off although the clock were right: interpolation, and the register's own step."""

    def error(self, per_hour: Decimal) -> Decimal:
        """The bound of its error where ``per_hour`` flows: spread, and what passes while the clock is off."""
        bound_us = clock_bound_us(self.clock_us, self.quality == "server_time")
        return self.spread + abs(per_hour) * bound_us / HOUR_US


def settle(samples: Sequence[Sample]) -> tuple[Sample, bool]:
    """The sample that counts among several of one moment, and whether another contradicts it.

    A stored value beats one read while sending, which beats one without a trusted clock; among equals the one that
    was known first stands until a person decides.
    """
    best = min(samples, key=lambda s: (RANK.get(s.quality, NO_RANK), s.received_at_us, s.value))
    rank = RANK.get(best.quality, NO_RANK)
    return best, any(s.value != best.value and RANK.get(s.quality, NO_RANK) == rank for s in samples)


def boundary_value(
    samples: Sequence[Sample], at_us: int, max_gap_us: int = MAX_GAP_US, step: Decimal = Decimal(0)
) -> BoundaryValue | None:
    """The value at ``at_us`` out of samples in order of time: exact, else interpolated over a short gap, else None.

    Nothing is extrapolated. A fall between the two neighbours is not interpolated either: something happened there.
    ``step`` is the least that the register shows (a pulse, its last digit).
    """
    after = bisect_left(samples, at_us, key=lambda s: s.at_us)
    same = after
    while same < len(samples) and samples[same].at_us == at_us:
        same += 1
    if same > after:
        best, disputed = settle(samples[after:same])
        if disputed:
            others = [abs(s.value - best.value) for s in samples[after:same]]
            return BoundaryValue(best.value, "disputed", best.clock_us, step + max(others))
        quality = "server_time" if best.quality == "server_time" else "measured"
        return BoundaryValue(best.value, quality, best.clock_us, step)
    if after == 0 or after == len(samples):
        return None
    low, high = _moment_ending(samples, after), _moment_starting(samples, after)
    gap_us = high.at_us - low.at_us
    if gap_us > max_gap_us or low.value - high.value > TOLERANCE:
        return None
    part = Decimal(at_us - low.at_us) / Decimal(gap_us)
    value = low.value + (high.value - low.value) * part
    value = value.quantize(_STEP, ROUND_HALF_EVEN)
    # Whatever the flow was in between, the register stood between the two.
    spread = step + max(abs(value - low.value), abs(high.value - value))
    if "server_time" in (low.quality, high.quality):
        late = low if low.quality == "server_time" else high
        return BoundaryValue(value, "server_time", late.clock_us, spread)
    worse = max(low.clock_us, high.clock_us, key=clock_bound_us)
    return BoundaryValue(value, "interpolated", worse, spread)


def _moment_ending(samples: Sequence[Sample], end: int) -> Sample:
    start = end - 1
    while start > 0 and samples[start - 1].at_us == samples[end - 1].at_us:
        start -= 1
    return settle(samples[start:end])[0]


def _moment_starting(samples: Sequence[Sample], start: int) -> Sample:
    end = start + 1
    while end < len(samples) and samples[end].at_us == samples[start].at_us:
        end += 1
    return settle(samples[start:end])[0]
