"""Vega SI-11, both revisions: github.com/VegaAbsolute/IoTVegaParser at 5f262340, chirpstack/devices/si11."""

# ruff: noqa: DTZ001 (device clocks have no zone)

from __future__ import annotations

import contextlib
import json
import struct
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appserver.codecs import CODECS, CodecError, decode, names

SAMPLE = next(
    row
    for row in json.loads((Path(__file__).parents[2] / "vectors" / "meter_payloads.json").read_text())["vectors"]
    if row["id"] == "vega-si11-v1"
)
AT = 1_533_081_600  # 2018-08-01T00:00:00Z


def r1(data: bytes, f_port: int = 2):
    return decode("vega-si-11", f_port, data, 0)


def r2(data: bytes, f_port: int = 2):
    return decode("vega-si-11-r2", f_port, data, 0)


def test_sample_of_revision_1() -> None:
    decoded, expected = r1(bytes.fromhex(SAMPLE["hex"]), SAMPLE["fport"]), SAMPLE["expected"]
    assert decoded.battery_pct == expected["chargePercent"]
    assert decoded.temperature_c == expected["temperature"]
    assert decoded.clock == datetime(2018, 8, 1)
    assert [m.value for m in decoded.measurements] == [expected[f"input{i}"] for i in (1, 2, 3, 4)]
    assert {(m.unit, m.at, m.archive) for m in decoded.measurements} == {("imp", datetime(2018, 8, 1), False)}
    assert decoded.values["period_min"] == expected["currentSettings"]["connectPeriodMin"]
    assert decoded.values["activation"] == expected["currentSettings"]["typeActivation"]
    assert decoded.values["inputs"] == [expected["currentSettings"][f"typeInput{i}"] for i in (1, 2, 3, 4)]


def test_revision_2() -> None:
    decoded = r2(struct.pack("<BBIb4IB", 0, 97, AT, -7, 1, 2, 3, 4_000_000_000, 0x05))
    assert [m.value for m in decoded.measurements] == [1, 2, 3, 4_000_000_000]
    assert [m.channel for m in decoded.measurements] == [1, 2, 3, 4]
    assert (decoded.battery_pct, decoded.temperature_c, decoded.clock) == (97, -7, datetime(2018, 8, 1))
    assert (decoded.values["activation"], decoded.values["period_min"]) == ("ABP", 30)
    assert decoded.flags == ()


def test_guarded_inputs_are_contacts_not_counters() -> None:
    decoded = r1(struct.pack("<BBBIb4I", 1, 50, 0x30, AT, 0, 1, 0, 77, 88))
    assert [(m.channel, m.value) for m in decoded.measurements] == [(3, Decimal(77)), (4, Decimal(88))]
    assert decoded.flags == ("input1_closed",)


def test_alarm_of_each_revision() -> None:
    assert r1(struct.pack("<BBBBI4I", 2, 50, 0x20, 2, AT, 5, 1, 0, 0)).flags == ("input2_closed", "input2_alarm")
    assert r2(struct.pack("<BBIb4IB", 3, 50, AT, 0, 0, 0, 0, 0, 0x40)).flags == ("input3_alarm",)


@pytest.mark.parametrize(
    ("code", "minutes"), [(0, 5), (1, 360), (2, 30), (4, 15), (5, 720), (6, 60), (7, 1440), (3, None)]
)
def test_connection_period(code: int, minutes: int | None) -> None:
    assert r1(struct.pack("<BBBIb4I", 1, 50, code << 1, AT, 0, 0, 0, 0, 0)).values["period_min"] == minutes


def test_no_value_and_no_time() -> None:
    decoded = r1(struct.pack("<BBBIb4I", 1, 255, 0, 0, 0, 0xFFFFFFFF, 5, 5, 5))
    assert [m.channel for m in decoded.measurements] == [2, 3, 4]
    assert all(m.at is None for m in decoded.measurements)
    assert decoded.battery_pct is None


def test_clock_and_settings_ports() -> None:
    assert r1(bytes.fromhex("ff840e2362"), 4).clock == datetime(2022, 3, 5, 7, 17, 24)
    settings = r1(bytes.fromhex("0004000102080001013100010110000102370002b400"), 3).values["settings"]
    assert settings == {
        "confirmed_uplinks": 2,
        "uplink_repetitions": 1,
        "collection_period": 1,
        "communication_period": 2,
        "time_zone_min": 180,
    }
    assert r1(bytes.fromhex("00370002d4fe"), 3).values["settings"] == {"time_zone_min": -300}


@pytest.mark.parametrize(
    ("read", "f_port", "data", "offset"),
    [
        (r1, 2, "", 0),
        (r1, 2, "07" + "00" * 23, 0),
        (r1, 2, "01" + "00" * 22, 23),
        (r1, 2, "01" + "00" * 24, 24),
        (r1, 2, "02000009" + "00" * 20, 3),
        (r2, 2, "05" + "00" * 23, 0),
        (r2, 2, "00" * 20, 20),
        (r1, 4, "00", 0),
        (r1, 4, "ff00", 2),
        (r1, 3, "01", 0),
        (r1, 3, "00040002", 1),
        (r1, 7, "00", None),
    ],
)
def test_garbage_says_what_and_where(read, f_port: int, data: str, offset: int | None) -> None:
    with pytest.raises(CodecError) as caught:
        read(bytes.fromhex(data), f_port)
    assert caught.value.offset == offset


@given(st.sampled_from(sorted(CODECS)), st.binary(max_size=60), st.integers(1, 255))
def test_any_bytes_give_a_value_or_a_codec_error(codec: str, data: bytes, f_port: int) -> None:
    with contextlib.suppress(CodecError):
        decode(codec, f_port, data, 0)


def test_table_of_codecs() -> None:
    assert {"karat", "vega-si-11", "vega-si-11-r2"} <= set(names())
    assert all(codec.version >= 1 and codec.clock in ("local", "utc") for codec in CODECS.values())
    for codec, f_port, words in (
        ("none", 2, "no codec 'none'"),
        ("", 2, "profile has no codec"),
        ("karat", None, "no port"),
    ):
        with pytest.raises(CodecError, match=words):
            decode(codec, f_port, b"\x01", 0)
