"""For all tests: properties are judged by what they find, not by how busy the machine was; files are kept in memory.

The suite runs in two parts (``make test``): what computes, on as many workers as a small machine has processors, and what
waits for the wall clock, on more of them.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.support.scratch import scratch

TESTS = Path(__file__).parent
IN_COUNTED_TIME = frozenset(
    {
        "test_class_b",
        "test_class_b_multicast",
        "test_class_c",
        "test_mixed_classes",
        "test_novouralsk",
        "test_satka_month",
        "test_wrong_clocks",
    }
)
"""Modules of tests/e2e that wait for nothing; all others there run the whole program, with devices in real time."""
ALSO_REAL_TIME = frozenset({"simulator/test_conformance.py", "faults/test_soak.py"})
LONG = (
    "faults/test_seeds.py",
    "faults/test_trials.py",
    "e2e/test_novouralsk.py",
    "e2e/test_satka_month.py",
    "simulator/test_scenarios.py",
    "e2e/test_kill.py",
    "e2e/test_versions.py",
    "simulator/test_conformance.py",
)
"""Begun first: at the end of a run one worker would be busy with them, and the others idle."""

settings.register_profile("suite", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")


def pytest_configure(config: pytest.Config) -> None:
    """``tmp_path`` is in memory where there is room, unless its place is named."""
    if (folder := scratch()) is not None:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", folder)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    places = {path: path.relative_to(TESTS).as_posix() for path in {item.path for item in items}}
    for item in items:
        place = places[item.path]
        if place in ALSO_REAL_TIME or (place.startswith("e2e/") and item.path.stem not in IN_COUNTED_TIME):
            item.add_marker(pytest.mark.real_time)
    rank = {place: number for number, place in enumerate(LONG)}
    items.sort(key=lambda item: rank.get(places[item.path], len(LONG)))
