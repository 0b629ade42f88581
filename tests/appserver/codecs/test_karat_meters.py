"""KARAT meters behind a radio module: the published layouts (github.com/ws-lab/karat-proto at 4515b7a,
migrations/0002_set_value.up.sql) and the samples made from them, one of which is a real frame."""

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

from appserver.codecs import CodecError, decode

ROWS = json.loads((Path(__file__).parents[2] / "vectors" / "meter_payloads.json").read_text())["vectors"]
SAMPLES = {row["id"]: row for row in ROWS if row["id"].startswith(("karat-213", "karat-30x", "karat-el"))}
WORDS_213 = {
    "ALARM Gvtp mass not computable": "mass_not_computable",
    "ALARM no water": "no_water",
    "NS Vmin": "flow_low",
    "bit6": "bit6",
    "ALARM Tdt < 3K": "temperature_difference_low_error",
    "dT < 3K": "temperature_difference_low",
    "ALARM heat not computable": "heat_not_computable",
}
NOT_FIELDS = ("func", "proto", "subsystem", "archive", "time_device_local", "flags")
LENGTHS = {
    code: length
    for length, codes in {
        27: (611, 805, 811),
        35: (605, 610, 810),
        40: (902,),
        43: (612, 613, 812, 813, 900),
        47: (604, 607, 608, 609, 800, 804, 807, 808),
        51: (600, 601, 602, 603, 606, 622, 801, 806, 809, 822, 823),
    }.items()
    for code in codes
}


def karat(data: bytes):
    return decode("karat-meter", 5, data, 0)


def registers(decoded) -> dict[tuple[int, str, str], Decimal]:
    return {(m.channel, m.unit, m.variant): m.value for m in decoded.measurements}


def test_all_samples_are_here() -> None:
    assert len(SAMPLES) == 6


@pytest.mark.parametrize("name", SAMPLES)
def test_sample(name: str) -> None:
    sample = SAMPLES[name]
    expected = sample["expected"]
    decoded = karat(bytes.fromhex(sample["hex"]))
    values = decoded.values
    assert (values["packet"], values["protocol"]) == (expected["func"], expected["proto"])
    assert (values["subsystem"], values["archive"]) == (expected["subsystem"], expected["archive"])
    assert values["device_time"] == expected["time_device_local"]
    for field, value in expected.items():
        if field not in NOT_FIELDS:
            # single precision has seven digits
            assert abs(Decimal(values[field]) - Decimal(str(value))) <= max(abs(Decimal(str(value))), 1) / 10**6, field
    assert decoded.flags == (
        tuple(WORDS_213.get(flag, flag) for flag in expected["flags"]) if "flags" in expected else None
    )


def test_real_compact_213_has_heat_and_three_water_inputs() -> None:
    decoded = karat(bytes.fromhex(SAMPLES["karat-213-v18-real"]["hex"]))
    assert registers(decoded) == {
        (1, "Gcal", ""): Decimal("0.338757"),
        (11, "m3", ""): Decimal("0.001"),
        (12, "m3", ""): Decimal("0.007"),
        (13, "m3", ""): Decimal("0.035"),
    }
    assert {m.at for m in decoded.measurements} == {datetime(2020, 4, 14)}
    assert all(m.archive for m in decoded.measurements)


def test_intervals_are_not_the_register() -> None:
    decoded = karat(bytes.fromhex(SAMPLES["karat-30x-600-day-v18"]["hex"]))
    assert {variant for _, _, variant in registers(decoded)} == {
        "day_interval",
        "supply_day_interval",
        "return_day_interval",
    }


def test_both_halves_of_an_hour_have_one_moment_and_only_one_has_flags() -> None:
    first, second = (karat(bytes.fromhex(SAMPLES[f"karat-30x-{n}-hour"]["hex"])) for n in (800, 801))
    assert first.values["device_time"] == second.values["device_time"]
    assert (first.flags, second.flags, second.measurements) == ((), None, ())


def test_electricity_is_the_sum_of_its_tariffs() -> None:
    found = registers(karat(bytes.fromhex(SAMPLES["karat-el-900"]["hex"])))
    assert found[1, "kWh", ""] == sum(found[1, "kWh", f"tariff{i}"] for i in (1, 2, 3)) == Decimal("10234.567")


def test_half_hours_of_902_skip_the_byte_between_them() -> None:
    data = struct.pack("<HBI4Ix4I", 902, 16, 1000, 1, 2, 3, 4, 5, 6, 7, 0xFFFFFFFF)
    values = karat(data).values
    assert [values[f"{half}_E_plus_kwh"] for half in ("first", "second")] == ["0.001", "0.005"]
    assert values["second_R_minus_kvarh"] is None


@pytest.mark.parametrize("code", LENGTHS)
def test_every_packet_has_its_length_and_offset(code: int) -> None:
    """Zeros are values; one byte more or less is another packet."""
    stamp = bytes((1, 2, 3, 20)) if code < 700 else struct.pack("<I", 1000)
    data = struct.pack("<HB", code, 15) + stamp + bytes(LENGTHS[code] - 7)
    assert karat(data).values["packet"] == f"0x{code:04X}"
    for wrong in (data[:-1], data + b"\0"):
        with pytest.raises(CodecError, match=f"has {LENGTHS[code]}"):
            karat(wrong)


