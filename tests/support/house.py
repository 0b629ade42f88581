"""A small house in application.db: two flats and a common meter with daily readings, so that a balance can be told by hand."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from appserver import registry
from appserver.db import Database
from appserver.metering.readings import NewReading, store

DAYS = 5
FIRST_DAY = datetime(2026, 10, 1, tzinfo=UTC) - timedelta(hours=3)
"""Midnight of 1 October 2026 in Moscow."""
FLAT_A_DAILY, FLAT_B_DAILY, HOUSE_DAILY = Decimal("0.150"), Decimal("0.250"), Decimal("0.500")


@dataclass
class House:
    building_id: int
    meters: dict[str, int]
    points: dict[str, int]


def make_house(db: Database, address: str = "г. Сатка, ул. Бакальская, 12", resource: str = "cold_water") -> House:
    """Flats 1 and 2 use 0.150 and 0.250 m³ a day, the common meter counts 0.500: the imbalance is 0.100 a day, 20 %."""
    organisations = registry.page(db, "organisation").items
    organisation = organisations[0] if organisations else registry.create(db, "organisation", {"name": "УК «Дом»"})
    building = registry.create(
        db, "building", {"organisation_id": organisation.id, "address": address, "timezone": "Europe/Moscow"}
    )
    made = House(building.id, {}, {})
    readings = []
    for name, daily in (("1", FLAT_A_DAILY), ("2", FLAT_B_DAILY), ("house", HOUSE_DAILY)):
        place = {"building_id": building.id, "resource": resource, "role": "house" if name == "house" else "individual"}
        if name != "house":
            premises = registry.create(
                db, "premises", {"building_id": building.id, "number": name, "account_number": f"7401{name}"}
            )
            place["premises_id"] = premises.id
        point = registry.create(db, "point", place)
        meter = registry.create(
            db,
            "meter",
            {
                "serial": f"{building.id}{name}",
                "model": "КАРАТ",
                "resource": resource,
                "verification_until": "2030-01-01",
            },
        )
        registry.install(db, point.id, meter.id, FIRST_DAY.date() + timedelta(days=1), Decimal(100))
        made.meters[name], made.points[name] = meter.id, point.id
        for day in range(DAYS + 1):
            at_us = int((FIRST_DAY + timedelta(days=day)).timestamp()) * 1_000_000
            value = 100 + daily * day
            readings.append(
                NewReading(meter.id, "volume", at_us, int(value * 1_000_000), "archive", "lorawan", at_us + 5_000_000)
            )
    with db.transaction() as connection:
        store(connection, readings, int((FIRST_DAY + timedelta(days=30)).timestamp()) * 1_000_000)
    return made
