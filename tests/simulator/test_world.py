"""The whole house in counted time: a month of readings, and its first week again from the same seed."""

from __future__ import annotations

import io
from pathlib import Path

from lorasim import checker, progress, scenario
from lorasim.recording import Recorder
from lorasim.summary import Summary
from lorasim.world import World

from tests.simulator.conftest import CFLIST_864, T0
from tests.support.fake_network import drive, network_of

MONTH_S, WEEK_S = 280, 80
"""Of the fast clock, joining included."""


def live(path: Path, seconds: int) -> World:
    world = World(scenario.load("satka"), T0, recorder=Recorder(path))
    network = network_of(world, cflist=CFLIST_864)
    world.start(T0)
    drive(world, network, T0 + seconds * 1_000_000)
    world.recorder.close()
    return world


def test_a_month_of_the_satka_house(tmp_path: Path) -> None:
    world = live(tmp_path / "a.jsonl", MONTH_S)
    summary = world.snapshot()
    assert world.finished()
    assert (summary.devices, summary.joined, summary.day) == (122, 122, 31)
    assert summary.readings_acknowledged / summary.readings > 0.99
    assert summary.repeated > 0
    frames = checker.acknowledged(checker.read(tmp_path / "a.jsonl"))
    assert world.house is not None
    modules = {f"{m.dev_eui:016x}": m for m in world.house.modules}
    midnights: dict[str, set[int]] = {}
    for frame in frames:
        tag, module = frame.tag, modules[frame.dev_eui]
        assert tag["units"] == world.house.shown_units(module, tag["measured_us"])
        assert tag["serial"] == module.meter.serial
        assert tag["measured_us"] <= frame.pushed_us
        midnights.setdefault(frame.dev_eui, set()).add(tag["measured_us"])
    whole = [eui for eui, times in midnights.items() if len(times) >= 31]
    assert len(whole) > 110  # the others lost a day on the air or wait for their ACKs
    assert live(tmp_path / "b.jsonl", WEEK_S).snapshot().joined > 110
    again = (tmp_path / "b.jsonl").read_bytes()
    assert again.count(b"\n") > 3000 and (tmp_path / "a.jsonl").read_bytes().startswith(again)


def test_another_seed_is_another_month(tmp_path: Path) -> None:
    worlds = [World(scenario.load("satka"), T0, seed=seed) for seed in (1, 2)]
    keys = [{d.config.app_key for d in w.devices.values()} for w in worlds]
    assert keys[0].isdisjoint(keys[1])


def test_speed_can_be_chosen() -> None:
    world = World(scenario.load("satka"), T0, speed=60_000)
    assert world.clock is not None
    start = world.clock.start_us
    assert world.clock.meter_us(start + 1_000_000) - world.clock.meter_us(start) == 60_000_000_000


def test_progress_in_a_pipe_is_a_line() -> None:
    out = io.StringIO()
    with progress.reporter(out) as report:
        report(Summary("satka", 1, elapsed_s=5, devices=122, joined=3, readings=10, readings_acknowledged=9))
    assert out.getvalue().count("\n") == 1
    assert "joined 3/122" in out.getvalue() and "readings 9/10" in out.getvalue()


def test_progress_names_faults() -> None:
    summary = Summary("satka", 1)
    summary.faults["MIC"] = 4
    summary.tx_ack.update({"NONE": 5, "TOO_LATE": 2})
    rows = dict(progress.rows(summary))
    assert rows["fault ×4"] == "MIC" and rows["TX_ACK"] == "5 good, 2 TOO_LATE"
