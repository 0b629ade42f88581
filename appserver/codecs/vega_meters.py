"""Vega modules beside the SI-11 and the SI-23: pulse counters SI-12 and SI-22, sensors TD-11, TP-11 and TL-11, the gas
modem GM-2, and the heat meter modems M-BUS-1 and M-BUS-2.

Layout: github.com/VegaAbsolute/IoTVegaParser at 5f262340, chirpstack/devices (read, not copied). Little-endian; port 2
data, ports 3 and 4 as in all devices of the maker. Times are UTC.
"""

from __future__ import annotations

import struct
from decimal import Decimal
from typing import Any

from appserver.codecs.base import Decoded, Measurement
from appserver.codecs.vega import INPUTS, NO_VALUE, PERIODS_MIN, configuration, data_r1, expect_length, moment
from appserver.codecs.vega_parts import (
    HUNDREDTH,
    MEDIA,
    NO_SENSOR,
    NO_VALUE_U16,
    SI12_PERIODS_MIN,
    TENTH,
    codec,
    decoded,
    flags_set,
    fragment,
    inputs_of,
    packet_type,
    pulses,
    reason_of,
    scaled,
)

WH_PER_GCAL = 1_163_000
HEAT_MEDIA = (0x04, 0x0C, 0x0D)
VOLUME_MEDIA = (0x03, 0x06, 0x07, 0x16)

GM2_REASONS = ("time", "input1", "input2", "output1", "output2", "magnet", "case")
SI22_REASONS = ("time", "input1", "input2", "input3", "input4", "temperature")
TD11_REASONS = ("time", "input", "case", "hall1", "hall2", "temperature")
TP11_REASONS = ("time", "input1", "input2", "power", "limits", "request")


# ---------------------------------------------------------------------------------------------------- pulse counters


def _si12(data: bytes) -> Decoded:
    kind = packet_type(data, {1: 24, 2: 24, 4: 8, 5: 9, 6: 26})
    if kind in (1, 2):
        return data_r1(data, SI12_PERIODS_MIN)
    if kind == 6:
        seconds, modes, outputs, *inputs, power = struct.unpack_from("<IHH4IB", data, 1)
        counted = [NO_VALUE if modes >> i & 1 else value for i, value in enumerate(inputs)]
        values = {
            "type": "inputs",
            "inputs": ["guard" if modes >> i & 1 else "pulse" for i in range(INPUTS)],
            **inputs_of(inputs),
            "outputs": [bool(outputs >> i & 1) for i in range(2)],
            "external_power": power == 1,
        }
        return decoded(values, pulses(counted, seconds), seconds=seconds)
    battery, config = data[1], configuration(data[2], SI12_PERIODS_MIN)
    seconds = int.from_bytes(data[-4:], "little")
    if kind == 4:
        state: dict[str, Any] = {"type": "power", "external_power": data[3] == 1}
    else:
        state = {"type": "output", "output": data[3], "output_closed": data[4] == 1}
    return decoded({**state, **config}, seconds=seconds, battery=battery)


def _si22(data: bytes) -> Decoded:
    expect_length(data, 27)
    reason, battery, seconds, raw, *inputs, outside, low, high = struct.unpack("<BBIh4IBbb", data)
    temperature = scaled(raw, TENTH, NO_SENSOR)
    flags = flags_set({"temperature_sensor_missing": temperature is None, "temperature_out_of_range": outside})
    values = {
        "reason": reason_of(SI22_REASONS, reason, 0),
        "temperature_c": temperature,
        "low_temperature_c": low,
        "high_temperature_c": high,
        **inputs_of(inputs),
    }
    return decoded(
        values, pulses(inputs, seconds), seconds=seconds, battery=battery, temperature=temperature, flags=flags
    )


# ------------------------------------------------------------------------------------------------------------ sensors


def _td11(data: bytes) -> Decoded:
    packet_type(data, {1: 13})
    battery, outside, seconds, raw, low, high, reason, inputs = struct.unpack_from("<BBIhbbBB", data, 1)
    temperature = scaled(raw, TENTH, NO_SENSOR)
    flags = flags_set(
        {
            "temperature_sensor_missing": temperature is None,
            "temperature_out_of_range": outside,
            "input_closed": inputs & 1,
            "case_opened": inputs & 2,
            "hall_sensor1": not inputs & 4,
            "hall_sensor2": not inputs & 8,
        }
    )
    values = {
        "reason": reason_of(TD11_REASONS, reason, 11),
        "temperature_c": temperature,
        "low_temperature_c": low,
        "high_temperature_c": high,
    }
    return decoded(values, seconds=seconds, battery=battery, temperature=temperature, flags=flags)


def _tp11(data: bytes) -> Decoded:
    if packet_type(data, {1: 16, 5: 8}) == 5:
        battery, output, closed, seconds = struct.unpack_from("<BBBI", data, 1)
        values: dict[str, Any] = {"type": "output", "output": output, "output_closed": closed == 1}
        return decoded(values, seconds=seconds, battery=battery)
    battery, outside, seconds, temperature, low, high, reason, bits, current = struct.unpack_from("<BBIbHHBBH", data, 1)
    flags = flags_set(
        {
            "out_of_limits": outside,
            "external_power": bits & 1,
            "input1_closed": bits & 2,
            "input2_closed": bits & 4,
            "output1_closed": bits & 8,
            "output2_closed": bits & 16,
        }
    )
    values = {
        "type": "current",
        "reason": reason_of(TP11_REASONS, reason, 12),
        "temperature_c": temperature,
        "current_ma": scaled(current, HUNDREDTH, NO_VALUE_U16),
        "low_limit_ma": scaled(low, HUNDREDTH, NO_VALUE_U16),
        "high_limit_ma": scaled(high, HUNDREDTH, NO_VALUE_U16),
    }
    return decoded(values, seconds=seconds, battery=battery, temperature=temperature, flags=flags)


