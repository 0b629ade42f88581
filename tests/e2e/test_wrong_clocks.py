"""Clocks of modules that are off, in virtual time: DeviceTimeReq through the real engine puts them right."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from tests.support.house_lab import HouseLab

ZONE = ZoneInfo("Asia/Yekaterinburg")
FIRST = date(2026, 10, 1)
SLOW = -640
SMALL = {
    "flats = 60": "flats = 6",
    "thefts = [{ flat = 17, from_day = 12, share = 0.85, residents = 4 }]": "",
    "flats = [3, 8, 14, 21, 26, 33, 38, 41, 47, 52, 55, 59], minutes = -640": "flats = [3], minutes = -640",
    "replacements = [{ flat = 31, day = 15 }]": "",
    "silences = [{ flat = 44, from_day = 24 }]": "",
    "from_day = 20": "from_day = 2",
    "current_every_d = 3": "current_every_d = 1\ndevice_time_every_d = 5",
    "confirmed_devices = 2": "confirmed_devices = 0",
    "common_period_h = 1": "v18_every = 0\ncommon_period_h = 1",
}


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HouseLab]:
    """Six flats; the clock of the third goes 640 minutes slow on the third day, on the sixth modules ask for the time."""
    made = HouseLab(tmp_path_factory.mktemp("clocks"), "satka_month", datetime(2026, 10, 1, tzinfo=ZONE), 4, SMALL)
    made.live(days=11)
    yield made
    made.close()
    made.db.close()


def errors_of(lab: HouseLab, flat: int) -> list[tuple[int, int]]:
    """(day, minutes that the module's clock was seen to be off), by what the server keeps."""
    rows = lab.db.rows(
        "SELECT r.received_at_us, r.clock_error_us FROM reading r JOIN meter m ON m.id = r.meter_id WHERE m.serial = ?"
        " AND r.register = 'volume' AND r.clock_error_us IS NOT NULL ORDER BY 1",
        (lab.module(flat).meter.serial,),
    )
    return [((at_us - lab.moment(FIRST)) // 86_400_000_000, round(error_us / 60e6)) for at_us, error_us in rows]


def test_fr_02_the_server_sees_the_clock_go_wrong_and_right_again(lab: HouseLab) -> None:
    errors = dict(errors_of(lab, 3))
    assert {errors[day] for day in errors if day < 2} == {0}
    assert {errors[day] for day in errors if 3 <= day <= 4} == {SLOW}
    assert {errors[day] for day in errors if day >= 7} == {0}
    assert {minutes for _, minutes in errors_of(lab, 4)} == {0}


def test_fr_02_the_time_came_by_device_time_ans(lab: HouseLab) -> None:
    """Asked with a midnight's value, answered in a window of the same uplink."""
    told = [line for line in lab.heard(lab.module(3).dev_eui) if line["device_time"] is not None]
    assert told
    days = {(line["t"] - lab.moment(FIRST)) // 86_400_000_000 for line in told}
    assert days & {5, 6}


def test_fr_02_midnights_are_midnights_again(lab: HouseLab) -> None:
    """While the clock was slow its midnights were ten hours late; before and after they are exact."""
    meter = lab.module(3).meter
    for day, late in ((1, False), (4, True), (9, False)):
        at_us = lab.moment(FIRST + timedelta(days=day))
        [(value,)] = lab.db.rows(
            "SELECT r.value_micro FROM reading r JOIN meter m ON m.id = r.meter_id WHERE m.serial = ?"
            " AND r.register = 'volume' AND r.measured_at_us = ? AND r.quality = 'archive'",
            (meter.serial, at_us),
        )
        shown = lab.house.units(meter, at_us - SLOW * 60_000_000 if late else at_us)
        assert Decimal(value) == Decimal(shown) * 100
