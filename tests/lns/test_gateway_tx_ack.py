"""What forwarders say to a downlink, or do not say (INV-28, F-09)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lns.gateways.gwmp import codec
from tests.support.lab import SECOND_US, WINDOW_US, Lab

SUCCESSES: list[bytes] = [
    b"",
    b"\0",
    b" \r\n",
    b"{}",
    b"null",
    b'{"txpk_ack":{}}',
    b'{"txpk_ack":null}',
    b'{"txpk_ack":{"error":"NONE"}}',
    b'{"txpk_ack":{"error":"none"}}',
    b'{"txpk_ack":{"error":""}}',
    b'{"txpk_ack":{"error":null}}',
    b'{"txpk_ack":{"warn":"TX_POWER","value":14}}',
    b'{"txpk_ack":{"warn":"tx_power"}}',
    b'{"txpk_ack":{"error":"NONE","warn":"TX_POWER","value":27}}\0',
]
"""Bodies with which real forwarders say that they took the frame."""
REFUSALS = [
    "TOO_LATE", "TOO_EARLY", "COLLISION_PACKET", "COLLISION_BEACON", "TX_FREQ", "TX_POWER", "GPS_UNLOCKED", "UNKNOWN",
    "QUEUE_FULL", "INTERNAL_ERROR", "DUTY_CYCLE_OVERFLOW", "too_late", "Collision_Packet", "x" * 300,
]  # fmt: skip


@pytest.mark.parametrize("body", SUCCESSES, ids=lambda body: repr(body)[:40])
def test_inv_28_bodies_that_mean_taken(lab: Lab, body: bytes) -> None:
    gateway, node = lab.gateway(), lab.abp()
    item = lab.queue(node.dev_eui)
    gateway.outcomes.append(None)
    (sent,) = lab.uplink(node.up())
    gateway.answer(sent.token, body)
    lab.pump()
    if body == b"null":
        assert len(lab.air) == 2, "not an object: the answer cannot be read, the frame goes another way"
        return
    assert lab.item(item).state == "sent" and len(lab.air) == 1
    record = lab.call("gateway", key=gateway.eui)
    assert record.tx_outcomes == {"NONE": 1} and record.silent_in_row == 0


@pytest.mark.parametrize("error", REFUSALS, ids=lambda error: error[:20])
@pytest.mark.parametrize("refused", [1, 2])
def test_inv_28_refused_frames_go_the_next_way_with_the_same_bytes(lab: Lab, error: str, refused: int) -> None:
    gateway, node = lab.gateway(), lab.abp()
    item = lab.queue(node.dev_eui)
    gateway.outcomes.extend([error] * refused)
    lab.uplink(node.up())
    assert len({sent.phy for sent in lab.air}) == 1 and len(lab.air) == 2
    assert lab.item(item).state == ("sent" if refused == 1 else "queued")
    assert lab.call("gateway", key=gateway.eui).tx_outcomes[error.upper()[:40]] == refused
    assert lab.session(node).a_f_cnt_down + lab.session(node).n_f_cnt_down == 1


@pytest.mark.parametrize("body", [b"\xff\xfe", b"[" * 5000, b'{"txpk_ack":', b'{"txpk_ack":{"error":"TOO_LATE"'])
def test_inv_28_unreadable_answer_is_a_refusal(lab: Lab, body: bytes) -> None:
    """Something came back that is not success: nobody knows more, but the next window does no harm (the same bytes)."""
    gateway, node = lab.gateway(), lab.abp()
    gateway.outcomes.append(None)
    (sent,) = lab.uplink(node.up(confirmed=True))
    gateway.answer(sent.token, body)
    lab.pump()
    assert [one.phy for one in lab.air] == [sent.phy] * 2
    assert lab.call("gateway", key=gateway.eui).tx_outcomes["UNREADABLE"] == 1


def test_power_that_a_forwarder_refuses_is_lowered_for_the_next_frames(lab: Lab) -> None:
    """A table of powers with gaps (SX1301): 16, 15, 14 dBm, and from then on 14."""
    gateway, node = lab.gateway(), lab.abp()
    gateway.outcomes.extend(["TX_POWER", "TX_POWER"])
    lab.uplink(node.up(confirmed=True))
    lab.advance(5 * SECOND_US)
    lab.uplink(node.up(confirmed=True))
    lab.advance(5 * SECOND_US)
    lab.uplink(node.up(confirmed=True))
    assert [sent.txpk["powe"] for sent in lab.air] == [16, 15, 14, 14]


def test_power_that_was_lowered_by_the_gateway_is_told(lab: Lab) -> None:
    gateway, node = lab.gateway(), lab.abp()
    gateway.outcomes.append(None)
    (sent,) = lab.uplink(node.up(confirmed=True))
    gateway.answer(sent.token, b'{"txpk_ack":{"warn":"TX_POWER","value":14}}')
    lab.pump()
    (down,) = [frame for frame in lab.call("frames").items if frame.type == "down"]
    assert down.outcome == "sent (gateway warns: TX_POWER 14)"
    (again,) = lab.uplink(node.up(confirmed=True))
    assert again.txpk["powe"] == 16, "a warning is no refusal"


def test_power_is_eirp_whatever_the_antenna(lab: Lab) -> None:
    """``powe`` is EIRP, and the forwarder subtracts its antenna's gain (PROTOCOL.TXT: ``antenna_gain`` of its settings)."""
    gateway, node = lab.gateway(), lab.abp()
    lab.call("gateway_put", gateway_eui=gateway.eui, antenna_gain_dbi=6.0)
    (sent,) = lab.uplink(node.up(confirmed=True))
    assert sent.txpk["powe"] == 16
    lab.advance(5 * SECOND_US)
    (sent,) = lab.uplink(node.up(confirmed=True), freq=864.5)
    assert sent.txpk["powe"] == 14


