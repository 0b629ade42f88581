"""What the test lab itself costs: uplinks built in a second, memory of a hundred thousand devices, a virtual day.

``python -m benchmarks.simulator [--quick] [--only NAME]`` prints the figures and how they stand to the goals; it fails when one
is missed. Times are CPU time of one process on one core, so that what else the machine does counts little. ``--quick`` measures
a part and scales it.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).parent.parent), str(Path(__file__).parent.parent / "tools" / "simulator")]

from lorasim import load, scenario, virtual
from lorasim.world import World

ROOT = Path(__file__).parent.parent
GOALS: dict[str, tuple[str, float]] = {
    "uplinks_per_s": ("at least", 20_000.0),
    "town_mb": ("at most", 1_000.0),
    "day_s": ("at most", 120.0),
}


def uplinks_per_s(quick: bool) -> dict[str, Any]:
    """Finished uplinks with valid MICs, as lines of a frame file, by one process on one core."""
    devices, frames = (5_000, 4) if quick else (50_000, 4)
    sessions = load.make_sessions(devices)
    with tempfile.TemporaryDirectory() as folder:
        begin = time.process_time()
        built = load.build_frames(sessions, Path(folder) / "frames.txt", frames, processes=1)
        spent = time.process_time() - begin
    return {"uplinks_per_s": round(built / spent), "frames": built}


def town_mb(quick: bool) -> dict[str, Any]:
    """Resident memory of the town of 100,000 meters, each with a session, after a day of its life without a server."""
    plan = scenario.load("town")
    if quick:
        plan = replace(plan, meters=[replace(group, count=group.count // 10) for group in plan.meters])
    before = _rss_mb()
    world = virtual.world_of(plan)
    world.start(world.start_us)
    hours = 2 if quick else 24
    world.handle_timer(world.start_us + hours * 3_600_000_000)
    grown = _rss_mb() - before
    scale = 10 if quick else 1
    return {
        "town_mb": round(before + grown * scale),
        "devices": len(world.devices) * scale,
        "uplinks": world.summary.uplinks,
    }


def day_s(quick: bool) -> dict[str, Any]:
    """CPU time of a virtual day of 10,000 hourly meters against the network server in the same process."""
    hours, share = (3, 0.05) if quick else (24, 1.0)
    spent, summary = _virtual("load_hourly", hours * 3600.0, share)
    figures = {"uplinks": summary.uplinks, "acknowledged": summary.readings_acknowledged, "joined": summary.joined}
    return {"day_s": round(spent * 24 / hours / share, 1), **figures}


def year_s(quick: bool) -> dict[str, Any]:
    """CPU time of a virtual year of 1,000 daily meters."""
    days, share = (10, 0.05) if quick else (365, 1.0)
    spent, summary = _virtual("load_year", days * 86_400.0, share)
    return {"year_s": round(spent * 365 / days / share, 1), "uplinks": summary.uplinks}


def _virtual(name: str, duration_s: float, share: float) -> tuple[float, Any]:
    from meterwan import log
    from meterwan.virtual import VirtualNetwork

    log.configure("lab", "error")
    servers: list[VirtualNetwork] = []

    def server_of(world: World) -> VirtualNetwork:
        servers.append(VirtualNetwork(world))
        return servers[0]

    begin = time.process_time()
    try:
        summary = virtual.run(scenario.scaled(scenario.load(name), share), server_of, duration_s=duration_s)
    finally:
        for server in servers:
            server.close()
    return time.process_time() - begin, summary


def _rss_mb() -> float:
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1000


MEASURES = {"uplinks": uplinks_per_s, "town": town_mb, "day": day_s, "year": year_s}


def judge(figures: dict[str, Any]) -> list[str]:
    """The goals that are missed."""
    missed = []
    for name, (sense, goal) in GOALS.items():
        value = figures.get(name)
        if value is not None and (value < goal if sense == "at least" else value > goal):
            missed.append(f"{name} is {value}, must be {sense} {goal:g}")
    return missed


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.simulator", description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="measure a part and scale it")
    parser.add_argument("--only", choices=MEASURES)
    given = parser.parse_args()
    if given.only:
        print(json.dumps(MEASURES[given.only](given.quick)))
        return 0
    figures: dict[str, Any] = {}
    for name in MEASURES:  # each in a process of its own: none has another's memory
        command = [sys.executable, __file__, "--only", name, *(["--quick"] if given.quick else [])]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        found = json.loads(done.stdout)
        print(f"{name:>8}  " + ", ".join(f"{key} {value}" for key, value in found.items()), flush=True)
        figures |= found
    missed = judge(figures)
    for text in missed:
        print(text, file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
