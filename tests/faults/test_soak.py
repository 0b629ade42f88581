"""The short form of the soak: the whole program, real datagrams, real time."""

from __future__ import annotations

import pytest

from tests.faults import soak


@pytest.mark.slow
def test_inv_17_inv_21_soak_over_udp() -> None:
    """F-16 in small: twenty seconds, a hundred uplinks a second, three copies each."""
    figures = soak.soak(minutes=1 / 3, rate=100.0)
    assert figures["lost"] == figures["duplicates"] == 0
    assert figures["frames"] > 1900 and figures["acknowledged"] > 0.99 * figures["frames"]
    assert all(last <= first + 12 for first, last in figures["fds"].values())
