"""Devices against a tiny network server, in counted time: joins, windows, counters, MAC commands, repetition."""

from __future__ import annotations

from itertools import pairwise

import pytest
from lorasim.crypto import SessionKeys
from lorasim.device import Phase

from lorawan import commands as mac
from tests.simulator.conftest import MakeLab
from tests.support.fake_network import FakeSession

VERSIONS = ["1.0.2", "1.0.3", "1.0.4", "1.1"]
ALL_864 = [868_900_000, 869_100_000, 864_100_000, 864_300_000, 864_500_000, 864_700_000, 864_900_000]


def version(name: str) -> str:
    return f'mac_version = "{name}"'


@pytest.mark.parametrize("window", [1, 2])
@pytest.mark.parametrize("name", VERSIONS)
def test_joins_and_talks(make_lab: MakeLab, name: str, window: int) -> None:
    lab = make_lab(version(name), rx_window=window)
    lab.run(60)
    [joined] = lab.lines("joined")
    assert joined["window"] == f"RX{window}"
    assert joined["channels_hz"] == ALL_864
    assert joined["lorawan_1_1"] == (name == "1.1")
    f_cnts = [f_cnt for f_cnt, _, _ in lab.session.uplinks]
    assert f_cnts == list(range(len(f_cnts))) and len(f_cnts) >= 5
    numbers = [int.from_bytes(data, "big") for _, port, data in lab.session.uplinks if port == 10]
    assert numbers == list(range(1, len(numbers) + 1))
    assert len({rxpk["freq"] for rxpk in lab.network.pushed}) > 2  # it uses the channels of the CFList


def test_a_1_1_device_in_a_1_0_network(make_lab: MakeLab) -> None:
    lab = make_lab(version("1.1"), opt_neg=False)
    lab.run(30)
    assert not lab.lines("joined")[0]["lorawan_1_1"]
    assert len(lab.session.uplinks) >= 2


def test_rekey_until_confirmed(make_lab: MakeLab) -> None:
    lab = make_lab(version("1.1"), interval_s=5)
    lab.network.mute_data = True
    lab.run(16)
    lab.network.mute_data = False
    lab.run(20)
    assert lab.session.f_opts[:3] == [b"\x0b\x01"] * 3  # RekeyInd in each frame while nobody answers
    assert lab.device.session is not None and lab.device.session.rekeyed
    assert len(lab.session.f_opts) <= 4 < len(lab.session.uplinks)


@pytest.mark.parametrize(
    ("shift_us", "heard"),
    [(0, True), (9_000, True), (-9_000, True), (20_000, False), (-20_000, False), (1_000_000, False)],
)
def test_windows_open_at_their_time_only(make_lab: MakeLab, shift_us: int, heard: bool) -> None:
    """SF7: 10 ms of clock error and three preamble symbols (3 ms) are forgiven."""
    lab = make_lab(interval_s=5)
    lab.run(12)
    lab.network.delay_shift_us = shift_us
    lab.queue(f_port=7, data=b"hello")
    lab.run(6)
    assert bool(lab.lines("downlink")) == heard
    missed = lab.lines("downlink_missed")
    assert bool(missed) != heard
    if missed:
        assert "RX1 is" in missed[0]["why"]


def test_wrong_channel_and_data_rate_are_not_heard(make_lab: MakeLab) -> None:
    lab = make_lab(interval_s=5)
    lab.run(12)

    def elsewhere(change: dict[str, object]) -> str:
        original = lab.network._pull_resp
        lab.network._pull_resp = lambda answer, rxpk: original(answer, rxpk | change)  # type: ignore[method-assign]
        lab.queue(f_port=7, data=b"x")
        lab.run(5)
        lab.network._pull_resp = original  # type: ignore[method-assign]
        return str(lab.lines("downlink_missed")[-1]["why"])

    assert "RX1 listens on" in elsewhere({"freq": 866.1})
    assert "RX1 listens at SF7BW125, not SF9BW125" in elsewhere({"datr": "SF9BW125"})
    assert not lab.lines("downlink")


