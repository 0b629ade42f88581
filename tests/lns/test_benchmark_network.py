"""The short form of the network benchmark: it measures what it says, and nothing is lost at a speed far below the goal."""

from __future__ import annotations

import pytest

from benchmarks.network import measure


@pytest.mark.slow
def test_every_uplink_of_the_benchmark_is_handed_over() -> None:
    results = measure(sessions=500, uplinks=1000, rate=2000, confirmed=100)
    for copies in ("one_copy", "three_copies"):
        run = results[copies]
        assert run["datagrams_lost"] == 0
        assert run["sent"] == run["accepted"] == run["handed_over"] == 1000
        assert run["uplinks_per_s_one_core"] > 1000
    assert results["decision"]["answered"] > 0
    assert results["bytes_per_session"] < 20_000
