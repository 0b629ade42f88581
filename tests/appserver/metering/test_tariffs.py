"""FR-19: tariffs and transformer ratios; pulse counters that wrap."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from appserver import registry
from appserver.db import Database, open_database
from appserver.errors import RegistryError
from appserver.metering import house_balance
from appserver.metering.readings import NewReading, store
from appserver.metering.store import rebuild
from appserver.metering.tariffs import add_up, tariff_volumes
from appserver.metering.timebase import day_number, midnight_us, zone_of

FIRST = date(2026, 10, 1)
ZONE = zone_of("Europe/Moscow")


def at(day: int) -> int:
    return midnight_us(day_number(FIRST) + day, ZONE)


@pytest.fixture
def db(tmp_path: Path) -> Database:
    database = open_database(tmp_path / "application.db")
    organisation = registry.create(database, "organisation", {"name": "УК"})
    registry.create(database, "building", {"organisation_id": organisation.id, "address": "Сатка"})
    yield database
    database.close()


def hang(db: Database, resource: str = "electricity", ratio: str = "1") -> tuple[int, int]:
    point = registry.create(db, "point", {"building_id": 1, "resource": resource, "role": "house"})
    meter = registry.create(db, "meter", {"serial": str(point.id), "resource": resource, "digits": 9})
    registry.install(db, point.id, meter.id, FIRST, Decimal(0), ratio=Decimal(ratio))
    return point.id, meter.id


def tell(db: Database, meter: int, register: str, day: int, value: str) -> None:
    reading = NewReading(meter, register, at(day), int(Decimal(value) * 1_000_000), "archive", "lorawan", at(day) + 5)
    with db.transaction() as connection:
        store(connection, [reading], at(day) + 5)


def test_fr_19_tariffs_add_up_to_the_total(db: Database) -> None:
    point, meter = hang(db, ratio="20")
    for day, total, t1, t2 in ((1, "100", "60", "40"), (2, "130", "80.4", "49.6"), (3, "150", "95", "54")):
        for register, value in (("energy", total), ("energy_t1", t1), ("energy_t2", t2)):
            tell(db, meter, register, day, value)
    told = tariff_volumes(db, point, at(1), at(2))
    assert told.total == Decimal(600)
    assert told.tariffs == {"t1": Decimal(408), "t2": Decimal(192)}
    assert (told.difference, told.adds_up) == (Decimal(0), True)
    later = tariff_volumes(db, point, at(2), at(3))
    assert (later.total, later.difference, later.adds_up) == (Decimal(400), Decimal(20), True)
    assert tariff_volumes(db, point, at(0), at(1)).tariffs == {"t1": None, "t2": None}, "the act tells the total only"


@pytest.mark.parametrize(
    ("total", "tariffs", "difference", "adds_up"),
    [
        ("10", ["6", "4"], "0", True),
        ("10", ["6", "2"], "2", True),
        ("10", ["6", "1.99"], "2.01", False),
        ("10", ["6", None], None, None),
        (None, ["6", "4"], None, None),
        ("10", [], None, None),
    ],
)
def test_fr_19_a_unit_for_each_tariff(
    total: str | None, tariffs: list[str | None], difference: str | None, adds_up: bool | None
) -> None:
    volumes = {f"t{n}": None if volume is None else Decimal(volume) for n, volume in enumerate(tariffs, 1)}
    told = add_up(None if total is None else Decimal(total), volumes)
    assert told.difference == (None if difference is None else Decimal(difference))
    assert told.adds_up is adds_up


def test_fr_19_the_ratio_of_transformers_is_in_the_balance(db: Database) -> None:
    _, meter = hang(db, ratio="40")
    for day, value in ((1, "10"), (2, "12.5")):
        tell(db, meter, "energy", day, value)
    row = house_balance(db, 1, "electricity", FIRST + timedelta(days=1), FIRST + timedelta(days=2)).total
    assert row.house == Decimal(100)
    with pytest.raises(RegistryError, match="ratio"):
        hang(db, ratio="0")


def test_fr_04_a_narrow_pulse_counter_wraps(db: Database) -> None:
    """A 16-bit counter of 10-litre pulses starts again at 655.36 m³; declared, it is a rollover and no reset."""
    _, meter = hang(db, "cold_water")
    registry.bind_channel(db, "70b3d5e75e000001", meter, weight=Decimal("0.01"))
    for day, value in ((1, "655.30"), (2, "0.50")):
        tell(db, meter, "volume", day, value)
    args = (db, 1, "cold_water", FIRST + timedelta(days=1), FIRST + timedelta(days=2))
    assert "reset" in house_balance(*args).points[0].events
    with db.transaction() as connection:
        connection.execute("UPDATE module_channel SET counter_bits = 16")

        rebuild(connection, 1)
    balance = house_balance(*args)
    assert (balance.total.house, balance.points[0].events) == (Decimal("0.56"), ("rollover",))
