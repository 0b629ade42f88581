"""FR-03: the value of a register at a moment."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appserver.metering.boundary import MAX_GAP_US, Sample, boundary_value
from appserver.metering.timebase import HOUR_US


def sample(hour: float, value: str, quality: str = "measured", received: int = 0) -> Sample:
    return Sample(int(hour * HOUR_US), Decimal(value), quality, received)


def test_fr_03_exact_value_beats_interpolation() -> None:
    value = boundary_value([sample(-1, "1"), sample(0, "5"), sample(1, "9")], 0)
    assert value is not None and (value.value, value.quality) == (Decimal(5), "measured")


def test_fr_03_six_hours_are_interpolated_and_no_more() -> None:
    value = boundary_value([sample(-2, "10.0"), sample(4, "10.6")], 0)
    assert value is not None and (value.value, value.quality) == (Decimal("10.2"), "interpolated")
    wider = [Sample(-2 * HOUR_US, Decimal(10)), Sample(4 * HOUR_US + 1, Decimal("10.6"))]
    assert wider[1].at_us - wider[0].at_us == MAX_GAP_US + 1
    assert boundary_value(wider, 0) is None


def test_fr_03_nothing_is_extrapolated() -> None:
    assert boundary_value([sample(-1, "1")], 0) is None
    assert boundary_value([sample(1, "1")], 0) is None
    assert boundary_value([], 0) is None


def test_fall_is_not_interpolated_noise_is() -> None:
    assert boundary_value([sample(-1, "99999.9"), sample(1, "0.1")], 0) is None
    value = boundary_value([sample(-1, "5.271"), sample(1, "5.269")], 0)
    assert value is not None and value.value == Decimal("5.270")


@pytest.mark.parametrize(
    ("here", "value", "quality"),
    [
        ([("5", "archive", 9), ("6", "measured", 1)], "5", "measured"),
        ([("5", "measured", 9), ("6", "server_time", 1)], "5", "measured"),
        ([("5", "server_time", 1)], "5", "server_time"),
        ([("5", "archive", 2), ("6", "archive", 1)], "6", "disputed"),
        ([("6", "archive", 1), ("5", "archive", 2)], "6", "disputed"),
    ],
)
def test_several_values_for_one_moment(here: list, value: str, quality: str) -> None:
    """Stored beats read; among equals the first known stands and the boundary is disputed."""
    found = boundary_value([sample(0, v, q, r) for v, q, r in here], 0)
    assert found is not None and (found.value, found.quality) == (Decimal(value), quality)


def test_untrusted_neighbour_shows() -> None:
    value = boundary_value([sample(-1, "1"), sample(1, "2", "server_time")], 0)
    assert value is not None and value.quality == "server_time"


@given(st.lists(st.tuples(st.integers(-50, 50), st.integers(0, 10**9)), max_size=20), st.integers(-50, 50))
def test_the_value_lies_between_its_neighbours(readings: list[tuple[int, int]], hour: int) -> None:
    samples = sorted((Sample(h * HOUR_US, Decimal(v).scaleb(-4)) for h, v in readings), key=lambda s: s.at_us)
    value = boundary_value(samples, hour * HOUR_US)
    if value is not None and samples:
        assert min(s.value for s in samples) <= value.value <= max(s.value for s in samples)
