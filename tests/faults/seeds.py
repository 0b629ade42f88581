"""Seeds in virtual time: ``python -m tests.faults.seeds --seeds 10000``, or one of them with its story: ``--seed 17``."""

from __future__ import annotations

import argparse
import json
import logging
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog
from lorasim.checker import Violation

from tests.faults import report
from tests.faults.history import short
from tests.faults.universe import BEGIN_US, Universe
from tests.support.scratch import scratch


@dataclass(slots=True, frozen=True)
class Result:
    """What one seed came to."""

    seed: int
    violations: tuple[str, ...]
    story: tuple[str, ...]
    counts: dict[str, int]
    cpu_s: float


def play(seed: int, only: Iterable[str] | None = None, minutes: float | None = None) -> Result:
    """Play one seed to its end."""
    begin = time.process_time()
    folder = Path(tempfile.mkdtemp(prefix="meterwan-seed-", dir=scratch()))
    try:
        universe = Universe(seed, folder, None if only is None else frozenset(only), minutes)
        try:
            found = universe.run()
        except Exception as error:
            # Whatever a server raises in a world of faults is a violation of its own.
            place = traceback.extract_tb(error.__traceback__)[-1]
            text = f"{type(error).__name__}: {error} ({Path(place.filename).name}:{place.lineno})"
            found = [Violation("the server failed", universe.now, "", text)]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    counts: Counter[str] = Counter(line["type"] for line in universe.history.lines)
    counts["kills"] = sum(line["what"].startswith(("kill -9", "power")) for line in universe.history.of("fault"))
    story: tuple[str, ...] = ()
    if found:
        first = found[0]
        dev_addr = first.text.split("DevAddr ")[1][:8] if "DevAddr " in first.text else ""
        story = tuple(short(universe.history.lines, first.dev_eui, dev_addr, first.t, BEGIN_US))
    return Result(
        seed,
        tuple(f"{one.rule}: {one.dev_eui} {one.text} at {(one.t - BEGIN_US) / 1e6:.3f} s" for one in found),
        story,
        dict(counts),
        time.process_time() - begin,
    )


def quiet() -> None:
    """What the server logs about its deaths is no news here."""
    logging.disable(logging.CRITICAL)
    structlog.configure(processors=[], logger_factory=structlog.ReturnLoggerFactory(), cache_logger_on_first_use=False)


def many(seeds: Sequence[int], processes: int) -> Iterable[Result]:
    """Play them on so many processes, in any order."""
    with multiprocessing.get_context("spawn").Pool(processes, quiet) as pool:
        yield from pool.imap_unordered(play, seeds, chunksize=4)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.seeds", description=__doc__)
    parser.add_argument("--seed", type=int, help="this one alone, with its story")
    parser.add_argument("--seeds", type=int, default=10_000, help="how many")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    given = parser.parse_args(arguments)
    quiet()
    if given.seed is not None:
        result = play(given.seed)
        print("\n".join((*result.violations, *result.story, json.dumps(result.counts, sort_keys=True))))
        return bool(result.violations)
    begin, total, failed = time.perf_counter(), Counter[str](), []
    for done, result in enumerate(many(range(given.first, given.first + given.seeds), given.processes), start=1):
        total.update(result.counts)
        if result.violations:
            failed.append(result.seed)
            print(f"seed {result.seed} (python -m tests.faults.seeds --seed {result.seed}):", flush=True)
            print("  " + "\n  ".join((*result.violations[:3], *result.story)), flush=True)
        if done % 1000 == 0:
            print(f"{done} seeds, {len(failed)} failed, {time.perf_counter() - begin:.0f} s", flush=True)
    figures = {
        "seeds": given.seeds,
        "failed": sorted(failed),
        "uplinks": total["uplink"],
        "acknowledged": total["push_ack"],
        "readings": total["event"],
        "downlinks": total["wire_down"],
        "joins": total["joined"],
        "deaths": total["kills"],
        "seconds": round(time.perf_counter() - begin, 1),
    }
    report.note("seeds", figures)
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
