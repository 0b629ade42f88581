"""The whole program, real datagrams, real time: a valve command for a device of class C."""

from __future__ import annotations

import asyncio
import base64
import time
from pathlib import Path
from typing import Any

from lorasim import checker, scenario
from lorasim.outbox import Message
from lorasim.recording import Recorder
from lorasim.runner import Simulation, now_us
from lorasim.world import World

from tests.support.program import WITHIN_S
from tests.support.server import Server

SCENARIO = """
name = "valve"
[radio]
snr_db = 8
spread_db = 0
fading_db = 0
[backhaul]
delay_ms = 20
jitter_ms = 10
[[gateways]]
eui = "0016c001ff1ec0c1"
name = "roof"
forwarder = "1302"
stat_s = 1
[[gateways]]
eui = "0016c001ff1ec0c2"
name = "yard"
forwarder = "1301"
stat_s = 1
[[devices]]
dev_eui = "70b3d5fffec00001"
mac_version = "1.0.3"
interval_s = 3600
join_spread_s = 0.1
confirmed = false
dr = 5
class_c = true
"""
COMMAND = b"\x01close"
QUIET_S = 5.5
"""An uplink's receive windows and the time to repeat it come before class C."""


def states(server: Server, dev_eui: str) -> list[str]:
    return [item["state"] for item in server.ask("GET", f"/devices/{dev_eui}/queue")["items"]]


async def until(condition: Any, seconds: float, what: str) -> None:
    """Wait for an answer of the server while the radio world goes on."""
    end = time.monotonic() + seconds
    while not await asyncio.to_thread(condition):
        assert time.monotonic() < end, f"{what}: not within {seconds} s"
        await asyncio.sleep(0.05)


async def valve(server: Server, recording: Path) -> tuple[int, str]:
    """Join, one uplink, a pause, the command. Returns when it was asked for, and the item's state."""
    parsed = scenario.parse(SCENARIO)
    with Recorder(recording) as recorder:
        world = World(parsed, now_us(), recorder=recorder)
        (device,) = world.devices.values()
        dev_eui = f"{device.config.dev_eui:016x}"
        for eui in world.gateways:
            server.ask("POST", "/gateways", {"gateway_eui": f"{eui:016x}"})
        server.ask(
            "POST",
            "/devices",
            {
                "dev_eui": dev_eui,
                "join_eui": f"{device.config.join_eui:016x}",
                "mac_version": "1.0.3",
                "class": "C",
                "app_key": device.config.app_key.hex(),
            },
        )
        async with Simulation(world, server.udp) as simulation:
            await simulation.until(lambda _: device.joined, WITHIN_S)
            simulation.send(device.config.dev_eui, Message(2, b"first"))
            await until(
                lambda: server.ask("GET", f"/devices/{dev_eui}")["fcnt_up"] is not None, WITHIN_S, "the first uplink"
            )
            await asyncio.sleep(QUIET_S)
            asked_us = simulation.now_us()
            body = {"f_port": 2, "data": base64.b64encode(COMMAND).decode(), "at_most_once": True}
            await asyncio.to_thread(server.ask, "POST", f"/devices/{dev_eui}/queue", body)
            await until(lambda: states(server, dev_eui) == ["sent"], WITHIN_S, "a gateway has taken the command")
            await asyncio.sleep(4)
            return asked_us, states(server, dev_eui)[0]


def test_a_valve_command_reaches_the_device_within_two_seconds_and_once(server: Server, tmp_path: Path) -> None:
    recording = tmp_path / "air.jsonl"
    server.token()
    asked_us, state = asyncio.run(valve(server, recording))
    lines = list(checker.read(recording))
    heard = [line for line in lines if line["type"] == "downlink" and bytes.fromhex(line["data"]) == COMMAND]
    assert state == "sent"
    assert [line["window"] for line in heard] == ["RXC"]
    begun_us = [line["t"] for line in lines if line["type"] == "on_air" and line["phy"] == heard[0]["phy"]]
    assert len(begun_us) == 1, "one gateway, once"
    assert begun_us[0] - asked_us < 2_000_000