def test_application_downlink_is_decrypted(make_lab: MakeLab) -> None:
    for_all = {}
    for name in ("1.0.3", "1.1"):
        lab = make_lab(version(name), interval_s=5)
        lab.run(12)
        lab.queue(f_port=7, data=b"open the valve")
        lab.queue(f_port=7, data=b"close it")
        lab.run(11)
        for_all[name] = [
            (bytes.fromhex(line["data"]), line["counter"], line["f_cnt"])
            for line in lab.lines("downlink")
            if line["f_port"]
        ]
    assert for_all["1.0.3"] == [(b"open the valve", "n", 0), (b"close it", "n", 1)]
    assert for_all["1.1"] == [(b"open the valve", "a", 0), (b"close it", "a", 1)]


def test_reused_and_lower_counters_are_refused(make_lab: MakeLab) -> None:
    lab = make_lab(interval_s=5)
    lab.run(12)
    for f_cnt, data in ((5, b"a"), (5, b"a"), (5, b"b"), (4, b"c"), (6, b"d"), (6 + 16_384, b"e"), (6 + 16_383, b"f")):
        lab.queue(f_port=7, data=data, f_cnt=f_cnt)
    lab.run(36)
    assert [line["f_cnt"] for line in lab.lines("downlink")] == [5, 6, 6 + 16_383]
    assert [line["why"] for line in lab.lines("downlink_refused")] == [
        "FCntDown 5 is not above 5: the same frame again",
        "FCntDown 5 is not above 5: other bytes",
        "FCntDown 4 is not above 5: other bytes",
        "FCntDown 16390 skips 16384 from 6: 16384 is too many",
    ]


def test_counters_roll_over_16_bits(make_lab: MakeLab) -> None:
    """1.0.4 knows no MAX_FCNT_GAP: 65 533 further is fine, and the device counts with 32 bits."""
    lab = make_lab(version("1.0.4"), interval_s=5)
    lab.run(12)
    for f_cnt in (8, 0x10005, 0x10005, 0x10006):
        lab.queue(f_port=7, data=b"x", f_cnt=f_cnt)
    lab.run(21)
    assert [line["f_cnt"] for line in lab.lines("downlink")] == [8, 0x10005, 0x10006]


def test_confirmed_frames_are_repeated_until_acknowledged(make_lab: MakeLab) -> None:
    lab = make_lab("confirmed = true", interval_s=30)
    lab.run(6)
    lab.network.silent = True
    lab.run(30)
    lab.network.silent = False
    lab.run(30)
    sent = lab.lines("uplink")
    first = [line for line in sent if line["f_cnt"] == sent[0]["f_cnt"]]
    assert len(first) >= 3 and len({line["phy"] for line in first}) == 1
    assert [line["transmission"] for line in first] == list(range(1, len(first) + 1))
    done = lab.lines("uplink_done")
    assert done[0]["acked"] and done[0]["transmissions"] == len(first)
    assert lab.session.retransmissions >= 2
    assert [f_cnt for f_cnt, _, _ in lab.session.uplinks] == list(range(len(lab.session.uplinks)))


def test_confirmed_frame_is_given_up_after_eight(make_lab: MakeLab) -> None:
    lab = make_lab("confirmed = true", interval_s=300)
    lab.run(6)
    lab.network.silent = True
    lab.run(340)
    done = lab.lines("uplink_done")[0]
    assert (done["transmissions"], done["acked"]) == (8, False)


