"""A gateway's GPS time against the server's clock."""

from __future__ import annotations

import json
from collections import Counter
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lns.clock import Now
from lns.gateways.frames import RxFrame
from lns.gateways.gateway import GatewayRegistry
from lns.gateways.gps import FRESH_US, GpsClock, GpsState
from lns.gateways.gwmp.front import GwmpFront
from lorawan.gps import gps_to_utc_us, utc_to_gps_us

SECOND_US = 1_000_000
WALL_US = 1_790_000_000 * SECOND_US
GPS_US = utc_to_gps_us(WALL_US)
MONO_US = 5_000 * SECOND_US
TRUE_OFFSET_US = GPS_US - MONO_US


def told(clock: GpsClock, after_us: int, delay_us: int = 0, step_us: int = 0, gps_off_us: int = 0) -> None:
    """A frame ended ``after_us`` behind the beginning; ``step_us``: the wall clock was moved by so much."""
    heard_us = MONO_US + after_us + delay_us
    clock.observe(GPS_US + after_us + gps_off_us, heard_us, WALL_US + after_us + delay_us + step_us)


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 400_000)), min_size=1, max_size=30))
def test_the_least_delay_counts(frames: list[tuple[int, int]]) -> None:
    clock, at_us, least = GpsClock(), 0, 1 << 40
    for pause_s, delay_us in frames:
        at_us += pause_s * SECOND_US
        told(clock, at_us, delay_us)
        least = min(least, delay_us)
    error = TRUE_OFFSET_US + 0 - (clock.gps_us(MONO_US) - MONO_US)
    drift = (at_us + 400_000) // 10_000
    assert least <= error <= least + drift
    assert clock.mono_us(clock.gps_us(MONO_US)) == MONO_US


def test_a_step_of_the_wall_clock_moves_nothing() -> None:
    clock = GpsClock()
    told(clock, 0)
    for step_s in (3600, -86_400, -315_360_000):
        told(clock, 10 * SECOND_US, step_us=step_s * SECOND_US)
        assert clock.state(MONO_US + 10 * SECOND_US) is GpsState.LOCKED
        assert abs(clock.gps_us(MONO_US) - GPS_US) <= 1000
        assert clock.off_us == -step_s * SECOND_US


def test_a_receiver_nineteen_years_off_is_not_believed() -> None:
    clock = GpsClock()
    told(clock, 0, gps_off_us=-1024 * 7 * 86_400 * SECOND_US)
    assert clock.state(MONO_US) is GpsState.WRONG
    assert not clock.is_locked(MONO_US) and clock.age_us(MONO_US) is None
    told(clock, SECOND_US)
    assert clock.is_locked(MONO_US + SECOND_US)


def test_a_locked_clock_that_jumps_by_weeks_is_wrong() -> None:
    clock = GpsClock()
    told(clock, 0)
    told(clock, SECOND_US, gps_off_us=7 * 86_400 * SECOND_US)
    assert clock.state(MONO_US + SECOND_US) is GpsState.WRONG


@pytest.mark.parametrize("late_s", [3, 60, 3000])
def test_a_frame_that_was_held_up_moves_nothing(late_s: int) -> None:
    clock = GpsClock()
    told(clock, 0)
    told(clock, SECOND_US, delay_us=late_s * SECOND_US)
    assert clock.gps_us(MONO_US) == GPS_US and clock.is_locked(MONO_US)
    assert clock.off_us == 0


def test_a_first_frame_that_was_held_up_is_put_right_by_the_next() -> None:
    clock = GpsClock()
    told(clock, 0, delay_us=60 * SECOND_US)
    told(clock, 70 * SECOND_US, delay_us=20_000)
    assert clock.gps_us(MONO_US) == GPS_US - 20_000


