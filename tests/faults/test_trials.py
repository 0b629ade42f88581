"""The short forms of the long trials; `make trial` has the long ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults import forwarder, joins


@pytest.mark.slow
def test_inv_27_inv_28_inv_29_a_just_in_time_queue_refuses_nothing(quiet: None) -> None:
    """Ten minutes of classes A, B and C at three gateways of both generations."""
    figures = forwarder.hour(minutes=10.0, seed=2)
    assert figures["refused"] == {} and figures["violations"] == []
    assert figures["pull_resps"] == figures["taken"] > 200
    assert set(figures["timing"]) == {"tmst", "imme", "tmms"}
    assert {"RX1", "RX2", "RXC", "ping slot"} <= set(figures["heard"])


@pytest.mark.slow
def test_inv_14_power_returns_to_a_town(tmp_path: Path, quiet: None) -> None:
    """F-17 in small: one accept for one request, and every session works."""
    figures = joins.joins(600, 36, 24, tmp_path)
    assert figures["wrong"] == [] and figures["first_uplink_silent"] == 0
    assert figures["joined"] == figures["sessions"] == 600
    assert figures["asked_in_time_and_joined"] >= 540
