"""What a device asks of the MAC layer, and what the server asks of it (TS001-1.0.4 §5)."""

from __future__ import annotations

import struct

import pytest

from lorawan.gps import leap_seconds
from tests.support.lab import SECOND_US, WINDOW_US, Lab

LINK_CHECK_REQ, DEVICE_TIME_REQ, DEV_STATUS_REQ = b"\x02", b"\x0d", b"\x06"
FLOOR_DB = {"SF12BW125": -20.0, "SF9BW125": -12.5, "SF7BW125": -7.5}
GPS_EPOCH_S = 315_964_800


@pytest.mark.parametrize("port_0", [False, True])
@pytest.mark.parametrize(
    ("datr", "snr"), [("SF12BW125", 0.0), ("SF9BW125", -12.5), ("SF7BW125", 9.5), ("SF7BW125", -20.0)]
)
def test_link_check(lab: Lab, datr: str, snr: float, port_0: bool) -> None:
    """Margin at the best gateway over the demodulation floor, and the number of gateways."""
    gateways = [lab.gateway(number) for number in (1, 2, 3)]
    node = lab.abp()
    phy = node.up(LINK_CHECK_REQ, port=0) if port_0 else node.up(b"\x01", f_opts=LINK_CHECK_REQ)
    for number, gateway in enumerate(gateways):
        gateway.hear(phy, datr=datr, lsnr=snr - number)
    lab.advance(WINDOW_US)
    (sent,) = lab.air
    margin = max(0, round(snr - FLOOR_DB[datr]))
    assert node.read(sent.phy).f_opts == bytes((0x02, margin, 3))


def test_link_check_counts_gateways_not_antennas(lab: Lab) -> None:
    gateway, node = lab.gateway(), lab.abp()
    phy = node.up(f_opts=LINK_CHECK_REQ)
    gateway.push({"rxpk": [gateway.rxpk(phy, ant=0), gateway.rxpk(phy, ant=1)]})
    lab.advance(WINDOW_US)
    assert node.read(lab.air[0].phy).f_opts[2] == 1


def test_link_check_without_snr(lab: Lab) -> None:
    lab.gateway()
    node = lab.abp()
    (sent,) = lab.uplink(node.up(f_opts=LINK_CHECK_REQ), lsnr=None)
    assert node.read(sent.phy).f_opts == b"\x02\x00\x01"


def test_device_time(lab: Lab) -> None:
    """GPS time at the end of the uplink: UTC plus the leap seconds, by the server's clock and not the gateway's."""
    slow, quick = lab.gateway(1), lab.gateway(2)
    node, other = lab.abp(1), lab.abp(2)
    lab.uplink(other.up())  # both clocks are known
    lab.advance(SECOND_US)
    for _ in range(3):
        ended_us, heard_us = lab.wall_us, lab.mono_us
        phy = node.up(f_opts=DEVICE_TIME_REQ)
        lab.advance(90_000)
        slow.hear(phy, at_us=heard_us, time="2012-01-01T00:00:00.000000Z")
        lab.advance(40_000)
        quick.hear(phy, at_us=heard_us)
        lab.advance(WINDOW_US)
        down = node.read(lab.air[-1].phy)
        cid, seconds, fraction = struct.unpack("<BIB", down.f_opts)
        assert cid == 0x0D
        gps_s = seconds + fraction / 256
        utc_s = ended_us / 1e6 - GPS_EPOCH_S + 18
        assert abs(gps_s - utc_s) <= 1 / 256
        assert leap_seconds(ended_us) == 18
        lab.advance(5 * SECOND_US)


def test_several_questions_are_answered_in_their_order(lab: Lab) -> None:
    lab.gateway()
    node = lab.abp()
    (sent,) = lab.uplink(node.up(b"\x01", confirmed=True, f_opts=DEVICE_TIME_REQ + LINK_CHECK_REQ))
    down = node.read(sent.phy)
    assert down.ack and [down.f_opts[0], down.f_opts[6], len(down.f_opts)] == [0x0D, 0x02, 9]


def test_answers_beside_an_item(lab: Lab) -> None:
    lab.gateway()
    node = lab.abp()
    lab.queue(node.dev_eui, b"item")
    (sent,) = lab.uplink(node.up(f_opts=LINK_CHECK_REQ))
    down = node.read(sent.phy)
    assert (down.f_opts[:1], down.f_port, down.data, down.f_pending) == (b"\x02", 10, b"item", False)


