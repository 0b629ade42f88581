"""FR-02 (e): houses on the days on which clocks change: every hour once, sums exact, archives of modules at their midnights."""

from __future__ import annotations

import struct
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from appserver import registry
from appserver.db import Database, open_database
from appserver.ingest import Ingest
from appserver.metering import house_balance
from appserver.metering.readings import NewReading, store
from internalapi.messages import Event

EUI = "70b3d5e75e000001"
KARAT_EPOCH = datetime(2000, 3, 1)  # noqa: DTZ001 (the device's own zone)
DAYS = [
    ("Europe/Volgograd", date(2020, 12, 27), 25),
    ("Asia/Almaty", date(2024, 2, 29), 25),
    ("Europe/Saratov", date(2016, 12, 4), 23),
]


def us(moment: datetime) -> int:
    return round(moment.timestamp()) * 1_000_000


def midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=zone)


def house(tmp_path: Path, timezone: str, since: date) -> tuple[Database, dict[str, int]]:
    """A common meter and a flat's."""
    db = open_database(tmp_path / "application.db")
    organisation = registry.create(db, "organisation", {"name": "УК"})
    place = {"organisation_id": organisation.id, "address": "ул. Мира, 1", "timezone": timezone}
    building = registry.create(db, "building", place)
    premises = registry.create(db, "premises", {"building_id": building.id, "number": "1"})
    meters = {}
    for role, premises_id in (("house", None), ("individual", premises.id)):
        fields = {"building_id": building.id, "premises_id": premises_id, "resource": "cold_water", "role": role}
        point = registry.create(db, "point", fields)
        made = registry.create(db, "meter", {"serial": role, "resource": "cold_water"})
        registry.install(db, point.id, made.id, since, Decimal(0))
        meters[role] = int(made.id or 0)
    return db, meters


@pytest.mark.parametrize(("timezone", "day", "length"), DAYS)
def test_fr_02_the_hours_of_a_day_on_which_clocks_change(tmp_path: Path, timezone: str, day: date, length: int) -> None:
    """A litre more every hour; 0.1 m³ in the house each hour, so that an hour twice or never would show."""
    zone = ZoneInfo(timezone)
    db, meters = house(tmp_path, timezone, day - timedelta(days=1))
    begun, ended = us(midnight(day - timedelta(days=1), zone)), us(midnight(day + timedelta(days=2), zone))
    readings = []
    for hour, at_us in enumerate(range(begun, ended + 1, 3_600_000_000)):
        for role, value in (("house", 100_000 * hour), ("individual", 1_000 * hour * (hour + 1) // 2)):
            readings.append(NewReading(meters[role], "volume", at_us, value, "archive", "lorawan", at_us + 1))
    with db.transaction() as connection:
        store(connection, readings, ended)
    by_hour = house_balance(db, 1, "cold_water", day, day + timedelta(days=1), "hour")
    assert len(by_hour.periods) == length
    assert {period.house for period in by_hour.periods} == {Decimal("0.1")}
    assert len({period.start.isoformat() for period in by_hour.periods}) == length, (
        "each hour once, also the one that is told twice"
    )
    by_day = house_balance(db, 1, "cold_water", day - timedelta(days=1), day + timedelta(days=2), "day")
    assert [period.house for period in by_day.periods] == [Decimal(n) / 10 for n in (24, length, 24)]
    assert sum(period.individual for period in by_hour.periods) == by_day.periods[1].individual
    assert by_day.total.individual == sum(period.individual for period in by_day.periods)
    db.close()


@pytest.mark.parametrize(("timezone", "day", "length"), DAYS)
@pytest.mark.parametrize("hour", [23, 0])
def test_fr_02_a_days_archive_of_a_day_on_which_clocks_change(
    tmp_path: Path, timezone: str, day: date, length: int, hour: int
) -> None:
    """Stamped 23:00 or 00:00, it is the midnight at which the day of 23 or 25 hours ends."""
    zone = ZoneInfo(timezone)
    db, meters = house(tmp_path, timezone, day - timedelta(days=2))
    registry.bind_channel(db, EUI, meters["individual"])
    events = []
    for number in range(4):
        ends = midnight(day + timedelta(days=number - 1), zone)
        wall = ends.replace(tzinfo=None) - timedelta(hours=hour == 23)
        seconds = round((wall - KARAT_EPOCH).total_seconds())
        data = struct.pack("<HBIHII", 0x0285, 15, seconds, 0, 10_000 * number, 0)
        at_us = us(ends) + 5 * 3_600_000_000
        fields = {"dev_eui": EUI, "codec": "karat", "f_port": 5, "f_cnt": number, "data": data}
        events.append(Event(id=number + 1, type="up", time_us=at_us, **fields))
    Ingest(db, lambda: events[-1].time_us).take(events)
    moments = db.rows("SELECT measured_at_us FROM reading WHERE register = 'volume' ORDER BY 1")
    steps = [(b - a) // 3_600_000_000 for (a,), (b,) in pairwise(moments)]
    assert steps == [24, length, 24]
    rows = db.rows("SELECT quality FROM boundary WHERE value_micro > 0 ORDER BY day")
    assert rows == [("measured",)] * 3
    db.close()
