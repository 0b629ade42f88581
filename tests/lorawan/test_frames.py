"""Frames: round trips, what is refused and where, and that nothing but FrameError leaves the parser."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lorawan import frames, hot
from lorawan.errors import FrameError, StateError
from lorawan.frames import DataFrame, JoinAccept, JoinRequest, MType, Proprietary, RejoinRequest0_2, RejoinRequest1
from lorawan.identifiers import EUI64, DevAddr, NetID
from tests.support.wire_strategies import data_frames, join_accepts
from tests.support.wire_strategies import frames as any_frames


@given(any_frames)
def test_every_frame_makes_a_round_trip(frame: frames.Frame) -> None:
    phy = frame.encode()
    assert frames.parse(phy) == frame
    if not isinstance(frame, frames.EncryptedJoinAccept | Proprietary):
        assert phy == frame.encode_without_mic() + frame.mic


@given(join_accepts)
def test_join_accept_fields_make_a_round_trip(accept: JoinAccept) -> None:
    plain = accept.encode()
    assert len(plain) == 12 + len(accept.cflist)
    assert JoinAccept.parse(plain) == accept
    assert plain[10] == accept.dl_settings


# Random bytes alone rarely reach deep, so half of the examples begin like a frame.
likely = st.binary(max_size=260) | st.builds(
    lambda head, rest: bytes((head,)) + rest, st.sampled_from(range(0, 256, 32)), st.binary(max_size=40)
)


@given(likely)
@example(b"")
@example(bytes(256))
@example(b"\xc0")
def test_any_bytes_give_a_frame_or_a_frame_error(phy: bytes) -> None:
    try:
        frame = frames.parse(phy)
    except FrameError as error:
        assert error.offset is not None
        assert 0 <= error.offset <= 255
        assert error.reason in str(error)
    else:
        again = frame.encode()
        assert len(again) == len(phy)
        assert frames.parse(again) == frame


@given(likely)
def test_hot_path_accepts_exactly_what_the_parser_accepts(phy: bytes) -> None:
    try:
        frame: frames.Frame | None = frames.parse(phy)
    except FrameError:
        frame = None
    if not isinstance(frame, DataFrame):
        with pytest.raises(FrameError):
            hot.data_header(phy)
        return
    m_hdr, dev_addr, f_ctrl, f_cnt = hot.data_header(phy)
    assert m_hdr == phy[0]
    assert (dev_addr, f_cnt) == (frame.dev_addr, frame.f_cnt)
    assert f_ctrl >> 7 == frame.adr
    assert hot.data_payload(phy, f_ctrl) == (frame.f_opts, frame.f_port, frame.frm_payload)


@given(data_frames())
def test_hot_path_reads_every_data_frame(frame: DataFrame) -> None:
    phy = frame.encode()
    m_hdr, dev_addr, f_ctrl, f_cnt = hot.data_header(phy)
    assert MType(m_hdr >> 5) == frame.m_type
    assert (dev_addr, f_cnt) == (frame.dev_addr, frame.f_cnt)
    assert hot.data_payload(phy, f_ctrl) == (frame.f_opts, frame.f_port, frame.frm_payload)


@pytest.mark.parametrize(
    ("hexed", "offset", "reason"),
    [
        ("", 0, "empty frame"),
        ("40" + "00" * 10, 11, "data frame of 11 bytes"),
        ("40" + "00" * 255, 255, "at most 255"),
        ("41" + "00" * 20, 0, "major version 1"),
        ("4004030201050000" + "00" * 4, 5, "FOptsLen 5 reaches into the MIC"),
        ("4004030201020000" + "0d02" + "00" + "00" * 4, 10, "FPort 0 together with FOpts"),
        ("00" * 22, 22, "join-request of 22 bytes"),
        ("00" * 24, 23, "join-request of 24 bytes"),
        ("20" + "00" * 17, 18, "join-accept of 18 bytes"),
        ("c0", 1, "rejoin-request of type None"),
        ("c003" + "00" * 17, 1, "rejoin-request of type 3"),
        ("c000" + "00" * 16, 18, "rejoin-request type 0 of 18 bytes"),
        ("c002" + "00" * 18, 19, "rejoin-request type 2 of 20 bytes"),
        ("c001" + "00" * 17, 19, "rejoin-request type 1 of 19 bytes"),
    ],
)
def test_what_is_refused_says_where_and_why(hexed: str, offset: int, reason: str) -> None:
    with pytest.raises(FrameError, match=reason) as caught:
        frames.parse(bytes.fromhex(hexed))
    assert caught.value.offset == offset


@pytest.mark.parametrize(
    ("hexed", "offset"),
    [
        ("", 0),
        ("40" + "00" * 10, 11),
        ("40" + "00" * 255, 255),
        ("41" + "00" * 20, 0),
        ("00" * 23, 0),
        ("c0" + "00" * 18, 0),
        ("4004030201050000" + "00" * 4, 5),
        ("4004030201020000" + "0d02" + "00" + "00" * 4, 10),
    ],
)
def test_the_hot_path_refuses_the_same_at_the_same_byte(hexed: str, offset: int) -> None:
    with pytest.raises(FrameError) as caught:
        hot.data_header(bytes.fromhex(hexed))
    assert caught.value.offset == offset


def test_join_accept_of_another_length() -> None:
    for length in (0, 11, 13, 27, 29):
        with pytest.raises(FrameError, match="12 or 28"):
            JoinAccept.parse(bytes(length))


def test_rfu_bits_are_ignored() -> None:
    plain = DataFrame(True, False, DevAddr(1), f_cnt=3, f_port=1, frm_payload=b"x", mic=b"1234").encode()
    with_rfu = bytes((plain[0] | 0x1C,)) + plain[1:]
    assert frames.parse(with_rfu) == frames.parse(plain)
    fields = JoinAccept(1, NetID(2), DevAddr(3), rx_delay=5).encode()
    assert JoinAccept.parse(fields[:11] + bytes((fields[11] | 0xF0,))) == JoinAccept.parse(fields)
    downlink = DataFrame(False, False, DevAddr(1), mic=b"1234").encode()
    assert frames.parse(downlink[:5] + bytes((downlink[5] | 0x40,)) + downlink[6:]) == frames.parse(downlink)


UP = DataFrame(True, False, DevAddr(1))
DOWN = DataFrame(False, False, DevAddr(1))


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (replace(UP, f_opts=bytes(16)), "at most 15"),
        (replace(UP, frm_payload=b"x"), "without FPort"),
        (replace(UP, f_opts=b"\x02", f_port=0), "FPort 0 together"),
        (replace(UP, f_port=256), "FPort 256"),
        (replace(UP, f_port=-1), "FPort -1"),
        (replace(UP, f_pending=True), "downlinks only"),
        (replace(DOWN, class_b=True), "uplinks only"),
        (replace(DOWN, adr_ack_req=True), "uplinks only"),
        (replace(UP, f_cnt=65536), "does not fit"),
        (replace(UP, f_cnt=-1), "does not fit"),
        (replace(UP, f_port=1, frm_payload=bytes(243)), "at most 255"),
        (replace(UP, mic=b"123"), "MIC of 3 bytes"),
        (JoinRequest(EUI64(0), EUI64(0), 65536), "does not fit"),
        (JoinRequest(EUI64(0), EUI64(0), 0, b"12345"), "MIC of 5 bytes"),
        (RejoinRequest0_2(1, NetID(0), EUI64(0), 0), "for 0 and 2"),
        (RejoinRequest0_2(0, NetID(0), EUI64(0), 65536), "RJcount0 65536"),
        (RejoinRequest1(EUI64(0), EUI64(0), 65536), "does not fit"),
        (frames.EncryptedJoinAccept(bytes(17)), "16 or 32"),
        (Proprietary(b"", 0x40), "proprietary"),
        (JoinAccept(1 << 24, NetID(0), DevAddr(0)), "JoinNonce"),
        (JoinAccept(0, NetID(0), DevAddr(0), rx_delay=16), "RxDelay"),
        (JoinAccept(0, NetID(0), DevAddr(0), rx1_dr_offset=8), "RX1DROffset 8"),
        (JoinAccept(0, NetID(0), DevAddr(0), rx2_dr=16), "RX2DataRate 16"),
        (JoinAccept(0, NetID(0), DevAddr(0), cflist=bytes(15)), "CFList of 15"),
    ],
)
def test_our_own_misuse_is_a_state_error(frame: frames.Frame | JoinAccept, words: str) -> None:
    with pytest.raises(StateError, match=words):
        frame.encode()


def test_the_longest_frame() -> None:
    frame = DataFrame(True, True, DevAddr(1), f_port=1, frm_payload=bytes(242), mic=b"1234")
    assert len(frame.encode()) == 255
    assert frame.m_type is MType.CONFIRMED_DATA_UP


def test_an_empty_payload_with_a_port_is_kept_apart_from_no_port() -> None:
    bare = DataFrame(False, False, DevAddr(1), mic=b"1234")
    with_port = replace(bare, f_port=7)
    assert len(bare.encode()) == 12
    assert len(with_port.encode()) == 13
    assert frames.parse(with_port.encode()) == with_port
    assert frames.parse(bare.encode()) == bare


def test_errors_tell_their_place() -> None:
    assert str(FrameError("too short", 7)) == "too short (at byte 7)"
    assert str(FrameError("not hexadecimal")) == "not hexadecimal"
    assert isinstance(FrameError("x"), ValueError)
    assert isinstance(StateError("x"), RuntimeError)
