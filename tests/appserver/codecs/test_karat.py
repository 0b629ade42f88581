"""KARAT-926LW against the published layout (github.com/ws-lab/karat-proto at 4515b7a) and the samples made from it."""

# ruff: noqa: DTZ001 (device clocks have no zone)

from __future__ import annotations

import contextlib
import json
import struct
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appserver.codecs import CodecError, decode

SAMPLES = {
    row["id"]: row
    for row in json.loads((Path(__file__).parents[2] / "vectors" / "meter_payloads.json").read_text())["vectors"]
    if row["id"].startswith("karat-926")
}
EPOCH = datetime(2000, 3, 1)


def karat(data: bytes, f_port: int = 5):
    return decode("karat", f_port, data, 0)


def test_all_samples_are_here() -> None:
    assert len(SAMPLES) == 4


@pytest.mark.parametrize("name", SAMPLES)
def test_sample(name: str) -> None:
    sample = SAMPLES[name]
    expected = sample["expected"]
    decoded = karat(bytes.fromhex(sample["hex"]), sample["fport"])
    main = decoded.measurements[0]
    assert decoded.values["packet"] == expected["func"].replace("0x0", "0x0").upper().replace("0X", "0x")
    assert decoded.values["protocol"] == expected["proto"]
    assert main.channel == expected["subsystem"]
    assert decoded.values["archive"] == expected["archive"]
    assert main.at == datetime.fromisoformat(expected["time_device_local"])
    assert main.value == Decimal(str(expected["volume_m3"]))
    assert (main.unit, main.variant) == ("m3", "")
    assert list(decoded.flags) == expected["flags"]
    if "reverse_m3" in expected:
        assert [m.value for m in decoded.measurements if m.variant == "reverse"] == [
            Decimal(str(expected["reverse_m3"]))
        ]


def test_novouralsk_month_is_exact() -> None:
    """The pharmacy of the table: 5.271 - 3.481 = 1.790 m³, to the litre."""
    start, end = (
        karat(bytes.fromhex(SAMPLES[n]["hex"])).measurements[0].value
        for n in ("karat-926-v18-day", "karat-926-v18-day-end")
    )
    assert end - start == Decimal("1.790")


@pytest.mark.parametrize(
    ("archive", "name", "variant", "stored"),
    [
        (5, "current", "", False),
        (6, "hour_interval", "hour_interval", True),
        (7, "day_interval", "day_interval", True),
        (8, "month_interval", "month_interval", True),
        (9, "month_integral", "", True),
        (14, "hour_integral", "", True),
        (15, "day_integral", "", True),
        (16, "minute_interval", "minute_interval", True),
    ],
)
def test_archive_types(archive: int, name: str, variant: str, stored: bool) -> None:
    at = datetime(2024, 2, 29, 13)
    decoded = karat(struct.pack("<HBIHII", 0x0285, archive, int((at - EPOCH).total_seconds()), 0, 1_234_567, 0))
    main = decoded.measurements[0]
    assert (decoded.values["archive"], main.variant, main.archive, main.at) == (name, variant, stored, at)
    assert decoded.clock == (None if stored else at)


@pytest.mark.parametrize("archive", [9, 15])
def test_last_hour_of_a_day_is_the_midnight_after_it(archive: int) -> None:
    """FR-02 (f), calculation `karat-day-stamp`: 2020-04-13T23:00 is the boundary 2020-04-14T00:00."""
    old = karat(struct.pack("<HB4BBi", 0x0284, archive, 23, 13, 4, 20, 0, 83_821))
    new = karat(
        struct.pack("<HBIHII", 0x0285, archive, int((datetime(2020, 4, 13, 23) - EPOCH).total_seconds()), 0, 1, 0)
    )
    assert old.measurements[0].at == new.measurements[0].at == datetime(2020, 4, 14)
    assert old.values["device_time"] == "2020-04-13T23:00:00"


def test_last_hour_stays_for_values_that_close_no_day() -> None:
    assert karat(struct.pack("<HB4BBi", 0x0284, 5, 23, 13, 4, 20, 0, 1)).measurements[0].at == datetime(2020, 4, 13, 23)


@pytest.mark.parametrize(
    ("bit", "flag"),
    [
        (0, "mechanical_tamper"),
        (1, "magnetic_tamper"),
        (2, "out_of_range"),
        (3, "hardware_fault"),
        (8, "corrected"),
        (10, "reverse_flow"),
        (12, "leak"),
        (13, "no_medium"),
        (15, "bit15"),
    ],
)
def test_flags_of_protocol_2_0(bit: int, flag: str) -> None:
    assert karat(struct.pack("<HBIHII", 0x0285, 15, 1000, 1 << bit, 0, 0)).flags == (flag,)


