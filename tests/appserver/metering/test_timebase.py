"""Days of zones, device clocks."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appserver.metering.timebase import (
    HOUR_US,
    MAX_AHEAD_US,
    date_of,
    day_number,
    day_of,
    from_device,
    hours_in_day,
    microseconds,
    midnight_us,
    midnights_near,
    moment,
    trusted_moment,
    zone_of,
)


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("Asia/Almaty", date(2024, 2, 29), 25),
        ("Europe/Volgograd", date(2020, 12, 27), 25),
        ("Europe/Saratov", date(2016, 12, 4), 23),
        ("Asia/Yekaterinburg", date(2026, 10, 25), 24),
    ],
)
def test_length_of_days(zone: str, day: date, hours: int) -> None:
    """FR-02 (e)."""
    assert hours_in_day(day, zone_of(zone)) == hours


def test_midnight_is_the_zone_s() -> None:
    zone = zone_of("Asia/Yekaterinburg")
    at = midnight_us(day_number(date(2026, 11, 1)), zone)
    assert moment(at) == datetime(2026, 10, 31, 19, tzinfo=UTC)
    assert moment(at, zone).isoformat() == "2026-11-01T00:00:00+05:00"


@given(
    st.integers(0, 2**33 * 1_000_000), st.sampled_from(["Asia/Almaty", "Europe/Saratov", "UTC", "America/Sao_Paulo"])
)
def test_every_moment_lies_in_its_day(at_us: int, name: str) -> None:
    zone = zone_of(name)
    day = day_of(at_us, zone)
    assert midnight_us(day, zone) <= at_us < midnight_us(day + 1, zone)
    assert microseconds(moment(at_us, zone)) == at_us
    assert day_number(date_of(day)) == day


def test_midnights_near() -> None:
    zone = zone_of("Europe/Moscow")
    day = day_number(date(2026, 11, 1))
    start = midnight_us(day, zone)
    assert list(midnights_near(start, 6 * HOUR_US, zone)) == [day]
    assert list(midnights_near(start + 12 * HOUR_US, 6 * HOUR_US, zone)) == []
    assert list(midnights_near(start - HOUR_US, 6 * HOUR_US, zone)) == [day]
    assert list(midnights_near(start + 12 * HOUR_US, 12 * HOUR_US, zone)) == [day, day + 1]


def test_device_clock_in_its_zone() -> None:
    """FR-02 (c)."""
    clock = datetime(2026, 11, 1)  # noqa: DTZ001
    assert from_device(clock, zone_of("UTC")) - from_device(clock, zone_of("Asia/Yekaterinburg")) == 5 * HOUR_US


@pytest.mark.parametrize(
    ("device", "trusted"),
    [
        (None, False),
        (timedelta(0), True),
        (timedelta(microseconds=MAX_AHEAD_US), True),
        (timedelta(microseconds=MAX_AHEAD_US + 1), False),
        (timedelta(days=-30), True),
        (timedelta(days=-31, microseconds=-1), False),
    ],
)
def test_which_clocks_are_believed(device: timedelta | None, trusted: bool) -> None:
    """FR-02 (d): not before the commissioning, not more than five minutes ahead."""
    received = datetime(2026, 11, 1, 12, tzinfo=UTC)
    commissioned = microseconds(received - timedelta(days=31))
    told = None if device is None else microseconds(received + device)
    at_us, believed = trusted_moment(told, microseconds(received), commissioned)
    assert believed is trusted
    assert at_us == (told if trusted else microseconds(received))
