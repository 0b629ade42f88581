"""How much water a household uses, hour by hour. Volumes are integers of 0.1 litre (0.0001 m³), never floats.

Everything follows from the seed: the same seed gives the same house, whatever is asked first and however often.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

UNITS_PER_M3 = 10_000

LITRES_PER_PERSON = {"cold_water": 110.0, "hot_water": 68.0}
"""Daily use of one person."""

WORKDAY = (1, 1, 1, 1, 1, 4, 14, 22, 14, 8, 7, 7, 8, 8, 7, 8, 10, 14, 20, 22, 20, 16, 9, 3)
WEEKEND = (2, 1, 1, 1, 1, 1, 3, 8, 16, 22, 20, 17, 15, 14, 13, 13, 13, 14, 16, 18, 17, 14, 9, 4)
"""Weights of the hours of a local day."""


@dataclass(slots=True)
class Household:
    """Who lives in a flat: ``residents`` persons with habits, away on some days."""

    key: str
    """Text that seeds its random choices."""
    residents: int
    away_probability: float = 0.03

    def day(self, resource: str, day: int, weekend: bool) -> list[int]:
        """Use of the 24 hours of a day (``day`` is the ordinal of the local date)."""
        if random.Random(f"{self.key}/away/{day // 3}").random() < self.away_probability:
            return [0] * 24
        rng = random.Random(f"{self.key}/{resource}/{day}")
        weights = WEEKEND if weekend else WORKDAY
        mean_units = LITRES_PER_PERSON[resource] * 10 * self.residents * (1.15 if weekend else 0.95)
        total = sum(weights)
        hours = []
        for weight in weights:
            mean = mean_units * weight / total
            # somebody opens a tap in an hour or nobody does: many zeros at night, lumps in the evening
            used = rng.random() < min(1.0, mean / 120)
            hours.append(round(rng.gammavariate(2.0, mean / min(1.0, mean / 120) / 2)) if used else 0)
        return hours


class Consumer(Protocol):
    """Who uses a resource, hour by hour."""

    residents: int

    def day(self, resource: str, day: int, weekend: bool) -> list[int]:
        """Use of the 24 hours of a day, in the resource's units; ``day`` is the ordinal of the local date."""
        ...


@dataclass(slots=True)
class Register:
    """A growing cumulative volume since ``start``, local midnight of the house's first day."""

    household: Consumer
    resource: str
    start: datetime
    _hours_us: list[int] = field(default_factory=lambda: [0])
    """End of each known hour, microseconds since the start."""
    _sums: list[int] = field(default_factory=lambda: [0])
    _next_day: int = 0

    def _extend(self) -> None:
        zone = self.start.tzinfo
        day = (self.start + timedelta(days=self._next_day)).date()
        midnight, end = (datetime.combine(day + timedelta(days=n), datetime.min.time(), zone) for n in (0, 1))
        length_us = round((end.timestamp() - midnight.timestamp()) * 1e6)
        used = self.household.day(self.resource, day.toordinal(), day.weekday() >= 5)
        begin_us = self._hours_us[-1]
        for hour, units in enumerate(used, start=1):  # on days of 23 or 25 hours each of the 24 parts stretches
            self._hours_us.append(begin_us + length_us * hour // 24)
            self._sums.append(self._sums[-1] + units)
        self._next_day += 1

    def units(self, since_start_us: int) -> int:
        """Volume used up to a moment; within an hour it flows evenly."""
        if since_start_us <= 0:
            return 0
        while self._hours_us[-1] < since_start_us:
            self._extend()
        i = bisect_right(self._hours_us, since_start_us) - 1
        if self._hours_us[i] == since_start_us:
            return self._sums[i]
        flowed = self._sums[i + 1] - self._sums[i]
        return self._sums[i] + flowed * (since_start_us - self._hours_us[i]) // (
            self._hours_us[i + 1] - self._hours_us[i]
        )


def local_midnight(now_us: int, days_back: int, zone: str) -> datetime:
    """Midnight that began the local day of ``now_us``, ``days_back`` days earlier."""
    tz = ZoneInfo(zone)
    today = datetime.fromtimestamp(now_us / 1e6, tz).date()
    return datetime.combine(today - timedelta(days=days_back), datetime.min.time(), tz)


def to_us(moment: datetime) -> int:
    return round(moment.timestamp()) * 1_000_000
