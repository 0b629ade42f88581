"""The checker: silent about a good server, and loud about each planted fault."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from lorasim import checker
from lorasim.checker import Line

from tests.simulator.conftest import Lab, MakeLab


def rules(lines: list[Line]) -> set[str]:
    return {violation.rule for violation in checker.check(lines)}


def talk(lab: Lab, downlinks: int = 4) -> list[Line]:
    lab.run(12)
    for n in range(downlinks):
        lab.queue(f_port=7, data=b"%d" % n)
    lab.run(5.0 * downlinks + 3)
    return lab.lines()


@pytest.mark.parametrize("name", ["1.0.3", "1.0.4", "1.1"])
def test_a_good_server_breaks_no_rule(make_lab: MakeLab, name: str) -> None:
    lab = make_lab(f'mac_version = "{name}"\nconfirmed = true', interval_s=5)
    lines = talk(lab)
    lab.device_does(lambda now: lab.device.restart(now, keep_session=False))
    lab.run(20)
    assert checker.check(lab.lines()) == []
    assert sum(line["type"] == "on_air" for line in lines) >= 6


def test_rejoins_break_no_rule(make_lab: MakeLab) -> None:
    lab = make_lab('mac_version = "1.1"\nconfirmed = true', interval_s=5)
    lab.run(20)
    for kind in (0, 2, 1):
        lab.device_does(lambda now, kind=kind: lab.device.rejoin(kind, now))  # type: ignore[misc]
        lab.run(30)
    assert [line["join_req_type"] for line in lab.lines("joined")] == [0xFF, 0, 2, 1]
    assert checker.check(lab.lines()) == []


def test_reused_counter(make_lab: MakeLab) -> None:
    lab = make_lab(interval_s=5)
    lab.run(12)
    lab.queue(f_port=7, data=b"a", f_cnt=3)
    lab.queue(f_port=7, data=b"b", f_cnt=3)
    lab.run(14)
    [fault] = [v for v in checker.check(lab.lines()) if v.rule == "FCntDown reused"]
    assert fault.dev_eui == f"{lab.dev_eui:016x}" and "FCntDown 3 of" in fault.text
    assert "refused by the device" in rules(lab.lines())


def test_falling_counter(make_lab: MakeLab) -> None:
    lab = make_lab(interval_s=5)
    lab.run(12)
    for f_cnt in (9, 8):
        lab.queue(f_port=7, data=b"a", f_cnt=f_cnt)
    lab.run(14)
    assert "FCntDown falls" in rules(lab.lines())


def test_falling_join_nonce(make_lab: MakeLab) -> None:
    lab = make_lab(interval_s=5)
    lab.run(12)
    lab.network._join_nonce = 0
    lab.device_does(lambda now: lab.device.restart(now, keep_session=False))
    lab.run(10)
    [fault] = [v for v in checker.check(lab.lines()) if v.rule == "JoinNonce"]
    assert fault.text == "JoinNonce 1 after 1"


@pytest.mark.parametrize(("again_s", "broken"), [(1, set()), (7, {"JoinNonce"})])
def test_an_accept_at_another_option_when_the_device_has_asked_anew(
    make_lab: MakeLab, again_s: int, broken: set[str]
) -> None:
    lab = make_lab('mac_version = "1.0.3"', interval_s=5)
    lab.run(8)
    told = [line for line in lab.lines() if line["type"] in ("device", "join_request", "on_air")]
    accept = next(line for line in told if line["type"] == "on_air")
    until = told[: told.index(accept) + 1]
    asked = next(line for line in until if line["type"] == "join_request")
    anew = asked | {"t": accept["t"] + 300_000, "dev_nonce": asked["dev_nonce"] + 1}
    again = accept | {"t": accept["t"] + again_s * 1_000_000}
    assert {violation.rule for violation in checker.check_air([*until, anew, again])} == broken


def test_two_accepts_for_one_request(make_lab: MakeLab) -> None:
    lab = make_lab(interval_s=5)
    original = lab.network.receive

    def twice(datagram: bytes, address: Any, now: int) -> list[tuple[Any, bytes]]:
        """The copy of the second gateway gets an accept of its own."""
        lab.network._seen.clear()
        return original(datagram, address, now)

    lab.network.receive = twice  # type: ignore[method-assign]
    lab.run(8)
    assert "join-accept" in rules(lab.lines())


def test_wrong_mic_and_unasked_accept(make_lab: MakeLab) -> None:
    lines = talk(make_lab(interval_s=5))
    for line in lines:
        if line["type"] == "on_air":
            line["phy"] = line["phy"][:-8] + "00000000"
    assert rules(lines) == {"MIC", "join-accept"}


def test_radiated_twice(make_lab: MakeLab) -> None:
    lines = talk(make_lab(interval_s=5))
    on_air = next(line for line in reversed(lines) if line["type"] == "on_air")
    lines.append(on_air | {"t": on_air["t"] + 1_000_000, "gateway": "0016c001ff1e5a02"})
    assert rules(lines) == {"radiated twice"}


def test_unreadable_downlink_requests(make_lab: MakeLab) -> None:
    lab = make_lab(interval_s=5)
    original = lab.network._pull_resp
    lab.network._pull_resp = lambda a, r: original(a, r).replace(b'"freq"', b'"frequency"')  # type: ignore[method-assign]
    lab.run(8)
    assert rules(lab.lines()) == {"PULL_RESP"}


def test_acknowledged_frames_are_those_with_a_push_ack(make_lab: MakeLab) -> None:
    lab = make_lab("count = 3", backhaul="loss = 0.25\nduplicate = 0.2", interval_s=5)
    lab.run(200)
    lines = lab.lines()
    frames = checker.acknowledged(lines)
    lost = {bytes.fromhex(phy) for phy in checker.unacknowledged(lines)}
    sent = {bytes.fromhex(line["phy"]) for line in lines if line["type"] == "uplink"}
    promised = {frame.phy for frame in frames}
    assert promised & lost == set() and promised | lost <= sent
    assert len(lost) > 3 and len(promised) > 60
    # the network has every promised frame, and its own decryption agrees
    known = {(s.dev_addr, f_cnt, data) for s in lab.network.sessions.values() for f_cnt, _, data in s.uplinks}
    assert {(int(f.dev_addr, 16), f.f_cnt, f.data) for f in frames} <= known
    assert len({(f.dev_eui, f.dev_addr, f.f_cnt) for f in frames}) == len(frames)
    assert all(frame.tag == {"number": int.from_bytes(frame.data, "big")} for frame in frames)


def test_an_acknowledgement_counts_for_its_own_datagram() -> None:
    """Tokens come again after a while; an ACK belongs to the newest datagram before it."""

    def push(t: int, phy: str) -> Line:
        return {"t": t, "type": "push_data", "gateway": "g", "token": 7, "phys": [phy]}

    ack = {"type": "push_ack", "gateway": "g", "token": 7}
    lines = [push(1, "aa"), {"t": 2, **ack}, push(3, "bb"), push(4, "cc"), {"t": 5, **ack}]
    assert list(checker.acknowledged_phys(lines)) == [("aa", 1), ("cc", 4)]


def test_a_line_cut_off_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "cut.jsonl"
    path.write_text('{"t": 2, "type": "b"}\n{"t": 1, "type": "a"}\n{"t": 3, "ty', encoding="utf-8")
    assert [line["type"] for line in checker.read(path)] == ["a", "b"]
