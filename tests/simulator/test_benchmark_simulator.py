"""The benchmark of the lab in its quick form: it runs, its figures are of the right kind, and missed goals are told."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import simulator

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("only", list(simulator.MEASURES))
def test_the_quick_form_measures(only: str) -> None:
    command = [sys.executable, "-m", "benchmarks.simulator", "--quick", "--only", only]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    figures = json.loads(done.stdout)
    assert all(value > 0 for value in figures.values())
    if only in ("uplinks", "town"):  # a busy machine changes these little
        assert simulator.judge(figures) == []


def test_a_missed_goal_is_told() -> None:
    assert simulator.judge({"uplinks_per_s": 30_000, "town_mb": 900, "day_s": 119.0}) == []
    assert simulator.judge({"uplinks_per_s": 10_000, "town_mb": 1200, "day_s": 121.0}) == [
        "uplinks_per_s is 10000, must be at least 20000",
        "town_mb is 1200, must be at most 1000",
        "day_s is 121.0, must be at most 120",
    ]
