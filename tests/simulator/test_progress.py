"""The live view: what it counts, and how it looks on wide and narrow terminals, without colours and in a pipe."""

from __future__ import annotations

import io
import re

import pytest
from lorasim import progress
from lorasim.course import follow
from lorasim.reasons import reason
from lorasim.summary import Summary
from lorasim.tally import REMEMBERED_US, Tally
from rich.console import Console

from tests.simulator.conftest import T0, Lab, MakeLab

ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
COLOUR = re.compile(r"\x1b\[(?:[0-9;]*;)?(?:3[0-9]|4[0-9]|9[0-9])(?:;[0-9;]*)?m")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def tally_of(lab: Lab) -> Tally:
    tally = Tally()
    for line in lab.lines():
        tally.observe(line["t"], line["type"], line)
    return tally


def lively(make_lab: MakeLab) -> Lab:
    """Downlinks that come too late for a while, and a gateway that refuses one."""
    lab = make_lab("count = 4\nconfirmed = true\ndr = 4", interval_s=10, backhaul="loss = 0.1")
    lab.run(40)
    lab.network.delay_shift_us = 40_000
    lab.run(20)
    lab.network.delay_shift_us = 0
    lab.run(30)
    return lab


def drawn(lab: Lab, width: int) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=False)
    console.print(progress.view(lab.world.snapshot(), tally_of(lab), lab.now, width))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_it_counts_what_the_recording_says(make_lab: MakeLab) -> None:
    lab = lively(make_lab)
    tally, course, lines = tally_of(lab), follow(lab.lines()), lab.lines()
    ups = {line["phy"] for line in lines if line["type"] == "uplink"}
    sent = [line["phy"] for line in lines if line["type"] == "transmit" and line["phy"] in ups]
    assert sum(row.sent for row in tally.by_sf.values()) == len(sent)
    heard = {phy for line in lines if line["type"] == "push_data" for phy in line["phys"]} & ups
    assert len(heard) <= sum(row.heard for row in tally.by_sf.values()) <= len(sent)
    assert sum(row.promised for row in tally.by_sf.values()) >= sum(f.promised_us is not None for f in course.frames)
    missed = [line for line in lines if line["type"] == "downlink_missed"]
    assert tally.missed.total() == len(missed) > 3 and tally.missed["wrong time"] > 3
    assert tally.windows.total() == sum(line["type"] in ("downlink", "joined") for line in lines)
    assert (tally.joined, tally.join_requests) == (4, sum(line["type"] == "join_request" for line in lines))
    recent = [line for line in lines if line["type"] == "uplink" and line["t"] > lab.now - 10_000_000]
    assert tally.per_second("uplinks", lab.now) == len(recent) / 10
    assert tally.per_second("uplinks", lab.now + 60_000_000) == 0


def test_it_forgets_frames_of_which_nothing_comes() -> None:
    tally = Tally()
    for n in range(1000):
        t = T0 + n * 1_000_000
        tally.observe(t, "uplink", {"phy": f"{n}"})
        tally.observe(t, "transmit", {"phy": f"{n}", "datr": "SF7BW125"})
        tally.observe(t, "push_data", {"gateway": "g", "token": n, "phys": []})
    assert len(tally._frames) == len(tally._pushes) <= REMEMBERED_US // 1_000_000 + 1
    assert tally.by_sf[7].sent == 1000


@pytest.mark.parametrize("width", [30, 48, 80, 140])
def test_it_fits_every_terminal(make_lab: MakeLab, width: int) -> None:
    text = drawn(lively(make_lab), width)
    lines = text.splitlines()
    assert max(map(len, lines)) <= width
    for word in ("joined", "a second", "SF8", "missed: wrong time", "heard in RX1"):
        assert word in text, word
    beside = [line for line in lines if line.startswith("time") and "uplinks by" in line]
    first = next(line for line in lines if "uplinks by" in line)
    assert bool(beside) == (width >= progress.WIDE) or not first.startswith("uplinks by")
    assert first.startswith("uplinks by") == (width < progress.WIDE)


def test_on_a_terminal_in_colours_and_without(make_lab: MakeLab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab = lively(make_lab)
    lab.world.summary.faults["something"] += 1
    monkeypatch.setenv("TERM", "xterm-256color")
    texts = {}
    for no_colour in (False, True):
        if no_colour:
            monkeypatch.setenv("NO_COLOR", "1")
        else:
            monkeypatch.delenv("NO_COLOR", raising=False)
        with progress.live(terminal := Terminal()) as view:
            for line in lab.lines():
                view.observe(line["t"], line["type"], line)
            view.show(lab.world.snapshot())
        texts[no_colour] = terminal.getvalue()
    assert COLOUR.search(texts[False]) and not COLOUR.search(texts[True])
    assert all("wrong time" in ESCAPE.sub("", text) for text in texts.values())


@pytest.mark.parametrize("dumb", [False, True])
def test_in_a_pipe_and_on_a_dumb_terminal_it_is_a_line_a_second(
    make_lab: MakeLab, dumb: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "dumb")
    lab, out = lively(make_lab), Terminal() if dumb else io.StringIO()
    with progress.live(out) as view:
        view.show(lab.world.snapshot())
        view.show(lab.world.snapshot())
    lines = out.getvalue().splitlines()
    assert len(lines) == 2 and "\x1b" not in out.getvalue()
    assert re.fullmatch(
        r" +90 s joined 4/4 uplinks \d+ readings \d+/\d+ downlinks \d+ missed \d+ refused \d+", lines[0]
    )


def test_before_anything_has_happened() -> None:
    console = Console(file=io.StringIO(), width=60)
    console.print(progress.view(Summary("x", 1), Tally(), 0, 60))
    assert isinstance(console.file, io.StringIO) and "joined" in console.file.getvalue()


@pytest.mark.parametrize(
    ("why", "word"),
    [
        ("RX1 is +30.0 ms away; RX2 listens on 869100000 Hz, not 864100000", "wrong channel"),
        ("RX1 is +30.0 ms away; RX2 is -970.0 ms away", "wrong time"),
        ("RX1 listens at SF7BW125, not SF9BW125; RX2 is -970.0 ms away", "wrong data rate"),
        ("asleep: no window is pending", "asleep"),
        ("not heard: signal", "too weak"),
        ("RXC: the device is transmitting", "busy sending"),
        ("something: new", "something"),
    ],
)
def test_reasons(why: str, word: str) -> None:
    assert reason(why) == word
