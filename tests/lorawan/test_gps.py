"""GPS time: leap seconds, both ways, DeviceTimeAns."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorawan import gps
from lorawan.commands import DeviceTimeAns


def utc_us(*when: int) -> int:
    return int(dt.datetime(*when, tzinfo=dt.UTC).timestamp()) * gps.SECOND_US


YEAR_1970, YEAR_2100 = 0, utc_us(2100, 1, 1)


@given(st.integers(YEAR_1970, YEAR_2100))
def test_utc_makes_a_round_trip(moment_us: int) -> None:
    assert gps.gps_to_utc_us(gps.utc_to_gps_us(moment_us)) == moment_us


@given(st.integers(YEAR_1970, YEAR_2100), st.integers(0, 10**12))
def test_gps_time_never_goes_back(moment_us: int, later_us: int) -> None:
    assert gps.utc_to_gps_us(moment_us + later_us) >= gps.utc_to_gps_us(moment_us) + later_us


@pytest.mark.parametrize(
    ("when", "seconds"),
    # IERS Bulletin C: GPS - UTC.
    [
        ((1979, 12, 31), 0),
        ((1980, 1, 6), 0),
        ((1981, 6, 30, 23, 59, 59), 0),
        ((1981, 7, 1), 1),
        ((1998, 12, 31, 23, 59, 59), 12),
        ((1999, 1, 1), 13),
        ((2016, 12, 31, 23, 59, 59), 17),
        ((2017, 1, 1), 18),
        ((2026, 11, 23), 18),
    ],
)
def test_leap_seconds(when: tuple[int, ...], seconds: int) -> None:
    assert gps.leap_seconds(utc_us(*when)) == seconds


def test_a_leap_second_repeats_the_second_after_it() -> None:
    midnight = utc_us(2017, 1, 1)
    leap_gps = gps.utc_to_gps_us(midnight) - gps.SECOND_US
    assert gps.gps_to_utc_us(leap_gps) == midnight
    assert gps.gps_to_utc_us(leap_gps - 1) == midnight - 1
    assert gps.gps_to_utc_us(leap_gps + gps.SECOND_US) == midnight


def test_the_data_file_is_in_order_and_grows_by_one() -> None:
    rows = gps.parse_leap_seconds("# comment\n1980-01-06,0\n\n2030-07-01,19\n")
    assert rows == [(gps.GPS_EPOCH_UTC_US, 0), (utc_us(2030, 7, 1), 19)]
    assert [seconds for _, seconds in gps._ROWS] == list(range(19))
    assert sorted(gps._ROWS) == gps._ROWS


def test_device_time_ans() -> None:
    moment = utc_us(2025, 7, 14)
    assert gps.device_time_ans(moment) == DeviceTimeAns(1_436_486_418, 0)
    assert gps.device_time_ans(moment + 500_000) == DeviceTimeAns(1_436_486_418, 128)
    assert gps.device_time_ans(moment + 999_999) == DeviceTimeAns(1_436_486_419, 0)


@given(st.integers(utc_us(1980, 1, 7), YEAR_2100))
def test_device_time_is_within_two_milliseconds(moment_us: int) -> None:
    answer = gps.device_time_ans(moment_us)
    told_us = answer.seconds * gps.SECOND_US + answer.fraction * gps.SECOND_US // 256
    assert abs(told_us - gps.utc_to_gps_us(moment_us) % (gps.SECOND_US << 32)) <= 2_000
    assert answer.encode()[0] == 0x0D
