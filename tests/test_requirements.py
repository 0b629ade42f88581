"""Every requirement FR-01 to FR-29 has a test that bears its number, and docs/metering.md says which."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NAMED = re.compile(r"^\s*(?:async )?def (test_fr_(\d\d)_\w+)\(", re.MULTILINE)


def named_tests() -> dict[int, set[str]]:
    """Requirement → files with tests of its number."""
    found: dict[int, set[str]] = defaultdict(set)
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for _, number in NAMED.findall(path.read_text("utf-8")):
            found[int(number)].add(str(path.relative_to(ROOT / "tests")))
    return found


@pytest.mark.parametrize("number", range(1, 30))
def test_every_requirement_has_a_test_that_bears_its_number(number: int) -> None:
    assert named_tests()[number], f"no test is called test_fr_{number:02}_…"


def test_the_table_of_the_document_names_files_that_have_such_tests() -> None:
    text = (ROOT / "docs" / "metering.md").read_text("utf-8")
    rows = re.findall(r"^\| FR-(\d\d) \|.*\| ([^|]+) \|$", text, re.MULTILINE)
    found = named_tests()
    assert [int(number) for number, _ in rows] == list(range(1, 30))
    for number, files in rows:
        named = re.findall(r"`([\w/]+\.py)`", files)
        assert named and set(named) <= found[int(number)], f"FR-{number}: {sorted(found[int(number)])}"
