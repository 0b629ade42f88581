"""Datagrams of the Semtech UDP protocol (Lora-net/packet_forwarder PROTOCOL.TXT, sx1302_hal PROTOCOL.md)."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lns.gateways.frames import AfterUplink, AtGpsTime, Immediately, RxFrame, Timing, TxFrame
from lns.gateways.gateway import Gateway
from lns.gateways.gwmp import codec
from lorawan.errors import FrameError
from tests.support.vectors import Row, load, params

HEADER = bytes.fromhex("02d204000102030405060708")
PHY = bytes(range(1, 24))
GOOD: Row = {
    "tmst": 708_016_819,
    "freq": 868.9,
    "chan": 2,
    "rfch": 1,
    "stat": 1,
    "modu": "LORA",
    "datr": "SF7BW125",
    "codr": "4/5",
    "rssi": -51,
    "lsnr": 7,
    "size": len(PHY),
    "data": base64.b64encode(PHY).decode(),
}
UDP = {row["id"]: row for row in load("lns_scenarios.json")["udp"]}


def read(**changes: Any) -> codec.Rxpk:
    """One rxpk with changed fields; a change to ``...`` leaves the field out."""
    entry = {key: value for key, value in (GOOD | changes).items() if value is not ...}
    push = codec.push_data(HEADER + json.dumps({"rxpk": [entry]}).encode())
    assert push.rxpk is not None
    (rxpk,) = push.rxpk
    return rxpk


def test_well_formed() -> None:
    rxpk = read()
    assert (rxpk.data, rxpk.freq, rxpk.datr, rxpk.tmst) == (PHY, 868.9, "SF7BW125", 708_016_819)
    assert (rxpk.stat, rxpk.rssi, rxpk.lsnr, rxpk.chan, rxpk.rfch) == (1, -51, 7, 2, 1)


@pytest.mark.parametrize(
    "text",
    [
        base64.b64encode(b"\xfb\xff\xfe\x01").decode(),
        base64.b64encode(b"\xfb\xff\xfe\x01").decode().rstrip("="),
        base64.urlsafe_b64encode(b"\xfb\xff\xfe\x01").decode(),
        base64.urlsafe_b64encode(b"\xfb\xff\xfe\x01").decode().rstrip("="),
        "-__-AQ",
        " +//+\nAQ== ",
    ],
)
def test_base64_as_forwarders_write_it(text: str) -> None:
    assert read(data=text).data == b"\xfb\xff\xfe\x01"


@pytest.mark.parametrize("field", ["tmst", "chan", "rfch", "stat", "modu", "codr", "rssi", "lsnr", "size"])
@pytest.mark.parametrize("value", [None, ...])
def test_every_other_field_may_be_null_or_missing(field: str, value: Any) -> None:
    rxpk = read(**{field: value})
    assert rxpk.data == PHY
    assert getattr(rxpk, field, None) is None


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("tmst", 708_016_819.0, 708_016_819),
        ("tmst", "708016819", 708_016_819),
        ("chan", 2.0, 2),
        ("stat", "1", 1),
        ("stat", 1.0, 1),
        ("rssi", -51.5, -51.5),
        ("rssi", "-51", -51.0),
        ("lsnr", "7.25", 7.25),
        ("lsnr", [1], None),
        ("lsnr", True, None),
        ("freq", "868.9", 868.9),
        ("freq", 869, 869.0),
        ("datr", 50000, 50000),
        ("datr", 50000.0, 50000),
        ("rssi", 10**400, None),
        ("rssi", "nan", None),
        ("time", 5, None),
    ],
)
def test_numbers_as_forwarders_write_them(field: str, value: Any, expected: Any) -> None:
    assert getattr(read(**{field: value}), field) == expected


def test_who_writes_one_field_oddly_keeps_all_others() -> None:
    """The patient reader knows every field that the strict one knows."""
    fields = {
        "tmms": 1_400_000_000_000,
        "ftime": 123_456_789,
        "meta": {"site": "roof"},
        "brd": 0,
        "ant": 1,
        "codr": "4/5",
    }
    rxpk = read(**fields, chan="2")
    assert {name: getattr(rxpk, name) for name in fields} == fields
    assert (read(ftime=[], meta=7, chan="2").ftime, read(ftime=[], meta=7, chan="2").meta) == (None, None)


@pytest.mark.parametrize(
    "changes",
    [
        {"data": ...},
        {"data": None},
        {"data": 7},
        {"data": "AAA=A"},
        {"data": "Ж"},
        {"data": "A"},
        {"freq": ...},
        {"freq": None},
        {"freq": "x"},
        {"datr": ...},
        {"datr": None},
        {"datr": True},
        {"datr": [1]},
    ],
)
def test_one_useless_entry_does_not_take_the_others_with_it(changes: Row) -> None:
    entry = {key: value for key, value in (GOOD | changes).items() if value is not ...}
    push = codec.push_data(HEADER + json.dumps({"rxpk": [GOOD, entry, GOOD, 7, None, []]}).encode())
    assert push.rxpk is not None
    assert [rxpk.data for rxpk in push.rxpk] == [PHY, b"", PHY, b"", b"", b""]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"7",
        b'"text"',
        b"{",
        b'{"rxpk":{}}',
        b'{"rxpk":"x"}',
        b'{"rxpk":[{"data":NaN}]}',
        b"\xff\xfe",
        b"[" * 60_000,
        b'{"stat":' + b'{"a":' * 10_000 + b"1" + b"}" * 10_001,
        b'{"rxpk":[' + b"[" * 20_000 + b"]" * 20_000 + b"]}",
        b'{"rxpk":[{"tmst":' + b"9" * 60_000 + b"}]}",
        b'{"a":' + b"[],".join([b"[1"] * 10_000),
        json.dumps({"rxpk": [GOOD] * 256}).encode(),
    ],
    ids=lambda body: f"{body[:16]!r} {len(body)} bytes",
)
def test_what_is_no_push_data(body: bytes) -> None:
    with pytest.raises(FrameError):
        codec.push_data(HEADER + body)


def test_255_frames_are_taken() -> None:
    entries = [{"freq": 868.9, "datr": "SF7BW125", "data": "QAE="}] * 255
    push = codec.push_data(HEADER + json.dumps({"rxpk": entries}).encode())
    assert push.rxpk is not None and len(push.rxpk) == 255


def test_trailing_zero_byte() -> None:
    """Some forwarders send the end of a C string along."""
    push = codec.push_data(HEADER + json.dumps({"rxpk": [GOOD]}).encode() + b"\0")
    assert push.rxpk is not None and push.rxpk[0].data == PHY


@pytest.mark.parametrize(
    ("datagram", "says"),
    [
        (b"", "0 bytes"),
        (HEADER[:11], "11 bytes"),
        (b"\x00" + HEADER[1:], "version 0"),
        (b"\x03" + HEADER[1:], "version 3"),
    ],
)
def test_header_that_is_none(datagram: bytes, says: str) -> None:
    with pytest.raises(FrameError, match=says):
        codec.header(datagram)


def test_header() -> None:
    assert codec.header(HEADER) == (2, b"\xd2\x04", 0, 0x0102030405060708)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-23T04:00:00.123456Z", 1_795_406_400_123_456),
        ("2026-11-23T07:00:00.123456+03:00", 1_795_406_400_123_456),
        ("20261123T040000.123456Z", 1_795_406_400_123_456),
        ("2026-11-23T04:00:00", None),
        ("2026-11-23 04:00:00 GMT", None),
        ("0000-00-00T00:00:00Z", None),
        ("", None),
    ],
)
def test_gateway_time(text: str, expected: int | None) -> None:
    assert codec.gateway_time_us(text) == expected


# ------------------------------------------------------------------------------------------------ vectors of others


@pytest.mark.parametrize(
    "row", params([row for id, row in UDP.items() if id.startswith("txack-") and "hex" in (row["send"] or {})], "id")
)
def test_tx_ack_vectors(row: Row) -> None:
    ack = codec.tx_ack(bytes.fromhex(row["send"]["hex"]))
    assert ack.error == ("" if row["expect"]["status"] == "OK" else row["expect"]["status"])


@pytest.mark.parametrize("row", params([UDP["push-data-rxpk"]], "id"))
def test_push_data_vector(row: Row) -> None:
    push = codec.push_data(bytes.fromhex(row["send"]["header_hex"]) + json.dumps(row["send"]["json"]).encode())
    expected = row["expect"]["uplink"]
    assert push.rxpk is not None
    (rxpk,) = push.rxpk
    assert rxpk.data.hex() == expected["phy_hex"]
    assert round(rxpk.freq * 1e6) == expected["freq_hz"]
    assert rxpk.datr == f"SF{expected['sf']}BW{expected['bw_hz'] // 1000}"
    assert (rxpk.rssi, rxpk.lsnr, rxpk.chan, rxpk.rfch) == (-51, 7, expected["channel"], expected["rf_chain"])


@pytest.mark.parametrize("row", params([UDP["push-rsig"], UDP["push-lrfhss"]], "id"))
def test_rsig_vectors(row: Row) -> None:
    push = codec.push_data(HEADER + json.dumps(row["send"]["json"]).encode())
    assert push.rxpk is not None and push.rxpk[0].rsig is not None
    wanted = row["send"]["json"]["rxpk"][0]["rsig"]
    assert [one.rssic for one in push.rxpk[0].rsig] == [one["rssic"] for one in wanted]
    assert [one.ant for one in push.rxpk[0].rsig] == [one.get("ant") for one in wanted]


@pytest.mark.parametrize("row", params([UDP["resp-delay-lora"], UDP["resp-delay-fsk"]], "id"))
def test_pull_resp_vectors(row: Row) -> None:
    expected = row["expect"]["pull_resp_json"]["txpk"]
    rx = RxFrame(Gateway(1, ()), b"", 868_100_000, "SF7BW125", None, None, 1_000_000, 0, 0)
    phy = bytes.fromhex(row["send"]["downlink"]["phy_hex"])
    tx = TxFrame(phy, 868_100_000, expected["datr"], 14.0, AfterUplink(rx, 1_000_000), 0, 2, 1)
    datagram = codec.pull_resp(b"\x7b\x00", tx)
    assert datagram[:4].hex() == UDP["resp-header"]["expect"]["hex_prefix"]
    txpk = json.loads(datagram[4:])["txpk"]
    assert {key: txpk[key] for key in expected} == expected
    assert (txpk["imme"], txpk["ncrc"]) == (False, True)


@pytest.mark.parametrize(
    ("timing", "said"),
    [(Immediately(), {"imme": True}), (AtGpsTime(1_000_123_456), {"imme": False, "tmms": 1_000_123})],
)
def test_classes_b_and_c_have_no_concentrator_time(timing: Timing, said: dict[str, object]) -> None:
    datagram = codec.pull_resp(b"\0\0", TxFrame(b"\x60", 869_100_000, "SF12BW125", 14.0, timing))
    txpk = json.loads(datagram[4:])["txpk"]
    assert {key: txpk[key] for key in ("imme", "tmst", "tmms") if key in txpk} == said


def test_frequency_survives_the_forwarders_truncation() -> None:
    """Both forwarders compute ``(uint32_t)(1e6 * freq)``; every 100 Hz of the plan's bands."""
    for hz in range(863_000_000, 870_000_000, 100):
        txpk = {"freq": round(hz / 1e6, 6)}
        assert abs(int(1e6 * json.loads(json.dumps(txpk))["freq"]) - hz) <= 1


