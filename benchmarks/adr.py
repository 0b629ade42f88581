"""MeterWAN's ADR against those of ChirpStack and The Things Stack, on the same air.

``python -m benchmarks.adr [--seeds N] [--quick] [--write]`` prints a table for each load; ``--write`` also puts the tables
into docs/adr.md and draws docs/img/adr.svg. The devices, the air between them and the gateways are those of
``lorasim.adrlab``, the algorithms of MeterWAN are the server's own. All numbers follow from the seeds.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).parent.parent), str(Path(__file__).parent.parent / "tools" / "simulator")]

from lorasim.adr_rivals import Server
from lorasim.adrlab import Lab, Score, Setup

from benchmarks.support.adr_chart import Curve, draw
from benchmarks.support.adr_servers import SERVERS, at_margin

ROOT = Path(__file__).parent.parent
LOADS = {
    "hourly": Setup(period_s=3600, days=8),
    "daily": Setup(period_s=86_400, days=60),
    "dense": Setup(period_s=600, days=1, devices=300),
}
TITLES = {
    "hourly": "200 devices, a frame an hour, 8 days",
    "daily": "200 devices, a frame a day, 60 days",
    "dense": "300 devices, a frame every ten minutes, one day",
}
KINDS = ("static", "fading", "moving", "basement")
CURVES = {
    "MeterWAN default": (4.0, 7.0, 10.0, 13.0, 16.0),
    "ChirpStack-like": (5.0, 10.0, 15.0, 20.0, 25.0),
    "The Things Stack-like": (5.0, 10.0, 15.0, 20.0, 25.0),
}
"""Margins in dB, the default one among them."""


class Result(NamedTuple):
    """One kind of device under one algorithm in one run."""

    delivery: float
    worst: float
    """Delivery of the device at the fifth percentile."""
    energy_mj: float
    """Of the radio, per delivered frame."""
    airtime_s: float
    """Per delivered frame."""
    convergence: float
    """Uplinks, median device."""
    requests: float
    """LinkADRReq per hundred uplinks."""
    stranded: int


Runs = dict[str, Result]
"""One run, by kind of device."""


def result_of(scores: Sequence[Score]) -> Result:
    """What became of these devices together."""
    sent, delivered = sum(one.sent for one in scores), sum(one.delivered for one in scores)
    return Result(
        delivered / sent,
        sorted(one.delivery for one in scores)[len(scores) // 20],
        sum(one.energy_mj for one in scores) / delivered,
        sum(one.airtime_s for one in scores) / delivered,
        statistics.median(one.converged_after for one in scores),
        100 * sum(one.requests for one in scores) / sent,
        sum(one.stranded for one in scores),
    )


def compare(setup: Setup, servers: dict[str, Callable[[], Server]], seeds: Sequence[int]) -> dict[str, list[Runs]]:
    """Every algorithm on every seed: a result for each kind of device."""
    return {name: [run(setup, make, seed) for seed in seeds] for name, make in servers.items()}


def run(setup: Setup, make: Callable[[], Server], seed: int) -> Runs:
    scores = Lab(setup, make, seed).run()
    return {kind: result_of([one for one in scores if one.kind == kind]) for kind in KINDS}


def table(results: dict[str, list[Runs]]) -> str:
    """As Markdown, mean ± standard deviation over the seeds."""
    lines = [
        "| devices | algorithm | delivery, % | worst 5 %, % | energy, mJ | airtime, ms | settled after, uplinks "
        "| requests per 100 uplinks | stranded |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for kind in KINDS:
        for name, runs in results.items():
            rows = [one[kind] for one in runs]
            cells = [
                _spread([100 * row.delivery for row in rows], 1),
                _spread([100 * row.worst for row in rows], 0),
                _spread([row.energy_mj for row in rows], 0),
                _spread([1000 * row.airtime_s for row in rows], 0),
                _spread([row.convergence for row in rows], 0),
                _spread([row.requests for row in rows], 1),
                str(sum(row.stranded for row in rows)),
            ]
            lines.append(f"| {kind} | {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _spread(values: Sequence[float], digits: int) -> str:
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.mean(values):.{digits}f} ± {deviation:.{digits}f}"


def verdict(results: dict[str, list[Runs]]) -> list[str]:
    """For each kind of device and rival: does the default deliver more, and for less energy?"""
    ours = results["MeterWAN default"]
    lines = []
    for kind in KINDS:
        for name in ("ChirpStack-like", "The Things Stack-like"):
            delivery = [(a[kind].delivery - b[kind].delivery) * 100 for a, b in zip(ours, results[name], strict=True)]
            energy = [a[kind].energy_mj / b[kind].energy_mj - 1 for a, b in zip(ours, results[name], strict=True)]
            lines.append(
                f"| {kind} | {name} | {statistics.mean(delivery):+.1f} ({sum(one >= 0 for one in delivery)} of {len(ours)}) "
                f"| {statistics.mean(energy):+.0%} ({sum(one <= 0 for one in energy)} of {len(ours)}) |"
            )
    return [
        "| devices | against | delivery, percentage points (seeds not worse) | energy per delivered frame (seeds not worse) |",
        "|---|---|---|---|",
        *lines,
    ]


def curves(setup: Setup, seeds: Sequence[int]) -> list[Curve]:
    """Delivery over energy at several margins."""
    found = []
    for name, margins in CURVES.items():
        by_margin = [[run(setup, at_margin(name, margin), seed) for seed in seeds] for margin in margins]
        default = margins.index(15.0 if name.startswith("The Things") else 10.0)
        for kind in KINDS:
            points = [
                (
                    statistics.mean(one[kind].energy_mj for one in runs),
                    100 * statistics.mean(one[kind].delivery for one in runs),
                )
                for runs in by_margin
            ]
            found.append(Curve(kind, name, [f"{margin:g}" for margin in margins], points, default))
    return found


def write(parts: dict[str, str], chart: str) -> None:
    """Put the tables into the document, between their marks, and the chart beside it."""
    path = ROOT / "docs" / "adr.md"
    text = path.read_text("utf-8")
    for name, part in parts.items():
        begin, end = f"<!-- {name} -->\n", f"\n<!-- end of {name} -->"
        head, rest = text.split(begin)
        text = head + begin + part + end + rest.split(end)[1]
    path.write_text(text, "utf-8")
    (ROOT / "docs" / "img" / "adr.svg").write_text(chart, "utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--quick", action="store_true", help="two seeds of the hourly load, no chart")
    parser.add_argument("--write", action="store_true", help="put tables and chart into docs/")
    options = parser.parse_args()
    seeds = range(1, 3 if options.quick else options.seeds + 1)
    parts, begin = {}, time.monotonic()
    for load, setup in LOADS.items():
        if options.quick and load != "hourly":
            continue
        results = compare(setup, SERVERS, seeds)
        parts[load] = f"{TITLES[load]}; {len(seeds)} seeds, mean ± standard deviation:\n\n{table(results)}"
        parts[f"verdict {load}"] = "\n".join(verdict(results))
        print(f"\n{parts[load]}\n\n" + parts[f"verdict {load}"], flush=True)
        stranded = sum(one.stranded for runs in results["MeterWAN default"] for one in runs.values())
        if stranded:
            sys.exit(f"{stranded} devices stranded by the default algorithm")
    if not options.quick:
        chart = draw(curves(replace(LOADS["hourly"]), list(seeds)[:3]), KINDS)
        if options.write:
            write(parts, chart)
    print(f"\n{time.monotonic() - begin:.0f} s")


if __name__ == "__main__":
    main()
