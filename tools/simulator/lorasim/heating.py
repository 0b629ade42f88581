"""A heated building: what its premises take by the weather, and what a KARAT-307 and Compact 223 put into FRMPayload.

Layouts: github.com/ws-lab/karat-proto, migrations/0002_set_value.up.sql. Little endian, numbers are IEEE 754 of 32 bits.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache

from lorasim.consumption import UNITS_PER_M3, to_us
from lorasim.meters import usage
from lorasim.payloads import KARAT_EPOCH

KCAL = usage.UNITS["heat"]
"""Units of heat in a Gcal."""
MINUTE_US = 60_000_000
COMPACT_223, HEAT, HEAT_REST, WATER = 823, 800, 801, 812
KCAL_PER_KG_K = 1.0
PRESSURES_MPA = (0.6, 0.45)
WATER_MPA = 0.4


@dataclass(slots=True)
class HeatedPremises:
    """What premises take to stay warm; ``residents`` stands for their size."""

    key: str
    residents: int
    town: str

    def day(self, resource: str, day: int, weekend: bool) -> list[int]:
        """Heat of the 24 hours of a day (``day`` is the ordinal of the local date), 0.000001 Gcal."""
        return usage.heat(self.key, resource, day, self.residents, self.town)


@dataclass(slots=True)
class Circuit:
    """Temperatures and masses of a heating circuit, so that they fit the heat that is counted."""

    start: datetime
    town: str
    heat_until: Callable[[int], int]
    """Units of heat since the start until a moment."""

    def flows(self, at_us: int) -> tuple[float, float, float]:
        """Mass, and heat there and back, since the start: t, Gcal, Gcal. Their difference is what is counted."""
        mass_t = there = back = 0.0
        day, begin_us = self.start, to_us(self.start)
        while begin_us < at_us:
            supply_c, return_c = temperatures_c(self.town, day.toordinal())
            day += timedelta(days=1)
            end_us = min(to_us(day), at_us)
            gcal = (self.heat_until(end_us) - self.heat_until(begin_us)) / KCAL
            flowed_t = gcal * 1000 / KCAL_PER_KG_K / (supply_c - return_c)
            mass_t += flowed_t
            there += flowed_t * supply_c * KCAL_PER_KG_K / 1000
            back += flowed_t * return_c * KCAL_PER_KG_K / 1000
            begin_us = end_us
        return mass_t, there, back

    def temperatures_at(self, at_us: int) -> tuple[float, float]:
        """Of the day that ends then, or is under way."""
        return temperatures_c(self.town, datetime.fromtimestamp((at_us - 1) / 1e6, self.start.tzinfo).toordinal())

    def minutes(self, at_us: int) -> int:
        """Working time since the start."""
        return (at_us - to_us(self.start)) // MINUTE_US


@lru_cache(maxsize=1024)
def temperatures_c(town: str, day: int) -> tuple[float, float]:
    """Means of supply and return of a local day: the colder it is outside, the hotter."""
    outside_c = sum(usage.outdoor_c(day, hour, town) for hour in (3, 9, 15, 21)) / 4
    colder_k = max(0.0, 8.0 - outside_c)
    return 50.0 + 1.1 * colder_k, 38.0 + 0.5 * colder_k


def _head(code: int, kind: int, stamp: datetime) -> bytes:
    seconds = round((stamp.replace(tzinfo=None) - KARAT_EPOCH).total_seconds())
    return struct.pack("<HBI", code, kind, seconds)


def compact_223(circuit: Circuit, kind: int, stamp: datetime, at_us: int, units: int) -> bytes:
    """KARAT-Compact 223, packet 0x0337: heat, volume, temperatures, pulse inputs, errors, working time."""
    supply_c, return_c = circuit.temperatures_at(at_us)
    mass_t, _, _ = circuit.flows(at_us)
    body = struct.pack("<6f", units / KCAL, mass_t / 0.985, 0.0, supply_c, return_c, supply_c - return_c)
    return _head(COMPACT_223, kind, stamp) + body + struct.pack("<3fIi", 0, 0, 0, 0, circuit.minutes(at_us))


def karat_307(circuit: Circuit, kind: int, stamp: datetime, at_us: int, units: int, water_units: int) -> list[bytes]:
    """KARAT-307 through a 929LW: packets 0x0320 and 0x0321 of the heating circuit, 0x032C of the cold water."""
    supply_c, return_c = circuit.temperatures_at(at_us)
    mass_t, there, back = circuit.flows(at_us)
    minutes = circuit.minutes(at_us)
    heat = struct.pack("<8fIi", mass_t, mass_t, 0.0, supply_c, return_c, there, back, units / KCAL, 0, minutes)
    volumes = (mass_t / 0.978, mass_t / 0.988, 0.0)
    rest = struct.pack("<6f5i", *volumes, supply_c - return_c, *PRESSURES_MPA, 0, 0, 0, 0, 0)
    water = struct.pack("<2f5iIi", water_units / UNITS_PER_M3, WATER_MPA, 0, 0, 0, 0, 0, 0, minutes)
    return [_head(HEAT, kind, stamp) + heat, _head(HEAT_REST, kind, stamp) + rest, _head(WATER, kind, stamp) + water]