# ----------------------------------------------------------------------------------------------------------- silence


def test_f_09_silence_is_unknown_and_is_told(lab: Lab) -> None:
    gateway, node = lab.gateway(), lab.abp()
    for number in range(4):
        item = lab.queue(node.dev_eui, bytes((number,)))
        gateway.outcomes.append(None)
        lab.uplink(node.up())
        lab.advance(10 * SECOND_US)
        assert lab.item(item).state == "unknown"
    assert len(lab.air) == 4
    record = lab.call("gateway", key=gateway.eui)
    assert (record.tx_outcomes, record.silent_in_row) == ({"SILENT": 4}, 4)


def test_f_09_gateway_that_never_answers_by_setting(lab: Lab) -> None:
    """The operator knows that this forwarder sends no TX_ACK: then silence means sent, and confirmed items wait for the ACK."""
    gateway, node = lab.gateway(), lab.abp()
    lab.call("gateway_put", gateway_eui=gateway.eui, tx_ack="never")
    plain, confirmed = lab.queue(node.dev_eui, b"\x01"), lab.queue(node.dev_eui, b"\x02", confirmed=True)
    for _ in range(2):
        gateway.outcomes.append(None)
        lab.uplink(node.up())
        lab.advance(10 * SECOND_US)
    assert (lab.item(plain).state, lab.item(confirmed).state) == ("sent", "sent")
    assert all(frame.outcome.startswith("sent (") for frame in lab.call("frames").items if frame.type == "down")
    record = lab.call("gateway", key=gateway.eui)
    assert (record.tx_ack, record.tx_outcomes) == ("never", {"SILENT": 2})
    assert lab.state.gateways.get(int(gateway.eui, 16)).pending == {}  # type: ignore[union-attr]


def test_version_1_has_no_tokens_and_no_tx_ack(lab: Lab) -> None:
    gateway, node = lab.gateway(pulls=False), lab.abp()
    item = lab.queue(node.dev_eui)
    taken: list[bytes] = []
    gateway.take = taken.append  # type: ignore[method-assign]
    eui = bytes.fromhex(gateway.eui)
    lab.receive(b"\x01\x12\x34\x02" + eui, gateway.down_address)
    body = json.dumps({"rxpk": [gateway.rxpk(node.up())]}).encode()
    lab.receive(b"\x01\x12\x35\x00" + eui + body, gateway.up_address)
    lab.advance(WINDOW_US)
    pull_ack, push_ack, pull_resp = taken
    assert (pull_ack, push_ack) == (b"\x01\x12\x34\x04", b"\x01\x12\x35\x01")
    assert pull_resp[:4] == b"\x01\x00\x00\x03" and json.loads(pull_resp[4:])["txpk"]["powe"] == 16
    lab.advance(10 * SECOND_US)
    assert lab.item(item).state == "sent"