@pytest.mark.parametrize(("bit", "flag"), [(2, "magnetic_tamper"), (5, "corrected"), (6, "head_detached"), (0, "bit0")])
def test_flags_of_protocol_1_8(bit: int, flag: str) -> None:
    assert karat(struct.pack("<HB4BBi", 0x0284, 15, 0, 1, 8, 18, 1 << bit, 5)).flags == (flag,)


def test_sentinels_are_no_value() -> None:
    nothing = karat(struct.pack("<HBIHII", 0x0285, 15, 1000, 0, 0xFFFFFFFF, 0xFFFFFFFF))
    assert nothing.measurements == ()
    assert nothing.values["volume_m3"] is None
    forward = karat(struct.pack("<HBIHII", 0x0285, 15, 1000, 0, 70_000, 0xFFFFFFFF))
    assert [(m.variant, m.value) for m in forward.measurements] == [("", Decimal("7.0000"))]
    for raw in (0x7FFFFFFF, -0x80000000):
        assert karat(struct.pack("<HB4BBi", 0x0284, 15, 0, 1, 8, 18, 0, raw)).measurements == ()


def test_negative_register_of_protocol_1_8_is_signed() -> None:
    assert karat(struct.pack("<HB4BBi", 0x0284, 15, 0, 1, 8, 18, 0, -5)).measurements[0].value == Decimal("-0.005")


@pytest.mark.parametrize("stamp", [bytes(4), b"\xff" * 4])
def test_clock_that_was_never_set(stamp: bytes) -> None:
    for data in (struct.pack("<HB4sBi", 0x0284, 5, stamp, 0, 7), struct.pack("<HB4sHII", 0x0285, 5, stamp, 0, 70, 0)):
        decoded = karat(data)
        assert decoded.measurements[0].at is None
        assert decoded.clock is None


def test_subsystem_is_the_channel() -> None:
    data = struct.pack("<HBIHII", 0x0285 | 2 << 13, 15, 1000, 0, 1, 0)
    assert {m.channel for m in karat(data).measurements} == {3}


def test_error_packet() -> None:
    decoded = karat(struct.pack("<HH", 0x003A | 4 << 13, 0x011A))
    assert decoded.measurements == ()
    assert decoded.values["error_text"] == "no such record in the archive"


def test_device_info() -> None:
    rows = json.loads((Path(__file__).parents[2] / "vectors" / "meter_payloads.json").read_text())["vectors"]
    sample = next(row for row in rows if row["id"] == "karat-devinfo-0100")
    decoded = karat(bytes.fromhex(sample["hex"]))
    expected = {name: value for name, value in sample["expected"].items() if name != "func"}
    assert {name: decoded.values[name] for name in expected} == expected
    assert decoded.battery_pct == 87


@pytest.mark.parametrize(
    ("data", "offset", "words"),
    [
        ("", 0, "too few"),
        ("8402", 2, "too few"),
        ("84020f0001081200990d00", 11, "has 12"),
        ("84020f0001081200990d000000", 12, "has 12"),
        ("85020f806b232d000087d612000000", 15, "has 17"),
        ("99990f0001081200990d0000", 0, "0x1999"),
        ("8402040001081200990d0000", 2, "archive type is 4"),
        ("84020f1801081200990d0000", 3, "hour is 24"),
        ("84020f0020081200990d0000", 4, "day is 32"),
        ("84020f00010d1200990d0000", 5, "month is 13"),
        ("84020f0001086400990d0000", 6, "year is 100"),
        ("84020f001e021200990d0000", 4, "no day 30"),
    ],
)
def test_garbage_says_what_and_where(data: str, offset: int, words: str) -> None:
    with pytest.raises(CodecError, match=words) as caught:
        karat(bytes.fromhex(data))
    assert caught.value.offset == offset


@given(st.binary(max_size=60), st.integers(0, 255))
def test_any_bytes_give_a_value_or_a_codec_error(data: bytes, f_port: int) -> None:
    with contextlib.suppress(CodecError):
        karat(data, f_port)


@given(
    st.sampled_from([0x0284, 0x0285]),
    st.binary(min_size=15, max_size=15),
    st.integers(0, 7),
)
def test_any_body_behind_a_right_head(packet: int, body: bytes, subsystem: int) -> None:
    length = 12 if packet == 0x0284 else 17
    with contextlib.suppress(CodecError):
        karat(struct.pack("<H", packet | subsystem << 13) + body[: length - 2])


@given(st.integers(0, 0xFFFFFFFE), st.integers(1, 0xFFFFFFFE), st.integers(0, 0xFFFF))
def test_every_value_of_protocol_2_0_is_exact(raw: int, seconds: int, flags: int) -> None:
    decoded = karat(struct.pack("<HBIHII", 0x0285, 14, seconds, flags, raw, 0))
    assert decoded.measurements[0].value * 10_000 == raw
    assert decoded.measurements[0].at == EPOCH + timedelta(seconds=seconds)
    assert len(decoded.flags) == flags.bit_count()
