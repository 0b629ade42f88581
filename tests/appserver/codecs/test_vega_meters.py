"""Vega modules beside the SI-11: github.com/VegaAbsolute/IoTVegaParser at 5f262340, chirpstack/devices; the samples
are frames of the maker's documentation, or run through the maker's decoder."""

# ruff: noqa: DTZ001 (device clocks have no zone)

from __future__ import annotations

import contextlib
import json
import struct
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appserver.codecs import CodecError, decode

ROWS = {
    row["id"]: row
    for row in json.loads((Path(__file__).parents[2] / "vectors" / "meter_payloads.json").read_text())["vectors"]
}
CODECS = {
    "vega-gm2-real": "vega-gm-2",
    "vega-si22-real": "vega-si-22",
    "vega-td11-real": "vega-td-11",
    "vega-tp11-real": "vega-tp-11",
    "vega-tl11-real": "vega-tl-11",
    "vega-si12-real": "vega-si-12",
    "vega-si12r-real": "vega-si-12",
    "vega-mbus1-heat": "vega-m-bus-1",
    "vega-mbus1-transparent-0": "vega-m-bus-1",
    "vega-si23-electric": "vega-si-23",
}
NAMES = {
    "temperature": "temperature_c",
    "lowTemperature": "low_temperature_c",
    "highTemperature": "high_temperature_c",
    "consumption": "volume_m3",
    "initialConsumption": "initial_volume_m3",
    "current": "current_ma",
    "lowLimit": "low_limit_ma",
    "highLimit": "high_limit_ma",
    "internalTemperature": "internal_temperature_c",
    "externalTemperature": "external_temperature_c",
    "serial": "meter_serial",
    "serialNumber": "meter_serial",
    "meterType": "meter",
    "energyConsumedWh": "energy_wh",
    "totalVolumeCoolantL": "volume_l",
    "operatingTimeH": "operating_time_h",
    "temperatureFlow": "supply_temperature_c",
    "temperatureReturnLine": "return_temperature_c",
    "currentFlowCoolantLH16": "flow16_l_h",
    "currentFlowCoolantLH32": "flow32_l_h",
    "powerW": "power_w",
    "environment": "medium",
    **{f"tariff{i}Reading": f"tariff{i}_kwh" for i in (1, 2, 3, 4)},
    **{f"input{i}State": f"input{i}" for i in (1, 2, 3, 4)},
    "sizeData": "size",
    "numPackage": "fragment",
    "countPackage": "fragments",
}
AT = 1_710_000_000
CLOCK = datetime(2024, 3, 9, 16)


def sample(name: str):
    row = ROWS[name]
    return decode(CODECS[name], row["fport"], bytes.fromhex(row["hex"]), 0), row["expected"]


def same(ours: object, theirs: object) -> bool:
    if isinstance(theirs, str):
        return ours == theirs
    return Decimal(str(ours)) == Decimal(str(theirs))


@pytest.mark.parametrize("name", CODECS)
def test_sample(name: str) -> None:
    decoded, expected = sample(name)
    if "time" in expected:
        assert decoded.clock == datetime.fromtimestamp(expected["time"], UTC).replace(tzinfo=None)
    if "chargePercent" in expected:
        assert decoded.battery_pct == expected["chargePercent"]
    compared = 0
    for theirs, ours in NAMES.items():
        if theirs in expected and expected[theirs] not in (-100, "unlocking"):
            assert same(decoded.values[ours], expected[theirs]), theirs
            compared += 1
    assert compared


def test_si12_has_its_own_periods() -> None:
    for name in ("vega-si12-real", "vega-si12r-real"):
        decoded, expected = sample(name)
        settings = expected["currentSettings"]
        assert decoded.values["period_min"] == settings["connectPeriodMin"]
        assert decoded.values["inputs"] == [settings[f"input{i}Mode"] for i in (1, 2, 3, 4)]
    assert [m.channel for m in sample("vega-si12-real")[0].measurements] == [2, 3, 4]