def test_sec_05_gateway_that_swallows_downlinks_comes_last(lab: Lab) -> None:
    """It hears everything best and answers nothing: after three missed downlinks the other one is asked."""
    rogue, honest = lab.gateway(1), lab.gateway(2)
    rogue.outcomes.extend([None] * 50)
    node = lab.abp()
    senders = []
    for _ in range(6):
        phy = node.up(confirmed=True)
        rogue.hear(phy, rssi=-10, lsnr=20.0)
        honest.hear(phy, rssi=-100, lsnr=-5.0)
        lab.advance(WINDOW_US + 10 * SECOND_US)
        senders.append(lab.air[-1].gateway)
    assert senders == [rogue.eui] * 3 + [honest.eui] * 3
    rogue.outcomes.clear()
    lab.advance(5 * SECOND_US)
    (sent,) = lab.uplink(node.up(confirmed=True), rogue)
    assert sent.gateway == rogue.eui, "alone it is asked all the same, and its answer clears it"
    lab.advance(5 * SECOND_US)
    phy = node.up(confirmed=True)
    rogue.hear(phy, lsnr=20.0)
    honest.hear(phy, lsnr=-5.0)
    lab.advance(WINDOW_US)
    assert lab.air[-1].gateway == rogue.eui


def test_of_equal_gateways_the_idle_one_is_asked(lab: Lab) -> None:
    """While it transmits a gateway hears nobody: between equals the load is shared."""
    gateways = [lab.gateway(number) for number in (1, 2)]
    nodes = [lab.abp(number) for number in range(1, 9)]
    for node in nodes:
        phy = node.up(confirmed=True)
        gateways[0].hear(phy, lsnr=7.0, datr="SF7BW125")
        gateways[1].hear(phy, lsnr=5.5, datr="SF7BW125")
        lab.advance(WINDOW_US)
    by_gateway = [sum(sent.gateway == gateway.eui for sent in lab.air) for gateway in gateways]
    assert sum(by_gateway) == 8 and min(by_gateway) >= 3


def test_deaf_while_it_transmits(lab: Lab) -> None:
    gateway, node = lab.gateway(), lab.abp()
    (sent,) = lab.uplink(node.up(confirmed=True), datr="SF12BW125", freq=869.1)
    known: Any = lab.state.gateways.get(int(gateway.eui, 16))
    start_us = sent.at_us + (sent.txpk["tmst"] - gateway.tmst(sent.at_us)) % (1 << 32)
    lab.advance(20 * SECOND_US)
    # Of 991 ms; a frame of 100 ms that ended at these moments, and one of no length.
    assert not known.was_deaf(start_us - 1_000, 100_000) and known.was_deaf(start_us + 50_000, 100_000)
    assert known.was_deaf(start_us + 1_050_000, 100_000) and not known.was_deaf(start_us + 1_100_000, 100_000)
    assert known.was_deaf(start_us + 500_000) and not known.was_deaf(start_us + 991_300)


def test_no_more_than_the_forwarders_queue_holds(lab: Lab) -> None:
    """JIT_QUEUE_MAX is 32. Forty joins at one moment: five seconds later the queue would have more."""
    gateway = lab.gateway()
    schedule = lab.state.gateways.get(int(gateway.eui, 16)).schedule  # type: ignore[union-attr]
    for number in range(32):
        assert not schedule.is_full(lab.mono_us)
        schedule.take(lab.mono_us + 100 * SECOND_US + number * SECOND_US, 100_000, lab.mono_us)
    assert schedule.is_full(lab.mono_us)
    node = lab.abp()
    assert lab.uplink(node.up(confirmed=True)) == []
    (down,) = [frame for frame in lab.call("frames").items if frame.type == "down"]
    assert "queue is full" in down.outcome


def test_tx_ack_reader_keeps_what_it_is_told_short() -> None:
    ack = codec.tx_ack(b"\x02\0\0\x05" + bytes(8) + json.dumps({"txpk_ack": {"error": "e" * 900}}).encode())
    assert ack.error == "E" * 40
