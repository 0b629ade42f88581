"""A house in application.db with faults put in: a thief, a leak, a slow clock, a silent meter, a flat without one.

Flats tell midnight, two and five o'clock, the common meter every hour; every litre is known to the caller.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal

from appserver import registry
from appserver.db import Database
from appserver.metering.readings import NewReading, store
from appserver.metering.timebase import HOUR_US, day_number, midnight_us, zone_of

ZONE = zone_of("Asia/Yekaterinburg")
FIRST, DAYS = date(2026, 10, 1), 31
THIEF, SILENT, UNMETERED, SLOW = 5, 9, 14, 17
SLOW_US = -90 * 60_000_000
THEFT_DAY, SILENT_DAY, SLOW_DAY = 14, 12, 20
LEAK = 0.03
"""m³ an hour."""
HOURS = (
    0.1,
    0.1,
    0.1,
    0.1,
    0.1,
    0.2,
    1.0,
    2.2,
    2.0,
    1.2,
    0.8,
    0.8,
    0.9,
    0.9,
    0.8,
    0.8,
    1.0,
    1.4,
    2.0,
    2.4,
    2.2,
    1.6,
    0.9,
    0.4,
)
"""How the day's consumption is spread, relative."""


@dataclass
class FaultyHouse:
    building_id: int
    truth: dict[str, float] = field(default_factory=dict)
    """Volume by cause."""
    points: dict[int, int] = field(default_factory=dict)
    meters: dict[int, int] = field(default_factory=dict)


def build(db: Database, flats: int = 20, seed: int = 7, address: str = "г. Сатка, ул. Бакальская, 12") -> FaultyHouse:
    """Make the house; the same arguments give the same readings."""
    rng = random.Random(seed)
    organisation = registry.create(db, "organisation", {"name": "УК «Сатка-Сервис»"})
    building = registry.create(
        db, "building", {"organisation_id": organisation.id, "address": address, "timezone": ZONE.key}
    )
    house = FaultyHouse(building.id)
    shares = [part / sum(HOURS) for part in HOURS]
    came_in = [[LEAK] * 24 for _ in range(DAYS)]
    readings: list[NewReading] = []
    house.truth = {"leak": LEAK * 24 * DAYS, "theft": 0.0, "missing": 0.0, "unmetered": 0.0, "skew": 0.0}
    for flat in range(1, flats + 1):
        premises = registry.create(
            db, "premises", {"building_id": building.id, "number": str(flat), "residents": 2, "area_m2": "50"}
        )
        level = 0.42 if flat == THIEF else rng.choice((0.15, 0.22, 0.3))
        true = [level * rng.uniform(0.75, 1.25) for _ in range(DAYS)]
        for day, volume in enumerate(true):
            for hour, share in enumerate(shares):
                came_in[day][hour] += volume * share
        if flat == UNMETERED:
            house.truth["unmetered"] = sum(true)
            continue
        shown = [v * (0.1 if flat == THIEF and day >= THEFT_DAY else 1) for day, v in enumerate(true)]
        house.truth["theft"] += sum(true) - sum(shown)
        if flat == SILENT:
            house.truth["missing"] = sum(true[SILENT_DAY:])
        if flat == SLOW:
            house.truth["skew"] = -level * 90 / 1440
        readings += _flat(db, house, flat, premises.id or 0, shown, shares)
    readings += _main(db, house, came_in)
    with db.transaction() as connection:
        store(connection, readings, midnight_us(day_number(FIRST) + DAYS, ZONE) + 12 * HOUR_US)
    return house


def at(day: int, hour: int = 0) -> int:
    return midnight_us(day_number(FIRST) + day, ZONE) + hour * HOUR_US


def _hang(db: Database, house: FaultyHouse, flat: int, premises_id: int | None) -> int:
    place = {
        "building_id": house.building_id,
        "premises_id": premises_id,
        "resource": "cold_water",
        "role": "individual" if flat else "house",
    }
    point = registry.create(db, "point", place)
    meter = registry.create(db, "meter", {"serial": f"1827{flat:04d}", "resource": "cold_water", "digits": 7})
    registry.install(db, point.id, meter.id, FIRST, Decimal(10))
    house.points[flat], house.meters[flat] = point.id, meter.id
    return int(meter.id)


def _flat(
    db: Database, house: FaultyHouse, flat: int, premises_id: int, shown: list[float], shares: list[float]
) -> list[NewReading]:
    meter = _hang(db, house, flat, premises_id)
    readings, value = [], 10.0
    for day in range(DAYS + 1):
        if flat == SILENT and day > SILENT_DAY:
            break
        error_us = SLOW_US if flat == SLOW and day >= SLOW_DAY else 0
        volume = shown[min(day, DAYS - 1)]
        # A slow clock stores its midnight later: the register has gone on meanwhile.
        late = volume * -error_us / (24 * HOUR_US)
        for hour in (0, 2, 5) if day < DAYS else (0,):
            told = value + volume * sum(shares[:hour]) + (late if hour == 0 else 0)
            readings.append(
                NewReading(
                    meter,
                    "volume",
                    at(day, hour),
                    round(told * 10_000) * 100,
                    "archive",
                    "lorawan",
                    at(day, hour) + 60_000_000,
                    clock_error_us=error_us,
                )
            )
        if day < DAYS:
            value += shown[day]
    return readings


def _main(db: Database, house: FaultyHouse, came_in: list[list[float]]) -> list[NewReading]:
    meter = _hang(db, house, 0, None)
    readings, value = [], 10.0
    for hour in range(DAYS * 24 + 1):
        at_us = at(hour // 24, hour % 24)
        readings.append(
            NewReading(
                meter,
                "volume",
                at_us,
                round(value * 1000) * 1000,
                "archive",
                "lorawan",
                at_us + 60_000_000,
                clock_error_us=0,
            )
        )
        if hour < DAYS * 24:
            value += came_in[hour // 24][hour % 24]
    return readings


def last_day() -> date:
    """The day after the last: balances go up to it."""
    return FIRST + timedelta(days=DAYS)
