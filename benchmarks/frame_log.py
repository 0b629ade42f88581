"""The frame log: bytes a frame, the cost of packing, and how long searches take.

``python -m benchmarks.frame_log [--frames N]`` fills months of a log with N uplinks of 100,000 devices, packed as the server
packs them, and searches. Each search is for a page of 100.
"""

from __future__ import annotations

import argparse
import json
import random
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).parent.parent)]

from internalapi.messages import Event, Reception
from lns.state import pack
from lns.store.embedded.blocks import KeptFrame, block_row
from lns.store.embedded.framelog import FrameLog
from lns.store.embedded.journal import Journal
from lns.store.embedded.packer import BLOCK
from lns.store.embedded.search import Search, find

DEVICES = 100_000
GATEWAYS = [f"70b3d5000000{number:04x}" for number in range(1, 31)]
START_US, EVERY_US = 1_793_000_000_000_000, 250_000
PAGE_MS = 2000.0
"""No page may take longer, whatever is looked for."""


def fill(log: FrameLog, count: int) -> float:
    """Add ``count`` uplinks; returns CPU seconds of the packing alone."""
    rng = random.Random(1)
    packing = 0.0
    for first in range(1, count + 1, BLOCK):
        frames, events = [], []
        for id in range(first, min(first + BLOCK, count + 1)):
            device, time_us = rng.randrange(1, DEVICES + 1), START_US + id * EVERY_US
            heard = tuple(
                Reception(
                    gateway,
                    time_us + n * 2000,
                    -70.0 - rng.randrange(50),
                    rng.randrange(-40, 40) / 4,
                    rng.getrandbits(32),
                    n,
                )
                for n, gateway in enumerate(rng.sample(GATEWAYS[:-1], rng.randrange(1, 4)))
            )
            if id % 500_000 == 0:
                heard = (Reception(GATEWAYS[-1], time_us, -120.0, -19.0),)
            event = Event(
                id, "up", time_us, f"{0x70B3D5FFFD000000 + device:016x}", f"meter {device}", "karat-926lw", "karat",
                f"{0x00100000 + device:08x}", id, device, 2, id // DEVICES, rng.randbytes(19), False, True, 5, 868_900_000,
                "SF7BW125", False, heard,
            )  # fmt: skip
            way = pack((4000, 200_000, 0, "nothing to say"))
            frames.append(
                (id, "up", time_us, device, device, 0x00100000 + device, id // DEVICES, 2, 0, 868_900_000, "SF7BW125",
                 b"\x40" + rng.randbytes(31), b"", heard[0].gateway_eui, 0, "", id, way)
            )  # fmt: skip
            events.append((id, pack(event)))
        begin = time.process_time()
        log.add([block_row(frames, events, first - 1)])
        packing += time.process_time() - begin
    return packing


def measure(count: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        log = FrameLog(folder)
        Journal(folder / "network.db").close()
        packing_s = fill(log, count)
        usage = log.usage()
        middle = START_US + count // 2 * EVERY_US
        with closing(sqlite3.connect(folder / "network.db")) as db:

            def timed(search: Search, before: int | None = None) -> dict[str, float]:
                begin, pages, found = time.perf_counter(), 0, 0
                longest = 0.0
                while True:
                    start = time.perf_counter()
                    page = find(db, log, search, before, None, 100)
                    longest = max(longest, time.perf_counter() - start)
                    pages, found, before = pages + 1, found + len(page.items), page.next
                    if found >= 100 or before is None:
                        break
                return {
                    "found": found,
                    "pages": pages,
                    "ms": (time.perf_counter() - begin) * 1000,
                    "longest_page_ms": longest * 1000,
                }

            rare = START_US + EVERY_US
            words: Callable[[KeptFrame, Any], bool] = lambda frame, event: b"\x00\x11\x22\x33" in frame.phy  # noqa: E731
            searches = {
                "newest": timed(Search()),
                "one device": timed(Search(frozenset([77]))),
                "one device, all its frames": timed(Search(frozenset([78]), until_us=rare + count * EVERY_US)),
                "a device that has none": timed(Search(frozenset([DEVICES + 5]))),
                "a common gateway": timed(Search(gateway=GATEWAYS[0])),
                "a gateway heard twice in a million": timed(Search(gateway=GATEWAYS[-1])),
                "a kind that there is none of": timed(Search(kinds=frozenset(["down"]))),
                "an hour in the middle": timed(Search(since_us=middle, until_us=middle + 3_600_000_000)),
                "bytes that are nowhere, all frames looked at": timed(Search(takes=words)),
            }
            begin = time.perf_counter()
            log.events(count // 2, 1000)
            events_ms = (time.perf_counter() - begin) * 1000
        return {
            "frames": count,
            "files": len(log.months()),
            "bytes_per_frame": usage.bytes / count,
            "packing_cpu_us_per_frame": packing_s / count * 1e6,
            "searches": searches,
            "events_1000_ms": events_ms,
        }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=1_000_000)
    results = measure(parser.parse_args().frames)
    print(json.dumps(results, indent=2, default=lambda value: round(value, 1)))
    slow = [name for name, one in results["searches"].items() if one["longest_page_ms"] > PAGE_MS]
    if slow:
        print("slower than a page may be:", "; ".join(slow))
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
