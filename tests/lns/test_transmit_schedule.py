"""One transmitter, one frame at a time, with the forwarders' guard before each (jitqueue.c: 31.5 and 41.5 ms)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lns.gateways.schedule import GUARD_US, TransmitSchedule


def test_frames_need_the_guard_between_them() -> None:
    schedule = TransmitSchedule()
    schedule.take(1_000_000, 200_000, 0)
    assert schedule.is_free(1_200_000 + GUARD_US, 1_000)
    assert not schedule.is_free(1_200_000 + GUARD_US - 1, 1_000)
    assert schedule.is_free(1_000_000 - GUARD_US - 1_000, 1_000)
    assert not schedule.is_free(1_000_000 - GUARD_US - 999, 1_000)
    assert not schedule.is_free(1_050_000, 1_000)
    assert not schedule.is_free(900_000, 1_000_000)
    assert GUARD_US >= 41_500


def test_released_and_past_promises_are_forgotten() -> None:
    schedule = TransmitSchedule()
    schedule.take(1_000_000, 200_000, 0)
    schedule.release(1_000_000, 200_000)
    schedule.release(1_000_000, 200_000)
    assert schedule.is_free(1_000_000, 200_000)
    for number in range(1000):
        schedule.take(number * 100_000_000, 1_000_000, number * 100_000_000 - 1_000_000)
    assert len(schedule._busy) < 3


@given(st.lists(st.tuples(st.integers(0, 20_000_000), st.integers(10_000, 2_500_000)), max_size=50))
def test_nothing_it_allows_overlaps(wishes: list[tuple[int, int]]) -> None:
    schedule = TransmitSchedule()
    taken: list[tuple[int, int]] = []
    for start_us, airtime_us in wishes:
        free = all(start_us - GUARD_US >= end or start_us + airtime_us <= begin - GUARD_US for begin, end in taken)
        assert schedule.is_free(start_us, airtime_us) is free
        if free:
            schedule.take(start_us, airtime_us, 0)
            taken.append((start_us, start_us + airtime_us))
