"""The oracle itself, where its rules are finer than a seed is likely to show."""

from __future__ import annotations

from tests.faults.checks import promised
from tests.faults.history import Line

GATEWAY = "0016c001ff1e5a01"


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
