"""The codecs of one short packet each, beyond the samples of the vectors: what public layouts say besides them."""

# ruff: noqa: DTZ001 (device clocks have no zone)

from __future__ import annotations

import contextlib
import struct
from datetime import datetime
from decimal import Decimal
from functools import reduce
from operator import xor

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from appserver.codecs import CODECS, CodecError, decode
from appserver.codecs.base import Codec

RECEIVED_US = 1_546_346_096_000_000
"""2019-01-01T12:34:56Z."""


def read(codec: str, text: str, port: int = 1):
    return decode(codec, port, bytes.fromhex(text), RECEIVED_US)


def registers(decoded) -> list[tuple[int, str, Decimal, str]]:
    return [(m.channel, m.variant, m.value, m.unit) for m in decoded.measurements]


@pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS)
@given(port=st.integers(1, 223), data=st.binary(max_size=64), received_at_us=st.integers(0, 2**61))
@example(port=2, data=b"", received_at_us=0)
def test_garbage_raises_codec_errors_only(codec: Codec, port: int, data: bytes, received_at_us: int) -> None:
    with contextlib.suppress(CodecError):
        codec.decode(port, data, received_at_us)


def test_gwf_units_of_both_protocols_and_its_errors() -> None:
    def packet(protocol: int, state: int, vif: int, functions: int = 0) -> str:
        return f"{protocol:02x}e61e1307162007{state:02x}c801{vif:02x}f8030000{functions:02x}e87473"

    assert registers(read("gwf", packet(2, 0, 0x17)))[0][2] == 10160
    assert registers(read("gwf", packet(2, 0, 0x14)))[0][2] == Decimal("10.16")
    assert read("gwf", packet(2, 0x34, 0x13, 0b1000_1000)).flags == (
        "burst",
        "no_usage",
        "low_battery",
        "communication_error1",
    )
    failed = read("gwf", packet(1, 0x70, 0x13))
    assert (failed.measurements, failed.values["volume_m3"]) == ((), None)
    assert failed.flags == ("communication_error", "no_communication", "broken_communication")
    for vif in (0xAA, 0x10, 0x17):
        with pytest.raises(CodecError, match="unit of the volume"):
            read("gwf", packet(1, 0, vif))


def test_zenner_types_and_codings() -> None:
    assert registers(read("zenner-water", "5100010000e8030000abcd")) == [
        (1, "", Decimal("0.256"), "m3"),
        (2, "", Decimal("1.000"), "m3"),
    ]
    assert registers(read("zenner-water", "1000012345")) == [(1, "", Decimal("12.345"), "m3")]
    past = read("zenner-water", "2111222c000000")
    assert (past.measurements, past.values["volume1_m3"]) == ((), "0.044")
    assert registers(read("zenner-water", "11ffffffff")) == []
    with pytest.raises(CodecError, match=r"9\.1"):
        read("zenner-water", "9132015624000000000000")


def test_iwm_grows_its_unit_instead_of_rolling_over() -> None:
    litres = read("bmeters-iwm", "44742001003401000000001302")
    assert registers(litres) == [(1, "", Decimal("12.074"), "m3"), (1, "reverse", Decimal("0.134"), "m3")]
    assert litres.flags == ("module_removed",)
    tens = read("bmeters-iwm", "44000000100000000000011400aabb")
    assert registers(tens)[0][2] == Decimal(100_000)
    assert (tens.values["medium"], tens.values["temperature"]) == ("hot_water", "aabb")
    assert registers(read("bmeters-iwm", "44740a01003401000000001300"))[0][1] == "reverse"  # no BCD: no value
    with pytest.raises(CodecError, match="0x2c"):
        read("bmeters-iwm", "44742001003401000000002c02")


def test_nas_analog_inputs_and_the_meter_on_its_bus() -> None:
    told = read("nas-um30x3", "0FF61A4B120100000010C40900004039C160404140C9D740", 24)
    assert registers(told) == [(1, "", Decimal(1), "imp"), (2, "", Decimal(2500), "imp")]
    assert (told.values["analog1_now"], told.values["analog1_mode"]) == ("3.51179", "0-10V")
    assert (told.values["analog2_now"], told.values["analog2_mode"]) == ("6.74332", "4-20mA")
    bus = "63F51B36100000000010000000000000" + "0B2D4700009B102D5800000C0616160000046D0A0E5727"
    told = read("nas-um30x3", bus, 24)
    assert registers(told)[2:] == [(3, "", Decimal(1616), "kWh")]
    assert (told.values["mbus_state"], told.values["user_triggered"]) == ("ok", True)
    assert read("nas-um30x3", "00010203040a0b0c0401", 99).values["reset"] == "software"
    assert read("nas-um30x3", "013100", 99).values["reason"] == "magnet"
    with pytest.raises(CodecError, match="left over"):
        read("nas-um30x3", "03500000000020060000000000", 25)


