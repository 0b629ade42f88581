"""In virtual time the checker knows what the application was given: from MeterWAN's own network server."""

from __future__ import annotations

from pathlib import Path

from lorasim import checker, checking, outcome, scenario, virtual
from lorasim.assertions import Assertion
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
