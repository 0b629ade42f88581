"""The meters' clock: it starts in the past and runs fast until it has caught up with the present."""

from __future__ import annotations

from dataclasses import dataclass


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

    def radio_us(self, meter_us: int) -> int:
        """The moment at which the meters' clock shows ``meter_us``."""
        return max(self.start_us + round((meter_us - self.meter_start_us) / self.speed), meter_us)

    def caught_up(self, radio_us: int) -> bool:
        return self.meter_us(radio_us) >= radio_us