def test_adeunis_alarms_and_the_older_device_without_time() -> None:
    keep_alive = read("adeunis-pulse", "30a4" + "15" + "0064" + "0032" + "0001" + "0000" + "14aba3e9")
    assert keep_alive.flags == ("flow_a", "tamper_a", "leak_a")
    assert (keep_alive.clock, keep_alive.values["max_flow_a"]) == (datetime(2023, 12, 28, 19, 22, 17), 100)
    old = read("adeunis-pulse", "46e40000241200000001")
    assert (old.clock, registers(old)) == (None, [(1, "", 9234, "imp"), (2, "", 1, "imp")])
    stamped = read("adeunis-pulse", "46040000241200000001" + "14aba3e9")
    assert stamped.measurements[0].at == datetime(2023, 12, 28, 19, 22, 17)
    assert registers(read("adeunis-pulse", "5b00000001270001"))[0][0] == 2
    assert read("adeunis-pulse", "200001" + "01").values["activation"] == "OTAA"
    assert read("adeunis-pulse", "3300020140").values == {
        "frame": "0x33",
        "frame_counter": 0,
        "configured": False,
        "device_time": None,
        "result": "no_change",
        "register": 320,
        "flags": [],
    }
    with pytest.raises(CodecError, match="larger than the counter"):
        read("adeunis-pulse", "5a00000000010002")


def test_milesight_sensor_faults_unknown_values_and_modbus() -> None:
    assert read("milesight-ct101", "0498ffff0967fdff").flags == ("current_a_sensor_fault", "temperature_c_sensor_fault")
    assert read("milesight-ct101", "0967e7ff").temperature_c == -2
    assert read("milesight-em500-pp", "20ce9e7446630a00").values["history"] == [
        {"time": "2022-10-12T08:02:38", "pressure_kpa": 10}
    ]
    later = read("milesight-uc300", "03c80a000000990102")
    assert (later.values["unread"], len(later.measurements)) == ("990102", 1)
    assert read("milesight-uc300", "ff190004050000c03f").values == {"modbus_1": "1.5"}
    assert read("milesight-uc300", "ff19020183ffff").values == {"modbus_3": -1}
    with pytest.raises(CodecError, match="99 01"):
        read("milesight-uc300", "990102")
    with pytest.raises(CodecError, match="cut off"):
        read("milesight-uc300", "03c80a")
    assert read("milesight-em300-di", "05e10a0064000000c03f").values["water"] == "1.5"


def jooby(text: str) -> str:
    data = bytes.fromhex(text)
    return (data + bytes((reduce(xor, data, 0x55),))).hex()


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("262f978000007a31", [(1, 122, datetime(2023, 12, 23))]),
        ("482f978c0000a3800a00", [(1, 163, datetime(2023, 12, 23, 12))]),
        ("07048000015681", [(1, 342, None)]),
        ("1f0f040864d602f9", [(4, 342, None)]),
        ("1f0a0a2e6a0c0164b9f3148001b8", [(1, 342457, datetime(2023, 3, 10, 12))]),
        (
            "1b132efb0f027bd902c703fa06ce029c03dd01920606",
            [
                (channel, value, datetime(2023, 7, 27 + day))
                for channel, values in enumerate(((123, 345), (455, 890), (334, 412), (221, 786)), 1)
                for day, value in enumerate(values)
            ],
        ),
        (
            "1a0d2f970c0f83010a080a080a0c0a77",
            [(n, value, datetime(2023, 12, 23, 12)) for n, value in enumerate((131, 8, 8, 12), 1)],
        ),
    ],
)
def test_jooby_commands_as_the_maker_shows_them(message: str, expected: list[tuple[int, int, datetime | None]]) -> None:
    decoded = read("jooby-pulse", message)
    assert [(m.channel, m.value, m.at) for m in decoded.measurements] == expected


