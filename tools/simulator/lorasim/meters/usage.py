"""How much of a resource is used, hour by hour: by season, weekday, hour and household.

Integers in the resource's unit: water 0.1 litre, electricity 1 Wh, heat 1 kcal. Every day follows from the seed alone, so that
any day may be asked for, in any order, and nothing but totals is kept.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import date

from lorasim.consumption import LITRES_PER_PERSON, WEEKEND, WORKDAY
from lorasim.dice import Dice

UNITS = {"cold_water": 10_000, "hot_water": 10_000, "electricity": 1_000, "heat": 1_000_000}
"""Units of a resource in its big unit: m³, kWh, Gcal."""
AWAY = 0.03
POWER_WORKDAY = (5, 4, 4, 4, 4, 5, 8, 10, 8, 6, 6, 6, 7, 6, 6, 7, 9, 13, 17, 19, 19, 17, 13, 8)
POWER_WEEKEND = (6, 5, 4, 4, 4, 4, 5, 7, 10, 12, 12, 12, 13, 12, 11, 11, 12, 14, 17, 18, 18, 16, 13, 9)
POWER_WH = 1_500.0
"""A day of one person, beside what a flat takes by itself."""
STANDBY_WH = 55.0
"""A flat in an hour: a refrigerator and what is never switched off."""
INDOOR_C, HEATING_BELOW_C = 20.0, 8.0
YEAR_MEAN_C, YEAR_SWING_C, DAY_SWING_C = 2.4, 17.0, 3.5
"""Outdoor temperatures as in the Southern Urals; the warmest day is the 200th of the year."""
KCAL_PER_M2_K_H = 0.9
"""What a square metre loses for each degree."""


def outdoor_c(day: int, hour: float, town: str) -> float:
    """Outdoor temperature of a town at a local hour of a day (its proleptic ordinal)."""
    season = math.cos(2 * math.pi * (date.fromordinal(day).timetuple().tm_yday - 200) / 365.25)
    weather = sum(Dice(f"{town}/weather/{day - back}").gauss(0, 4.0) * 0.6**back for back in range(4))
    return YEAR_MEAN_C + YEAR_SWING_C * season + weather + DAY_SWING_C * math.cos(2 * math.pi * (hour - 15) / 24)


def _away(key: str, day: int) -> bool:
    return Dice(f"{key}/away/{day // 3}").random() < AWAY


def water(key: str, resource: str, day: int, residents: int, town: str) -> list[int]:
    """The 24 hours of a household's day: somebody opens a tap in an hour or nobody does."""
    if _away(key, day) or not residents:
        return [0] * 24
    dice = Dice(f"{key}/{resource}/{day}")
    weekend = date.fromordinal(day).weekday() >= 5
    weights = WEEKEND if weekend else WORKDAY
    mean_units = LITRES_PER_PERSON[resource] * 10 * residents * (1.15 if weekend else 0.95) / sum(weights)
    hours = []
    for weight in weights:
        mean = mean_units * weight
        share = min(1.0, mean / 120)
        # the sum of two exponential draws: lumps of very different size
        used = dice.random() < share
        hours.append(round((dice.expovariate(1) + dice.expovariate(1)) * mean / share / 2) if used else 0)
    return hours


def electricity(key: str, resource: str, day: int, residents: int, town: str) -> list[int]:
    """Light and stoves by the hour, more in winter; a flat that nobody is in takes its standby."""
    dice = Dice(f"{key}/{resource}/{day}")
    weekend = date.fromordinal(day).weekday() >= 5
    season = 1 + 0.22 * math.cos(2 * math.pi * (date.fromordinal(day).timetuple().tm_yday - 15) / 365.25)
    weights = POWER_WEEKEND if weekend else POWER_WORKDAY
    at_home = 0 if _away(key, day) else residents
    mean_wh = POWER_WH * at_home * season / sum(weights)
    return [round(STANDBY_WH * dice.uniform(0.8, 1.2) + mean_wh * w * (dice.expovariate(1) + 1) / 2) for w in weights]


def heat(key: str, resource: str, day: int, residents: int, town: str) -> list[int]:
    """By the outdoor temperature of the hour, in the heating season only; ``residents`` stands for the size of the flat."""
    mean_c = sum(outdoor_c(day, hour, town) for hour in (3, 9, 15, 21)) / 4
    if mean_c >= HEATING_BELOW_C:
        return [0] * 24
    area_m2 = 30 + 14 * residents
    dice = Dice(f"{key}/{resource}/{day}")
    return [
        round(
            max(0.0, INDOOR_C - mean_c - DAY_SWING_C * math.cos(2 * math.pi * (hour - 15) / 24))
            * KCAL_PER_M2_K_H
            * area_m2
            * dice.uniform(0.9, 1.1)
        )
        for hour in range(24)
    ]


Profile = Callable[[str, str, int, int, str], list[int]]
PROFILES: dict[str, Profile] = {"cold_water": water, "hot_water": water, "electricity": electricity, "heat": heat}
"""``(key of the household, resource, ordinal of the local day, residents, town) -> units in its 24 hours``."""