@pytest.mark.parametrize(
    ("code", "channel", "unit"), [(608, 34, "Gcal"), (808, 34, "Gcal"), (812, 35, "m3"), (800, 3, "Gcal")]
)
def test_second_circuit_and_cold_water_have_their_own_channels(code: int, channel: int, unit: str) -> None:
    stamp = bytes((1, 2, 3, 20)) if code < 700 else struct.pack("<I", 1000)
    decoded = karat(struct.pack("<HB", code | 2 << 13, 15) + stamp + bytes(LENGTHS[code] - 7))
    assert {(m.channel, m.unit) for m in decoded.measurements} == {(channel, unit)}


def test_sentinels_are_no_value() -> None:
    """A number that is none (NaN, infinity, all bits set) is no value, never zero."""
    for raw in (b"\xff" * 4, struct.pack("<f", float("inf")), struct.pack("<f", 1e30)):
        decoded = karat(struct.pack("<HBI", 804, 15, 1000) + raw * 8 + struct.pack("<Ii", 0, 0x7FFFFFFF))
        assert decoded.measurements == ()
        assert {decoded.values[name] for name in ("V1_m3", "dQ_gcal", "tA_h")} == {None}
    assert karat(struct.pack("<HBI", 900, 9, 1000) + b"\xff" * 36).measurements == ()


def test_minutes_and_tenths_of_minutes() -> None:
    old = struct.pack("<HB4B", 622, 15, 1, 2, 3, 20) + bytes(40) + struct.pack("<I", 600)
    new = struct.pack("<HBI", 822, 15, 1000) + bytes(40) + struct.pack("<I", 600)
    assert [karat(data).values["tA_h"] for data in (old, new)] == ["1.0000", "10.0000"]


@pytest.mark.parametrize(
    ("code", "bit", "flag"),
    [
        (800, 7, "mass_imbalance"),
        (800, 26, "heat_not_computable"),
        (800, 16, "pressure_low_error"),
        (823, 16, "heat_not_computable"),
        (823, 3, "no_water"),
        (823, 31, "bit31"),
    ],
)
def test_error_bits_differ_between_families(code: int, bit: int, flag: str) -> None:
    err_at = LENGTHS[code] - 8
    data = struct.pack("<HBI", code, 15, 1000) + bytes(err_at - 7) + struct.pack("<II", 1 << bit, 0)
    assert karat(data).flags == (flag,)


def test_device_info_and_error_are_those_of_the_module() -> None:
    sample = next(row for row in ROWS if row["id"] == "karat-devinfo-0100")
    assert karat(bytes.fromhex(sample["hex"])).values["node_serial"] == sample["expected"]["node_serial"]
    assert karat(struct.pack("<HH", 0x003A | 4 << 13, 0x0110)).values["error_text"] == "meter does not answer"


def test_settings_and_clock() -> None:
    data = struct.pack("<HHIbhHBB6H", 0x0101, 0b10, 1000, 20, 60, 240, 0b1000001, 2, 800, 801, 0, 0, 0, 0)
    decoded = karat(data)
    assert decoded.clock == datetime(2000, 3, 1, 0, 16, 40)
    assert (decoded.values["time_zone_min"], decoded.values["tx_period"]) == (300, 240)
    assert (decoded.values["archives"], decoded.values["events"]) == (["current", "day_integral"], ["scheduled"])
    assert decoded.values["messages"] == [800, 801, 0, 0, 0, 0]
    sample = next(row for row in ROWS if row["id"] == "karat-dl-time")
    assert karat(bytes.fromhex(sample["hex"])).values["delta_s"] == sample["expected"]["delta_s"]


def test_parameters_of_protocol_1_8() -> None:
    data = struct.pack("<HHI6Bii", 0x0014, 929, 77, 5, 4, 3, 2, 1, 20, 60, 14400)
    data += struct.pack(
        "<BH6sBhBB6HbB", 0x18, 307, bytes.fromhex("563412000000"), 1, -3, 2, 1, 600, 0, 0, 0, 0, 0, 20, 1
    )
    decoded = karat(data)
    assert decoded.clock == datetime(2020, 1, 2, 3, 4, 5)
    values = decoded.values
    assert (values["protocol"], values["meter_serial"], values["delta_nsn"]) == ("1.8", "000000123456", -3)
    with pytest.raises(CodecError, match="no such time"):
        karat(data[:8] + b"\x3c" + data[9:])


def test_radio_and_events() -> None:
    values = karat(struct.pack("<HB3sBBBB", 0x0021, 1, (8691000).to_bytes(3, "little"), 5, 3, 0, 0b10)).values
    assert (values["dn2_freq"], values["f_port"], values["flags"]) == (8691000, 5, ["unconfirmed"])
    values = karat(struct.pack("<HII", 0x0041, 4, 1000)).values
    assert (values["event_bits"], values["device_time"]) == (4, "2000-03-01T00:16:40")


@pytest.mark.parametrize(
    ("data", "offset"), [("", 0), ("2003", 2), ("84020f00", 0), ("9999" + "00" * 20, 0), ("200304" + "00" * 44, 2)]
)
def test_garbage_says_where(data: str, offset: int) -> None:
    with pytest.raises(CodecError) as caught:
        karat(bytes.fromhex(data))
    assert caught.value.offset == offset


@given(
    st.sampled_from([*LENGTHS.items(), (0x14, 50), (0x16, 4), (0x21, 10), (0x41, 10), (0x101, 27)]),
    st.integers(0, 7),
    st.binary(min_size=50, max_size=50),
)
def test_any_body_behind_a_right_head(packet: tuple[int, int], subsystem: int, body: bytes) -> None:
    code, length = packet
    with contextlib.suppress(CodecError):
        karat(struct.pack("<H", code | subsystem << 13) + body[: length - 2])
