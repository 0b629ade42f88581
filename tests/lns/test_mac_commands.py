"""What a device asks of the MAC layer, and what the server asks of it (TS001-1.0.4 §5)."""

from __future__ import annotations

import struct
from datetime import UTC, datetime

import pytest

from lorawan.airtime import lora_airtime_us
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
    """INV-36; lns_scenarios.json, adr-ackreq. The signal is such that there is nothing else to say."""
    lab.gateway()
    node = lab.abp(profile=lab.profile("1.0.3", adr="recommended"))
    (sent,) = lab.uplink(node.up(adr=True, adr_ack_req=True), datr="SF7BW125", lsnr=-8.0)
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


# ------------------------------------------------------------------------------------------------------------- time


def gps_of(down: bytes) -> float:
    cid, seconds, fraction = struct.unpack("<BIB", down)
    assert cid == 0x0D
    return float(seconds + fraction / 256)


@pytest.mark.parametrize("delay_ms", [0, 40, 150])
def test_device_time_of_a_gateway_with_gps(lab: Lab, delay_ms: int) -> None:
    """±20 ms, whatever the network's delay and although the server's clock is off by a minute: GPS knows best."""
    gateway, node = lab.gateway(), lab.abp()
    true_us = lab.wall_us
    lab.wall_us += 60 * SECOND_US
    gps_ms = true_us // 1000 - GPS_EPOCH_S * 1000 + 18_000
    phy, heard_us = node.up(f_opts=DEVICE_TIME_REQ), lab.mono_us
    lab.advance(delay_ms * 1000)
    gateway.hear(phy, at_us=heard_us, tmms=gps_ms)
    lab.advance(WINDOW_US)
    assert abs(gps_of(node.read(lab.air[-1].phy).f_opts) - gps_ms / 1000) <= 0.02


def test_device_time_by_a_gateways_own_utc(lab: Lab) -> None:
    """Without GPS a gateway's NTP tells when the frame ended; the first datagram's delay is known to nobody else."""
    gateway, node = lab.gateway(), lab.abp()
    true_us, heard_us = lab.wall_us, lab.mono_us
    text = datetime.fromtimestamp(true_us / 1e6, UTC).isoformat().replace("+00:00", "Z")
    phy = node.up(f_opts=DEVICE_TIME_REQ)
    lab.advance(180_000)
    gateway.hear(phy, at_us=heard_us, time=text)
    lab.advance(WINDOW_US)
    utc_s = true_us / 1e6 - GPS_EPOCH_S + 18
    assert abs(gps_of(node.read(lab.air[-1].phy).f_opts) - utc_s) <= 0.02


@pytest.mark.parametrize(
    "said",
    [
        {"time": "2012-01-01T00:00:00.000000Z"},
        {"time": "2012-01-01T00:00:00"},
        {"time": ""},
        {"time": None},
        {"tmms": 1_000_000},
        {"tmms": 0},
        {"tmms": -5},
    ],
)
def test_inv_24_device_time_of_a_gateway_that_is_years_off(lab: Lab, said: dict[str, object]) -> None:
    gateway, node = lab.gateway(), lab.abp()
    true_us = lab.wall_us
    gateway.hear(node.up(f_opts=DEVICE_TIME_REQ), **said)
    lab.advance(WINDOW_US)
    utc_s = true_us / 1e6 - GPS_EPOCH_S + 18
    assert abs(gps_of(node.read(lab.air[-1].phy).f_opts) - utc_s) <= 0.02


def test_device_time_while_the_wall_clock_steps(lab: Lab) -> None:
    """The operator's clock jumps inside the window: the answer is by the clock as it is when it is given."""
    gateway, node = lab.gateway(), lab.abp()
    gateway.hear(node.up(f_opts=DEVICE_TIME_REQ))
    lab.wall_us += 3600 * SECOND_US
    true_us = lab.wall_us
    lab.advance(WINDOW_US)
    assert abs(gps_of(node.read(lab.air[-1].phy).f_opts) - (true_us / 1e6 - GPS_EPOCH_S + 18)) <= 0.02


# ------------------------------------------------------------------------------------------- versions and directions


@pytest.mark.parametrize(
    ("version", "f_opts", "answer"),
    [
        ("1.0.2", b"\x12", 0x12),  # BeaconTimingReq, of devices before 1.0.3
        ("1.0.4", b"\x12", None),
        ("1.0.2", b"\x0d", 0x0D),
        ("1.0.3", b"\x10\x03", 0x10),
        ("1.1.0", b"\x20\x02", 0x20),
        ("1.1.0", b"\x20\x01", None),  # a class that does not exist
        ("1.0.3", b"\x20\x02", None),
        ("1.0.3", b"\x0b\x01", None),
        ("1.1.0", b"\x12", None),
    ],
)
def test_who_may_ask_what(lab: Lab, version: str, f_opts: bytes, answer: int | None) -> None:
    """An unsupported command is ignored and counted."""
    lab.gateway()
    node = lab.abp(mac_version=version)
    sent = lab.uplink(node.up(b"\x01", f_opts=f_opts))
    assert [node.read(one.phy).f_opts[0] for one in sent] == ([answer] if answer is not None else [])
    counted = lab.counters["unsupported_mac_commands"] + lab.counters["unknown_mac_commands"]
    assert counted == (answer is None)


def test_unsupported_commands_are_shown(lab: Lab) -> None:
    lab.gateway()
    node = lab.abp(mac_version="1.0.4")
    lab.uplink(node.up(b"\x01", f_opts=b"\x12\x12"))
    assert lab.call("session", key=node.dev_eui).mac.unsupported == 2


def test_beacon_timing_is_for_rx1(lab: Lab) -> None:
    """The answer counts from its own end, so it holds in RX1 and not a second later."""
    gateway, node = lab.gateway(), lab.abp(mac_version="1.0.2")
    gateway.outcomes.append("COLLISION_PACKET")
    (sent,) = lab.uplink(node.up(f_opts=b"\x12"), gateway)
    cid, delay, channel = struct.unpack("<BHB", node.read(sent.phy).f_opts)
    air_us = lora_airtime_us(len(sent.phy), 9, 125_000, crc=False)
    end_us = lab.wall_us - WINDOW_US + SECOND_US + air_us
    to_beacon_us = 128 * SECOND_US - (end_us - GPS_EPOCH_S * SECOND_US + 18 * SECOND_US) % (128 * SECOND_US)
    assert (cid, channel) == (0x12, 0) and abs(delay - to_beacon_us // 30_000) <= 1


def test_ping_slot_info_is_kept(lab: Lab) -> None:
    lab.gateway()
    node = lab.abp()
    (sent,) = lab.uplink(node.up(f_opts=b"\x10\x05"))
    assert node.read(sent.phy).f_opts == b"\x10"
    lab.kill()
    assert lab.call("session", key=node.dev_eui).mac.current.ping_slot_period_s == 32
