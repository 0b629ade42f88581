"""In virtual time the checker knows what the application was given: from MeterWAN's own network server."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from lorasim import checker, checking, gwmp, outcome, scenario, virtual
from lorasim.assertions import Assertion
from lorasim.captures.replay import Timing
from lorasim.captures.replay import plan as replay_plan
from lorasim.captures.semtech import messages
from lorasim.captures.udp import Captured
from lorasim.checking.history import shortest
from lorasim.recording import Recorder
from lorasim.world import World

from meterwan import virtual_events
from meterwan.virtual import VirtualNetwork
from tests.support.program import make_program

REPLAY = """
name = "replayed"
seed = 5
[clock]
duration_s = 1800
[[gateways]]
eui = "0016c001ff1e6401"
[[devices]]
name = "meters"
count = 6
interval_s = 60
join_spread_s = 30
confirmed = true
[[devices]]
name = "new"
dev_eui = "70b3d5fffe200001"
mac_version = "1.1"
count = 3
interval_s = 60
join_spread_s = 30
[[events]]
at_s = 600
do = "replay"
count = 30
every_s = 300
[[assert]]
that = "lost_acknowledged == 0"
[[assert]]
that = "duplicates == 0"
[[assert]]
that = "foreign_events == 0"
[[assert]]
that = "delivery.application >= 99 %"
of = "meters"
[[assert]]
that = "uplinks >= 200"
"""


def test_replayed_frames_become_no_second_event(tmp_path: Path) -> None:
    plan, path = scenario.parse(REPLAY), tmp_path / "run.jsonl"
    networks: list[VirtualNetwork] = []

    def server_of(world: World) -> VirtualNetwork:
        networks.append(VirtualNetwork(world))
        return networks[0]

    with Recorder(path) as recorder:
        virtual.run(plan, server_of, recorder=recorder)
    with networks[0] as network:
        virtual_events.settle(network)
        events = list(virtual_events.lines(network))
    judged = outcome.judge(path, plan.assertions, True, events)
    assert judged.violations == [] and [one.text for one in judged.verdicts if not one.holds] == []
    lines = checker.read(path)
    first = min(line["t"] for line in lines if line["type"] == "push_data")
    sent = {line["phy"] for line in lines if line["type"] == "uplink"}
    pushed = [
        phy for line in lines if line["type"] == "push_data" and line["t"] - first > 600_000_000 for phy in line["phys"]
    ]
    assert len([phy for phy in pushed if phy in sent]) - len({*pushed} & sent) > 50, "nothing was replayed"

    # a server that forgets one, and one that gives one again
    lost = next(event for event in events if event["event"] == "up" and event["f_port"])
    [violation] = checking.check(lines, [event for event in events if event is not lost])
    assert (violation.rule, violation.dev_eui) == ("lost acknowledged", lost["dev_eui"])
    assert [line["type"] for line in shortest(lines, [], violation)] == ["uplink", "push_data", "push_ack"]
    again = [*events, lost | {"id": "x", "t": events[-1]["t"]}]
    assert {one.rule for one in checking.check(lines, again)} <= {"duplicate", "accepted replay"}
    assert not outcome.judge(path, [Assertion("duplicates == 0")], False, again).good


def test_from_the_command_line(tmp_path: Path) -> None:
    program = make_program(tmp_path / "program")
    path, report = tmp_path / "replayed.toml", tmp_path / "report.html"
    path.write_text(REPLAY, encoding="utf-8")
    result = program.run("simulate", str(path), "--virtual", "--duration", "900", "--report", str(report))
    assert result.code == 1 and "uplinks >= 200" in result.out  # too short for that one
    assert "delivery.application" in report.read_text("utf-8")
    result = program.run("simulate", str(path), "--virtual", "--seed", "9")
    assert result.code == 0, result.out + result.err


PERSONALISED = """
name = "captured"
seed = 5
[[gateways]]
eui = "0016c001ff1e6401"
tmst_offset_us = 4284967296
[[devices]]
count = 3
interval_s = 30
confirmed = true
activation = "ABP"
"""


@pytest.mark.parametrize("timing", [Timing(), Timing(speed=20), Timing(per_second=5)], ids=str)
def test_a_replayed_capture_is_taken_by_a_server_that_does_not_know_its_frames(timing: Timing) -> None:
    """Gateways whose clocks go right: every frame becomes an event, every answer is planned a second behind its frame."""
    plan = scenario.parse(PERSONALISED)
    captured: list[Captured] = []
    world = virtual.world_of(plan)
    with VirtualNetwork(world) as network:
        original = network.receive

        def seen(eui: int, pull: bool, datagram: bytes, now_us: int) -> None:
            captured.append(Captured(now_us, ("10.0.0.2", 1 + pull), ("10.0.0.1", 1700), datagram))
            original(eui, pull, datagram, now_us)

        network.receive = seen  # type: ignore[method-assign]
        virtual.VirtualRun(world, network).until(world.start_us + 300_000_000)
        virtual_events.settle(network)
        wanted = [line["f_cnt"] for line in virtual_events.lines(network) if line["event"] == "up"]
    fresh = virtual.world_of(plan)
    answers: list[int] = []
    planned, left_out = replay_plan(messages(captured), timing, fresh.start_us)
    pushed: set[int] = set()
    with VirtualNetwork(fresh) as network:
        for one in planned:
            now_us = fresh.start_us + one.at_us
            _run_until(network, now_us, answers)
            network.receive(one.gateway, one.pull, one.data, now_us)
            pushed |= {packet["tmst"] for packet in json.loads(one.data[12:] or b"{}").get("rxpk", ())}
        virtual_events.settle(network)
        _run_until(network, network._wall_us, answers)
        told = [line["f_cnt"] for line in virtual_events.lines(network) if line["event"] == "up"]
    assert left_out == 0 and len(wanted) > 25 and sorted(told) == sorted(wanted)
    assert len(answers) > (20 if timing == Timing() else 5)  # faster, and the sub-band has no room for all answers
    assert all(any((answer - tmst) % 2**32 in (1_000_000, 2_000_000) for tmst in pushed) for answer in answers)


def _run_until(network: VirtualNetwork, now_us: int, answers: list[int]) -> None:
    """Timers and what the server sends up to a moment; ``answers`` takes the tmst of each PULL_RESP."""
    while (timer := network.timer()) is not None and timer <= now_us:
        network.handle_timer(timer)
    while (sent := network.next_datagram()) is not None:
        if sent[1][3] == gwmp.PULL_RESP:
            answers.append(json.loads(sent[1][4:])["txpk"]["tmst"])
