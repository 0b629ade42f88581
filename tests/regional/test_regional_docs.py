"""docs/regions.md says what is so: its example files can be used, its keys are all, its budget table is right."""

from __future__ import annotations

import math
import re
import tomllib
from importlib import resources
from pathlib import Path
from typing import Any

import regional
from regional import Library

DOC = (Path(__file__).parents[2] / "docs" / "regions.md").read_text(encoding="utf-8")


def test_the_example_files_can_be_used(tmp_path: Path) -> None:
    examples = re.findall(r"```toml\n# regions/(\w+\.toml)\n(.*?)```", DOC, re.DOTALL)
    for name, text in examples:
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert [name for name, _ in examples] == ["RU864.toml", "MINE.toml"]
    library = Library(tmp_path)
    ru864 = library.plan("RU864")
    assert ru864.sub_band(867_000_000) == (866_000_000, 868_000_000, 0.05, 20)
    assert list(ru864.presets) == ["default", "864", "866", "town"]
    assert library.plan("MINE").rx1_dr(1, 0) == 1


def test_every_key_of_every_plan_is_explained() -> None:
    explained = set(re.findall(r"`(\w+)`", DOC))

    def keys(value: Any, path: str = "") -> set[str]:
        if isinstance(value, list):
            return set().union(*(keys(child, path) for child in value))
        if not isinstance(value, dict):
            return set()
        named = path in ("presets", "data_rates", "downlink_data_rates")  # their keys are names and numbers
        below = (keys(child, "row" if named else key) for key, child in value.items())
        return set().union(set() if named else set(value), *below)

    used: set[str] = set()
    for file in (resources.files("regional") / "plans").iterdir():
        used |= keys(tomllib.loads(file.read_text(encoding="utf-8")))
    assert used - explained - {"until", "what"} == set()


def test_every_plan_is_named() -> None:
    for name in regional.names():
        stem, _, part = name.partition("-")
        assert stem in DOC and (not part or f"-{part}" in DOC)


def test_the_downlink_budgets_of_ru864() -> None:
    """Semtech AN1200.13: symbols of a frame; low data rate optimisation at SF11 and SF12 in 125 kHz."""

    def airtime_us(sf: int, length: int) -> int:
        slow = sf >= 11
        symbols = 8 + max(math.ceil((8 * length - 4 * sf + 28) / (4 * (sf - 2 * slow))) * 5, 0)
        return round((12.25 + symbols) * 2**sf * 8)

    plan = regional.plan("RU864")
    bands = [plan.sub_band(hz) for hz in (864_100_000, 866_100_000, 868_900_000)]
    rows = re.findall(r"^\| DR(\d) SF(\d+) \| (.+) \|$", DOC, re.MULTILINE)
    assert len(rows) == 6
    for dr, sf, cells in rows:
        assert plan.datr(int(dr)) == f"SF{sf}BW125"
        for band, cell in zip(bands, cells.split(" | "), strict=True):
            assert band is not None
            expected = [band.airtime_us() // airtime_us(int(sf), length) for length in (12, 17, 33)]
            assert cell == " / ".join(map(str, expected))
