"""A soak: so many uplinks a second, three copies each, over real UDP against ``meterwan serve``, for as long as you like.

``python -m tests.faults.soak --minutes 60``. What was acknowledged by the datagram is compared with what the application's
API has to show: every frame once.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lorasim import load

from tests.faults import report
from tests.support.server import PARTS, Server, running

GATEWAYS = (0x0016C001FF1E5B01, 0x0016C001FF1E5B02, 0x0016C001FF1E5B03)
INTERVAL_S = 60.0
"""Of one device: what a crowd of meters does in an hour, these few do in minutes."""
SETTLE_S = 30.0


@dataclass
class Process:
    """What one process of the server has used, over time."""

    part: str
    at_s: list[float] = field(default_factory=list)
    rss_mb: list[float] = field(default_factory=list)
    fds: list[int] = field(default_factory=list)

    def sample(self, server: Server, at_s: float) -> None:
        pid = server.pid(self.part)
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        self.at_s.append(at_s)
        self.rss_mb.append(pages * os.sysconf("SC_PAGE_SIZE") / 1e6)
        self.fds.append(len(list(Path(f"/proc/{pid}/fd").iterdir())))

    def slope_mb_h(self) -> float:
        """Growth of the resident memory, megabytes an hour, over the second half: caches are full by then."""
        half = len(self.at_s) // 2
        at, rss = self.at_s[half:], self.rss_mb[half:]
        if len(at) < 3:
            return 0.0
        mean_at, mean_rss = sum(at) / len(at), sum(rss) / len(rss)
        spread = sum((one - mean_at) ** 2 for one in at)
        return 3600 * sum((a - mean_at) * (r - mean_rss) for a, r in zip(at, rss, strict=True)) / spread


def register(server: Server, sessions: Sequence[load.LoadSession]) -> None:
    for eui in GATEWAYS:
        server.ask("POST", "/gateways", {"gateway_eui": f"{eui:016x}", "name": f"{eui:x}"})

    def one(session: load.LoadSession) -> None:
        device = {"dev_eui": session.dev_eui, "name": session.dev_eui, "profile": "karat-926lw", "activation": "ABP"}
        server.ask("POST", "/devices", device)
        keys = {"dev_addr": session.dev_addr, "nwk_s_key": session.nwk_s_key, "app_s_key": session.app_s_key}
        server.ask("PUT", f"/devices/{session.dev_eui}/session", keys)

    server.token()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(one, sessions))


def soak(minutes: float, rate: float) -> dict[str, Any]:
    """Run it. Returns the figures."""
    frames = round(minutes * 60 * rate)
    devices = max(50, min(6000, round(rate * INTERVAL_S), frames // 10))
    rounds = frames // devices
    folder = Path(tempfile.mkdtemp(prefix="meterwan-soak-"))
    try:
        sessions = load.make_sessions(devices, seed=7)
        load.build_frames(sessions, folder / "frames", rounds)
        with running(folder / "server") as server:
            register(server, sessions)
            processes = [Process(part) for part in PARTS]
            over = threading.Event()

            def watch() -> None:
                begin = time.monotonic()
                while not over.wait(max(1.0, minutes * 0.6)):
                    for process in processes:
                        process.sample(server, time.monotonic() - begin)

            watcher = threading.Thread(target=watch)
            watcher.start()
            try:
                with (folder / "frames").open("rb") as lines:
                    result = load.blast(lines, server.udp, GATEWAYS, rate)
            finally:
                over.set()
                watcher.join()
            seen = taken(server, result.acknowledged_frames)
        acknowledged = {
            (sessions[index % devices].dev_eui, index // devices)
            for index, copies in enumerate(result.acknowledged)
            if copies
        }
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    figures = result.report()
    return {
        "minutes": round(minutes, 2),
        "rate": rate,
        "copies": len(GATEWAYS),
        "devices": devices,
        "frames": result.frames,
        "frames_per_s": figures["frames_per_s"],
        "acknowledged": len(acknowledged),
        "lost": len(acknowledged - seen.keys()),
        "duplicates": sum(count > 1 for count in seen.values()),
        "unacknowledged_datagrams": result.datagrams - result.push_acks,
        "ack_ms": figures["ack_ms"],
        "downlinks": result.pull_resps,
        "decision_ms": figures["decision_ms"],
        "rss_mb": {process.part: round(process.rss_mb[-1]) for process in processes if process.rss_mb},
        "rss_slope_mb_h": {process.part: round(process.slope_mb_h(), 1) for process in processes},
        "fds": {process.part: [process.fds[0], process.fds[-1]] for process in processes if process.fds},
    }


def taken(server: Server, wanted: int) -> Counter[tuple[str, int]]:
    """(DevEUI, FCntUp) of every uplink that the application has, once it has as many as were acknowledged."""
    seen: Counter[tuple[str, int]] = Counter()
    cursor, deadline = "", time.monotonic() + SETTLE_S
    while True:
        page = server.ask("GET", "/events?type=up&limit=1000" + (f"&cursor={cursor}" if cursor else ""))
        for event in page["items"]:
            seen[event["deviceInfo"]["devEui"], event["fCnt"]] += 1
        cursor = str(page["items"][-1]["id"]) if page["items"] else cursor
        if not page["items"] or page["next_cursor"] is None:
            if len(seen) >= wanted or time.monotonic() > deadline:
                return seen
            time.sleep(0.5)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--rate", type=float, default=100.0, help="uplinks a second")
    given = parser.parse_args(arguments)
    figures = soak(given.minutes, given.rate)
    report.note("soak", figures)
    return bool(figures["lost"] or figures["duplicates"])


if __name__ == "__main__":
    sys.exit(main())
