"""M-Bus records (EN 13757-3): the samples of meter_payloads.json, each with its public source, and the standard's rules."""

# ruff: noqa: DTZ001 (meter clocks have no zone)

from __future__ import annotations

import contextlib
import json
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appserver.codecs import CodecError
from appserver.codecs.mbus import Record, bcd, datetime_type_f, parse_frame, parse_message, parse_records

ROWS = {
    row["id"]: row
    for row in json.loads((Path(__file__).parents[2] / "vectors" / "meter_payloads.json").read_text())["vectors"]
}
FRAMES = ("mbus-kamstrup-601", "mbus-falcon-water", "mbus-elster-f2")
"""github.com/ganehag/pyMeterBus at d1a7552, tests/test-frames."""
BROKEN = ("mbus-bad-premature-end-of-data1", "mbus-bad-too-many-dife", "mbus-bad-invalid-length")
ELVACO = tuple(name for name in ROWS if name.startswith("elvaco"))
SONTEX = tuple(name for name in ROWS if name.startswith("sontex"))
INVALID = {("flow_temp", -128.0), ("date", "2127-01-01")}


def plain(record: Record) -> dict[str, object]:
    """A record as the samples write it."""
    if record.quantity in ("manufacturer_data", "more_records_follow"):
        assert isinstance(record.value, bytes)
        return {"manufacturer_data": record.value.hex()}
    words: dict[str, object] = {"q": record.quantity}
    if record.function != "instantaneous":
        words["func"] = record.function
    places = {"unit": record.unit, "storage": record.storage, "tariff": record.tariff, "sub": record.subunit}
    words |= {name: value for name, value in places.items() if value}
    if record.vifes:
        words["vifes"] = [f"0x{vife:02x}" for vife in record.vifes]
    value = record.value
    if isinstance(value, datetime):
        words["value"] = value.isoformat(timespec="minutes")
    elif isinstance(value, date):
        words["value"] = value.isoformat()
    else:
        words["value"] = value
    return words


def expected(row: dict) -> list[dict[str, object]]:
    rows = []
    for item in row["expected"]["records"]:
        item = dict(item)
        if (item.get("q"), item.get("value")) in INVALID:
            item["value"] = None
        elif isinstance(item.get("value"), float):
            item["value"] = Decimal(str(item["value"]))
        rows.append(item)
    return rows


@pytest.mark.parametrize("name", FRAMES)
def test_long_frame(name: str) -> None:
    row = ROWS[name]
    message = parse_frame(bytes.fromhex(row["hex"]))
    assert message.meter_id == row["expected"]["id"]
    for field in ("version", "medium", "access_no", "status"):
        assert getattr(message, field) == row["expected"][field]
    assert [plain(record) for record in message.records] == expected(row)


@pytest.mark.parametrize("name", [*SONTEX, *ELVACO])
def test_bare_records(name: str) -> None:
    row = ROWS[name]
    records = parse_records(bytes.fromhex(row["hex"]), 1 if name in ELVACO else 0)
    assert [plain(record) for record in records] == expected(row)


@pytest.mark.parametrize("name", BROKEN)
def test_broken_frame(name: str) -> None:
    with pytest.raises(CodecError):
        parse_frame(bytes.fromhex(ROWS[name]["hex"]))


@pytest.mark.parametrize(
    ("at", "byte", "words"),
    [(0, 0x69, "no M-Bus long frame"), (2, 0x91, "length"), (149, 0x17, "ends with"), (148, 0xDF, "checksum")],
)
def test_frame_says_what_is_wrong(at: int, byte: int, words: str) -> None:
    data = bytearray.fromhex(ROWS["mbus-elster-f2"]["hex"])
    data[at] = byte
    with pytest.raises(CodecError, match=words):
        parse_frame(bytes(data))


def one(text: str) -> Record:
    (record,) = parse_records(bytes.fromhex(text))
    return record


@pytest.mark.parametrize(
    ("raw", "number"),
    [("34120000", 1234), ("341200f0", -1234), ("000000f0", 0), ("3a120000", None), ("ffffffff", None)],
)
def test_bcd(raw: str, number: int | None) -> None:
    assert bcd(bytes.fromhex(raw)) == number