def test_nb_trans_repeats_until_a_downlink(make_lab: MakeLab) -> None:
    lab = make_lab(version("1.0.4"), interval_s=20)
    lab.run(6)
    lab.queue(f_opts=mac.LinkADRReq(dr=5, tx_power=1, ch_mask=0x7F, nb_trans=3).encode())
    lab.run(60)
    transmissions = [line["transmissions"] for line in lab.lines("uplink_done")]
    assert transmissions[0] == 1 and set(transmissions[1:]) == {3}
    lab.queue(f_port=3, data=b"stop")
    lab.run(25)
    assert 1 in [line["transmissions"] for line in lab.lines("uplink_done")][len(transmissions) :]


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        (mac.LinkADRReq(dr=3, tx_power=2, ch_mask=0x7F, nb_trans=2), "0307"),
        (mac.LinkADRReq(dr=3, tx_power=2, ch_mask=0xFF00, nb_trans=2), "0306"),
        (mac.LinkADRReq(dr=9, tx_power=9, ch_mask=0x7F, nb_trans=2), "0301"),
        (mac.DutyCycleReq(max_duty_cycle=7), "04"),
        (mac.RXParamSetupReq(rx1_dr_offset=2, rx2_dr=3, frequency_hz=868_900_000), "0507"),
        (mac.RXParamSetupReq(rx1_dr_offset=7, rx2_dr=3, frequency_hz=915_000_000), "0502"),
        (mac.DevStatusReq(), "06ff0a"),
        (mac.NewChannelReq(ch_index=7, frequency_hz=864_900_000, max_dr=5, min_dr=0), "0703"),
        (mac.NewChannelReq(ch_index=0, frequency_hz=866_100_000, max_dr=5, min_dr=0), "0700"),
        (mac.RXTimingSetupReq(delay=3), "08"),
        (mac.DlChannelReq(ch_index=1, frequency_hz=868_900_000), "0a03"),
        (mac.DlChannelReq(ch_index=9, frequency_hz=868_900_000), "0a01"),
        (mac.TxParamSetupReq(downlink_dwell=False, uplink_dwell=False, max_eirp=5), ""),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_mac_commands_are_answered(make_lab: MakeLab, request_: mac.Command, answer: str) -> None:
    """Answers byte for byte (TS001-1.0.4 §5); TxParamSetupReq is unknown in RU864."""
    lab = make_lab(interval_s=10)
    lab.run(20)
    before = len(lab.session.f_opts)
    lab.queue(f_opts=request_.encode())
    lab.run(20)
    said = [options.hex() for options in lab.session.f_opts[before:]]
    assert said[:1] == ([answer] if answer else [])


def test_linkadr_block_is_one(make_lab: MakeLab) -> None:
    block = [mac.LinkADRReq(dr=4, tx_power=1, ch_mask=mask, nb_trans=1).encode() for mask in (0x7F, 0x03)]
    for name, answers in (("1.0.3", "03070307"), ("1.1", "0307")):
        lab = make_lab(version(name), interval_s=10)
        lab.run(30)
        lab.queue(f_opts=b"".join(block))
        lab.run(22)
        assert lab.session.f_opts[-1].hex() == answers
        assert lab.device.state.enabled == {0, 1} and lab.device.state.dr == 4


def test_parameters_take_effect(make_lab: MakeLab) -> None:
    """RX1 after 3 s and, by DlChannelReq, elsewhere; RX2 moved: the old windows are closed."""
    lab = make_lab(interval_s=10)
    lab.run(20)
    lab.queue(f_opts=mac.RXTimingSetupReq(delay=3).encode())
    lab.run(10)
    lab.queue(f_port=5, data=b"too soon")
    lab.run(10)
    assert lab.lines("downlink_missed")
    lab.network.rx1_delay_s = 3
    lab.queue(f_port=5, data=b"in time")
    lab.run(14)
    assert bytes.fromhex(lab.lines("downlink")[-1]["data"]) == b"in time"


def test_sticky_answers_wait_for_a_downlink(make_lab: MakeLab) -> None:
    lab = make_lab(interval_s=5)
    lab.run(12)
    lab.queue(f_opts=mac.RXParamSetupReq(rx1_dr_offset=0, rx2_dr=3, frequency_hz=869_100_000).encode())
    lab.run(20)
    assert [options.hex() for options in lab.session.f_opts[-3:]] == ["0507"] * 3
    lab.queue(f_port=5, data=b"enough")
    lab.run(5)
    count = len(lab.session.f_opts)
    lab.run(15)
    assert len(lab.session.f_opts) <= count + 1


