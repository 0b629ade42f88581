"""F-03: everything that can go wrong, mixed by a seed, in virtual time; and the fifteen bugs that the kit must find."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.faults import planted, report, seeds

SEEDS = int(os.environ.get("METERWAN_SEEDS", "200"))
"""Two hundred in the suite, thousands in `make trial`."""


@pytest.fixture(autouse=True)
def figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Trials of the suite note their figures nowhere."""
    if "METERWAN_SEEDS" not in os.environ:
        monkeypatch.setattr(report, "FOLDER", tmp_path)
    return tmp_path


@pytest.mark.slow
def test_seeds(capsys: pytest.CaptureFixture[str]) -> None:
    """INV-01, 02, 05, 10, 13 to 18, 21, 25, 26, 28, 37, 40 in every one of them."""
    code = seeds.main(["--seeds", str(SEEDS)])
    told = capsys.readouterr().out
    assert code == 0, told
    assert f"seeds: seeds {SEEDS}, failed []" in told


@pytest.mark.slow
@pytest.mark.parametrize("bug", planted.BUGS, ids=lambda bug: bug.name)
def test_planted_bug_is_found(bug: planted.Bug, quiet: None) -> None:
    assert bug.found(1) == "", "an alarm without the bug"
    with planted.planted(bug):
        assert bug.found() != ""


def test_fifteen_bugs_are_planted() -> None:
    assert len({bug.name for bug in planted.BUGS}) == len({bug.plant for bug in planted.BUGS}) == 15


def test_one_seed_can_be_played_alone_and_is_always_the_same(capsys: pytest.CaptureFixture[str], quiet: None) -> None:
    told = []
    for _ in range(2):
        assert seeds.main(["--seed", "3"]) == 0
        told.append(json.loads(capsys.readouterr().out.splitlines()[-1]))
    assert told[0] == told[1]
    assert told[0]["event"] > 20 and told[0]["kills"] > 0


def test_a_violation_comes_with_its_story(capsys: pytest.CaptureFixture[str], quiet: None) -> None:
    bug = next(bug for bug in planted.BUGS if bug.name == "window-not-persisted")
    with planted.planted(bug):
        result = next(one for one in map(seeds.play, range(100)) if any("duplicate" in told for told in one.violations))
    assert result.violations[0].split(":")[0] in ("duplicate", "FCntDown reused (wire)") and len(result.story) > 5
    assert any("event" in line for line in result.story)
