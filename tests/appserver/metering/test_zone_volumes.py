"""FR-19: tariff zones on half-hours of a profile, also on days of 23 and 25 hours and where a rule changes."""

from __future__ import annotations

import random
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from appserver import registry
from appserver.db import Database, open_database
from appserver.errors import RegistryError
from appserver.metering.readings import NewReading, store
from appserver.metering.zone_volumes import changes, zone_volumes
from appserver.rules import RuleBook, TariffZones, load
from appserver.rules.kinds import Zone

HALF_HOUR = timedelta(minutes=30)
BOOK = load()


def half_hours(first: date, last: date, zone: ZoneInfo) -> list[datetime]:
    """Every half-hour between two midnights, both included, in the time that passes."""
    edges = [round(datetime(d.year, d.month, d.day, tzinfo=zone).timestamp()) for d in (first, last)]
    return [datetime.fromtimestamp(second, zone) for second in range(edges[0], edges[1] + 1, 1800)]


def meter(db: Database, timezone: str, ratio: str = "1") -> tuple[int, int]:
    organisation = registry.create(db, "organisation", {"name": "УК"})
    place = {"organisation_id": organisation.id, "address": "г. Сатка, ул. Солнечная, 1", "timezone": timezone}
    building = registry.create(db, "building", place)
    point = registry.create(db, "point", {"building_id": building.id, "resource": "electricity", "role": "house"})
    made = registry.create(db, "meter", {"serial": "1", "resource": "electricity", "digits": 8})
    registry.install(db, point.id, made.id, date(2016, 1, 1), Decimal(0), ratio=Decimal(ratio))
    return point.id, made.id


def tell(db: Database, meter_id: int, moments: list[datetime], values: list[int]) -> None:
    readings = [
        NewReading(meter_id, "energy", round(at.timestamp()) * 1_000_000, value * 1000, "archive", "lorawan", 1)
        for at, value in zip(moments, values, strict=True)
    ]
    with db.transaction() as connection:
        store(connection, readings, 2**50)


def night(moment: datetime) -> bool:
    """By the clock on the wall: from 23:00 to 07:00."""
    return moment.hour >= 23 or moment.hour < 7


@pytest.mark.parametrize(
    ("timezone", "first", "days", "hours", "nights"),
    [
        ("Asia/Yekaterinburg", date(2026, 10, 1), 31, 744, 248),
        ("Europe/Volgograd", date(2020, 12, 26), 3, 73, 25),
        ("Europe/Saratov", date(2016, 12, 3), 3, 71, 23),
    ],
)
def test_fr_19_fr_02_zones_of_a_profile(
    tmp_path: Path, timezone: str, first: date, days: int, hours: int, nights: int
) -> None:
    """Clocks went back in Volgograd on 2020-12-27 and forward in Saratov on 2016-12-04: the night has 9 and 7 hours."""
    db = open_database(tmp_path / "application.db")
    point, made = meter(db, timezone, ratio="20")
    rng, zone, last = random.Random(days), ZoneInfo(timezone), first + timedelta(days=days)
    moments = half_hours(first, last, zone)
    used = [rng.randrange(100, 2000) for _ in moments[1:]]
    values = [5_000_000 + sum(used[:n]) for n in range(len(moments))]
    tell(db, made, moments, values)
    told = zone_volumes(db, BOOK, point, first, last)
    expected = {
        name: Decimal(sum(u for at, u in zip(moments, used, strict=False) if night(at) is wanted)) * 20 / 1000
        for name, wanted in (("day", False), ("night", True))
    }
    assert {its.zone: its.volume for its in told.zones} == expected
    assert [its.hours for its in told.zones] == [hours - nights, nights]
    assert told.total == sum(expected.values()) and (told.unknown, told.unknown_hours) == (0, 0)
    assert told.rules and told.unit == "kWh"
    db.close()


def test_fr_19_three_zones_and_what_is_not_known(tmp_path: Path) -> None:
    """Without the half-hours around ten o'clock nobody knows where the morning's peak ended: that is told, not shared."""
    db = open_database(tmp_path / "application.db")
    point, made = meter(db, "Europe/Moscow")
    first, last = date(2026, 10, 1), date(2026, 10, 2)
    moments = half_hours(first, last, ZoneInfo("Europe/Moscow"))
    gone = {datetime(2026, 10, 1, 10, tzinfo=moments[0].tzinfo) + n * HALF_HOUR for n in (-1, 0, 1)}
    values = {at: 1000 * n for n, at in enumerate(moments)}
    kept = [at for at in moments if at not in gone]
    tell(db, made, kept, [values[at] for at in kept])
    told = zone_volumes(db, BOOK, point, first, last, "three")
    assert [(its.zone, its.volume, its.hours) for its in told.zones] == [
        ("peak", 8, 4),
        ("half_peak", 4, 2),
        ("night", 16, 8),
    ]
    assert (told.total, told.unknown, told.unknown_hours) == (48, 20, 10)
    tell(db, made, [datetime(2026, 10, 1, 10, 15, tzinfo=moments[0].tzinfo)], [20_500])
    again = zone_volumes(db, BOOK, point, first, last, "three")
    assert again.unknown_hours == 10, "an hour and a quarter is too long to share out"
    db.close()


def test_fr_19_a_change_of_zone_is_found_by_its_minute_and_rules_by_their_day() -> None:
    """07:15 is no half-hour; from the 2nd on another rule holds."""
    early = TariffZones(zones=[Zone(name="day", hours=["07:15-23:00"]), Zone(name="night", hours=["23:00-07:15"])])
    flat = TariffZones(zones=[Zone(name="day", hours=["00:00-24:00"])])
    zone = ZoneInfo("Europe/Moscow")
    found = changes(date(2026, 10, 1), date(2026, 10, 4), zone, lambda day: early if day.day == 1 else flat)
    assert [(datetime.fromtimestamp(at / 1e6, zone).strftime("%d %H:%M"), name) for at, name in found] == [
        ("01 00:00", "night"),
        ("01 07:15", "day"),
        ("01 23:00", "night"),
        ("02 00:00", "day"),
    ]


@pytest.mark.parametrize(
    ("point", "days", "name", "field"), [(9, 1, "two", "point_id"), (1, 0, "two", "to"), (1, 1, "nine", "tariff_zones")]
)
def test_fr_19_refusals(tmp_path: Path, point: int, days: int, name: str, field: str) -> None:
    db = open_database(tmp_path / "application.db")
    meter(db, "Europe/Moscow")
    first = date(2026, 10, 1)
    with pytest.raises(RegistryError) as refused:
        zone_volumes(db, BOOK, point, first, first + timedelta(days=days), name)
    assert refused.value.field == field
    db.close()


def test_fr_19_the_package_has_two_and_three_zones() -> None:
    book: RuleBook = BOOK
    for name, count in (("two", 2), ("three", 3)):
        assert len(book.get(TariffZones, date(2026, 10, 1), name=name)[1].zones) == count
