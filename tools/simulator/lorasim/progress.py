"""Progress of a run: a live view on a terminal, one line a second in a pipe."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from lorasim.metrics import percentile
from lorasim.runner import Progress
from lorasim.summary import Summary
from lorasim.tally import Tally

WIDE = 100
"""Columns from which tables stand side by side."""
REASONS = 5
"""So many reasons are shown."""


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


def view(summary: Summary, tally: Tally, now: int, width: int) -> RenderableType:
    """All that is known, side by side on a wide terminal, one below the other on a narrow one."""
    parts = [table for table in (_what(summary, tally, now), _by_sf(tally), _downlinks(tally)) if table.row_count]
    title = Text(f"{summary.scenario}, seed {summary.seed}", "bold")
    if width >= WIDE:
        grid = Table.grid(padding=(0, 3))
        grid.add_row(parts[0], Group(*parts[1:]))
        return Group(title, grid)
    return Group(title, *parts)


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="dim", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.show_header = any(columns)
    for n, name in enumerate(columns):
        table.add_column(
            name, justify="left" if n == 0 else "right", header_style="dim", overflow="ellipsis", no_wrap=n > 0
        )
    return table


def _what(summary: Summary, tally: Tally, now: int) -> Table:
    table = _table("", "", "")
    table.columns[0].style, table.columns[1].justify = "dim", "left"
    table.columns[0].no_wrap, table.columns[1].no_wrap = True, False
    for name, value in rows(summary):
        table.add_row(name, Text(value, "red" if name.startswith("fault") else ""))
    rates = [f"{tally.per_second(what, now):.1f} {what}" for what in ("uplinks", "downlinks", "joins")]
    table.add_row("a second", ", ".join(rates))
    if tally.join_s:
        half, most = (percentile(tally.join_s, share) or 0.0 for share in (0.5, 0.95))
        table.add_row("joins took", f"{half:.1f} s, 95 % within {most:.1f} s")
    return table


def _by_sf(tally: Tally) -> Table:
    table = _table("uplinks by spreading factor", "", "sent", "heard", "acked")
    table.columns[0].no_wrap = True
    for sf, row in sorted(tally.by_sf.items()):
        table.add_row(f"SF{sf}", str(row.sent), share(row.heard, row.sent), share(row.promised, row.sent))
    return table


def _downlinks(tally: Tally) -> Table:
    table = _table("downlinks", "", "")
    table.columns[0].no_wrap = False
    for style, prefix, counted in (
        ("green", "heard in ", tally.windows),
        ("yellow", "missed: ", tally.missed),
        ("red", "refused: ", tally.refused),
    ):
        for why, n in counted.most_common(REASONS):
            table.add_row(Text(prefix + why, style), str(n))
        rest = sum(counted.values()) - sum(n for _, n in counted.most_common(REASONS))
        if rest:
            table.add_row(Text(f"{prefix}other reasons", style), str(rest))
    return table


def last_words(tally: Tally) -> list[tuple[str, str]]:
    """What the end of a run adds to :func:`rows`."""
    found = [
        (f"SF{sf}", f"{row.sent} sent, {share(row.heard, row.sent)} heard") for sf, row in sorted(tally.by_sf.items())
    ]
    for label, counted in (("heard in", tally.windows), ("missed", tally.missed), ("refused", tally.refused)):
        text = ", ".join(f"{why} {n}" for why, n in Counter(counted).most_common(REASONS))
        found += [(label, text)] if text else []
    return found


@dataclass(slots=True)
class View:
    """What :func:`live` draws: :meth:`observe` goes into the recorder, :meth:`show` into the runner."""

    stream: TextIO
    console: Console
    screen: Live | None = None
    tally: Tally = field(default_factory=Tally)
    _now: int = 0

    def observe(self, t: int, kind: str, fields: dict[str, Any]) -> None:
        self._now = t
        self.tally.observe(t, kind, fields)

    def show(self, summary: Summary) -> None:
        if self.screen is None:
            print(line(summary), file=self.stream, flush=True)
        else:
            self.screen.update(view(summary, self.tally, self._now, self.console.width))


@contextmanager
def live(out: TextIO | None = None) -> Iterator[View]:
    """A view of a run on ``out`` (standard error when None): drawn on a terminal, one line a second anywhere else."""
    stream = sys.stderr if out is None else out
    console = Console(file=stream)
    if not stream.isatty() or console.is_dumb_terminal:
        yield View(stream, console)
        return
    with Live(console=console, refresh_per_second=4, transient=False, vertical_overflow="crop") as screen:
        yield View(stream, console, screen)


@contextmanager
def reporter(out: TextIO | None = None) -> Iterator[Progress]:
    """Only a ``progress`` callable for :func:`lorasim.runner.run`, drawing on ``out`` (standard error when None)."""
    with live(out) as shown:
        yield shown.show