# ---------------------------------------------------------------------------------------------------------- garbage

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
entries = st.dictionaries(st.sampled_from([*GOOD, "time", "rsig", "brd", "ant"]), json_values, max_size=8)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300))
def test_random_bytes(body: bytes) -> None:
    for function in (codec.header, codec.push_data, codec.tx_ack):
        try:
            function(HEADER + body if function is not codec.header else body)  # type: ignore[operator]
        except FrameError as error:
            assert str(error)


@settings(max_examples=300, deadline=None)
@given(st.lists(entries, max_size=4), json_values)
def test_mutated_json(changes: list[Row], stat: Any) -> None:
    body = json.dumps({"rxpk": [GOOD | change for change in changes], "stat": stat}).encode()
    try:
        push = codec.push_data(HEADER + body)
    except FrameError:
        return
    for rxpk in push.rxpk or ():
        assert isinstance(rxpk.data, bytes) and isinstance(rxpk.freq, float) and isinstance(rxpk.datr, (str, int))
        for number in (rxpk.tmst, rxpk.stat, rxpk.chan, rxpk.rfch, rxpk.brd, rxpk.ant):
            assert number is None or isinstance(number, int)


@settings(max_examples=200, deadline=None)
@given(json_values)
def test_tx_ack_of_any_shape(value: Any) -> None:
    for body in (value, {"txpk_ack": value}, {"txpk_ack": {"error": value, "warn": value, "value": value}}):
        try:
            ack = codec.tx_ack(HEADER + json.dumps(body).encode())
        except FrameError:
            continue
        assert len(ack.error) <= 40 and len(ack.warning) <= 40
