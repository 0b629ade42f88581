"""The checker's rules about windows of class B and C: silent about this server, loud where a bug is planted into it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lorasim import checker, checking, scenario, virtual
from lorasim.checker import Line
from lorasim.checking.history import shortest
from lorasim.recording import Recorder
from lorasim.world import World

from meterwan.virtual import VirtualNetwork

SCENARIO = """
name = "classes"
seed = 4
[radio]
snr_db = 10
spread_db = 0
[[gateways]]
eui = "0016c001ff1e6401"
gps = true
beacons = true
[[devices]]
name = "unprompted"
count = 3
interval_s = 300
mac_version = "1.0.4"
{what}
[[events]]
at_s = 500
do = "downlink"
data = "01"
every_s = 40
count = 8
"""
B, C = "ping_periodicity = 1", "class_c = true"
SECONDS = 900
PULL_RESP = 3
Txpk = dict[str, Any]
Plant = Callable[[Txpk], None]


class Sabotaged(VirtualNetwork):
    """MeterWAN with a bug in what it sends without an uplink."""

    plant: Plant | None = None

    def next_datagram(self) -> tuple[int, bytes] | None:
        outgoing = super().next_datagram()
        if outgoing is None or outgoing[1][3] != PULL_RESP or self.plant is None:
            return outgoing
        eui, datagram = outgoing
        body = json.loads(datagram[4:])
        txpk = body["txpk"]
        if "tmms" in txpk or txpk.get("imme"):
            self.plant(txpk)
        return eui, datagram[:4] + json.dumps(body).encode()


def play(what: str, path: Path, plant: Plant | None = None) -> list[Line]:
    """The recording of a quarter of an hour."""
    networks: list[Sabotaged] = []

    def server_of(world: World) -> Sabotaged:
        networks.append(Sabotaged(world))
        networks[0].plant = plant
        return networks[0]

    with Recorder(path) as recorder:
        virtual.run(scenario.parse(SCENARIO.format(what=what)), server_of, duration_s=SECONDS, recorder=recorder)
    networks[0].close()
    return checker.read(path)


def moved(txpk: Txpk) -> None:
    txpk["freq"] = 868.9 if txpk["freq"] != 868.9 else 869.1


def faster(txpk: Txpk) -> None:
    txpk["datr"] = "SF7BW125"


def late(txpk: Txpk) -> None:
    txpk["tmms"] += 120


def rules(lines: list[Line]) -> set[str]:
    return {violation.rule for violation in checking.check(lines)}


@pytest.mark.parametrize(("what", "window"), [(B, "ping slot"), (C, "RXC")])
def test_this_server_breaks_no_rule(what: str, window: str, tmp_path: Path) -> None:
    lines = play(what, tmp_path / "run.jsonl")
    assert checking.check(lines) == []
    heard = [line for line in lines if line["type"] == "downlink" and line["window"] == window]
    assert len(heard) >= 20, "what is judged has happened"


@pytest.mark.parametrize(
    ("what", "plant", "rule"),
    [
        (B, late, "downlink at the wrong time"),
        (B, moved, "downlink on the wrong channel"),
        (B, faster, "downlink at the wrong data rate"),
        (C, moved, "downlink on the wrong channel"),
        (C, faster, "downlink at the wrong data rate"),
    ],
)
def test_a_planted_bug_is_found(what: str, plant: Plant, rule: str, tmp_path: Path) -> None:
    lines = play(what, tmp_path / "run.jsonl", plant)
    found = checking.check(lines)
    assert {violation.rule for violation in found} == {rule}
    history = shortest(lines, None, found[0])
    assert [line["type"] for line in history][-1] == "downlink_missed" and len(history) <= 4


def test_a_device_that_said_that_it_has_no_beacon_gets_nothing_in_ping_slots(tmp_path: Path) -> None:
    """Before its network can know, and for a moment after, a frame in a slot is no fault."""
    lines = play(B, tmp_path / "run.jsonl")
    joined = next(line for line in lines if line["type"] == "joined")
    eui = joined["dev_eui"]
    mine = [line for line in lines if line["type"] == "uplink" and line["dev_eui"] == eui]
    with_beacon = next(line for line in mine if int(line["phy"][10:12], 16) & 0x10)
    phy = next(line["phy"] for line in lines if line["type"] == "downlink" and line["dev_eui"] == eui)
    t = lines[-1]["t"]

    def later(seconds: float, **fields: Any) -> Line:
        return {"t": t + round(seconds * 1e6), **fields}

    silent = f"{with_beacon['phy'][:10]}{int(with_beacon['phy'][10:12], 16) & ~0x10:02x}{with_beacon['phy'][12:]}"
    missed = {"type": "downlink_missed", "dev_eui": eui, "phy": phy, "why": "no beacon: ping slots are closed"}
    way = {"gateway": "0016c001ff1e6401", "token": 70_001}
    told = [
        later(10, type="uplink", **{name: with_beacon[name] for name in ("dev_eui", "dev_addr")}, phy=silent),
        later(10.1, type="push_data", **way, phys=[silent]),
        later(10.2, type="push_ack", **way),
    ]

    def windows(*more: Line) -> list[str]:
        return [one.rule for one in checking.check_windows([*lines, *more])]

    assert windows(later(5, **missed)) == [], "it has not said so yet"
    assert windows(*told, later(15, **missed)) == [], "the frame may have been on its way"
    assert windows(*told[:2], later(60, **missed)) == [], "the network may not have heard it"
    assert windows(*told, later(60, **missed)) == ["downlink at the wrong time"]
