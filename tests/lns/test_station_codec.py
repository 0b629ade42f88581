from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lns.gateways.basicstation import codec
from lns.gateways.basicstation.eui import dashed, id6, parse_eui
from lorawan.errors import FrameError
from lorawan.frames import DataFrame, JoinRequest
from lorawan.identifiers import EUI64, DevAddr
from tests.support.station import fields_of

UPINFO = {"rctx": 0, "xtime": 5, "gpstime": 0, "fts": -1, "rssi": -80, "snr": 7.5, "rxtime": 1.5}
EUIS = st.integers(0, (1 << 64) - 1)
MICS = st.binary(min_size=4, max_size=4)


def message(fields: dict[str, Any]) -> str:
    return json.dumps({"DR": 5, "Freq": 868_900_000, "RefTime": 0.0, "upinfo": UPINFO} | fields)


def rebuilt(phy: bytes) -> bytes:
    read = codec.parse(message(fields_of(phy)))
    assert isinstance(read, codec.Uplink)
    return codec.phy(read)


@st.composite
def data_frames(draw: st.DrawFn) -> bytes:
    port = draw(st.none() | st.integers(0, 255))
    options = b"" if port == 0 else draw(st.binary(max_size=15))
    return DataFrame(
        uplink=True,
        confirmed=draw(st.booleans()),
        dev_addr=DevAddr(draw(st.integers(0, (1 << 32) - 1))),
        adr=draw(st.booleans()),
        adr_ack_req=draw(st.booleans()),
        ack=draw(st.booleans()),
        class_b=draw(st.booleans()),
        f_cnt=draw(st.integers(0, 0xFFFF)),
        f_opts=options,
        f_port=port,
        frm_payload=b"" if port is None else draw(st.binary(max_size=220)),
        mic=draw(MICS),
    ).encode()


@settings(max_examples=60)
@given(data_frames())
def test_data_frames_are_rebuilt_byte_for_byte(phy: bytes) -> None:
    assert rebuilt(phy) == phy


@settings(max_examples=60)
@given(EUIS, EUIS, st.integers(0, 0xFFFF), MICS)
def test_join_requests_are_rebuilt_byte_for_byte(join_eui: int, dev_eui: int, nonce: int, mic: bytes) -> None:
    phy = JoinRequest(EUI64(join_eui), EUI64(dev_eui), nonce, mic).encode()
    assert rebuilt(phy) == phy


@settings(max_examples=60)
@given(st.binary(max_size=254))
def test_proprietary_frames_are_rebuilt_byte_for_byte(body: bytes) -> None:
    phy = b"\xe0" + body
    assert fields_of(phy)["msgtype"] == "propdf" and rebuilt(phy) == phy


def test_both_spellings_of_the_names_are_read() -> None:
    fields = {"msgtype": "jreq", "MHdr": 0, "DevNonce": 1, "MIC": -2}
    upper = message(fields | {"JoinEUI": "00-00-00-00-00-00-00-01", "DevEUI": "::2"})
    lower = message(fields | {"JoinEui": "::1", "DevEui": "00-00-00-00-00-00-00-02"})
    frames = [codec.phy(one) for one in map(codec.parse, (upper, lower)) if isinstance(one, codec.JoinRequest)]
    assert frames[0] == frames[1] == bytes.fromhex("00 0100000000000000 0200000000000000 0100 feffffff")


def test_a_frame_that_comes_whole_is_taken_as_it_is() -> None:
    phy = bytes.fromhex("c00100000002030405060708090000000000000001020304")
    for kind in ("rejoin", "updf"):
        read = codec.parse(message({"msgtype": kind, "MHdr": 192, "pdu": phy.hex()}))
        assert isinstance(read, codec.Uplink) and codec.phy(read) == phy


@pytest.mark.parametrize(
    "change",
    [
        {"FOpts": "01"},
        {"FOpts": "xy"},
        {"FRMPayload": "abc"},
        {"FPort": -1},
        {"FPort": 256},
        {"DevAddr": 1 << 32},
        {"DevAddr": -(1 << 31) - 1},
        {"MIC": 1 << 40},
        {"FCnt": 65_536},
        {"FCnt": -1},
        {"MHdr": 256},
        {"FRMPayload": "00" * 250},
        {"pdu": "zz"},
    ],
)
def test_a_frame_that_cannot_be_is_refused(change: dict[str, Any]) -> None:
    good = fields_of(bytes.fromhex("40 04030201 00 0100 0a aabb 01020304"))
    read = codec.parse(message(good | change))
    assert isinstance(read, codec.Uplink)
    with pytest.raises(FrameError):
        codec.phy(read)