def test_si12_power_output_and_inputs() -> None:
    power = decode("vega-si-12", 2, struct.pack("<BBBBI", 4, 80, 0, 1, AT), 0)
    assert (power.values["external_power"], power.clock, power.battery_pct) == (True, CLOCK, 80)
    output = decode("vega-si-12", 2, struct.pack("<BBBBBI", 5, 80, 0, 2, 1, AT), 0)
    assert (output.values["output"], output.values["output_closed"]) == (2, True)
    inputs = decode("vega-si-12", 2, struct.pack("<BIHH4IB", 6, AT, 0b10, 1, 5, 6, 0xFFFFFFFF, 8, 0), 0)
    assert [(m.channel, m.value) for m in inputs.measurements] == [(1, 5), (4, 8)]


def test_td11_without_its_sensor_has_no_temperature() -> None:
    decoded, expected = sample("vega-td11-real")
    assert expected["temperature"] == -100
    assert (decoded.temperature_c, decoded.values["temperature_c"]) == (None, None)
    assert decoded.flags == ("temperature_sensor_missing", "temperature_out_of_range", "input_closed", "case_opened")


def test_flags_of_the_sensors() -> None:
    assert sample("vega-gm2-real")[0].flags == ("case_opened",)
    assert sample("vega-tp11-real")[0].flags == ()
    assert sample("vega-tl11-real")[0].flags == ("case_opened",)
    assert sample("vega-si22-real")[0].flags == ()


def test_gas_is_the_register() -> None:
    decoded, _ = sample("vega-gm2-real")
    assert [(m.value, m.unit) for m in decoded.measurements] == [(Decimal("1937.62"), "m3")]


def test_si23_electricity_register_is_the_sum_of_its_tariffs() -> None:
    decoded, _ = sample("vega-si23-electric")
    found = {m.variant: m.value for m in decoded.measurements}
    assert found[""] == Decimal("1888.88")
    assert found["tariff1"] == Decimal("1234.56")
    partial = struct.pack("<BBIBI4I", 7, 2, 1, 1, AT, 100, 0xFFFFFFFF, 0, 0)
    assert "" not in {m.variant for m in decode("vega-si-23", 2, partial, 0).measurements}


def test_si23_failed_poll_has_no_reading() -> None:
    decoded = decode("vega-si-23", 2, struct.pack("<BBIBI4I", 7, 2, 1, 0, AT, 0, 0, 0, 0), 0)
    assert (decoded.measurements, decoded.flags) == ((), ("meter_silent",))
    for reason, flags in ((9, ("meter_silent",)), (11, ())):
        assert decode("vega-si-23", 2, struct.pack("<BBBI", reason, 1, 6, 77), 0).flags == flags


def test_si23_heat_names_its_medium() -> None:
    """The maker's own decoder stops at this packet with a ReferenceError (parseEnvironment reads a name that is not there)."""
    data = struct.pack("<BBIIQIIHHhIIB", 8, 6, 123, AT, 12345, 678, 90, 8650, 0xFFFF, 12, 13, 14, 4)
    values = decode("vega-si-23", 2, data, 0).values
    assert (values["meter"], values["medium"], values["energy"]) == ("Пульсар", "heat", "1234.5")
    assert (values["supply_temperature_c"], values["return_temperature_c"]) == ("86.50", None)


def test_si23_phases_and_state() -> None:
    phases = struct.pack("<BBIBI14h", 17, 4, 1, 1, AT, 23000, 0, 0, -1500, 0, 0, 10, 10, 0, 0, 0, 0, 0, 5001)
    values = decode("vega-si-23", 2, phases, 0).values
    assert (values["voltage_a_v"], values["current_a_a"], values["frequency_hz"]) == ("230.00", "-1.500", "50.01")
    state = decode("vega-si-23", 2, struct.pack("<BIbIIBB", 30, AT, -5, 7, 8, 0b01110001, 66), 0)
    assert (state.values["interface"], state.values["period_min"], state.battery_pct) == ("metering", 1440, 66)
    assert [m.value for m in state.measurements] == [7, 8]


