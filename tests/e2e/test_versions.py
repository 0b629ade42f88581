"""Devices of every LoRaWAN version through the whole server: joins, ACKs, MAC answers, and what only 1.1 has.

The devices are the simulator's, with their own cryptography; what the server did is judged by the recording of the air.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from lorasim import checker, runner, scenario
from lorasim.recording import Recorder
from lorasim.runner import Simulation
from lorasim.world import World

from tests.support.program import WITHIN_S
from tests.support.server import Server, running, wait_until

VERSIONS = ("1.0.2", "1.0.3", "1.0.4", "1.1")
GPS_EPOCH_S = 315_964_800
LEAP_SECONDS = 18
CLOCK_TOLERANCE_S = 0.1
"""DeviceTimeAns of class A: within 100 ms (TS001-1.0.4 §5.12)."""

SCENARIO = """
name = "versions"
preset = "default"
[radio]
collisions = false
[backhaul]
delay_ms = 5
jitter_ms = 5
[[gateways]]
eui = "0016c001ff1e5a01"
name = "roof"
[[gateways]]
eui = "0016c001ff1e5a02"
name = "district"
forwarder = "1301"
tmst_offset_us = 4284967296
""" + "".join(
    f"""
[[devices]]
dev_eui = "70b3d5fffe0000{index}0"
mac_version = "{version}"
profile = "lorawan-{version}"
confirmed = {str(index % 2 == 1).lower()}
interval_s = 3
join_spread_s = 2
link_check = 2
device_time = 3
"""
    for index, version in enumerate(VERSIONS)
)


class Watcher(Recorder):
    """Records, and knows what each device has heard since it was last asked."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.heard: dict[str, set[str]] = {}

    def write(self, t: int, kind: str, fields: dict[str, Any]) -> None:
        super().write(t, kind, fields)
        if kind == "downlink":
            told = self.heard.setdefault(fields["dev_eui"], set())
            told.update(name for name in ("data", "link_check", "device_time") if fields[name])

    def all_heard(self, *what: str) -> bool:
        """Whether every device has heard all of that."""
        return len(self.heard) == len(VERSIONS) and all(set(what) <= told for told in self.heard.values())


def register(server: Server, world: World) -> None:
    server.add_gateways(world.scenario)
    for device, group in zip(world.devices.values(), world.scenario.devices, strict=True):
        config = device.config
        body = {
            "dev_eui": f"{config.dev_eui:016x}",
            "join_eui": f"{config.join_eui:016x}",
            "name": group.mac_version,
            "profile": group.profile,
            "activation": "OTAA",
            "app_key": config.app_key.hex(),
        }
        if config.lorawan_1_1:
            body["nwk_key"] = config.nwk_key.hex()
        server.ask("POST", "/devices", body)


async def live(server: Server, world: World, watcher: Watcher) -> None:
    """Join, talk, get a downlink, rejoin in each way, and join again after a restart."""
    newest = list(world.devices.values())[-1]
    async with Simulation(world, server.udp) as simulation:
        await simulation.until(lambda w: w.snapshot().joined == len(VERSIONS), WITHIN_S)
        for device in world.devices.values():
            path = f"/devices/{device.config.dev_eui:016x}/queue"
            item = {"f_port": 7, "data": "b3BlbiB0aGUgdmFsdmU=", "confirmed": True}
            await asyncio.to_thread(server.ask, "POST", path, item)
        await simulation.until(lambda w: watcher.all_heard("data", "link_check", "device_time"), WITHIN_S)
        for kind in (0, 2, 1):
            before = newest.session
            simulation.act(newest, lambda now, kind=kind: newest.rejoin(kind, now))  # type: ignore[misc]
            await simulation.until(lambda w, before=before: newest.session is not before, WITHIN_S)  # type: ignore[misc]
            await simulation.until(lambda w: bool(newest.session and newest.session.rekeyed), WITHIN_S)
        watcher.heard.clear()
        for device in world.devices.values():
            simulation.act(device, lambda now, device=device: device.restart(now, keep_session=False))  # type: ignore[misc]
        await simulation.until(lambda w: w.snapshot().joined == len(VERSIONS), WITHIN_S)
        await simulation.until(lambda w: watcher.all_heard("link_check"), WITHIN_S)


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """(the recording, the server's events of uplinks)."""
    folder: Path = tmp_path_factory.mktemp("versions")
    watcher = Watcher(folder / "air.jsonl")
    world = World(scenario.parse(SCENARIO), runner.now_us(), recorder=watcher)
    with running(folder / "server") as server:
        register(server, world)
        asyncio.run(live(server, world, watcher))
        lines = checker.read(folder / "air.jsonl")
        last = {(frame.dev_eui, frame.f_cnt, frame.dev_addr) for frame in checker.acknowledged(lines)}
        # The last frames are acknowledged before their windows have closed.
        wait_until(lambda: last <= set(named(server.every("/events?type=up"))), 10, "every frame has its event")
        events = list(server.every("/events?type=up"))
    return lines, events


def named(events: Iterable[dict[str, Any]]) -> list[tuple[str, int, str]]:
    return [(event["deviceInfo"]["devEui"], event.get("fCnt", 0), event["devAddr"]) for event in events]


def test_no_rule_is_broken(lived: Any) -> None:
    lines, _ = lived
    assert checker.check(lines) == []


def test_every_acknowledged_frame_is_one_event(lived: Any) -> None:
    lines, events = lived
    promised = [(f.dev_eui, f.f_cnt, f.dev_addr) for f in checker.acknowledged(lines)]
    told = named(events)
    assert len(promised) > 30
    assert not set(promised) - set(told)
    assert len(set(told)) == len(told)


@pytest.mark.parametrize("index", range(len(VERSIONS)), ids=VERSIONS)
def test_each_version(lived: Any, index: int) -> None:
    lines = [line for line in lived[0] if line.get("dev_eui") == f"70b3d5fffe0000{index}0"]
    downlinks = [line for line in lines if line["type"] == "downlink"]
    assert b"open the valve" in {bytes.fromhex(line["data"]) for line in downlinks}
    checks = [line["link_check"] for line in downlinks if line["link_check"]]
    assert checks and all(margin > 0 and gateways in (1, 2) for margin, gateways in checks)
    joins = [line["join_req_type"] for line in lines if line["type"] == "joined"]
    assert joins == ([0xFF, 0, 2, 1, 0xFF] if VERSIONS[index] == "1.1" else [0xFF, 0xFF])
    assert {line["lorawan_1_1"] for line in lines if line["type"] == "joined"} == {VERSIONS[index] == "1.1"}
    if index % 2:
        done = [line for line in lines if line["type"] == "uplink_done" and line["confirmed"]]
        assert sum(line["acked"] for line in done) >= len(done) - 2


def test_the_time_is_right(lived: Any) -> None:
    """The time of the end of the uplink that asked, in GPS time."""
    ends: dict[str, int] = {}
    answered = 0
    for line in lived[0]:
        if line["type"] == "transmit":
            ends[line["dev_eui"]] = line["t"] + line["airtime_us"]
        elif line["type"] == "downlink" and line["device_time"]:
            seconds, fraction = line["device_time"]
            told_s = seconds + fraction / 256 + GPS_EPOCH_S - LEAP_SECONDS
            assert told_s == pytest.approx(ends[line["dev_eui"]] / 1e6, abs=CLOCK_TOLERANCE_S)
            answered += 1
    assert answered >= 4