@settings(max_examples=60)
@given(st.text() | st.binary())
def test_garbage_gives_one_kind_of_error(garbage: str | bytes) -> None:
    for read in (codec.parse, codec.discovery):
        with pytest.raises(FrameError):
            read(garbage)


NAMES = (
    "msgtype MHdr DevAddr FCtrl FCnt FOpts FPort FRMPayload MIC DevEui JoinEui DevNonce DR Freq RefTime upinfo pdu diid"
    " txtime features station router"
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda x: st.lists(x) | st.dictionaries(st.text(), x),
)


@settings(max_examples=60)
@given(
    st.dictionaries(
        st.sampled_from(NAMES.split()),
        JSON | st.sampled_from(("updf", "jreq", "propdf", "version", "dntxed", "timesync", "rejoin")),
    )
)
def test_messages_of_odd_fields_give_a_frame_or_that_error(fields: dict[str, Any]) -> None:
    text = json.dumps({"upinfo": UPINFO, "DR": 0, "Freq": 1} | fields)
    for read in (lambda: codec.phy(codec.parse(text)), lambda: codec.discovery(text)):  # type: ignore[arg-type]
        try:
            read()
        except (FrameError, AttributeError) as error:
            # A version or a report has no frame: asking it for one is this test's doing.
            assert isinstance(error, FrameError) or fields.get("msgtype") in ("version", "dntxed", "timesync")


def test_a_message_of_more_than_64_kib_and_a_deep_one_are_refused() -> None:
    with pytest.raises(FrameError, match="at most 65536"):
        codec.parse(message({"msgtype": "propdf", "FRMPayload": "0" * 65_536}))
    with pytest.raises(FrameError):
        codec.parse('{"msgtype":"version","features":' + "[" * 20_000 + "]" * 20_000 + "}")


@settings(max_examples=60)
@given(EUIS)
def test_every_form_of_an_eui_is_read(eui: int) -> None:
    assert parse_eui(dashed(eui)) == parse_eui(id6(eui)) == parse_eui(f"{eui:016x}") == parse_eui(eui) == eui


@pytest.mark.parametrize(
    ("text", "eui"),
    [("::1", 1), ("1::", 1 << 48), ("b827:ebff::1", 0xB827EBFF00000001), ("eui-00000000000000ff", 255), ("::", 0)],
)
def test_short_forms_of_id6(text: str, eui: int) -> None:
    assert parse_eui(text) == eui


@pytest.mark.parametrize(
    "text", ["", "1:2:3", "1:2:3:4:5", "::1::", "1:2:3:fffff", "12", "g" * 16, None, True, -1, 1 << 64, 1.5]
)
def test_what_is_no_eui(text: Any) -> None:
    with pytest.raises(FrameError):
        parse_eui(text)


def test_answers_as_stations_read_them() -> None:
    info = json.loads(codec.router_info(0x0102030405060708, "wss://lns.example.com:8887/router/0102030405060708"))
    assert info == {
        "router": "102:304:506:708",
        "muxs": "muxs-::0",
        "uri": "wss://lns.example.com:8887/router/0102030405060708",
    }
    assert json.loads(codec.router_info(1, "", "no"))["error"] == "no"
    made = codec.downlink(0xA1, 0, 7, b"\xab\x01", 200, 12.5)
    assert json.loads(
        codec.after_uplink(made, 1, codec.Window(5, 868_900_000), codec.Window(0, 869_100_000), 99, 3)
    ) == {
        "msgtype": "dnmsg",
        "DevEui": "00-00-00-00-00-00-00-A1",
        "dC": 0,
        "diid": 7,
        "pdu": "AB01",
        "priority": 200,
        "RxDelay": 1,
        "RX1DR": 5,
        "RX1Freq": 868_900_000,
        "RX2DR": 0,
        "RX2Freq": 869_100_000,
        "xtime": 99,
        "rctx": 3,
        "MuxTime": 12.5,
    }
