"""Kills in the middle: every acknowledged frame is one reading, no FCntDown goes over the air twice.

The program is driven from outside: frames over real UDP through two simulated gateways, readings over HTTP. What was
acknowledged and what was radiated is judged by the simulator's recording, with its own cryptography, never by the server's
own tables.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import threading
import time
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from lorasim import checker, runner, scenario

from tests.faults import report
from tests.support.server import Server, running, wait_until

KILLS = int(os.environ.get("METERWAN_KILLS", "20"))
"""Twenty in the suite, hundreds in `make trial`."""
SEED = int(os.environ.get("METERWAN_KILL_SEED", "20"))
"""Of the air and of the moments: several runs side by side kill differently."""
SECONDS_A_KILL = 15
DAYS = min(10 * KILLS, 2000)
SPEED = DAYS * 86_400 // (SECONDS_A_KILL * KILLS)
"""Meter time passes so fast that frames do not run out before the last kill."""
JOINED_FIRST = 20
"""Kills begin when so many of the 26 devices are in a session; the rest join while processes die."""
SCENARIO = f"""
name = "kills"
region = "RU864"
preset = "default"
seed = {SEED}

[clock]
days = {DAYS}
speed = {SPEED}
lead_in_s = 16
zone = "Asia/Yekaterinburg"

[radio]
loss = 0.05
downlink_loss = 0.02
half_duplex = false

[backhaul]
delay_ms = 5
jitter_ms = 10
duplicate = 0.01

[[gateways]]
eui = "0016c001ff1e5a01"
name = "roof"
forwarder = "1302"

[[gateways]]
eui = "0016c001ff1e5a02"
name = "district"
forwarder = "1301"
tmst_offset_us = 4284967296

[house]
organisation = "УК «Проверка»"
address = "г. Сатка, ул. Проверочная, д. 1"
flats = 12
entrances = 1
confirmed_devices = 8
deaf_devices = 3
join_spread_s = 8
report_spread_h = 20
"""


def kill_at_random(server: Server, rng: random.Random, lab: Future[object]) -> Counter[str]:
    """Kill one of the two processes again and again, each when it works, at a moment that nobody has chosen."""
    killed: Counter[str] = Counter()
    while killed.total() < KILLS:
        part = rng.choice(["network", "network", "application"])
        wait_until(lambda part=part: server.is_well(part), 180, f"the {part} process is well again")
        time.sleep(rng.uniform(0.0, 2.0))
        assert not lab.done(), "the lab ended before the last kill: no frames were left to lose"
        killed[part] += server.kill(part)
    return killed


async def run_until(stop: threading.Event, lab: scenario.Scenario, server: Server, recording: Path) -> None:
    """Run the lab until it is told to stop."""
    running_lab = asyncio.create_task(runner.run(lab, server.udp, recording=recording))
    while not stop.is_set() and not running_lab.done():
        await asyncio.wait({running_lab}, timeout=0.2)
    running_lab.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running_lab


def joined(server: Server) -> int:
    """How many devices have sent a frame in a session."""
    return sum(device["fcnt_up"] is not None for device in server.every("/devices"))


@pytest.mark.slow
def test_kills_lose_nothing_and_repeat_nothing(tmp_path: Path) -> None:
    lab_scenario = scenario.parse(SCENARIO)
    recording = tmp_path / "air.jsonl"
    with running(tmp_path / "server") as server, ThreadPoolExecutor(1) as pool:
        server.add_gateways(lab_scenario)
        server.import_house(lab_scenario)
        stop = threading.Event()
        lab = pool.submit(lambda: asyncio.run(run_until(stop, lab_scenario, server, recording)))
        try:
            wait_until(lambda: joined(server) >= JOINED_FIRST, 90, f"{JOINED_FIRST} devices have joined")
            killed = kill_at_random(server, random.Random(SEED), lab)
            server.wait_ready()
            time.sleep(3)  # a last stretch of frames in peace
        finally:
            stop.set()
        lab.result()

        lines = checker.read(recording)
        # a module's answer that it has no such record carries no reading
        acknowledged = [frame for frame in checker.acknowledged(lines) if frame.tag is not None]
        wanted = Counter((frame.dev_eui, frame.f_cnt, frame.tag["serial"]) for frame in acknowledged)
        meters = [meter["id"] for meter in server.every("/meters")]

        def counted() -> Counter[tuple[str, int, str]]:
            """Readings that came from a frame, by device, counter and meter."""
            readings = (one for meter in meters for one in server.every(f"/readings?meter_id={meter}"))
            return Counter(
                (one["dev_eui"], one["fcnt_up"], one["serial"])
                for one in readings
                if one["dev_eui"] and one["register"] != "volume_reverse"
            )

        wait_until(lambda: not wanted - counted(), 30, "every acknowledged frame has its reading")
        found = counted()

    if "METERWAN_KILLS" in os.environ:
        lost, twice = sum((wanted - found).values()), sum(count > 1 for count in found.values())
        faults = [f"{one.rule}: {one.text}" for one in checker.check_air(lines)]
        sent = Counter(line["type"] for line in lines)
        report.note(
            "kills",
            {
                "seed": SEED,
                "kills": killed.total(),
                "of": dict(killed),
                "acknowledged": len(acknowledged),
                "lost": lost,
                "duplicates": twice,
            }
            | {"joins": sent["joined"], "downlinks": sent["on_air"], "on_the_air": faults},
        )
    assert killed.total() == KILLS
    assert len(acknowledged) > 200, "too few frames for the kills to hit"
    assert set(wanted.values()) == {1}
    assert not wanted - found, "acknowledged and lost"
    assert {key: n for key, n in found.items() if n > 1} == {}, "one frame, two readings"
    assert checker.check_air(lines) == []
