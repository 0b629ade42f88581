"""Whether a clock is to be corrected, by how much, and what became of it. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from appserver.metering.timebase import SECOND_US
from appserver.rules.kinds import ClockCorrection

QUARTER_S = 900
ZONE_FROM_S = 1800
"""From here on a whole number of quarters of an hour is another zone, not a wrong clock."""
ZONE_TOLERANCE_S = 60
SEEN_TOLERANCE_S = 60
"""A step counts as made when the next offset is so near to where it should have led."""

MAX_STEP_S = {"karat": 0x7FFF, "vega": 2**31, "betar": 2**31}
"""Largest step that the command of a family holds; KARAT's is a signed number of 16 bits."""


@dataclass(frozen=True, slots=True)
class Clock:
    """What is known of a device's clock."""

    codec: str
    offset_us: int
    """Device clock minus server clock."""
    last_planned_at_us: int | None = None
    in_vain: int = 0
    """Steps in a row that changed nothing."""


def family(codec: str) -> str:
    """The family whose commands a codec sends; empty when none is known to set its clock."""
    word = codec.partition("-")[0]
    return word if word in MAX_STEP_S else ""


def is_zone(offset_s: float) -> bool:
    """Whether an offset looks like a clock in another zone: correcting it would fight its declared zone."""
    rest = abs(offset_s) % QUARTER_S
    return abs(offset_s) >= ZONE_FROM_S and min(rest, QUARTER_S - rest) <= ZONE_TOLERANCE_S


def step_s(clock: Clock, now_us: int, rule: ClockCorrection) -> tuple[int, str]:
    """The step to send, in whole seconds, and a word why there is none (0)."""
    offset_s = clock.offset_us / SECOND_US
    if abs(offset_s) <= rule.limit_s:
        return 0, "right"
    if not family(clock.codec):
        return 0, "no command"
    if is_zone(offset_s):
        return 0, "zone"
    if clock.last_planned_at_us is not None and now_us - clock.last_planned_at_us < rule.every_hours * 3600 * SECOND_US:
        return 0, "lately"
    if clock.in_vain >= rule.attempts:
        return 0, "in vain"
    most = min(rule.max_step_s, MAX_STEP_S[family(clock.codec)])
    return max(min(-round(offset_s), most), -most), ""


def outcome(offset_us: int, delta_s: int, after_us: int, rule: ClockCorrection) -> tuple[str, str]:
    """State and reason of a step, by the offset that was seen after it."""
    if abs(after_us) <= rule.limit_s * SECOND_US:
        return "corrected", ""
    if abs(after_us - offset_us - delta_s * SECOND_US) <= SEEN_TOLERANCE_S * SECOND_US:
        return "corrected", "in part: more than one step is needed"
    return "unchanged", "the next offset does not show the step"
