"""The tables that a server is told a scenario with: they are what the run then has, and what the server's import takes."""

from __future__ import annotations

from pathlib import Path

import pytest
from lorasim import registry, scenario
from lorasim.__main__ import main
from lorasim.world import World

from appserver.exchange.columns import COLUMNS
from meterwan.commands.device import _rows_to_writes


def test_tables_are_written_and_taken_by_the_import(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["registry", "replay", str(tmp_path / "r")]) == 0
    assert "35 in" in capsys.readouterr().out
    writes = list(_rows_to_writes(tmp_path / "r" / "devices.csv"))
    world = World(scenario.load("replay"), 0)
    assert {int(one.dev_eui, 16): one.app_key for one in writes} == {
        eui: device.config.app_key.hex() for eui, device in world.devices.items()
    }
    assert {one.profile for one in writes} == {"lorawan-1.0.3", "lorawan-1.0.4", "lorawan-1.1"}


def test_sessions_of_abp_devices_follow_the_seed() -> None:
    plan = scenario.scaled(scenario.load("load_hourly"), 0.001)
    tables, world = registry.tables(plan, seed=9), World(plan, 0, seed=9)
    assert len(tables["sessions"]) == 10
    for row in tables["sessions"]:
        session = world.devices[int(row["dev_eui"], 16)].session
        assert session is not None
        assert (row["dev_addr"], row["nwk_s_key"]) == (str(session.dev_addr), session.keys.nwk_s_enc_key.hex())
    assert tables["sessions"] != registry.tables(plan, seed=8)["sessions"]


def test_a_rogue_gateway_is_in_no_table() -> None:
    euis = [row["gateway_eui"] for row in registry.tables(scenario.load("rogue_gateway"))["gateways"]]
    assert euis == ["0016c001ff1e6501", "0016c001ff1e6502"]


def test_a_house_has_a_table_of_its_own() -> None:
    tables = registry.tables(scenario.load("satka"))
    assert len(tables["house"]) == 122 and tables["devices"] == []
    assert set(tables["house"][0]) <= {getattr(column, "name", column) for column in COLUMNS}


def test_wrong_use(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["registry", "nowhere", "x"]) == 2
    assert "no scenario 'nowhere'" in capsys.readouterr().err
