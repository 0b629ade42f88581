"""Virtual time: every kind of device against the network server in the same process; what its clock and registry are."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from lorasim import checker, scenario, virtual
from lorasim.recording import Recorder
from lorasim.summary import Summary
from lorasim.world import World

from meterwan.virtual import VirtualNetwork

LAB = """
name = "virtual"
[clock]
zone = "Asia/Yekaterinburg"
[radio]
snr_db = 10
spread_db = 1
[[gateways]]
eui = "0016c001ff1e5a01"
gps = true
beacons = true
[[gateways]]
eui = "0016c001ff1e5a02"
forwarder = "1301"
[[devices]]
count = 3
interval_s = 60
join_spread_s = 10
{device}
"""


def run(text: str, path: Path, seconds: float) -> tuple[Summary, list[dict[str, Any]], dict[str, int]]:
    nets: list[VirtualNetwork] = []

    def server_of(world: World) -> VirtualNetwork:
        nets.append(VirtualNetwork(world))
        return nets[0]

    with Recorder(path) as recorder:
        summary = virtual.run(scenario.parse(text), server_of, duration_s=seconds, recorder=recorder)
    with nets[0] as network:
        return summary, list(checker.read(path)), dict(network.engine.counters)


@pytest.mark.parametrize("mac_version", ["1.0.2", "1.0.3", "1.0.4", "1.1"])
@pytest.mark.parametrize("activation", ["OTAA", "ABP"])
def test_every_version_and_activation(mac_version: str, activation: str, tmp_path: Path) -> None:
    device = f'mac_version = "{mac_version}"\nactivation = "{activation}"\nconfirmed = true\nlink_check = 3'
    summary, lines, counters = run(LAB.format(device=device), tmp_path / "r.jsonl", 900)
    assert summary.joined == 3 and summary.readings_acknowledged >= 40
    assert [one for one in lines if one["type"] == "downlink" and one["link_check"]]
    outcomes = [one["acked"] for one in lines if one["type"] == "uplink_done"]
    assert outcomes and sum(outcomes) / len(outcomes) > 0.95
    assert checker.check(lines) == []
    assert counters.get("internal_errors", 0) == 0


@pytest.mark.parametrize(("key", "window"), [("class_c = true", "RXC"), ("ping_periodicity = 3", "ping slot")])
def test_classes_b_and_c(key: str, window: str, tmp_path: Path) -> None:
    text = LAB.format(device=f'mac_version = "1.0.4"\n{key}') + (
        '[[events]]\nat_s = 1200\ndo = "downlink"\nf_port = 10\ndata = "c0ffee"\nconfirmed = true\n'
    )
    _, lines, _ = run(text, tmp_path / "r.jsonl", 1800)
    heard = [one for one in lines if one["type"] == "downlink" and one["data"] == "c0ffee"]
    assert len({one["dev_eui"] for one in heard}) == 3
    assert any(one["window"].startswith(window) for one in heard)


def test_time_begins_at_local_midnight_of_the_scenarios_day() -> None:
    plan = scenario.parse(LAB.format(device="").replace("[radio]", 'start = "2026-07-01"\n[radio]'))
    world = virtual.world_of(plan)
    begin = datetime.fromtimestamp(world.start_us / 1e6, ZoneInfo("Asia/Yekaterinburg"))
    assert begin.isoformat() == "2026-07-01T00:00:00+05:00"
    bad = scenario.parse(LAB.format(device="").replace("[radio]", 'start = "soon"\n[radio]'))
    with pytest.raises(scenario.ScenarioError, match=r"clock\.start: 'soon' is not a day"):
        virtual.world_of(bad)


def test_a_house_lives_at_its_own_pace(tmp_path: Path) -> None:
    """A day and a half of the sixty flats in Satka: everybody joins, midnight's values come during the day."""
    nets: list[VirtualNetwork] = []

    def server_of(world: World) -> VirtualNetwork:
        nets.append(VirtualNetwork(world))
        return nets[0]

    summary = virtual.run(scenario.load("satka"), server_of, duration_s=1.5 * 86_400)
    nets[0].close()
    assert summary.joined == summary.devices == 122
    assert summary.day == 1 and summary.readings > 120
    assert summary.readings_acknowledged / summary.readings > 0.98


def test_a_basics_station_needs_a_connection() -> None:
    text = LAB.format(device="").replace(
        'forwarder = "1301"', 'kind = "station"\nstation = { url = "ws://127.0.0.1:1" }'
    )
    with pytest.raises(scenario.ScenarioError, match="in virtual time there is Semtech UDP only"):
        virtual.run(scenario.parse(text), VirtualNetwork, duration_s=1)


@pytest.mark.parametrize(
    ("region", "preset", "dr"), [("US915", "", 3), ("AU915", "", 5), ("AS923-1", "", 5), ("EU433", "", 5)]
)
def test_gateways_are_built_for_the_region(region: str, preset: str, dr: int, tmp_path: Path) -> None:
    """Far from 868 MHz, too, devices join, and hear what the server says at the region's power."""
    text = LAB.format(device=f"dr = {dr}").replace("name = ", f'region = "{region}"\npreset = "{preset}"\nname = ', 1)
    summary, lines, _ = run(text, tmp_path / "r.jsonl", 1800)
    assert summary.joined == summary.devices == 3
    said = {word for one in lines if one["type"] == "tx_ack" for word in one["outcome"].values()}
    assert not said & {"TX_FREQ", "TX_POWER"}
    assert [one for one in lines if one["type"] == "downlink" and one["window"] == "RX1"]
