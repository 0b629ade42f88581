"""The operator's own region plans: files in the folder `regions` of the data folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

import regional
from meterwan.cli import app
from meterwan.settings import SettingsError, load


@pytest.fixture(autouse=True)
def _shipped_plans_afterwards() -> Iterator[None]:
    yield
    regional.use_folder(None)


def write(folder: Path, name: str, text: str) -> list[str]:
    (folder / "regions").mkdir(exist_ok=True)
    (folder / "regions" / f"{name}.toml").write_text(text, encoding="utf-8")
    return [f"data_dir={folder}"]


def test_an_own_plan_is_a_region_like_any_other(tmp_path: Path) -> None:
    where = write(tmp_path, "OURS", 'name = "OURS"\nextends = "RU864"\npresets.town = [866_300_000]\n')
    loaded = load(None, {}, [*where, "region=OURS", "network.channels=town"])
    assert loaded.settings.region == "OURS"
    assert regional.plan("OURS").presets["town"] == (866_300_000,)


def test_a_wrong_plan_file_stops_the_start_with_a_clear_line(tmp_path: Path) -> None:
    where = write(tmp_path, "RU864", 'name = "RU864"\nextends = "RU864"\nsub_band = 1\n')
    with pytest.raises(SettingsError, match=r"RU864.toml: sub_band: no such key in a plan"):
        load(None, {}, where)


def test_show_prints_the_tables(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["region", "show", "ru864", "--set", f"data_dir={tmp_path}"])
    assert result.exit_code == 0, result.output
    assert "868.7-869.2  10 %        360 s             20 dBm EIRP" in result.output
