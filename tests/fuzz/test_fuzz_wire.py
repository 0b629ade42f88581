"""The short form of the fuzz run, and proof that it would notice."""

from __future__ import annotations

import importlib.util
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest

from lorawan import frames
from tests.fuzz import wire_targets

ROOT = Path(__file__).parents[2]
SECONDS = 6
AT_LEAST = 5_000
"""Executions that even a busy machine manages in that time."""


def test_parsers_under_fuzz(tmp_path: Path) -> None:
    """Coverage-guided where `atheris` exists for this Python; otherwise the same targets under plain mutation."""
    if importlib.util.find_spec("atheris") is None:
        plain_mutation(AT_LEAST, random.Random(1))
        return
    command = [sys.executable, "-m", "tests.fuzz.fuzz_wire", f"-max_total_time={SECONDS}", "-seed=1", str(tmp_path)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert run.returncode == 0, run.stderr[-3000:]
    [executed] = re.findall(r"number_of_executed_units: (\d+)", run.stderr)
    assert int(executed) >= AT_LEAST
    [coverage] = re.findall(r"DONE +cov: (\d+)", run.stderr)
    assert int(coverage) > 200


def plain_mutation(executions: int, chance: random.Random) -> None:
    corpus = list(wire_targets.seeds())
    for _ in range(executions):
        data = bytearray(chance.choice(corpus))
        for _ in range(chance.randrange(4)):
            at = chance.randrange(len(data) + 1)
            choice = chance.randrange(3)
            if choice == 0:
                data[at : at + 1] = bytes((chance.randrange(256),))
            elif choice == 1:
                del data[at : at + chance.randrange(1, 4)]
            else:
                data[at:at] = chance.randbytes(chance.randrange(1, 20))
        wire_targets.check(bytes(data))


def test_plain_mutation_holds_too() -> None:
    plain_mutation(5_000, random.Random(2))


@pytest.mark.parametrize(
    "broken", [IndexError("escaped"), AssertionError("escaped")], ids=lambda error: type(error).__name__
)
def test_an_escaping_error_is_a_finding(monkeypatch: pytest.MonkeyPatch, broken: Exception) -> None:
    def parse(phy: bytes) -> frames.Frame:
        raise broken

    monkeypatch.setattr(frames, "parse", parse)
    with pytest.raises(type(broken), match="escaped"):
        plain_mutation(1_000, random.Random(3))


def test_seeds_cover_every_target_and_hold() -> None:
    assert {data[0] for data in wire_targets.seeds()} == set(range(len(wire_targets.TARGETS)))
    for data in wire_targets.seeds():
        wire_targets.check(data)
