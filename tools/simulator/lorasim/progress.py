"""Progress of a run: a live table on a terminal, one line a second in a pipe."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TextIO

from rich.console import Console
from rich.live import Live
from rich.table import Table

from lorasim.runner import Progress
from lorasim.summary import Summary


def share(part: int, whole: int) -> str:
    """``part`` of ``whole`` in percent, a dash when there is nothing yet."""
    return f"{100 * part / whole:.1f} %" if whole else "–"


def rows(summary: Summary) -> list[tuple[str, str]]:
    """What a run has done so far, as labels and values."""
    clock = summary.meter_time_us
    refused = {outcome: n for outcome, n in summary.tx_ack.items() if outcome != "NONE"}
    table = [
        ("time", f"{summary.elapsed_s:.0f} s"),
        ("meters' clock", f"{datetime.fromtimestamp(clock / 1e6, UTC):%Y-%m-%d %H:%M} UTC" if clock else ""),
        ("day", f"{summary.day} of {summary.days}" if clock else ""),
        ("joined", f"{summary.joined} of {summary.devices} ({summary.join_requests} requests)"),
        ("uplinks", f"{summary.uplinks}, {summary.repeated} of them repeated, {summary.unheard} unheard"),
        ("copies heard", f"{summary.receptions}"),
        ("readings", f"{summary.readings}, acknowledged {share(summary.readings_acknowledged, summary.readings)}"),
        ("PUSH_ACK", f"{summary.push_ack} of {summary.push_data}"),
        ("downlinks", f"{summary.downlinks_heard} heard, {summary.downlinks_missed} missed"),
        ("TX_ACK", f"{summary.tx_ack['NONE']} good" + "".join(f", {n} {why}" for why, n in sorted(refused.items()))),
    ]
    faults = summary.faults.most_common(3)
    return [(name, value) for name, value in table if value] + [(f"fault ×{n}", why) for why, n in faults]


def line(summary: Summary) -> str:
    """The same in one line."""
    day = f" day {summary.day}/{summary.days}" if summary.meter_time_us is not None else ""
    return (
        f"{summary.elapsed_s:6.0f} s{day} joined {summary.joined}/{summary.devices}"
        f" uplinks {summary.uplinks} readings {summary.readings_acknowledged}/{summary.readings}"
        f" downlinks {summary.downlinks_heard} missed {summary.downlinks_missed}"
        f" refused {summary.downlinks_refused + sum(summary.tx_ack.values()) - summary.tx_ack['NONE']}"
    )


def _table(summary: Summary) -> Table:
    table = Table(title=f"{summary.scenario}, seed {summary.seed}", show_header=False, title_justify="left")
    table.add_column(style="dim", justify="right")
    table.add_column(min_width=44)
    for name, value in rows(summary):
        table.add_row(name, value)
    return table


@contextmanager
def reporter(out: TextIO | None = None) -> Iterator[Progress]:
    """A ``progress`` callable for :func:`lorasim.runner.run`, drawing on ``out`` (standard error when None)."""
    stream = sys.stderr if out is None else out
    if not stream.isatty():
        yield lambda summary: print(line(summary), file=stream, flush=True)
        return
    with Live(console=Console(file=stream), refresh_per_second=4, transient=False) as live:
        yield lambda summary: live.update(_table(summary))
