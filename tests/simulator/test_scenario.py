"""Scenario files: what is wrong is named."""

from __future__ import annotations

from pathlib import Path

import pytest
from lorasim import scenario
from lorasim.scenario import ScenarioError
from lorasim.world import World

GOOD = 'name = "x"\n[[gateways]]\neui = "0016c001ff1e5a01"\n'


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "name: missing"),
        ('name = "x"\nspeed = 3', "speed: unknown key"),
        ('name = "x"\n[clock]\nspeed = "fast"', "clock.speed: 'fast' is not float"),
        ('name = "x"\n[clock]\nspeed = 0', "clock.speed: 0.0 must be above 0"),
        ('name = "x"\n[clock]\ndays = true', "clock.days: True is not int"),
        ('name = "x"\n[[gateways]]\neui = "16C001"', "gateways.0.eui: '16C001' is not 16 lower-case hex digits"),
        (GOOD + 'forwarder = "1303"', "gateways.0.forwarder"),
        (GOOD + "backhaul = { delay = 1 }", "gateways.0.backhaul.delay: unknown key"),
        (GOOD + '[house]\naddress = "a"', "house.organisation: missing"),
        (GOOD + '[[devices]]\ndev_eui = "zz"', "devices.0.dev_eui"),
        ("name = ", "not TOML"),
    ],
)
def test_complaints(text: str, complaint: str) -> None:
    with pytest.raises(ScenarioError, match=complaint.replace(".", r"\.")):
        scenario.parse(text)


def test_region_and_preset_are_checked() -> None:
    with pytest.raises(ScenarioError, match="MARS864"):
        World(scenario.parse('region = "MARS864"\n' + GOOD), 0)
    with pytest.raises(ScenarioError, match="preset 'nope'"):
        World(scenario.parse('preset = "nope"\n' + GOOD), 0)


def test_load_by_name_and_by_path(tmp_path: Path) -> None:
    assert "satka" in scenario.names()
    satka = scenario.load("satka")
    assert satka.house is not None
    assert (satka.house.flats, len(satka.gateways), satka.clock.zone) == (60, 2, "Asia/Yekaterinburg")
    path = tmp_path / "mine.toml"
    path.write_text(GOOD, encoding="utf-8")
    assert scenario.load(path).name == "x"
    with pytest.raises(ScenarioError, match="no such file"):
        scenario.load(tmp_path / "other.toml")
    with pytest.raises(ScenarioError, match=r"there are .*satka"):
        scenario.load("atlantis")


def test_defaults_are_whole() -> None:
    plan = scenario.parse(GOOD + "[backhaul]\nloss = 0.5\n[[devices]]\ncount = 3")
    assert plan.backhaul.loss == 0.5 and plan.gateways[0].backhaul is None
    world = World(plan, 0)
    assert sorted(world.devices) == [0x70B3D5FFFE000001 + n for n in range(3)]
