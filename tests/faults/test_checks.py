"""The oracle itself, where its rules are finer than a seed is likely to show."""

from __future__ import annotations

import pytest

from tests.faults.checks import _asked_anew, check_accepts, check_air, check_devices, promised
from tests.faults.history import Line

GATEWAY = "0016c001ff1e5a01"
ACCEPT = "20" + "00" * 16


def _up(t: int, phy: str) -> Line:
    return {"t": t, "type": "wire_up", "gateway": GATEWAY, "token": "7895", "phy": phy, "tmst": t}


def _ack(t: int) -> Line:
    return {"t": t, "type": "wire_ack", "gateway": GATEWAY, "token": "7895"}


def _fault(t: int, what: str) -> Line:
    return {"t": t, "type": "fault", "what": what}


def test_inv_21_a_promise_is_the_process_own_that_had_the_datagram() -> None:
    died = [_up(1, "40aa"), _fault(2, "power loss or kill -9 inside a write"), _fault(3, "start")]
    assert promised([*died, _up(80, "40bb"), _ack(81)]) == {"40bb": 81}, "a token came again"


def test_inv_21_a_promise_that_was_made_stays_one_when_the_process_dies() -> None:
    dies = [_up(1, "40aa"), _ack(2), _fault(3, "kill -9 at after_push_ack"), _fault(4, "start after a restore")]
    assert promised(dies) == {"40aa": 2}
    alive = [_up(1, "40aa"), _fault(2, "disk_full"), _up(70, "40bb"), _ack(71)]
    assert promised(alive) == {"40aa": 71, "40bb": 71}, "within a life every datagram is answered or none of its token"


@pytest.mark.parametrize(
    ("also", "moments"),
    [
        (["answered"], [77]),
        ([], [77, 90]),
        (["answered", "restored"], [77, 90]),
        (["restored", "answered"], [77]),
    ],
    ids=["replayed", "died before it answered", "forgotten", "forgotten before"],
)
def test_inv_15_what_is_asked_when_somebody_else_brings_it(also: list[str], moments: list[int]) -> None:
    """A server that was dead hears a request first from who replays it; once answered, it is one replay more."""
    request = {"t": 5, "type": "join_request", "dev_eui": "70b3d5fffe000001", "phy": "00aa", "dev_nonce": 1}
    happens = {
        "answered": {"type": "wire_down", "gateway": GATEWAY, "phy": ACCEPT, "tmst": 77 + 5_000_000},
        "restored": {"type": "restored"},
    }
    between = [happens[what] | {"t": 78 + n} for n, what in enumerate(also)]
    lines = [request, _up(77, "00aa"), *between, _up(90, "00aa")]
    assert [line["t"] for line in _asked_anew(lines)] == moments


def _late_accept(restarted: str, handed_over: bool = True) -> list[Line]:
    """A request that nobody answered is heard by the server once more, and its answer is radiated 100 s later."""
    request = {"t": 0, "type": "join_request", "dev_eui": "70b3d5fffe000001", "phy": "00aa", "dev_nonce": 1}
    down = {"t": 29_400_000, "type": "wire_down", "gateway": GATEWAY, "phy": ACCEPT, "tmst": 5_000_001}
    on_air = {"t": 135_000_000, "type": "on_air", "gateway": GATEWAY, "phy": ACCEPT}
    restart = {"t": 7_000_000, "type": "gateway_restart", "gateway": restarted}
    lines = [request, _up(1, "00aa"), restart, _up(1, "00aa") | {"t": 29_100_000}, down, on_air]
    return lines if handed_over else [line for line in lines if line is not down]


def test_inv_26_an_accept_for_a_counter_that_is_no_more() -> None:
    assert check_air(_late_accept(GATEWAY)) == []


@pytest.mark.parametrize(
    "lines", [_late_accept("0016c001ff1e5a02"), _late_accept(GATEWAY, handed_over=False)], ids=["another", "unasked"]
)
def test_inv_26_no_other_accept_may_come_so_late(lines: list[Line]) -> None:
    (found,) = check_air(lines)
    assert "nobody asked" in found.text


def test_inv_14_one_accept_answers_one_request() -> None:
    down = {"t": 9, "type": "wire_down", "gateway": GATEWAY, "phy": ACCEPT, "tmst": 5_000_001}
    lines = [_up(1, "00aa"), down, down | {"tmst": 6_000_001}]
    assert check_accepts(lines) == []
    (found,) = check_accepts([*lines, _up(400_000, "00bb"), down | {"tmst": 5_400_000}])
    assert "for two requests" in found.text


@pytest.mark.parametrize("heard_us", [None, 60, 40], ids=["lost on the air", "heard after the answer", "heard"])
def test_inv_33_an_ack_of_what_somebody_repeats(heard_us: int | None) -> None:
    """Right while the server has not heard the device's next frame."""
    dev_eui, down = "70b3d5fffe000001", "6000"
    lines: list[Line] = [
        {"t": 10, "type": "uplink", "dev_eui": dev_eui, "phy": "80aa"},
        _up(11, "80aa"),
        {"t": 30, "type": "uplink", "dev_eui": dev_eui, "phy": "80bb"},
        _up(35, "80aa"),
        {"t": 50, "type": "wire_down", "gateway": GATEWAY, "phy": down, "tmst": 99},
        {"t": 70, "type": "downlink_refused", "dev_eui": dev_eui, "why": "MIC", "phy": down},
        {"t": 70, "type": "uplink", "dev_eui": dev_eui, "phy": "80cc"},
    ]
    if heard_us is not None:
        lines.append(_up(heard_us, "80bb"))
    lines.sort(key=lambda line: line["t"])
    assert [found.text for found in check_devices(lines)] == (["MIC"] if heard_us == 40 else [])