@pytest.mark.parametrize("f_opts", [b"\x80\x01\x02", b"\x02\x99", b"\x03", b"\x06\x01", b"\xff" * 15, b"\x0d" * 15])
def test_unknown_and_truncated_commands(lab: Lab, f_opts: bytes) -> None:
    lab.gateway()
    node = lab.abp()
    lab.uplink(node.up(b"\x01", f_opts=f_opts))
    assert lab.ups() == [(0, b"\x01")]
    for sent in lab.air:
        assert len(node.read(sent.phy).f_opts) <= 15


def test_answers_that_nobody_asked_for(lab: Lab) -> None:
    lab.gateway()
    node = lab.abp()
    lab.uplink(node.up(f_opts=b"\x03\x07" + b"\x08" + b"\x05\x07" + b"\x07\x03" + b"\x0a\x03"))
    session = lab.call("session", key=node.dev_eui)
    assert (session.tx_power_index, session.nb_trans) == (0, 1)


def test_adr_ack_req_is_answered(lab: Lab) -> None:
    """INV-36; lns_scenarios.json, adr-ackreq."""
    lab.gateway()
    node = lab.abp(profile=lab.profile("1.0.3", adr="recommended"))
    (sent,) = lab.uplink(node.up(adr=True, adr_ack_req=True))
    down = node.read(sent.phy)
    assert (down.f_port, down.f_opts, down.adr) == (None, b"", True)


def test_battery_is_asked_once_an_interval(lab: Lab) -> None:
    lab.gateway()
    node = lab.abp(profile=lab.profile("1.0.3", dev_status_interval_s=86_400))
    (sent,) = lab.uplink(node.up())
    assert node.read(sent.phy).f_opts == DEV_STATUS_REQ
    lab.advance(60 * SECOND_US)
    assert lab.uplink(node.up(f_opts=b"\x06\x80\x0a")) == []
    (event,) = lab.events("status")
    assert (event.battery, event.margin_db, event.dev_eui) == (128, 10, node.dev_eui)
    record = lab.call("device", key=node.dev_eui)
    assert (record.battery, record.margin_db) == (128, 10)
    lab.advance(3600 * SECOND_US)
    assert lab.uplink(node.up()) == []
    lab.kill()
    assert lab.uplink(node.up()) == []
    assert lab.call("device", key=node.dev_eui).battery == 128
    lab.advance(86_400 * SECOND_US)
    (sent,) = lab.uplink(node.up())
    assert node.read(sent.phy).f_opts == DEV_STATUS_REQ


def test_unanswered_question_is_repeated_after_an_hour(lab: Lab) -> None:
    lab.gateway()
    node = lab.abp(profile=lab.profile("1.0.3", dev_status_interval_s=86_400))
    asked = []
    for minute in range(0, 150, 10):
        asked += [minute for sent in lab.uplink(node.up()) if node.read(sent.phy).f_opts == DEV_STATUS_REQ]
        lab.advance(600 * SECOND_US - WINDOW_US)
    assert asked == [0, 60, 120]


@pytest.mark.parametrize(("wire", "margin"), [(0x00, 0), (0x1F, 31), (0x20, -32), (0x3F, -1), (0xCA, 10)])
def test_margin_is_signed_six_bits(lab: Lab, wire: int, margin: int) -> None:
    lab.gateway()
    node = lab.abp()
    lab.uplink(node.up(f_opts=bytes((0x06, 255, wire))))
    assert lab.events("status")[0].margin_db == margin


def test_reset_ind_of_a_1_1_abp_device(lab: Lab) -> None:
    """lns_scenarios.json, mac10-resetind."""
    lab.gateway()
    node = lab.abp(mac_version="1.1.0")
    lab.session(node).tx_power, lab.session(node).nb_trans = 3, 2
    (sent,) = lab.uplink(node.up(f_opts=b"\x01\x01"))
    assert node.read(sent.phy).f_opts == b"\x01\x01"
    lab.kill()
    session = lab.call("session", key=node.dev_eui)
    assert (session.tx_power_index, session.nb_trans) == (0, 1)