@pytest.mark.parametrize(
    ("text", "quantity", "value"),
    [
        ("0113ff", "volume", Decimal("-0.001")),
        ("041300000080", "volume", None),
        ("0a13ff1f", "volume", None),
        ("0a1312f0", "volume", Decimal("-0.012")),
        ("05130000c03f", "volume", Decimal("0.0015")),
        ("05130000c07f", "volume", None),
        ("0e13665544332211", "volume", Decimal("112233445.566")),
        ("0713010000000000000080"[:-2], "volume", Decimal("0.001")),
        ("04fb0d10270000", "energy", Decimal("10")),
        ("02fd48e803", "voltage", Decimal("100.0")),
        ("0493150a000000", "volume", None),
        ("0493740a000000", "volume", Decimal("0.00010")),
        ("02fd17ffff", "error_flags", 65535),
        ("0d13c23412", "volume", Decimal("1.234")),
        ("0d13d23412", "volume", Decimal("-1.234")),
        ("0dfd0c03433242", "model", "B2C"),
        ("0013", "volume", None),
        ("0222e803", "on_time", Decimal(3_600_000)),
    ],
)
def test_data(text: str, quantity: str, value: object) -> None:
    record = one(text)
    assert (record.quantity, record.value) == (quantity, value)


def test_plain_text_unit() -> None:
    """The standard's relative humidity: ``%RH`` backwards, then a correction of 10^-2."""
    record = one("02fc0348522574440d")
    assert (record.quantity, record.unit, record.value) == ("plain_text", "%RH", Decimal("33.96"))


def test_storage_tariff_and_subunit_chain() -> None:
    record = one("c4 f1 42 13 01000000".replace(" ", ""))
    assert (record.storage, record.tariff, record.subunit) == (1 | 1 << 1 | 2 << 5, 3, 3)


def test_fill_and_manufacturer_data() -> None:
    records = parse_records(bytes.fromhex("2f2f0113052f1f0102"))
    assert [(r.quantity, r.value) for r in records] == [
        ("volume", Decimal("0.005")),
        ("more_records_follow", b"\1\2"),
    ]


def test_dates() -> None:
    assert datetime_type_f(bytes.fromhex("1a2f6511")) == datetime(2011, 1, 5, 15, 26)
    assert datetime_type_f(bytes.fromhex("9a2f6511")) is None
    assert one("066d1e1a0f5112 00".replace(" ", "")).value == datetime(2010, 2, 17, 15, 26, 30)
    assert one("026ce1f1").value is None
    assert one("026cffff").value is None
    assert one("026c0000").value is None
    assert one("026c5f1c").value == date(2010, 12, 31)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "CI field is cut off"),
        ("79", "CI field is 0x79"),
        ("7a0100", "header is cut off"),
        ("7a01000005", "encrypted"),
        ("780413", "data of a record is cut off"),
        ("780d13fb", "reserved"),
        ("783f", "no data record"),
        ("7804fc05", "plain-text unit is cut off"),
        ("780493" + "93" * 11, "more than 10 VIFE"),
    ],
)
def test_garbage_says_what(text: str, words: str) -> None:
    with pytest.raises(CodecError, match=words):
        parse_message(bytes.fromhex(text))


@given(st.binary(max_size=80))
def test_any_bytes_give_records_or_a_codec_error(data: bytes) -> None:
    for parse in (parse_records, parse_message, parse_frame):
        with contextlib.suppress(CodecError):
            parse(data)


@given(st.binary(max_size=60))
def test_any_records_in_a_right_frame(body: bytes) -> None:
    inner = b"\x08\x01\x78" + body
    frame = bytes([0x68, len(inner), len(inner), 0x68]) + inner + bytes([sum(inner[1:]) + inner[0] & 0xFF, 0x16])
    with contextlib.suppress(CodecError):
        for record in parse_frame(frame).records:
            json.dumps(record.words())


@given(st.integers(0, 99_999_999), st.integers(0, 7))
def test_every_bcd_value_is_exact(number: int, n: int) -> None:
    raw = bytes.fromhex(f"{number:08d}")[::-1]
    assert one((bytes([0x0C, 0x10 + n]) + raw).hex()).value == Decimal(number).scaleb(n - 6)
