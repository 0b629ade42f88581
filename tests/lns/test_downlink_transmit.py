"""From the answer to the air: windows, gateways, TX_ACK, silence."""

from __future__ import annotations

import pytest

from tests.support.fake_gateway import WRAP_US
from tests.support.lab import SECOND_US, WINDOW_US, Lab

REFUSALS = [
    "TOO_LATE",
    "TOO_EARLY",
    "COLLISION_PACKET",
    "COLLISION_BEACON",
    "TX_FREQ",
    "TX_POWER",
    "GPS_UNLOCKED",
    "UNKNOWN",
    "QUEUE_FULL",
    "INTERNAL_ERROR",
    "DUTY_CYCLE_OVERFLOW",
    "something new",
]


def test_acknowledgement_goes_out_in_rx1(lab: Lab) -> None:
    gateway, node = lab.gateway(), lab.abp(f_cnt_down=5)
    heard = gateway.tmst()
    (sent,) = lab.uplink(node.up(confirmed=True))
    down = node.read(sent.phy)
    assert (down.ack, down.f_cnt, down.f_port, down.f_opts, down.f_pending) == (True, 5, None, b"", False)
    assert sent.txpk == {
        "imme": False,
        "tmst": heard + SECOND_US,
        "freq": 868.9,
        "rfch": 0,
        "powe": 16,
        "modu": "LORA",
        "datr": "SF9BW125",
        "codr": "4/5",
        "ipol": True,
        "ncrc": True,
        "size": 12,
        "data": sent.txpk["data"],
    }
    assert lab.uplink(node.up()) == []


@pytest.mark.parametrize("error", REFUSALS)
def test_rx2_takes_the_same_bytes_when_rx1_is_refused(lab: Lab, error: str) -> None:
    """INV-28."""
    gateway, node = lab.gateway(), lab.abp()
    gateway.outcomes.append(error)
    heard = gateway.tmst()
    first, second = lab.uplink(node.up(confirmed=True))
    assert first.phy == second.phy
    assert [sent.txpk["tmst"] for sent in (first, second)] == [heard + SECOND_US, heard + 2 * SECOND_US]
    assert (second.txpk["freq"], second.txpk["datr"]) == (869.1, "SF12BW125")
    assert first.token != second.token
    assert gateway_record(lab, gateway.eui).tx_outcomes == {error.upper(): 1, "NONE": 1}
    (row,) = lab.rows("SELECT outcome, frequency_hz, datr, gateway FROM frame WHERE kind = 'down'")
    assert row == ("sent", 869_100_000, "SF12BW125", gateway.eui)


@pytest.mark.parametrize("warning", ["TX_POWER"])
def test_a_warning_means_sent(lab: Lab, warning: str) -> None:
    """sx1302: the nearest power was used instead."""
    gateway, node = lab.gateway(), lab.abp()
    gateway.outcomes.append(None)
    (sent,) = lab.uplink(node.up(confirmed=True))
    gateway.answer(sent.token, b'{"txpk_ack":{"warn":"%s","value":14}}' % warning.encode())
    lab.pump()
    lab.advance(30 * SECOND_US)
    assert len(lab.air) == 1
    ((outcome,),) = lab.rows("SELECT outcome FROM frame WHERE kind = 'down'")
    assert outcome.startswith("sent") and warning in outcome


def test_order_of_options_over_two_gateways(lab: Lab) -> None:
    near, far = lab.gateway(1), lab.gateway(2)
    node = lab.abp()
    near.outcomes.extend(["COLLISION_PACKET", "COLLISION_PACKET"])
    far.outcomes.extend(["TX_FREQ", "TX_FREQ"])
    phy = node.up(confirmed=True)
    far.hear(phy, lsnr=-8.0)
    near.hear(phy, lsnr=8.0)
    lab.advance(WINDOW_US)
    assert [(sent.gateway, sent.txpk["freq"]) for sent in lab.air] == [
        (near.eui, 868.9),
        (far.eui, 868.9),
        (near.eui, 869.1),
        (far.eui, 869.1),
    ]
    assert len({sent.phy for sent in lab.air}) == 1
    ((outcome,),) = lab.rows("SELECT outcome FROM frame WHERE kind = 'down'")
    assert outcome.startswith("failed")
    for word in ("COLLISION_PACKET", "TX_FREQ", near.eui, far.eui):
        assert word in outcome


def test_second_gateway_when_the_first_has_no_downlink_path(lab: Lab) -> None:
    near, far = lab.gateway(1, pulls=False), lab.gateway(2)
    node = lab.abp()
    phy = node.up(confirmed=True)
    near.hear(phy, lsnr=8.0)
    far.hear(phy, lsnr=-8.0)
    lab.advance(WINDOW_US)
    (sent,) = lab.air
    assert sent.gateway == far.eui


def test_downlinks_go_where_the_last_pull_data_came_from(lab: Lab) -> None:
    gateway, node = lab.gateway(), lab.abp()
    gateway.port = 31_000  # the NAT has moved it
    lab.uplink(node.up(confirmed=True))
    assert lab.air == []
    gateway.pull()
    lab.advance(5 * SECOND_US)
    assert len(lab.uplink(node.up(confirmed=True))) == 1


