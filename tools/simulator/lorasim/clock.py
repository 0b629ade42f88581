"""The meters' clock: it starts in the past and runs fast until it has caught up with the present."""

from __future__ import annotations

from dataclasses import dataclass

DAY_US = 86_400_000_000


@dataclass(slots=True, frozen=True)
class MeterClock:
    """Maps radio time, which is real, to meter time. Meter time is never ahead of radio time."""

    start_us: int
    """Radio time at which the meters start."""
    meter_start_us: int
    speed: float

    def meter_us(self, radio_us: int) -> int:
        """Meter time at a moment."""
        ran_us = max(0, radio_us - self.start_us)
        return min(self.meter_start_us + round(ran_us * self.speed), radio_us)

    def send_us(self, measured_us: int, planned_us: int) -> int:
        """The moment to send a value: measured at one meter time, planned to leave at a later one.

        Values from before the start leave in the fast clock's order, the last of them too: nobody waits half a real day
        for what was measured this midnight. Later ones leave when they are due.
        """
        fast_us = self._fast_us(planned_us)
        return fast_us if measured_us <= self.start_us else max(fast_us, planned_us)

    def caught_up(self, radio_us: int) -> bool:
        """Whether all that was measured before the start has had its time to leave."""
        return radio_us >= self._fast_us(self.start_us + DAY_US)

    def _fast_us(self, meter_us: int) -> int:
        return self.start_us + round((meter_us - self.meter_start_us) / self.speed)
