"""The checker with a witness of the application and of the devices' windows: silent about a good server, loud otherwise."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lorasim import checking
from lorasim.__main__ import main
from lorasim.checker import Line, read
from lorasim.checking.history import shortest

from tests.simulator.conftest import Lab, MakeLab


def told(lab: Lab) -> list[Line]:
    """The events of a server without fault: one for each counter that it has acknowledged."""
    lines, known = lab.lines(), set()
    events: list[Line] = []
    for line in lines:
        key = (line.get("dev_eui"), line.get("dev_addr"), line.get("f_cnt"))
        if line["type"] == "uplink" and line["f_port"] and key not in known:
            known.add(key)
            fields = {name: line[name] for name in ("dev_eui", "dev_addr", "f_cnt", "f_port", "data")}
            events.append({"t": line["t"] + 400_000, "type": "event", "event": "up", "id": f"e{len(events)}", **fields})
    return events


def rules(lab: Lab, events: list[Line] | None = None) -> list[str]:
    return [violation.rule for violation in checking.check(lab.lines(), events)]


@pytest.mark.parametrize("name", ["1.0.2", "1.0.4", "1.1"])
def test_a_good_server_breaks_no_rule(make_lab: MakeLab, name: str) -> None:
    lab = make_lab(f'count = 3\nmac_version = "{name}"\nconfirmed = true', interval_s=5, backhaul="loss = 0.05")
    lab.run(60)
    lab.device_does(lambda now: lab.device.restart(now, keep_session=False))
    lab.run(40)
    promised = {line["phy"] for line in lab.lines("uplink")}
    events = [event for event in told(lab) if promised]
    assert rules(lab, events) == []
    # the same event again under its own name is a delivery repeated, which is no fault
    assert rules(lab, [*events, events[3] | {"t": events[-1]["t"]}]) == []


def lost(events: list[Line]) -> list[Line]:
    return events[:4] + events[5:]


def twice(events: list[Line]) -> list[Line]:
    return [*events, events[4] | {"id": "another", "t": events[-1]["t"]}]


def forged(events: list[Line]) -> list[Line]:
    return [*events, events[4] | {"f_cnt": 4711, "id": "another"}]


def altered(events: list[Line]) -> list[Line]:
    return [*events[:4], events[4] | {"data": "ff"}, *events[5:]]


def acked(events: list[Line]) -> list[Line]:
    ack = {"event": "ack", "acked": True, "f_cnt_down": 77, "id": "ack"}
    return [*events, {"t": events[4]["t"], "type": "event", "dev_eui": events[4]["dev_eui"], **ack}]


@pytest.mark.parametrize(
    ("plant", "rule", "shortest_kinds"),
    [
        (lost, "lost acknowledged", ["uplink", "push_data", "push_ack"]),
        (twice, "duplicate", ["uplink", "event", "event"]),
        (forged, "accepted forgery", ["event"]),
        (altered, "altered payload", ["uplink", "event"]),
        (acked, "false ACK", ["event"]),
    ],
)
def test_planted_faults_of_what_the_application_gets(
    make_lab: MakeLab, plant: Callable[[list[Line]], list[Line]], rule: str, shortest_kinds: list[str]
) -> None:
    lab = make_lab("count = 3", interval_s=5)
    lab.run(40)
    events = plant(told(lab))
    [violation] = checking.check(lab.lines(), events)
    assert violation.rule == rule and violation.dev_eui == told(lab)[4]["dev_eui"]
    history = shortest(lab.lines(), events, violation)
    assert [line["type"] for line in history] == shortest_kinds


def test_an_accepted_replay_is_told_from_a_duplicate(make_lab: MakeLab) -> None:
    lab = make_lab("count = 2", interval_s=5)
    lab.run(60)
    lines, events = lab.lines(), told(lab)
    recorded = next(line for line in lines if line["type"] == "uplink")
    head = {"t": lab.now, "gateway": "0016c001ff1e5a01", "token": 9}
    lines += [head | {"type": "push_data", "phys": [recorded["phy"]]}, head | {"type": "push_ack", "t": lab.now + 20}]
    assert checking.check(lines, events) == []  # acknowledged, and thrown away
    first = next(event for event in events if event["dev_eui"] == recorded["dev_eui"])
    [violation] = checking.check(lines, [*events, first | {"t": lab.now + 500, "id": "again"}])
    assert violation.rule == "accepted replay" and violation.dev_eui == recorded["dev_eui"]
    # at once: only the scenario can tell it from a copy
    soon = first | {"t": first["t"] + 1_500_000, "id": "again"}
    at_once = sorted(
        [*lab.lines(), recorded | {"type": "replayed", "t": first["t"] + 1_000_000}], key=lambda line: line["t"]
    )
    told_again = sorted([*events, soon], key=lambda event: event["t"])
    assert [one.rule for one in checking.check(lab.lines(), told_again)] == ["duplicate"]
    assert [one.rule for one in checking.check(at_once, told_again)] == ["accepted replay"]


def test_an_address_that_is_given_to_the_same_device_again(make_lab: MakeLab) -> None:
    lab = make_lab(interval_s=5)
    lab.run(25)
    lines = lab.lines()
    again = [
        line | {"t": line["t"] + 100_000_000, "phy": line["phy"][:-1] + "f"}
        for line in lines
        if line["type"] == "uplink"
    ]
    joined = next(line for line in lines if line["type"] == "joined")
    lines += [joined | {"t": again[0]["t"] - 1}, *again]
    events = told(lab)
    events += [event | {"t": event["t"] + 100_000_000, "id": event["id"] + "b"} for event in events]
    assert "duplicate" not in {one.rule for one in checking.check(lines, events)}
    [violation] = [one for one in checking.check(lines, [*events, events[-1] | {"id": "c"}]) if one.rule == "duplicate"]
    assert "3 events" in violation.text


def test_events_without_an_address_are_of_the_latest_session(make_lab: MakeLab) -> None:
    lab = make_lab(interval_s=5)
    lab.run(25)
    lab.device_does(lambda now: lab.device.restart(now, keep_session=False))
    lab.run(25)
    events = [{name: value for name, value in event.items() if name != "dev_addr"} for event in told(lab)]
    assert rules(lab, events) == []


@pytest.mark.parametrize(
    ("shift_us", "broken"),
    [(0, []), (8_000, []), (30_000, "downlink at the wrong time"), (-400_000, "downlink at the wrong time")],
)
def test_a_downlink_at_the_wrong_time(make_lab: MakeLab, shift_us: int, broken: Any) -> None:
    lab = make_lab("confirmed = true", interval_s=20)
    lab.run(30)
    lab.network.delay_shift_us = shift_us
    lab.run(60)
    assert set(rules(lab)) == ({broken} if broken else set())


def planted(lab: Lab, was: bytes, becomes: bytes) -> None:
    """From now on the server writes something else into its answers."""
    original = lab.network._pull_resp
    lab.network._pull_resp = lambda a, r: original(a, r).replace(was, becomes)  # type: ignore[method-assign]


def test_a_downlink_on_the_wrong_channel_and_at_the_wrong_data_rate(make_lab: MakeLab) -> None:
    lab = make_lab("confirmed = true", interval_s=20)
    lab.run(30)
    original = lab.network._pull_resp

    def other(address: Any, request: Any) -> Any:
        text = original(address, request)
        head, body = text[:4], json.loads(text[4:])
        body["txpk"]["freq"] = 869.1
        return head + json.dumps(body).encode()

    lab.network._pull_resp = other  # type: ignore[method-assign]
    lab.run(40)
    assert set(rules(lab)) == {"downlink on the wrong channel"}
    lab = make_lab("confirmed = true", interval_s=20)
    lab.run(30)
    planted(lab, b"SF7BW125", b"SF8BW125")
    lab.run(40)
    assert set(rules(lab)) == {"downlink at the wrong data rate"}


def test_what_a_network_cannot_know_is_forgiven(make_lab: MakeLab) -> None:
    """A device that lost its power in its windows, and a gateway that lost its counter."""
    lab = make_lab("confirmed = true", interval_s=10)
    lab.run(30)
    first = len(lab.lines("uplink"))
    while len(lab.lines("uplink")) == first:
        lab.run(0.1)
    lab.device_does(lambda now: lab.device.restart(now, keep_session=True))
    lab.run(5)
    assert any("asleep" in (line["why"] or "") for line in lab.lines("downlink_missed"))
    assert rules(lab) == []


def test_the_shortest_history_of_a_reused_counter_tells_it_all(make_lab: MakeLab, tmp_path: Path) -> None:
    lab = make_lab("count = 5", interval_s=5)
    lab.run(12)
    lab.queue(f_port=7, data=b"a", f_cnt=3)
    lab.queue(f_port=7, data=b"b", f_cnt=3)
    lab.run(60)
    lines = lab.lines()
    violation = next(one for one in checking.check(lines) if one.rule == "FCntDown reused")
    history = shortest(lines, None, violation)
    kinds = [line["type"] for line in history]
    assert (
        kinds.count("on_air") == 3 and set(kinds) == {"device", "join_request", "joined", "on_air"} and len(kinds) == 6
    )
    assert violation in checking.check(history)
    without = [history[:n] + history[n + 1 :] for n in range(len(history)) if history[n]["type"] != "device"]
    assert all(violation not in checking.check(some) for some in without)


def test_from_the_command_line(make_lab: MakeLab, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lab = make_lab("count = 2", interval_s=5)
    lab.run(40)
    lab.lines()
    good, bad, history = (tmp_path / name for name in ("good.jsonl", "bad.jsonl", "history.jsonl"))
    good.write_text("".join(json.dumps(event) + "\n" for event in told(lab)), encoding="utf-8")
    bad.write_text("".join(json.dumps(event) + "\n" for event in lost(told(lab))), encoding="utf-8")
    assert main(["check", str(lab.path), "--events", str(good)]) == 0
    assert "no invariant is broken" in capsys.readouterr().out
    report, junit = tmp_path / "r.html", tmp_path / "j.xml"
    arguments = ["--history", str(history), "--report", str(report), "--junit", str(junit)]
    assert main(["check", str(lab.path), "--events", str(bad), *arguments]) == 1
    out = capsys.readouterr().out
    assert "lost acknowledged (INV-21) seed 1, 3 lines are enough:" in out
    assert [line["type"] for line in read(history)] == ["run", "uplink", "push_data", "push_ack"]
    assert "shortest history, seed 1" in " ".join(report.read_text("utf-8").split())
    assert "lost acknowledged (INV-21)" in report.read_text("utf-8") and "lost acknowledged" in junit.read_text("utf-8")
    empty = tmp_path / "empty.jsonl"
    empty.write_text("", encoding="utf-8")
    assert main(["check", str(history), "--events", str(empty)]) == 1  # the history is a recording of the same fault
    assert main(["check", str(tmp_path / "nothing")]) == 2
    assert main(["check", str(lab.path), "--events", str(lab.path)]) == 2
    assert "not an event; write such a file with: lorasim sink" in capsys.readouterr().err


def test_histories_of_what_names_no_device(make_lab: MakeLab) -> None:
    lab = make_lab("count = 4\nconfirmed = true", interval_s=5)
    lab.run(60)
    lines = lab.lines()
    data = [line for line in lines if line["type"] == "on_air" and line["phy"][:2] in ("60", "a0")]
    lines.append(data[3] | {"t": data[3]["t"] + 1_000_000, "gateway": "0016c001ff1e5a02"})
    lines.append(data[5] | {"phy": data[5]["phy"][:-8] + "00000000"})
    lines.sort(key=lambda line: line["t"])
    found = {violation.rule: shortest(lines, None, violation) for violation in checking.check(lines)}
    assert {rule: [line["type"] for line in history] for rule, history in found.items()} == {
        "radiated twice": ["joined", "on_air", "on_air"],
        "MIC": ["joined", "on_air"],
    }


def test_a_request_that_the_backhaul_doubled_is_forgiven(make_lab: MakeLab) -> None:
    """The gateway takes the first copy and refuses the second; a server that hears the refusal first tries once more."""
    lab = make_lab("confirmed = true", interval_s=10)
    lab.run(40)
    lines = lab.lines()
    radiated = next(line for line in reversed(lines) if line["type"] == "on_air")
    asked = next(line for line in lines if line["type"] == "pull_resp" and line["phy"] == radiated["phy"])
    again = {"t": radiated["t"] + 1_000_000, "token": 4711}
    missed = {"type": "downlink_missed", "dev_eui": f"{lab.dev_eui:016x}", "phy": radiated["phy"], "t": again["t"]}
    tried = [radiated | again, missed | {"why": "RX1 is -113.2 ms away; RX2 is -1113.2 ms away"}]
    lines = sorted([*lines, *tried], key=lambda line: line["t"])
    assert {one.rule for one in checking.check(lines)} == {"radiated twice", "downlink at the wrong time"}
    doubled = sorted([*lines, asked | {"t": asked["t"] + 300}], key=lambda line: line["t"])
    assert checking.check(doubled) == []


def test_beacons_and_frames_of_groups_are_not_judged(make_lab: MakeLab) -> None:
    lab = make_lab("confirmed = true", interval_s=10)
    lab.run(40)
    lines = lab.lines()
    radiated = next(line for line in reversed(lines) if line["type"] == "on_air")
    beacon = radiated | {"token": -1, "phy": "000080ffdb5794f1000000000000000000"}
    group = radiated | {"phy": "60efcdab00000000050674e12039"}
    twice = [
        one | {"gateway": gateway} for one in (beacon, group) for gateway in ("0016c001ff1e5a01", "0016c001ff1e5a02")
    ]
    assert checking.check([*lines, *twice]) == []
    stranger = radiated | {"phy": radiated["phy"][:-2] + "00"}
    assert [one.rule for one in checking.check([*lines, stranger])] == ["MIC"]


def test_a_device_that_lost_its_counter_has_sent_both(make_lab: MakeLab) -> None:
    """What the network takes first is genuine, whichever it is; the other one, too, is one too many."""
    lab = make_lab("firmware = { f_cnt_reset_after = 4 }", interval_s=5)
    lab.run(60)
    second: dict[int, str] = {}
    for line in lab.lines():
        if line["type"] == "uplink":
            second[line["f_cnt"]] = line["data"]
    first = told(lab)
    later = [event | {"data": second[event["f_cnt"]]} for event in first]
    assert [one["data"] for one in later] != [one["data"] for one in first]
    assert rules(lab, later) == []
    assert set(rules(lab, [*first, *(one | {"id": f"again {one['id']}"} for one in later)])) == {"duplicate"}
    assert "altered payload" in rules(lab, [later[0] | {"data": "ff"}, *later[1:]])