def test_link_check_and_device_time_on_wish(make_lab: MakeLab) -> None:
    lab = make_lab("link_check = 2\ndevice_time = 3", interval_s=5)
    lab.run(9)
    lab.run(25)
    assert {b"\x02", b"\x0d"} <= set(lab.session.f_opts)
    lab.queue(f_opts=mac.LinkCheckAns(margin=17, gw_cnt=2).encode() + mac.DeviceTimeAns(1_400_000_000, 128).encode())
    lab.run(6)
    heard = lab.lines("downlink")[-1]
    assert heard["link_check"] == [17, 2] and heard["device_time"] == [1_400_000_000, 128]


def test_many_answers_go_on_port_0(make_lab: MakeLab) -> None:
    lab = make_lab(interval_s=10)
    lab.run(20)
    lab.queue(f_port=0, data=mac.DevStatusReq().encode() * 6)
    lab.run(20)
    assert lab.session.f_opts[-1].hex() == "06ff0a" * 6
    assert 0 in [port for _, port, _ in lab.session.uplinks]


def test_confirmed_downlink_is_acknowledged(make_lab: MakeLab) -> None:
    for name in ("1.0.3", "1.1"):
        lab = make_lab(version(name), interval_s=60)
        lab.run(62)
        lab.queue(f_port=5, data=b"!", confirmed=True)
        lab.run(66)
        acks = [line for line in lab.lines("uplink") if int(line["phy"][10:12], 16) & 0x20]
        assert len(acks) == 1 and acks[0]["f_port"] is None  # soon, without waiting for the next payload


@pytest.mark.parametrize("name", ["1.0.3", "1.0.4"])
def test_unanswered_join_backs_off(make_lab: MakeLab, name: str) -> None:
    lab = make_lab(version(name), silent=True)
    lab.run(200)
    lab.network.silent = False
    lab.run(200)
    asked = lab.lines("join_request")
    pauses = [b["t"] - a["t"] for a, b in pairwise(asked)]
    assert len(asked) >= 4 and pauses[2] > pauses[0]
    nonces = [line["dev_nonce"] for line in asked]
    if name == "1.0.4":
        assert nonces == list(range(len(nonces)))
    else:
        assert len(set(nonces)) == len(nonces) and nonces != sorted(nonces)
    assert lab.device.joined


def test_the_longest_pause_between_joins_is_random(make_lab: MakeLab) -> None:
    """Devices that lost their session at the same moment do not meet on the air for ever."""
    lab = make_lab(version("1.0.4") + "\njoin_backoff_max_s = 12.0", silent=True)
    lab.run(300)
    pauses = [line["retry_in_s"] for line in lab.lines("join_unanswered")]
    assert len(pauses) >= 10 and len(set(pauses[2:])) > 5
    assert all(4.0 <= pause <= 12.0 for pause in pauses)


def test_restart(make_lab: MakeLab) -> None:
    lab = make_lab(version("1.0.4"), interval_s=5)
    lab.run(20)
    last = lab.session.f_cnt_up
    lab.device_does(lambda now: lab.device.restart(now, keep_session=True))
    lab.run(10)
    assert len(lab.network.sessions) == 1 and lab.session.f_cnt_up > last
    lab.device_does(lambda now: lab.device.restart(now, keep_session=False))
    lab.run(20)
    assert len(lab.network.sessions) == 2 and lab.session.uplinks[0][0] == 0
    assert [line["dev_nonce"] for line in lab.lines("join_request")] == [0, 1]


def test_abp(make_lab: MakeLab) -> None:
    lab = make_lab(interval_s=5)
    keys = SessionKeys.of_1_0(b"n" * 16, b"a" * 16)
    lab.device.activate(0x26001234, 0x13, keys)
    lab.network.sessions[0x26001234] = FakeSession(lab.dev_eui, 0x26001234, keys)
    lab.run(12)
    assert not lab.lines("join_request") and len(lab.session.uplinks) >= 2
    assert lab.lines("device")[0]["dev_addr"] == "26001234"