def _tl11(data: bytes) -> Decoded:
    expect_length(data, 10)
    battery, seconds, inside, outside, bits = struct.unpack("<BIhhB", data)
    values = {
        "reason": {0: "time", 1: "case"}.get(bits & 3, str(bits & 3)),
        "internal_temperature_c": (internal := scaled(inside, TENTH, NO_SENSOR)),
        "external_temperature_c": scaled(outside, TENTH, NO_SENSOR),
    }
    flags = flags_set({"case_opened": bits & 4, "temperature_sensor_missing": NO_SENSOR in (inside, outside)})
    return decoded(values, seconds=seconds, battery=battery, temperature=internal, flags=flags)


# ------------------------------------------------------------------------------------------------------ gas and M-Bus


def _gm2(data: bytes) -> Decoded:
    expect_length(data, 21)
    battery, seconds, temperature, reason, *states, magnet, case, volume, initial = struct.unpack("<BIbB4BBBII", data)
    names = ("input1_closed", "input2_closed", "output1_closed", "output2_closed")
    flags = flags_set({**dict(zip(names, states, strict=True)), "magnetic_tamper": magnet, "case_opened": case})
    value = scaled(volume, HUNDREDTH)
    measurements = () if value is None else (Measurement(1, value, "m3", at=moment(seconds)),)
    values = {
        "reason": reason_of(GM2_REASONS, reason, 6),
        "temperature_c": temperature,
        "volume_m3": value,
        "initial_volume_m3": scaled(initial, HUNDREDTH),
    }
    return decoded(values, measurements, seconds=seconds, battery=battery, temperature=temperature, flags=flags)


def _mbus_settings(byte: int) -> dict[str, Any]:
    return {
        "activation": "ABP" if byte & 1 else "OTAA",
        "confirmed": bool(byte & 2),
        "period_min": PERIODS_MIN.get(byte >> 2 & 7),
    }


def _mbus_register(medium: int, energy_wh: int, volume_l: int) -> tuple[str, Decimal] | None:
    """The register of the meter's medium; heat in Gcal, as 1 Gcal is 1163 kWh."""
    if medium in HEAT_MEDIA and energy_wh != NO_VALUE:
        return "Gcal", (Decimal(energy_wh) / WH_PER_GCAL).quantize(Decimal("0.000001"))
    if medium == 0x02 and energy_wh != NO_VALUE:
        return "kWh", Decimal(energy_wh).scaleb(-3)
    if medium in VOLUME_MEDIA and volume_l != NO_VALUE:
        return "m3", Decimal(volume_l).scaleb(-3)
    return None


def _mbus_values(data: bytes, power_bytes: int) -> Decoded:
    serial, seconds, energy, volume, hours, supply, back, flow16, flow32 = struct.unpack_from("<5I3HI", data, 3)
    power, medium = int.from_bytes(data[33 : 33 + power_bytes], "little"), data[37]
    register = _mbus_register(medium, energy, volume)
    measurements = () if register is None else (Measurement(1, register[1], register[0], at=moment(seconds)),)
    values = {
        "type": "current",
        **_mbus_settings(data[2]),
        "meter_serial": serial,
        "medium": MEDIA.get(medium, str(medium)),
        "energy_wh": scaled(energy, 0),
        "volume_l": scaled(volume, 0),
        "operating_time_h": scaled(hours, 0),
        "supply_temperature_c": scaled(supply, HUNDREDTH, NO_VALUE_U16),
        "return_temperature_c": scaled(back, HUNDREDTH, NO_VALUE_U16),
        "flow16_l_h": scaled(flow16, 0, NO_VALUE_U16),
        "flow32_l_h": scaled(flow32, 0),
        "power_w": scaled(power, 0, 256**power_bytes - 1),
    }
    return decoded(values, measurements, seconds=seconds, battery=data[1])


def _mbus1(data: bytes) -> Decoded:
    kind = packet_type(data, {1: 38, 3: 0, 4: 4, 5: 6, 6: 5})
    if kind == 1:
        return _mbus_values(data, 2)
    if kind == 3:
        return decoded(fragment(data, "mbus", 1, packet="type"))
    values: dict[str, Any] = _mbus_settings(data[2])
    if kind == 4:
        return decoded(values | {"type": "power", "external_power": data[3] == 1}, battery=data[1])
    if kind == 5:
        flags = flags_set({"input1_closed": data[4], "input2_closed": data[5], f"input{data[3]}_alarm": data[3]})
        return decoded(values | {"type": "alarm"}, battery=data[1], flags=flags)
    return decoded(values | {"type": "output", "output": data[3], "output_on": data[4] != 0}, battery=data[1])


def _mbus2(data: bytes) -> Decoded:
    if packet_type(data, {1: 38, 3: 0}) == 1:
        return _mbus_values(data, 4)
    return decoded(fragment(data, "mbus", 1, packet="type"))


decode_si12 = codec("SI-12", _si12)
decode_si22 = codec("SI-22", _si22)
decode_td11 = codec("TD-11", _td11)
decode_tp11 = codec("TP-11", _tp11)
decode_tl11 = codec("TL-11", _tl11)
decode_gm2 = codec("GM-2", _gm2)
decode_mbus1 = codec("M-BUS-1", _mbus1)
decode_mbus2 = codec("M-BUS-2", _mbus2)
