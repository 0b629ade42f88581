"""FR-17: common needs by ПП 354, with negative results; FR-11: nonresidential and premises without meters."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appserver import registry
from appserver.db import Database, open_database
from appserver.errors import RegistryError
from appserver.metering.common_needs import Share, distribute, of_building
from appserver.metering.readings import NewReading, store
from appserver.metering.timebase import day_number, midnight_us, zone_of

SHARES = [Share(1, "1", Decimal(60), 1), Share(2, "2", Decimal(40), 4), Share(3, "3", Decimal(20), 0)]
MONTH = date(2026, 10, 1)
ZONE = zone_of("Europe/Moscow")


def volumes(told: object) -> list[str]:
    return [str(part.volume) for part in told.parts]  # type: ignore[attr-defined]


def test_fr_17_by_area() -> None:
    told = distribute("cold_water", Decimal(12), SHARES)
    assert volumes(told) == ["6.000", "4.000", "2.000"]
    assert (told.charged, told.by_norm, told.capped) == (Decimal(12), None, False)


def test_fr_17_no_more_than_the_norm_unless_the_owners_decided() -> None:
    told = distribute("cold_water", Decimal(12), SHARES, Decimal("0.03"), Decimal(200))
    assert (told.charged, told.capped, volumes(told)) == (Decimal(6), True, ["3.000", "2.000", "1.000"])
    whole = distribute("cold_water", Decimal(12), SHARES, Decimal("0.03"), Decimal(200), whole=True)
    assert (whole.charged, whole.capped) == (Decimal(12), False)


def test_fr_17_less_than_nothing_diminishes_by_persons_and_heat_by_area() -> None:
    assert volumes(distribute("cold_water", Decimal(-5), SHARES)) == ["-1.000", "-4.000", "0.000"]
    assert volumes(distribute("heat", Decimal(-12), SHARES)) == ["-6.000", "-4.000", "-2.000"]
    nobody = [Share(1, "1", Decimal(60), 0)]
    assert distribute("gas", Decimal(-5), nobody).parts == ()


@given(st.integers(-(10**9), 10**9), st.lists(st.integers(1, 9999), min_size=1, max_size=60))
def test_fr_17_parts_add_up_to_the_last_litre(litres: int, areas: list[int]) -> None:
    shares = [Share(n, str(n), Decimal(area).scaleb(-1), n % 4 + 1) for n, area in enumerate(areas)]
    told = distribute("cold_water", Decimal(litres).scaleb(-3), shares)
    assert sum(part.volume for part in told.parts) == told.charged


@pytest.fixture
def db(tmp_path: Path) -> Database:
    """A house with 100 m³: flat 1 took 40, an office 25, flat 3 with two persons has no meter."""
    database = open_database(tmp_path / "application.db")
    organisation = registry.create(database, "organisation", {"name": "УК"})
    registry.create(database, "building", {"organisation_id": organisation.id, "address": "Сатка"})
    readings = []
    for number, kind, area, residents, volume in (
        ("1", "flat", "60", 3, 40),
        ("2", "nonresidential", "100", None, 25),
        ("3", "flat", "40", 2, None),
        ("stairs", "common", "50", None, None),
        ("", "", "", None, 100),
    ):
        place = {"building_id": 1, "resource": "cold_water", "role": "individual" if number else "house"}
        if number:
            fields = {"building_id": 1, "number": number, "kind": kind, "area_m2": area, "residents": residents}
            place["premises_id"] = registry.create(database, "premises", fields).id
        if volume is None:
            continue
        point = registry.create(database, "point", place)
        meter = registry.create(database, "meter", {"serial": number or "house", "resource": "cold_water"})
        registry.install(database, point.id, meter.id, MONTH, Decimal(0))
        at_us = midnight_us(day_number(date(2026, 11, 1)), ZONE)
        readings.append(NewReading(meter.id, "volume", at_us, volume * 1_000_000, "archive", "lorawan", at_us))
    with database.transaction() as connection:
        store(connection, readings, readings[0].measured_at_us)
    yield database
    database.close()


def test_fr_17_of_a_building(db: Database) -> None:
    told = of_building(db, 1, "cold_water", MONTH, norm_a_person=Decimal(5))
    assert told.measured == Decimal(100 - 40 - 25 - 10)
    assert volumes(told) == ["7.500", "12.500", "5.000"]
    capped = of_building(db, 1, "cold_water", MONTH, Decimal(5), Decimal("0.1"))
    assert (capped.by_norm, capped.charged, capped.capped) == (Decimal(5), Decimal(5), True)


def test_fr_17_refusals(db: Database) -> None:
    with pytest.raises(RegistryError, match="whole month"):
        of_building(db, 1, "cold_water", MONTH + timedelta(days=31))
    registry.create(db, "premises", {"building_id": 1, "number": "4"})
    with pytest.raises(RegistryError, match="4 has no area"):
        of_building(db, 1, "cold_water", MONTH)