def test_si23_fragments() -> None:
    for data, seconds in (
        (struct.pack("<BIBHBBB3s", 5, AT, 1, 30, 3, 0, 10, b"abc"), True),
        (struct.pack("<BBHBBB3s", 13, 1, 30, 3, 0, 10, b"abc"), False),
        (struct.pack("<BIBHBBBH3s", 6, AT, 1, 30, 3, 0, 10, 40, b"abc"), True),
        (struct.pack("<BBHBBBH3s", 4, 1, 30, 3, 0, 10, 40, b"abc"), False),
    ):
        decoded = decode("vega-si-23", 2, data, 0)
        assert (decoded.values["data"], decoded.values["size"], decoded.clock is not None) == ("616263", 30, seconds)
        with pytest.raises(CodecError, match="says it has 3 bytes"):
            decode("vega-si-23", 2, data + b"d", 0)


def test_mbus_heat_is_in_gcal() -> None:
    """12 500 kWh are 10.748 Gcal; 1 Gcal = 1163 kWh."""
    decoded, _ = sample("vega-mbus1-heat")
    assert [(m.unit, m.value) for m in decoded.measurements] == [("Gcal", Decimal("10.748065"))]
    assert decoded.values["period_min"] == 360


@pytest.mark.parametrize(
    ("medium", "register"),
    [
        (2, ("kWh", Decimal(2))),
        (7, ("m3", Decimal("0.003"))),
        (0x16, ("m3", Decimal("0.003"))),
        (0, None),
        (0x42, None),
    ],
)
def test_mbus_register_is_that_of_its_medium(medium: int, register: tuple[str, Decimal] | None) -> None:
    data = struct.pack("<BBB5I3HIIB", 1, 90, 0, 5, AT, 2000, 3, 1, 0, 0, 0, 0, 70_000, medium)
    decoded = decode("vega-m-bus-2", 2, data, 0)
    assert [(m.unit, m.value) for m in decoded.measurements] == ([register] if register else [])
    assert decoded.values["power_w"] == "70000"


def test_mbus_fragment_and_alarms() -> None:
    decoded, expected = sample("vega-mbus1-transparent-0")
    assert decoded.values["data"] == bytes(expected["data"]).hex()
    alarm = decode("vega-m-bus-1", 2, bytes((5, 90, 0, 2, 0, 1)), 0)
    assert alarm.flags == ("input2_closed", "input2_alarm")
    assert decode("vega-m-bus-1", 2, bytes((4, 90, 0, 1)), 0).values["external_power"] is True
    with pytest.raises(CodecError, match="known are 1, 3"):
        decode("vega-m-bus-2", 2, bytes((4, 90, 0, 1)), 0)


@pytest.mark.parametrize("codec", sorted(set(CODECS.values())))
def test_clock_settings_and_other_ports(codec: str) -> None:
    assert decode(codec, 4, bytes.fromhex("ff840e2362"), 0).clock == datetime(2022, 3, 5, 7, 17, 24)
    assert decode(codec, 3, bytes.fromhex("00370002b400"), 0).values["settings"] == {"time_zone_min": 180}
    with pytest.raises(CodecError, match="port 7"):
        decode(codec, 7, b"\1", 0)
    with pytest.raises(CodecError):
        decode(codec, 2, b"", 0)


@pytest.mark.parametrize("codec", sorted(set(CODECS.values())))
@given(data=st.data())
def test_any_body_of_any_known_length(codec: str, data: st.DataObject) -> None:
    length = data.draw(st.sampled_from((2, 4, 5, 6, 7, 8, 9, 10, 13, 16, 21, 24, 26, 27, 38, 39, 41)))
    kind = data.draw(st.integers(0, 31))
    with contextlib.suppress(CodecError):
        decode(codec, 2, bytes((kind,)) + data.draw(st.binary(min_size=length - 1, max_size=length - 1)), 0)
