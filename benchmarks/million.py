"""A million devices with sessions: how long the network process starts, what it takes of memory, what a first frame costs.

``python -m benchmarks.million [--sessions N]`` builds a journal with N ABP devices, starts the real network process on it and
sends it, over UDP, one frame each of randomly chosen devices. It fails when the start takes longer than 15 s or the process
more than 1.5 GB.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).parent.parent), str(Path(__file__).parent.parent / "tools" / "simulator")]

from lorasim import load

from benchmarks.network import GATEWAYS, Server, throughput
from benchmarks.support.network_child import KEK, PROFILE
from lns.keys import KeyRing
from lns.radio import RadioParameters, to_text
from lns.store.embedded.journal import Journal
from lns.store.embedded.load import profile_body
from lorawan.crypto import SessionKeys
from regional import plan

START_S = 15.0
RSS_MB = 1500
RATE = 4000


def build(folder: Path, sessions: list[load.LoadSession]) -> None:
    """A journal with these devices, as if all had been heard before."""
    Journal(folder / "network.db").close()
    keys, region = KeyRing(KEK), plan("RU864")
    radio = to_text(RadioParameters(1, 0, region.rx2_dr, region.rx2_frequency_hz))

    def rows() -> Iterator[tuple[Any, ...]]:
        for number, one in enumerate(sessions, 1):
            own = SessionKeys.for_1_0(bytes.fromhex(one.nwk_s_key), bytes.fromhex(one.app_s_key))
            yield number, number, int(one.dev_addr, 16), keys.seal(own), radio

    with closing(sqlite3.connect(folder / "network.db")) as db, db:
        db.execute("INSERT INTO profile (name, body) VALUES (?, ?)", (PROFILE.name, profile_body(PROFILE)))
        db.executemany(
            "INSERT INTO device (id, dev_eui, join_eui, name, profile, activation, tags, disabled, created_at_us)"
            f" VALUES (?, ?, zeroblob(8), ?, '{PROFILE.name}', 'ABP', '{{}}', 0, 0)",
            ((n, bytes.fromhex(one.dev_eui), f"meter {n}, flat {n % 180}") for n, one in enumerate(sessions, 1)),
        )
        db.executemany(
            "INSERT INTO session (id, device_id, dev_addr, lorawan_1_1, sealed_keys, activated_at_us, confirmed, f_cnt_up,"
            " replay_window, last_mic, radio, dr, last_seen_us, rssi_dbm, snr_db, gateways)"
            " VALUES (?, ?, ?, 0, ?, 0, 1, 1, x'01', x'00000000', ?, 5, 0, -80.0, 9.5, 1)",
            rows(),
        )


def measure(count: int, uplinks: int, rate: float = RATE) -> dict[str, Any]:
    """Start, memory, and ``uplinks`` first frames of devices chosen at random, through one gateway."""
    cores = sorted(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sessions = load.make_sessions(count)
        begin = time.perf_counter()
        build(folder, sessions)
        built_s = time.perf_counter() - begin
        chosen = random.Random(1).sample(sessions, min(uplinks, count))
        load.build_frames(chosen, folder / "first", 1, 1)
        load.build_frames(chosen, folder / "second", 1, 2)
        os.sched_setaffinity(0, {cores[0]})
        server = Server(folder, cores[-1])
        try:
            started_mb = server.rss_mb()
            first = throughput(server, folder / "first", 1, rate)
            second = throughput(server, folder / "second", 1, rate)
            rss_mb = server.rss_mb()
        finally:
            server.stop()
            os.sched_setaffinity(0, cores)
        return {
            "sessions": count,
            "journal_mb": (folder / "network.db").stat().st_size / 1e6,
            "built_s": built_s,
            "start_s": server.start_s,
            "rss_mb_at_start": started_mb,
            "rss_mb_after": rss_mb,
            "first_frames": first,
            "second_frames": second,
            "first_frame_extra_us": first["cpu_us_per_uplink"] - second["cpu_us_per_uplink"],
            "gateways": len(GATEWAYS),
        }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sessions", type=int, default=1_000_000)
    parser.add_argument("--uplinks", type=int, default=100_000)
    given = parser.parse_args()
    results = measure(given.sessions, given.uplinks)
    print(json.dumps(results, indent=2, default=lambda value: round(value, 2)))
    missed = []
    if results["start_s"] > START_S:
        missed.append(f"start: {results['start_s']:.1f} s, goal {START_S:g} s")
    if results["rss_mb_after"] > RSS_MB:
        missed.append(f"memory: {results['rss_mb_after']:.0f} MB, goal {RSS_MB} MB")
    if results["first_frames"]["handed_over"] < results["first_frames"]["sent"]:
        missed.append("frames were lost")
    if missed:
        print("below the goal:", "; ".join(missed))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
