"""How much a device may transmit: its sub-bands, what the network asks, and what a request to join costs at most.

The off time behind a frame is its airtime times 1/duty − 1, in its sub-band (EN 300 220, as stacks have it). DutyCycleReq
limits all channels together (TS001-1.0.4 §5.3). Joins have a budget of airtime since power-up that shrinks with time (§7).
"""

from __future__ import annotations

from collections.abc import Iterable

from regional import Plan

HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US
JOIN_BUDGETS = ((HOUR_US, 36_000_000), (11 * HOUR_US, 36_000_000))
"""(end since power-up, airtime within the period that ends there)."""
LATER_JOINS_US = 8_700_000
"""Airtime in each 24 h behind them."""


class DutyCycle:
    """Times until which sub-bands, or everything, must be silent. ``by_band`` False: only DutyCycleReq counts."""

    __slots__ = ("_free_us", "by_band", "silent_until_us")

    def __init__(self, by_band: bool) -> None:
        self.by_band = by_band
        self._free_us: dict[int, int] | None = None
        """By lowest frequency of the sub-band; None while nothing was sent."""
        self.silent_until_us = 0
        """For DutyCycleReq's sake, on all channels."""

    def free_us(self, plan: Plan, frequency_hz: int) -> int:
        """From when a frame may leave on a frequency."""
        if not self.by_band or self._free_us is None:
            return self.silent_until_us
        band = plan.sub_band(frequency_hz)
        return (
            max(self.silent_until_us, self._free_us.get(band.min_hz, 0)) if band is not None else self.silent_until_us
        )

    def sent(self, plan: Plan, frequency_hz: int, start_us: int, airtime_us: int, max_duty_cycle: int) -> None:
        """A frame leaves; ``max_duty_cycle``: the exponent of DutyCycleReq, 0 for no limit."""
        if max_duty_cycle:
            self.silent_until_us = start_us + (airtime_us << max_duty_cycle)
        band = plan.sub_band(frequency_hz) if self.by_band else None
        if band is not None and band.duty_cycle:
            if self._free_us is None:
                self._free_us = {}
            self._free_us[band.min_hz] = start_us + round(airtime_us / band.duty_cycle)

    def open_channels(self, plan: Plan, frequencies_hz: Iterable[tuple[int, int]], now: int) -> tuple[list[int], int]:
        """Of ``(index, frequency)`` those that may be used now; and when the first one may."""
        times = [(self.free_us(plan, hz), index) for index, hz in frequencies_hz]
        return [index for free_us, index in times if free_us <= now], min(times)[0]


class JoinBudget:
    """Airtime of join-requests since power-up."""

    __slots__ = ("_period", "_spent_us", "_start_us")

    def __init__(self, start_us: int) -> None:
        self._start_us = start_us
        self._period = 0
        self._spent_us = 0

    def _of(self, now: int) -> tuple[int, int, int]:
        """Number, budget and end of the period of a moment."""
        age_us = now - self._start_us
        for number, (end_us, budget_us) in enumerate(JOIN_BUDGETS):
            if age_us < end_us:
                return number, budget_us, self._start_us + end_us
        first_us = JOIN_BUDGETS[-1][0]
        days = (age_us - first_us) // DAY_US
        return len(JOIN_BUDGETS) + days, LATER_JOINS_US, self._start_us + first_us + (days + 1) * DAY_US

    def free_us(self, now: int, airtime_us: int) -> int:
        """From when a request of this airtime fits."""
        number, budget_us, end_us = self._of(now)
        spent_us = self._spent_us if number == self._period else 0
        return now if spent_us + airtime_us <= budget_us else end_us

    def spend(self, now: int, airtime_us: int) -> None:
        number, _, _ = self._of(now)
        self._spent_us = airtime_us + (self._spent_us if number == self._period else 0)
        self._period = number
