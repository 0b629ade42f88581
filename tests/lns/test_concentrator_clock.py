"""The gateway's counter against the server's clock."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lns.gateways.clock import WRAP_US, ConcentratorClock

SECOND_US = 1_000_000
START_US = 10_000_000_000


def clock_after(*datagrams: tuple[int, int]) -> ConcentratorClock:
    clock = ConcentratorClock()
    for tmst, arrival_us in datagrams:
        clock.observe(tmst % WRAP_US, arrival_us)
    return clock


def test_delay_over_the_least_is_taken_off() -> None:
    clock = clock_after((0, START_US + 40_000))
    assert clock.observe(SECOND_US, START_US + SECOND_US + 90_000) == START_US + SECOND_US + 40_000
    assert clock.observe(2 * SECOND_US, START_US + 2 * SECOND_US + 10_000) == START_US + 2 * SECOND_US + 10_000
    assert clock.observe(3 * SECOND_US, START_US + 3 * SECOND_US + 90_000) == START_US + 3 * SECOND_US + 10_000
    assert clock.restarts == 0


@given(
    st.integers(0, WRAP_US - 1),
    st.lists(st.tuples(st.integers(0, 500_000_000), st.integers(0, 400_000)), min_size=1, max_size=30),
)
def test_over_any_wrap_the_moment_is_right_within_the_least_delay(first: int, steps: list[tuple[int, int]]) -> None:
    """Whatever the counter starts from; frames come in order, each with its own delay below 0.4 s."""
    clock, heard_us = ConcentratorClock(), START_US
    for step_us, delay_us in steps:
        heard_us += step_us
        tmst = (first + heard_us - START_US) % WRAP_US
        estimate = clock.observe(tmst, heard_us + delay_us)
        assert heard_us <= estimate <= heard_us + 400_000
    assert clock.restarts == 0


@given(st.integers(0, 2 * WRAP_US), st.integers(0, WRAP_US - 1))
def test_after_a_restart_the_second_datagram_is_right(uptime_us: int, begins_at: int) -> None:
    clock = clock_after((0, START_US), (uptime_us, START_US + uptime_us))
    down_us = START_US + uptime_us + 2 * SECOND_US
    clock.observe(begins_at, down_us)
    arrival_us = down_us + 5 * SECOND_US
    # Wrong by half a second at most, as a slow datagram is.
    assert 0 <= arrival_us - clock.observe((begins_at + 5 * SECOND_US) % WRAP_US, arrival_us) <= 500_000


def test_restart_is_counted() -> None:
    clock = clock_after(
        (0, START_US), (1000 * SECOND_US, START_US + 1000 * SECOND_US), (0, START_US + 1001 * SECOND_US)
    )
    assert clock.restarts == 1


def test_frames_that_waited_together_are_late_each_by_its_own_time() -> None:
    """A backhaul that was down for nine seconds delivers what it kept."""
    clock = clock_after((0, START_US))
    arrival_us = START_US + 10 * SECOND_US
    for second in range(1, 10):
        assert clock.observe(second * SECOND_US, arrival_us + second) == START_US + second * SECOND_US
    assert clock.observe(11 * SECOND_US, START_US + 11 * SECOND_US) == START_US + 11 * SECOND_US
    assert clock.restarts == 0


def test_silence_over_the_wrap_forgets() -> None:
    clock = clock_after((0, START_US))
    arrival_us = START_US + 2 * WRAP_US + 77
    assert clock.observe(123, arrival_us) == arrival_us
    assert clock.restarts == 0