@pytest.mark.parametrize("kind", [0, 1, 2])
def test_rejoins(make_lab: MakeLab, kind: int) -> None:
    lab = make_lab(version("1.1"), interval_s=5)
    lab.run(20)
    lab.device_does(lambda now: lab.device.rejoin(kind, now))
    lab.run(30)
    [asked] = lab.lines("rejoin_request")
    assert (asked["rejoin_type"], asked["rj_count"]) == (kind, 0)
    joined = lab.lines("joined")
    assert [line["join_req_type"] for line in joined] == [0xFF, kind]
    assert lab.session.f_opts[0] == b"\x0b\x01" and lab.session.uplinks[0][0] == 0
    assert lab.device.phase is not Phase.OFF


def test_forced_rejoin(make_lab: MakeLab) -> None:
    lab = make_lab(version("1.1"), interval_s=5)
    lab.run(20)
    lab.queue(f_opts=mac.ForceRejoinReq(period=0, max_retries=0, rejoin_type=2, dr=4).encode())
    lab.run(30)
    assert [line["join_req_type"] for line in lab.lines("joined")] == [0xFF, 2]


def test_join_nonce_must_rise(make_lab: MakeLab) -> None:
    lab = make_lab(version("1.0.4"), interval_s=5)
    lab.run(12)
    lab.network._join_nonce = 0
    lab.device_does(lambda now: lab.device.restart(now, keep_session=False))
    lab.run(8)
    assert "JoinNonce 1 is not above 1" in lab.lines("downlink_refused")[0]["why"]
    lab.run(60)
    assert lab.device.joined


def test_adr_back_off_finds_the_way_back(make_lab: MakeLab) -> None:
    """64 + 32 uplinks without a downlink: full power first, then a lower data rate each 32."""
    lab = make_lab(interval_s=2.2)
    lab.run(10)
    lab.queue(f_opts=mac.LinkADRReq(dr=5, tx_power=3, ch_mask=0x7F, nb_trans=1).encode())
    lab.run(10)
    assert lab.device.state.tx_power == 3
    lab.network.silent = True
    lab.run(2.2 * 140)
    assert (lab.device.state.tx_power, lab.device.state.dr) == (0, 4)
    asking = [line for line in lab.lines("uplink") if int(line["phy"][10:12], 16) & 0x40]
    assert asking


def test_tampered_downlink_is_refused(make_lab: MakeLab) -> None:
    lab = make_lab(interval_s=5)
    lab.run(12)
    original = lab.network._downlink
    lab.network._downlink = lambda *a: original(*a)[:-1] + b"\0"  # type: ignore[method-assign]
    lab.queue(f_port=5, data=b"x")
    lab.run(5)
    assert lab.lines("downlink_refused")[0]["why"] == "MIC"


def test_switched_off_is_silent_and_deaf(make_lab: MakeLab) -> None:
    lab = make_lab(interval_s=5)
    lab.run(12)
    lab.device_does(lambda now: lab.device.stop())
    lab.run(30)
    said = len(lab.lines("uplink"))
    assert not lab.device.listening and lab.device.timer() is None
    lab.device_does(lambda now: lab.device.restart(now, keep_session=True))
    lab.run(30)
    assert len(lab.lines("uplink")) > said


def test_a_payload_too_long_for_its_data_rate_is_given_up(make_lab: MakeLab) -> None:
    """115 bytes at DR3, 51 at DR0 (RP002-1.0.4, RU864)."""
    lab = make_lab("payload_bytes = 60", interval_s=20)
    lab.run(30)
    lab.queue(f_opts=mac.LinkADRReq(dr=0, tx_power=0, ch_mask=0x7F, nb_trans=1).encode())
    lab.run(60)
    given_up = lab.lines("too_long")
    assert given_up and {(line["length"], line["limit"]) for line in given_up} == {(60, 51)}
    assert lab.lines("uplink")[-1]["f_port"] is None