def test_silence_is_unknown_and_never_sent_twice(lab: Lab) -> None:
    gateway, node = lab.gateway(), lab.abp()
    item = lab.queue(node.dev_eui, b"valve")
    gateway.outcomes.extend([None, None])
    (sent,) = lab.uplink(node.up())
    assert lab.item(item).state == "scheduled"
    lab.advance(60 * SECOND_US)
    assert lab.item(item).state == "unknown"
    assert gateway_record(lab, gateway.eui).tx_outcomes == {"SILENT": 1}
    lab.uplink(node.up())
    assert lab.air == [sent]
    gateway.answer(sent.token)  # too late to be believed or to do harm
    lab.pump()
    assert lab.item(item).state == "unknown"


def test_only_one_gateway_transmits(lab: Lab) -> None:
    """INV-30."""
    gateways = [lab.gateway(number) for number in range(1, 6)]
    node = lab.abp()
    for _ in range(10):
        assert len([sent for sent in lab.uplink(node.up(confirmed=True), *gateways) if sent.on_air]) == 1
        lab.advance(5 * SECOND_US)


def test_tx_ack_of_nobody_does_nothing(lab: Lab) -> None:
    gateway, other = lab.gateway(1), lab.gateway(2)
    node = lab.abp()
    item = lab.queue(node.dev_eui)
    gateway.outcomes.append(None)
    (sent,) = lab.uplink(node.up(), gateway)
    other.answer(sent.token)
    gateway.answer(bytes((sent.token[0] ^ 1, sent.token[1])))
    lab.pump()
    assert lab.item(item).state == "scheduled"
    assert lab.counters["stray_tx_ack"] == 2


def test_tmst_wraps(lab: Lab) -> None:
    """INV-23."""
    gateway, node = lab.gateway(), lab.abp()
    gateway.boot_us = lab.mono_us - (WRAP_US - 500_000)
    (sent,) = lab.uplink(node.up(confirmed=True))
    assert sent.txpk["tmst"] == 500_000
    lab.advance(2 * 3600 * SECOND_US)
    for _ in range(3):
        gateway.boot_us = lab.mono_us + 1_500_000  # the counter is 1.5 s before its next wrap
        heard = gateway.tmst()
        (sent,) = lab.uplink(node.up(confirmed=True))
        assert sent.txpk["tmst"] == (heard + SECOND_US) % WRAP_US
        lab.advance(WRAP_US)


@pytest.mark.parametrize("uptime_s", [5, 40, 120, 599, 601, 1800, 4294, 4295, 4400, 100_000])
def test_gateway_restarts(lab: Lab, uptime_s: int) -> None:
    """INV-26: the counter begins anew after any time of running; at the second uplink at the latest all is well."""
    gateway, node = lab.gateway(), lab.abp()
    gateway.boot_us = lab.mono_us - 3_000_000
    lab.uplink(node.up(confirmed=True))
    lab.advance(uptime_s * SECOND_US)
    lab.uplink(node.up())
    lab.advance(SECOND_US)
    gateway.boot_us = lab.mono_us - 2_000_000
    gateway.pull()
    assert all(sent.txpk["tmst"] < 6_000_000 for sent in lab.uplink(node.up(confirmed=True)))
    lab.advance(3 * SECOND_US)
    heard = gateway.tmst()
    (sent,) = lab.uplink(node.up(confirmed=True))
    assert sent.txpk["tmst"] == heard + SECOND_US


def test_answer_that_cannot_be_in_time_is_not_sent(lab: Lab) -> None:
    """INV-27: a backhaul of 0.9 s leaves RX2, one of 3 s leaves nothing; the item waits."""
    gateway, node = lab.gateway(), lab.abp()
    lab.uplink(node.up())  # the clock is known
    item = lab.queue(node.dev_eui)
    gateway.hear(node.up(), at_us=lab.mono_us - 900_000)
    lab.advance(WINDOW_US)
    (sent,) = lab.air
    assert sent.txpk["freq"] == 869.1
    assert lab.item(item).state == "sent"
    late = lab.queue(node.dev_eui)
    lab.advance(5 * SECOND_US)
    gateway.hear(node.up(), at_us=lab.mono_us - 3 * SECOND_US)
    lab.advance(WINDOW_US)
    assert len(lab.air) == 1
    assert lab.item(late).state == "queued"
    assert "too late" in lab.item(late).reason


def test_slow_gateway_gets_its_frames_earlier(lab: Lab) -> None:
    """The measured round trip counts against the window."""
    gateway, node = lab.gateway(), lab.abp()
    for _ in range(20):
        gateway.outcomes.append(None)
        (sent,) = lab.uplink(node.up(confirmed=True))
        lab.advance(850_000)
        gateway.answer(sent.token)
        lab.pump()
        lab.advance(5 * SECOND_US)
    (sent,) = lab.uplink(node.up(confirmed=True))
    assert sent.txpk["freq"] == 869.1


def test_frame_without_tmst_gives_data_but_no_downlink(lab: Lab) -> None:
    lab.gateway()
    node = lab.abp()
    item = lab.queue(node.dev_eui)
    assert lab.uplink(node.up(b"\x01", confirmed=True), tmst=None) == []
    assert lab.ups() == [(0, b"\x01")]
    assert lab.item(item).state == "queued"
    assert lab.session(node).n_f_cnt_down == 0


def test_same_antenna_and_board_as_heard(lab: Lab) -> None:
    lab.gateway()
    node = lab.abp()
    (sent,) = lab.uplink(node.up(confirmed=True), ant=1, brd=2)
    assert (sent.txpk["ant"], sent.txpk["brd"]) == (1, 2)


def gateway_record(lab: Lab, eui: str):  # type: ignore[no-untyped-def]
    return lab.call("gateway", key=eui)
