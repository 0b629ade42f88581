"""FR-02 and MET-03: device clocks beside ours, days of 23 and 25 hours, what a boundary value may be off by."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from appserver import registry
from appserver.db import Database, open_database
from appserver.ingest import Ingest
from appserver.metering import house_balance
from appserver.metering.balance import Ends, errors_of
from appserver.metering.boundary import BoundaryValue, Sample, boundary_value
from appserver.metering.consumption import Mark
from appserver.metering.timebase import (
    ASSUMED_CLOCK_US,
    HOUR_US,
    SENDING_US,
    UNKNOWN_AGE_US,
    clock_bound_us,
    hours_in_day,
    zone_of,
)
from internalapi.messages import Event
from tests.support.satka import ZONE, karat, microseconds, midnight

FIRST = date(2026, 10, 1)
MINUTE_US = 60_000_000
EUI = "70b3d5e75e000001"


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("Asia/Almaty", date(2024, 2, 29), 25),
        ("Europe/Volgograd", date(2020, 12, 27), 25),
        ("Europe/Saratov", date(2016, 12, 4), 23),
        ("Asia/Yekaterinburg", date(2026, 10, 25), 24),
    ],
)
def test_fr_02_days_where_clocks_change(zone: str, day: date, hours: int) -> None:
    assert hours_in_day(day, zone_of(zone)) == hours


@pytest.mark.parametrize(
    ("error_us", "server_time", "bound_us"),
    [
        (None, False, ASSUMED_CLOCK_US),
        (-40 * MINUTE_US, False, 40 * MINUTE_US),
        (7, False, 7),
        (0, True, SENDING_US),
        (None, True, UNKNOWN_AGE_US),
    ],
)
def test_fr_02_bound_of_a_clock(error_us: int | None, server_time: bool, bound_us: int) -> None:
    assert clock_bound_us(error_us, server_time) == bound_us


def test_fr_02_error_of_a_boundary_value() -> None:
    """0.6 m³ an hour: ten minutes of clock are 0.1 m³; interpolation may be off by the further neighbour."""
    exact = BoundaryValue(Decimal(100), "measured", 10 * MINUTE_US, Decimal("0.01"))
    assert exact.error(Decimal("0.6")) == Decimal("0.11")
    samples = [
        Sample(0, Decimal(10), clock_us=-1 * MINUTE_US),
        Sample(4 * HOUR_US, Decimal(14), clock_us=2 * MINUTE_US),
    ]
    between = boundary_value(samples, HOUR_US, step=Decimal("0.1"))
    assert between == BoundaryValue(Decimal(11), "interpolated", 2 * MINUTE_US, Decimal("3.1"))


def test_fr_02_disputed_value_may_be_the_other() -> None:
    samples = [Sample(0, Decimal(10), "archive"), Sample(0, Decimal("10.4"), "archive", 1)]
    value = boundary_value(samples, 0)
    assert value is not None
    assert (value.quality, value.spread) == ("disputed", Decimal("0.4"))


def test_fr_02_clock_of_a_volume() -> None:
    """24 m³ a day with six and twelve minutes off at its ends: 0.3 m³ of it may be clock."""
    first = Mark(0, 1, Decimal(0), Decimal(0), clock_us=6 * MINUTE_US, spread=Decimal("0.01"))
    last = Mark(24 * HOUR_US, 1, Decimal(24), Decimal(24), clock_us=-12 * MINUTE_US, spread=Decimal("0.02"))
    assert errors_of(Ends(first, last)) == (Decimal("0.3"), Decimal("0.33"))
    assert errors_of(Ends(None, last)) == (0, 0)


@pytest.fixture
def db(tmp_path: Path) -> Database:
    database = open_database(tmp_path / "application.db")
    organisation = registry.create(database, "organisation", {"name": "УК"})
    place = {"organisation_id": organisation.id, "address": "Сатка", "timezone": ZONE.key}
    building = registry.create(database, "building", place)
    point = registry.create(database, "point", {"building_id": building.id, "resource": "cold_water", "role": "house"})
    meter = registry.create(database, "meter", {"serial": "1", "resource": "cold_water"})
    registry.install(database, point.id, meter.id, FIRST, Decimal(0))
    registry.bind_channel(database, EUI, meter.id)
    yield database
    database.close()


def take(db: Database, *frames: tuple[bytes, datetime]) -> None:
    events = [
        Event(id=n, type="up", time_us=microseconds(at), dev_eui=EUI, codec="karat", f_port=5, f_cnt=n, data=data)
        for n, (data, at) in enumerate(frames, 1)
    ]
    Ingest(db, lambda: microseconds(frames[-1][1])).take(events)


def stored(db: Database) -> list[tuple[object, ...]]:
    return db.rows(
        "SELECT measured_at_us, device_time_us, quality, clock_error_us FROM reading WHERE register = 'volume' ORDER BY 1"
    )


def test_fr_02_every_reading_keeps_its_clock_beside_ours(db: Database) -> None:
    noon = midnight(FIRST + timedelta(days=1)) + timedelta(hours=12)
    take(db, (karat(Decimal(5), noon, archive=5), noon + timedelta(minutes=40)))
    assert stored(db) == [(microseconds(noon), microseconds(noon), "measured", -40 * MINUTE_US)]
    assert db.rows("SELECT clock_offset_us FROM device_state") == [(-40 * MINUTE_US,)]


def test_fr_02_declared_zone_of_the_device(db: Database) -> None:
    """The same stamp means another moment on a clock that is declared to run in UTC."""
    stamp = midnight(FIRST + timedelta(days=1))
    registry.set_device_clock(db, EUI, "UTC")
    take(db, (karat(Decimal(5), stamp), stamp + timedelta(hours=6)))
    assert stored(db)[0][:3] == (microseconds(stamp + timedelta(hours=5)),) * 2 + ("archive",)


def test_fr_02_untrusted_clock_gives_way_to_ours_and_says_so(db: Database) -> None:
    """A stored value may be of any age then, one that was read while sending may not."""
    at = midnight(FIRST + timedelta(days=3)) + timedelta(minutes=3)
    old = datetime(2001, 1, 1, tzinfo=ZONE)
    take(db, (karat(Decimal(5), old), at), (karat(Decimal(6), old, archive=5), at + timedelta(hours=1)))
    assert stored(db) == [
        (microseconds(at), microseconds(old), "server_time", None),
        (microseconds(at + timedelta(hours=1)), microseconds(old), "server_time", 0),
    ]


def test_fr_02_balance_says_how_much_of_it_is_clock(db: Database) -> None:
    days = [midnight(FIRST + timedelta(days=n)) for n in range(3)]
    take(db, *((karat(Decimal(n * 24), day), day + timedelta(hours=1)) for n, day in enumerate(days)))
    balance = house_balance(db, 1, "cold_water", FIRST, FIRST + timedelta(days=2), "day")
    # The act of the installation is at the first midnight; nothing compared the module's clock: five minutes.
    assert [period.clock for period in balance.periods] == [Decimal("0.083334"), Decimal("0.166667")]
    assert balance.total.clock == balance.points[0].clock == Decimal("0.083334")
    assert balance.total.error >= balance.total.clock
