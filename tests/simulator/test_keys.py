"""The page of scenarios says what the program does: every key, every scenario, every event, payload and incident."""

from __future__ import annotations

from pathlib import Path

from lorasim import keys, scenario, timeline
from lorasim.meters.config import INCIDENTS
from lorasim.meters.payloads import LAYOUTS

PAGE = (Path(__file__).parents[2] / "docs" / "scenarios.md").read_text(encoding="utf-8")


def test_every_key_is_on_the_page() -> None:
    """After a change: what ``python -m lorasim keys`` prints goes below "All keys"."""
    assert PAGE.endswith(keys.markdown())


def test_every_key_has_a_meaning() -> None:
    rows = [line.split("|") for line in keys.markdown().splitlines() if line.startswith("| `")]
    assert len(rows) > 150
    assert [cells[1].strip() for cells in rows if not cells[3].strip()] == []


def test_everything_that_has_a_name_is_on_the_page() -> None:
    names = [*scenario.names(), *timeline.KINDS, *LAYOUTS, *INCIDENTS]
    assert [name for name in names if f"`{name}`" not in PAGE] == []
