"""Accept: session, MIC, counter, durable row (TS001-1.0.4 §4.3.1.5)."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from internalapi import messages as m
from tests.support.lab import SECOND_US, WINDOW_US, Lab
from tests.support.node import Node, keys_1_0


def test_uplink_is_decrypted_and_handed_over_once(lab: Lab) -> None:
    gateway, node = lab.gateway(), lab.abp()
    token = gateway.hear(node.up(b"\x01\x02\x03", port=7))
    assert gateway.acknowledged(token)
    assert lab.events("up") == []
    lab.advance(200_000)
    (event,) = lab.events("up")
    assert (event.dev_eui, event.dev_addr, event.f_port, event.f_cnt, event.data) == (
        node.dev_eui,
        "01000001",
        7,
        0,
        b"\x01\x02\x03",
    )
    assert (event.dr, event.frequency_hz, event.datr, event.confirmed, event.late) == (
        3,
        868_900_000,
        "SF9BW125",
        False,
        False,
    )
    (heard,) = event.receptions
    assert (heard.gateway_eui, heard.rssi_dbm, heard.snr_db, heard.channel) == (gateway.eui, -90, 5.0, 0)
    assert heard.tmst == gateway.tmst(lab.mono_us - 200_000)


@pytest.mark.parametrize("version", ["1.0.2", "1.0.3", "1.0.4"])
def test_inv_07_counter_goes_on_over_the_16_bits(lab: Lab, version: str) -> None:
    lab.gateway()
    node = lab.abp(mac_version=version, f_cnt_up=65_534)
    for _ in range(4):
        lab.uplink(node.up(b"\x05"))
    assert [f_cnt for f_cnt, _ in lab.ups()] == [65_534, 65_535, 65_536, 65_537]
    assert all(data == b"\x05" for _, data in lab.ups())


def test_inv_07_gap_across_the_16_bits(lab: Lab) -> None:
    lab.gateway()
    node = lab.abp(f_cnt_up=65_500)
    lab.uplink(node.up(f_cnt=65_500))
    lab.uplink(node.up(f_cnt=65_556))
    assert [f_cnt for f_cnt, _ in lab.ups()] == [65_500, 65_556]


@pytest.mark.parametrize(
    ("version", "gap", "taken"),
    [
        ("1.0.3", 16_383, True),
        ("1.0.3", 16_384, False),
        ("1.0.2", 16_384, False),
        ("1.0.4", 16_384, True),
        ("1.0.4", 65_000, True),
    ],
)
def test_inv_07_gap_limit_by_version(lab: Lab, version: str, gap: int, taken: bool) -> None:
    """MAX_FCNT_GAP up to 1.0.3; 1.0.4 has none (TS001-1.0.4 §4.3.1.5)."""
    lab.gateway()
    node = lab.abp(mac_version=version)
    lab.uplink(node.up(f_cnt=0))
    lab.uplink(node.up(f_cnt=1 + gap))
    assert (1 + gap in [f_cnt for f_cnt, _ in lab.ups()]) is taken


def test_inv_05_replay_is_refused_also_after_a_kill(lab: Lab) -> None:
    gateway, node = lab.gateway(), lab.abp()
    frames = [node.up(bytes((i,))) for i in range(5)]
    for phy in frames:
        lab.uplink(phy)
    lab.kill()
    lab.advance(3600 * SECOND_US)
    for phy in frames:
        token = gateway.hear(phy)
        lab.advance(SECOND_US)
        assert gateway.acknowledged(token)
    assert lab.ups() == [(i, bytes((i,))) for i in range(5)]
    assert lab.counters["replayed"] == 4
    assert lab.counters["late_copies"] == 1


def test_inv_10_late_frame_is_taken_once_and_as_data_only(lab: Lab) -> None:
    lab.gateway()
    node = lab.abp()
    slow = node.up(b"slow", confirmed=True, f_opts=b"\x02")
    lab.uplink(node.up(b"quick"))
    assert lab.uplink(slow) == []
    lab.kill()
    assert lab.uplink(slow) == []
    late, normal = sorted(lab.events("up"), key=lambda event: event.f_cnt)
    assert (late.data, late.late) == (b"slow", True)
    assert (normal.data, normal.late) == (b"quick", False)
    assert lab.session(node).f_cnt_up == 2


@pytest.mark.parametrize("killed", [False, True])
def test_inv_10_late_frames_are_older_than_the_newest(lab: Lab, killed: bool) -> None:
    """Else a meter without a clock would seem to run backwards: their times have the order of their counters."""
    gateway, node = lab.gateway(), lab.abp()
    frames = [node.up(bytes((number,))) for number in range(4)]
    lab.uplink(frames[0])
    lab.advance(3600 * SECOND_US)
    newest_us = lab.wall_us
    lab.uplink(frames[3])
    lab.advance(5 * SECOND_US)
    if killed:
        for phy in (frames[2], frames[1]):
            gateway.hear(phy)
        lab.kill()
    else:
        for phy in (frames[2], frames[1]):
            lab.uplink(phy)
    told = {event.f_cnt: event.time_us for event in lab.events("up")}
    assert sorted(told, key=lambda f_cnt: told[f_cnt]) == [0, 1, 2, 3]
    assert newest_us - SECOND_US < told[1] < told[2] < told[3] == newest_us
    assert lab.session(node).last_seen_us == newest_us
    late = next(one for one in lab.call("frames").items if one.f_cnt == 1)
    assert late.time_us == told[1] and late.timeline[0][0].startswith("heard by")
    assert killed or 5 * SECOND_US < late.timeline[0][1] <= late.timeline[-1][1]


@pytest.mark.parametrize(
    ("said_us", "believed"),
    [
        (-3600 * SECOND_US, True),
        (SECOND_US, False),
        (-2 * 86_400 * SECOND_US, False),
        (-15 * 365 * 86_400 * SECOND_US, False),
    ],
)
def test_inv_10_a_gateway_that_kept_a_frame_tells_when_it_heard_it(lab: Lab, said_us: int, believed: bool) -> None:
    lab.gateway()
    node = lab.abp()
    kept, newest = node.up(b"kept"), node.up(b"newest")
    newest_us = lab.wall_us
    lab.uplink(newest)
    lab.advance(7200 * SECOND_US)
    text = datetime.fromtimestamp((newest_us + said_us) / 1e6, UTC).isoformat()
    lab.uplink(kept, time=text)
    late = lab.events("up")[-1]
    assert late.late and abs(late.time_us - (newest_us + (said_us if believed else -1000))) <= 1
    assert late.receptions[0].received_at_us == newest_us + WINDOW_US + 7200 * SECOND_US


def test_inv_10_frame_behind_the_window_of_late_ones_is_refused(lab: Lab) -> None:
    lab.gateway()
    node = lab.abp()
    lab.uplink(node.up(f_cnt=200))
    lab.uplink(node.up(f_cnt=72))
    lab.uplink(node.up(f_cnt=71))
    assert sorted(f_cnt for f_cnt, _ in lab.ups()) == [72, 200]


def test_frames_before_a_session_was_taken_over_are_replays(lab: Lab) -> None:
    """The counter given by ``session_put`` says that everything below it has been used elsewhere."""
    lab.gateway()
    node = lab.abp(f_cnt_up=500)
    lab.uplink(node.up(b"old", f_cnt=498))
    lab.uplink(node.up(b"old", f_cnt=499))
    lab.uplink(node.up(b"new", f_cnt=500))
    assert lab.ups() == [(500, b"new")]


@pytest.mark.parametrize("version", ["1.0.3", "1.1.0"])
def test_inv_01_a_session_written_again_counts_downlinks_on(lab: Lab, version: str) -> None:
    """Setting a device up twice, as tools do, with the counters of a new one: FCntDown is not used again."""
    lab.gateway()
    counters: dict[bool, list[int]] = {False: [], True: []}
    for _ in range(3):
        node = lab.abp(mac_version=version)
        lab.queue(node.dev_eui, b"\x01")
        for f_cnt in range(2):
            (sent,) = lab.uplink(node.up(confirmed=True))
            down = node.read(sent.phy, conf_f_cnt=f_cnt)
            counters[version == "1.1.0" and down.f_port is not None].append(down.f_cnt)
            lab.advance(5 * SECOND_US)
    assert counters == ({False: [0, 1, 2], True: [0, 1, 2]} if version == "1.1.0" else {False: [*range(6)], True: []})
    other = lab.abp(mac_version=version, dev_addr=0x0100_0077)
    assert lab.session(other).n_f_cnt_down == 0, "under another address no keystream comes again"


def test_wrong_mic_changes_nothing(lab: Lab) -> None:
    gateway, node = lab.gateway(), lab.abp(f_cnt_up=8)
    good = node.up(b"\x01")
    for i in range(len(good)):
        bad = bytearray(good)
        bad[i] ^= 0x10
        token = gateway.hear(bytes(bad))
        lab.advance(200_000)
        assert gateway.acknowledged(token)
    assert lab.events() == [] and lab.air == [] and lab.session(node).f_cnt_up == 8
    lab.uplink(good)
    assert lab.ups() == [(8, b"\x01")]


def test_inv_20_two_devices_with_one_dev_addr(lab: Lab) -> None:
    lab.gateway()
    nodes = [lab.abp(number, dev_addr=0x0100_0042) for number in range(1, 6)]
    for node in [*nodes, *reversed(nodes)]:
        lab.uplink(node.up(node.dev_eui.encode(), confirmed=True))
    for event in lab.events("up"):
        assert event.data == event.dev_eui.encode()
    assert len(lab.events("up")) == 10
    for sent, node in zip(lab.air, [*nodes, *reversed(nodes)], strict=True):
        assert node.read(sent.phy).ack


def test_unknown_dev_addr_is_acknowledged_and_forgotten(lab: Lab) -> None:
    gateway = lab.gateway()
    token = gateway.hear(Node(0x26000001, keys_1_0(9)).up(b"\x01"))
    assert gateway.acknowledged(token)
    assert lab.counters["unknown_dev_addr"] == 1
    assert lab.rows("SELECT count(*) FROM frame") == [(0,)]


def test_disabled_device_is_not_heard(lab: Lab) -> None:
    """Neither its new frames nor repetitions nor late ones (lns_scenarios.json, device-disabled)."""
    lab.gateway()
    node = lab.abp()
    late = node.up(b"late")
    newest = node.up(b"newest", confirmed=True)
    lab.uplink(newest)
    lab.advance(3 * SECOND_US)
    sent = len(lab.air)
    lab.call("devices_put", items=[m.DeviceWrite(node.dev_eui, disabled=True)])
    for phy in (node.up(b"new"), newest, late):
        lab.uplink(phy)
        lab.advance(2 * SECOND_US)
    assert lab.ups() == [(1, b"newest")]
    assert len(lab.air) == sent
    assert lab.session(node).f_cnt_up == 2


def test_inv_09_another_frame_under_a_used_counter_is_reported(lab: Lab) -> None:
    """INV-09: the first one is kept."""
    lab.gateway()
    node = lab.abp()
    lab.uplink(node.up(b"first", f_cnt=3))
    lab.uplink(node.up(b"other", f_cnt=3))
    assert lab.ups() == [(3, b"first")]
    (entry,) = lab.events("log")
    assert (entry.level, entry.code) == ("WARNING", "UPLINK_F_CNT_RETRANSMISSION")


def test_inv_08_end_of_the_counter_is_told(lab: Lab) -> None:
    """INV-08: 2**32 - 1 is the last one, nothing comes after it."""
    lab.gateway()
    node = lab.abp(f_cnt_up=2**32 - 2)
    lab.uplink(node.up(b"one", f_cnt=2**32 - 2))
    lab.uplink(node.up(b"last", f_cnt=2**32 - 1))
    lab.uplink(node.up(b"again", f_cnt=0))
    assert [data for _, data in lab.ups()] == [b"one", b"last"]
    assert [entry.code for entry in lab.events("log")] == ["UPLINK_F_CNT_RESET"]
    lab.kill()
    lab.uplink(node.up(b"again", f_cnt=0))
    assert len(lab.ups()) == 2


def test_frames_that_are_no_uplinks_are_counted_only(lab: Lab) -> None:
    gateway, node = lab.gateway(), lab.abp()
    down = bytes((0x60,)) + node.up(b"\x01")[1:]
    for phy in (down, b"\x20" + bytes(16), b"\xe0proprietary", b"\x40", b"\x40" + bytes(10), bytes(23), b"\xc0\x07"):
        assert gateway.acknowledged(gateway.hear(phy))
        lab.advance(200_000)
    assert lab.events() == [] and lab.air == []


def test_data_rate_that_the_region_does_not_have(lab: Lab) -> None:
    lab.gateway()
    node = lab.abp()
    lab.uplink(node.up(), datr="SF12BW500")
    assert lab.events() == []
    assert lab.counters["unknown_data_rate"] == 1


def test_1_1_mic_is_bound_to_data_rate_and_channel(lab: Lab) -> None:
    """LoRaWAN 1.1 §4.4: TxDr and TxCh are in the MIC."""
    lab.gateway()
    node = lab.abp(mac_version="1.1.0")
    lab.uplink(node.up(b"a", f_cnt=0, tx_dr=3, tx_ch=1), freq=869.1, datr="SF9BW125")
    lab.uplink(node.up(b"b", f_cnt=1, tx_dr=3, tx_ch=0), freq=869.1, datr="SF9BW125")
    lab.uplink(node.up(b"c", f_cnt=1, tx_dr=2, tx_ch=1), freq=869.1, datr="SF9BW125")
    lab.uplink(node.up(b"d", f_cnt=1, tx_dr=2, tx_ch=1), freq=869.1, datr="SF10BW125")
    assert lab.ups() == [(0, b"a"), (1, b"d")]