def test_jooby_several_commands_status_time_and_checksum() -> None:
    both = read("jooby-pulse", jooby("16042f970105" + "6330b101"))
    assert registers(both) == [(1, "", Decimal(5), "imp")]
    assert both.flags == ("low_battery", "input1_inactive", "input2_inactive", "input4_inactive")
    assert read("jooby-gas", jooby("0905012bbd98ad")).clock == datetime(2023, 4, 3, 14, 1, 17)
    assert read("jooby-gas", jooby("1f31020102")).values["commands"] == [{"command": "1f31", "data": "0102"}]
    assert read("jooby-pulse", jooby("1604000001" + "05")).measurements == ()  # no date: not a reading of now
    with pytest.raises(CodecError, match="checksum"):
        read("jooby-gas", "6220091f")
    with pytest.raises(CodecError, match="cannot be of 2 channels"):
        read("jooby-pulse", jooby("16062f9703050607"))


def test_cayenne_lpp() -> None:
    told = read(
        "cayenne-lpp",
        "03670110" + "05830001e240" + "0168 51".replace(" ", "") + "0188 06765f f2960a 0003e8".replace(" ", ""),
    )
    assert registers(told) == [(5, "", Decimal("123.456"), "kWh")]
    assert told.temperature_c == 27
    assert told.values == {
        "temperature_c_3": "27.2",
        "energy_kwh_5": "123.456",
        "humidity_pct_1": "40.5",
        "gps_1": ["42.3519", "-87.9094", "10.00"],
    }
    with pytest.raises(CodecError, match="data type 99"):
        read("cayenne-lpp", "0163ff")


def test_vega_si13_readings_alarms_and_what_its_bus_says() -> None:
    head = struct.pack("<BIbIII", 0, 1_710_000_000, -5, 12, 0xFFFFFFFF, 0)
    told = decode("vega-si-13", 2, head, 0)
    assert registers(told) == [(1, "", Decimal(12), "imp")]
    assert (told.clock, told.temperature_c) == (datetime(2024, 3, 9, 16), -5)
    assert decode("vega-si-13", 2, b"\xfd" + head[1:], 0).flags == ("input2_alarm",)
    assert decode("vega-si-13", 2, b"\x03" + head[1:], 0).values["reason"] == "logic3"
    part = decode("vega-si-13", 2, bytes.fromhex("030a0004000268f7f768"), 0)
    assert (part.values["size"], part.values["fragments"], part.values["data"]) == (10, 2, "68f7f768")


def test_vega_sh2_reads_every_sensor_at_its_own_place() -> None:
    standard = struct.pack("<BBIBbIIHH", 10, 1, 1_710_000_000, 90, -3, 7, 8, 120, 0xFFFF)
    wires = bytes((12, 4)) + struct.pack("<HH", 0 << 11 | 825, 3 << 11 | 590)
    told = decode("vega-sh-2", 2, standard + wires + bytes.fromhex("0d03 32 0102".replace(" ", "")), 0)
    assert registers(told) == [(1, "", Decimal(7), "imp"), (2, "", Decimal(8), "imp")]
    assert (told.battery_pct, told.temperature_c, told.values["voltage2"]) == (90, -3, None)
    assert told.values["sensors"] == [
        {"number": 0, "temperature_c": "22.5"},
        {"number": 3, "temperature_c": "-1.0"},
    ]
    assert told.values["modbus"] == [{"function": 3, "data": "0102"}]
    info = struct.pack("<BB16s16sIHHHBI", 195, 1, b"Vega", b"SH-2", 0, 1, 2, 3, 88, 9)
    assert decode("vega-sh-2", 195, info, 0).values["model"] == "SH-2"
    with pytest.raises(CodecError, match="cut off"):
        decode("vega-sh-2", 2, standard[:-1], 0)


def test_holley_without_a_register() -> None:
    told = read("holley-dtz541", "11" + "ff" * 5 + "00000025bd" + "00" * 32 + "0010020400c4c73d")
    assert [(variant, value) for _, variant, value, _ in registers(told)] == [
        ("tariff1", Decimal("0.9661")),
        ("tariff2", Decimal(0)),
        ("reverse", Decimal(0)),
    ]


def test_karat_info_in_words() -> None:
    told = read("karat", "00011434c8160105019e036057000000000000000000000000000200", 5)
    assert (told.values["protocol"], told.values["archives"], told.values["connection"]) == (
        "2.0",
        ["hour_integral", "day_integral"],
        ["scheduled"],
    )
    coded = {0x18: "1.8", 0x19: "1.9", 0x1A: "2.0", 20: "2.0", 18: "1.8"}
    for byte, protocol in coded.items():
        text = f"0001{byte:02x}34c8160105019e036057000000000000000000000000000200"
        assert read("karat-meter", text, 5).values["protocol"] == protocol
