"""Every invariant has a test that bears its number, and docs/reliability.md says which."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAMED = re.compile(r"^(?:async )?def (test_\w*inv_\d\d\w*)\(", re.MULTILINE)


def named_tests() -> dict[int, set[str]]:
    """Invariant → files with tests of its number."""
    found: dict[int, set[str]] = defaultdict(set)
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for name in NAMED.findall(path.read_text("utf-8")):
            for number in re.findall(r"inv_(\d\d)", name):
                found[int(number)].add(str(path.relative_to(ROOT / "tests")))
    return found


@pytest.mark.parametrize("number", range(1, 41))
def test_every_invariant_has_a_test_that_bears_its_number(number: int) -> None:
    assert named_tests()[number], f"no test is called test_inv_{number:02}_…"


def test_the_table_of_the_document_names_files_that_have_such_tests() -> None:
    text = (ROOT / "docs" / "reliability.md").read_text("utf-8")
    rows = re.findall(r"^\| INV-(\d\d) \|.*\| ([^|]+) \|$", text, re.MULTILINE)
    found = named_tests()
    assert [int(number) for number, _ in rows] == list(range(1, 41))
    for number, files in rows:
        named = re.findall(r"`([\w/]+\.py)`", files)
        assert named and set(named) <= found[int(number)], f"INV-{number}: {named}"