def test_a_receiver_that_loses_the_date_is_found_out_within_an_hour() -> None:
    clock, weeks_us = GpsClock(), -1024 * 7 * 86_400 * SECOND_US
    told(clock, 0)
    told(clock, 60 * SECOND_US, gps_off_us=weeks_us)
    assert clock.gps_us(MONO_US) == GPS_US
    told(clock, FRESH_US + SECOND_US, gps_off_us=weeks_us)
    assert clock.state(MONO_US + FRESH_US + SECOND_US) is GpsState.WRONG


@pytest.mark.parametrize("pause_s", [10, 20_000])
def test_inv_35_a_lock_comes_back_whatever_the_wall_clock_shows_by_then(pause_s: int) -> None:
    clock = GpsClock()
    told(clock, 0)
    clock.lost()
    told(clock, pause_s * SECOND_US, step_us=-3_600 * SECOND_US)
    assert clock.is_locked(MONO_US + pause_s * SECOND_US) and clock.gps_us(MONO_US) == GPS_US


def test_lost_stale_and_back() -> None:
    clock = GpsClock()
    assert clock.state(MONO_US) is GpsState.NONE
    clock.lost()
    assert clock.state(MONO_US) is GpsState.NONE
    told(clock, 0)
    assert clock.state(MONO_US + FRESH_US) is GpsState.LOCKED
    assert clock.state(MONO_US + FRESH_US + 1) is GpsState.STALE and not clock.is_locked(MONO_US + FRESH_US + 1)
    clock.lost()
    assert clock.state(MONO_US) is GpsState.LOST
    assert clock.age_us(MONO_US + SECOND_US) == SECOND_US
    told(clock, 2 * SECOND_US)
    assert clock.is_locked(MONO_US + 2 * SECOND_US)


@pytest.mark.parametrize(
    ("fields", "gps_us"),
    [
        ({"tmms": 1_474_000_000_123}, 1_474_000_000_123_000),
        ({"tmms": 1_474_000_000_123.0}, 1_474_000_000_123_000),
        ({"tmms": "1474000000123"}, 1_474_000_000_123_000),
        ({"tmms": 1_474_000_000_123, "chan": "0"}, 1_474_000_000_123_000),
        ({"tmms": 0}, None),
        ({"tmms": -5}, None),
        ({"tmms": None}, None),
        ({"tmms": "x"}, None),
        ({"tmms": 1e300}, None),
        ({}, None),
    ],
)
def test_tmms_as_forwarders_write_it(fields: dict[str, object], gps_us: int | None) -> None:
    heard: list[RxFrame] = []

    class Host:
        registry = GatewayRegistry(lambda: ())
        counters: ClassVar[Counter[str]] = Counter()

        def uplink(self, rx: RxFrame, now: Now) -> None:
            heard.append(rx)

        def after_commit(self, datagram: bytes, address: tuple[object, ...]) -> None: ...

        def tx_done(self, transmission: object, error: str, warning: str, now: Now) -> None: ...

    host = Host()
    gateway = host.registry.add(1)
    front = GwmpFront(host, lambda datagram, address: None, lambda: b"\0\0")
    rxpk = {"freq": 868.9, "datr": "SF9BW125", "data": "QAEC", "tmst": 5, "stat": 1} | fields
    body = json.dumps({"rxpk": [rxpk]}).encode()
    now = Now(MONO_US, gps_to_utc_us(1_474_000_000_123_000))
    front.receive(b"\x02\0\0\0" + bytes(7) + b"\x01" + body, ("10.0.0.1", 1), now)
    assert [rx.gps_us for rx in heard] == [gps_us]
    assert gateway.gps.is_locked(MONO_US) == (gps_us is not None)


def test_a_frame_without_its_time_tells_that_the_lock_is_lost() -> None:
    gateway = GatewayRegistry(lambda: ()).add(1)
    RxFrame(gateway, b"\x40", 868_900_000, "SF9BW125", -90, 5, 1, MONO_US, WALL_US, gps_us=GPS_US)
    assert gateway.gps.is_locked(MONO_US)
    RxFrame(gateway, b"\x40", 868_900_000, "SF9BW125", -90, 5, 2, MONO_US, WALL_US)
    assert gateway.gps.state(MONO_US) is GpsState.LOST
