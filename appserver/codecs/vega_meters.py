"""Vega modules beside the SI-11: pulse counters SI-12 and SI-22, the poller SI-23, sensors TD-11, TP-11 and TL-11, the gas
modem GM-2, and the heat meter modems M-BUS-1 and M-BUS-2.

Layout: github.com/VegaAbsolute/IoTVegaParser at 5f262340, chirpstack/devices (read, not copied). Little-endian; port 2
data, ports 3 and 4 as in all devices of the maker. Times are UTC.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from appserver.codecs.base import CodecError, Decoded, Measurement
from appserver.codecs.vega import (
    INPUTS,
    NO_VALUE,
    PERIODS_MIN,
    PORT_DATA,
    configuration,
    data_r1,
    expect_length,
    moment,
    service,
)

NO_SENSOR = -1000
"""-100.0 °C: the sensor is not connected."""
NO_VALUE_U16 = 0xFFFF
SI12_PERIODS_MIN = {0: 5, 1: 15, 2: 30, 3: 60, 4: 360, 5: 720, 6: 1440}
WH_PER_GCAL = 1_163_000
TENTH, HUNDREDTH = -1, -2

GM2_REASONS = ("time", "input1", "input2", "output1", "output2", "magnet", "case")
SI22_REASONS = ("time", "input1", "input2", "input3", "input4", "temperature")
TD11_REASONS = ("time", "input", "case", "hall1", "hall2", "temperature")
TP11_REASONS = ("time", "input1", "input2", "power", "limits", "request")
SI23_REASONS = {
    0: "time",
    1: "input1",
    2: "input2",
    21: "input1_threshold",
    22: "input2_threshold",
    30: "request",
    208: "power_off",
    209: "power_on",
}
SI23_PERIODS_MIN = SI12_PERIODS_MIN
SI23_METERS = {
    1: "Энергомера 102М",
    2: "Меркурий 206",
    3: "Пульс СТК-15",
    4: "Меркурий 234",
    5: "Ленэнерго",
    6: "Пульсар",
}
INTERFACE_MODES = ("transparent", "metering", "modbus", "custom")
MEDIA = {
    0x00: "other",
    0x01: "oil",
    0x02: "electricity",
    0x03: "gas",
    0x04: "heat",
    0x05: "steam",
    0x06: "hot_water",
    0x07: "water",
    0x08: "heat_cost_allocator",
    0x09: "compressed_air",
    0x0A: "cooling_outlet",
    0x0B: "cooling_inlet",
    0x0C: "heat_inlet",
    0x0D: "heat_cooling",
    0x0E: "bus",
    0x0F: "unknown",
    0x16: "cold_water",
    0x17: "dual_water",
    0x18: "pressure",
    0x19: "adc",
}
"""EN 13757-3 media."""
HEAT_MEDIA = (0x04, 0x0C, 0x0D)
VOLUME_MEDIA = (0x03, 0x06, 0x07, 0x16)


def _kind(data: bytes, known: Mapping[int, int]) -> int:
    """The first byte, when it is a known packet type and the length is that packet's."""
    if not data:
        raise CodecError("there is no data", 0)
    if data[0] not in known:
        raise CodecError(f"packet type is {data[0]}, known are {', '.join(map(str, known))}", 0)
    if known[data[0]]:
        expect_length(data, known[data[0]])
    return data[0]


def _reason(names: tuple[str, ...], value: int, offset: int) -> str:
    if value >= len(names):
        raise CodecError(f"reason is {value}, must be 0 to {len(names) - 1}", offset)
    return names[value]


def _scaled(value: int, power: int, nothing: int = NO_VALUE) -> Decimal | None:
    return None if value == nothing else Decimal(value).scaleb(power)


def _words(value: object) -> object:
    return str(value) if isinstance(value, Decimal) else value


def _decoded(
    values: dict[str, Any],
    measurements: tuple[Measurement, ...] = (),
    *,
    seconds: int | None = None,
    battery: int | None = None,
    temperature: Decimal | int | None = None,
    flags: tuple[str, ...] | None = None,
) -> Decoded:
    clock = None if seconds is None else moment(seconds)
    head: dict[str, Any] = {} if battery is None else {"battery_pct": battery}
    if seconds is not None:
        head["device_time"] = clock.isoformat() if clock else None
    tail = {} if flags is None else {"flags": list(flags)}
    return Decoded(
        measurements,
        flags,
        battery if battery is not None and battery <= 100 else None,
        None if temperature is None else round(temperature),
        clock,
        {**head, **{name: _words(value) for name, value in values.items()}, **tail},
    )


def _pulses(inputs: tuple[int, ...] | list[int], seconds: int) -> tuple[Measurement, ...]:
    return tuple(
        Measurement(channel, Decimal(value), "imp", at=moment(seconds))
        for channel, value in enumerate(inputs, 1)
        if value != NO_VALUE
    )


def _set(flags: Mapping[str, object]) -> tuple[str, ...]:
    return tuple(name for name, holds in flags.items() if holds)


def _inputs(inputs: tuple[int, ...] | list[int]) -> dict[str, int | None]:
    return {f"input{i}": None if value == NO_VALUE else value for i, value in enumerate(inputs, 1)}


# ---------------------------------------------------------------------------------------------------- pulse counters


def _si12(data: bytes) -> Decoded:
    kind = _kind(data, {1: 24, 2: 24, 4: 8, 5: 9, 6: 26})
    if kind in (1, 2):
        return data_r1(data, SI12_PERIODS_MIN)
    if kind == 6:
        seconds, modes, outputs, *inputs, power = struct.unpack_from("<IHH4IB", data, 1)
        counted = [NO_VALUE if modes >> i & 1 else value for i, value in enumerate(inputs)]
        values = {
            "type": "inputs",
            "inputs": ["guard" if modes >> i & 1 else "pulse" for i in range(INPUTS)],
            **_inputs(inputs),
            "outputs": [bool(outputs >> i & 1) for i in range(2)],
            "external_power": power == 1,
        }
        return _decoded(values, _pulses(counted, seconds), seconds=seconds)
    battery, config = data[1], configuration(data[2], SI12_PERIODS_MIN)
    seconds = int.from_bytes(data[-4:], "little")
    if kind == 4:
        state: dict[str, Any] = {"type": "power", "external_power": data[3] == 1}
    else:
        state = {"type": "output", "output": data[3], "output_closed": data[4] == 1}
    return _decoded({**state, **config}, seconds=seconds, battery=battery)


def _si22(data: bytes) -> Decoded:
    expect_length(data, 27)
    reason, battery, seconds, raw, *inputs, outside, low, high = struct.unpack("<BBIh4IBbb", data)
    temperature = _scaled(raw, TENTH, NO_SENSOR)
    flags = _set({"temperature_sensor_missing": temperature is None, "temperature_out_of_range": outside})
    values = {
        "reason": _reason(SI22_REASONS, reason, 0),
        "temperature_c": temperature,
        "low_temperature_c": low,
        "high_temperature_c": high,
        **_inputs(inputs),
    }
    return _decoded(
        values, _pulses(inputs, seconds), seconds=seconds, battery=battery, temperature=temperature, flags=flags
    )


# ------------------------------------------------------------------------------------------------------------- SI-23


def _si23_state(data: bytes) -> Decoded:
    reason, seconds, temperature, first, second, config, battery = struct.unpack("<BIbIIBB", data)
    values = {
        "reason": SI23_REASONS[reason],
        "temperature_c": temperature,
        **_inputs((first, second)),
        "confirmed": bool(config & 1),
        "period_min": SI23_PERIODS_MIN.get(config >> 3 & 7),
        "interface": INTERFACE_MODES[config >> 6],
    }
    counted = tuple(_pulses((first, second), seconds))
    return _decoded(values, counted, seconds=seconds, battery=battery, temperature=temperature)


def _si23_head(data: bytes, reason: str, offset: int = 1) -> dict[str, Any]:
    kind, serial = struct.unpack_from("<BI", data, offset)
    return {"reason": reason, "meter": SI23_METERS.get(kind, str(kind)), "meter_serial": serial}


def _si23_electricity(data: bytes) -> Decoded:
    success, seconds, *raw = struct.unpack_from("<BI4I", data, 6)
    tariffs = [_scaled(value, HUNDREDTH) for value in raw]
    values = {
        **_si23_head(data, "electricity_meter"),
        "poll_succeeded": success > 0,
        **{f"tariff{i}_kwh": value for i, value in enumerate(tariffs, 1)},
    }
    at = moment(seconds)
    measurements = []
    if success:
        known = [(f"tariff{i}", value) for i, value in enumerate(tariffs, 1) if value is not None]
        if len(known) == len(tariffs):  # a part of the tariffs is not the meter's register
            known.insert(0, ("", sum((value for _, value in known), Decimal(0))))
        measurements = [Measurement(1, value, "kWh", variant, at) for variant, value in known]
    return _decoded(values, tuple(measurements), seconds=seconds, flags=_set({"meter_silent": not success}))


def _si23_heat(data: bytes) -> Decoded:
    seconds, energy, volume, hours, supply, back, flow16, flow32, power, medium = struct.unpack_from(
        "<IQIIHHhIIB", data, 6
    )
    values = {
        **_si23_head(data, "heat_meter"),
        "energy": _scaled(energy, TENTH, 2**64 - 1),
        "volume": _scaled(volume, 0),
        "operating_time": _scaled(hours, 0),
        "supply_temperature_c": _scaled(supply, HUNDREDTH, NO_VALUE_U16),
        "return_temperature_c": _scaled(back, HUNDREDTH, NO_VALUE_U16),
        "flow": flow16,
        "flow32": _scaled(flow32, 0),
        "power": _scaled(power, 0),
        "medium": MEDIA.get(medium, str(medium)),
    }
    return _decoded(values, seconds=seconds)


def _si23_phases(data: bytes) -> Decoded:
    success, seconds, *raw = struct.unpack_from("<BI14h", data, 6)
    fields = (
        *((f"voltage_{phase}_v", -2) for phase in "abc"),
        *((f"current_{phase}_a", -3) for phase in "abc"),
        *((f"power_factor_{phase}", -1) for phase in ("sum", "a", "b", "c")),
        *((f"angle_{phase}_deg", -1) for phase in "abc"),
        ("frequency_hz", -2),
    )
    values = {
        **_si23_head(data, "electricity_meter_phases"),
        "poll_succeeded": success > 0,
        **{
            name: Decimal(value).scaleb(power) if success else None
            for (name, power), value in zip(fields, raw, strict=True)
        },
    }
    return _decoded(values, seconds=seconds, flags=_set({"meter_silent": not success}))


def _fragment(
    data: bytes, reason: str, offset: int, register: bool = False, *, packet: str = "reason"
) -> dict[str, Any]:
    """A part of a long answer: size of the whole, size of the part, its number, how many there are."""
    start = offset + (7 if register else 5)
    if len(data) < start:
        raise CodecError(f"{len(data)} bytes, a fragment has at least {start}", len(data))
    size, length, number, count = struct.unpack_from("<HBBB", data, offset)
    body = data[start:]
    if len(body) != length:
        raise CodecError(f"the fragment says it has {length} bytes and has {len(body)}", min(len(data), start + length))
    values: dict[str, Any] = {packet: reason, "size": size, "fragment": number, "fragments": count, "data": body.hex()}
    if register:
        values["start_register"] = int.from_bytes(data[start - 2 : start], "little")
    return values


def _si23(data: bytes) -> Decoded:
    lengths = {
        **dict.fromkeys(SI23_REASONS, 16),
        4: 0,
        5: 0,
        6: 0,
        7: 27,
        8: 41,
        9: 7,
        10: 2,
        11: 7,
        12: 2,
        13: 0,
        17: 39,
    }
    reason = _kind(data, lengths)
    if reason in SI23_REASONS:
        return _si23_state(data)
    if reason in (4, 13):
        return _decoded(_fragment(data, "modbus" if reason == 4 else "transparent", 2, reason == 4))
    if reason in (5, 6):
        values = _fragment(data, "modbus" if reason == 6 else "transparent", 6, reason == 6)
        return _decoded(values, seconds=int.from_bytes(data[1:5], "little"))
    if reason in (9, 11):
        return _decoded(
            _si23_head(data, "no_answer" if reason == 9 else "answers_again", 2) | {"setting": data[1]},
            flags=_set({"meter_silent": reason == 9}),
        )
    if reason in (10, 12):
        word = "no_modbus_answer" if reason == 10 else "modbus_answers_again"
        return _decoded({"reason": word, "setting": data[1]}, flags=_set({"meter_silent": reason == 10}))
    return {7: _si23_electricity, 8: _si23_heat, 17: _si23_phases}[reason](data)


# ------------------------------------------------------------------------------------------------------------ sensors


def _td11(data: bytes) -> Decoded:
    _kind(data, {1: 13})
    battery, outside, seconds, raw, low, high, reason, inputs = struct.unpack_from("<BBIhbbBB", data, 1)
    temperature = _scaled(raw, TENTH, NO_SENSOR)
    flags = _set(
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
        "reason": _reason(TD11_REASONS, reason, 11),
        "temperature_c": temperature,
        "low_temperature_c": low,
        "high_temperature_c": high,
    }
    return _decoded(values, seconds=seconds, battery=battery, temperature=temperature, flags=flags)


def _tp11(data: bytes) -> Decoded:
    if _kind(data, {1: 16, 5: 8}) == 5:
        battery, output, closed, seconds = struct.unpack_from("<BBBI", data, 1)
        values: dict[str, Any] = {"type": "output", "output": output, "output_closed": closed == 1}
        return _decoded(values, seconds=seconds, battery=battery)
    battery, outside, seconds, temperature, low, high, reason, bits, current = struct.unpack_from("<BBIbHHBBH", data, 1)
    flags = _set(
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
        "reason": _reason(TP11_REASONS, reason, 12),
        "temperature_c": temperature,
        "current_ma": _scaled(current, HUNDREDTH, NO_VALUE_U16),
        "low_limit_ma": _scaled(low, HUNDREDTH, NO_VALUE_U16),
        "high_limit_ma": _scaled(high, HUNDREDTH, NO_VALUE_U16),
    }
    return _decoded(values, seconds=seconds, battery=battery, temperature=temperature, flags=flags)


def _tl11(data: bytes) -> Decoded:
    expect_length(data, 10)
    battery, seconds, inside, outside, bits = struct.unpack("<BIhhB", data)
    values = {
        "reason": {0: "time", 1: "case"}.get(bits & 3, str(bits & 3)),
        "internal_temperature_c": (internal := _scaled(inside, TENTH, NO_SENSOR)),
        "external_temperature_c": _scaled(outside, TENTH, NO_SENSOR),
    }
    flags = _set({"case_opened": bits & 4, "temperature_sensor_missing": NO_SENSOR in (inside, outside)})
    return _decoded(values, seconds=seconds, battery=battery, temperature=internal, flags=flags)


# ------------------------------------------------------------------------------------------------------ gas and M-Bus


def _gm2(data: bytes) -> Decoded:
    expect_length(data, 21)
    battery, seconds, temperature, reason, *states, magnet, case, volume, initial = struct.unpack("<BIbB4BBBII", data)
    names = ("input1_closed", "input2_closed", "output1_closed", "output2_closed")
    flags = _set({**dict(zip(names, states, strict=True)), "magnetic_tamper": magnet, "case_opened": case})
    value = _scaled(volume, HUNDREDTH)
    measurements = () if value is None else (Measurement(1, value, "m3", at=moment(seconds)),)
    values = {
        "reason": _reason(GM2_REASONS, reason, 6),
        "temperature_c": temperature,
        "volume_m3": value,
        "initial_volume_m3": _scaled(initial, HUNDREDTH),
    }
    return _decoded(values, measurements, seconds=seconds, battery=battery, temperature=temperature, flags=flags)


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
        "energy_wh": _scaled(energy, 0),
        "volume_l": _scaled(volume, 0),
        "operating_time_h": _scaled(hours, 0),
        "supply_temperature_c": _scaled(supply, HUNDREDTH, NO_VALUE_U16),
        "return_temperature_c": _scaled(back, HUNDREDTH, NO_VALUE_U16),
        "flow16_l_h": _scaled(flow16, 0, NO_VALUE_U16),
        "flow32_l_h": _scaled(flow32, 0),
        "power_w": _scaled(power, 0, 256**power_bytes - 1),
    }
    return _decoded(values, measurements, seconds=seconds, battery=data[1])


def _mbus1(data: bytes) -> Decoded:
    kind = _kind(data, {1: 38, 3: 0, 4: 4, 5: 6, 6: 5})
    if kind == 1:
        return _mbus_values(data, 2)
    if kind == 3:
        return _decoded(_fragment(data, "mbus", 1, packet="type"))
    values: dict[str, Any] = _mbus_settings(data[2])
    if kind == 4:
        return _decoded(values | {"type": "power", "external_power": data[3] == 1}, battery=data[1])
    if kind == 5:
        flags = _set({"input1_closed": data[4], "input2_closed": data[5], f"input{data[3]}_alarm": data[3]})
        return _decoded(values | {"type": "alarm"}, battery=data[1], flags=flags)
    return _decoded(values | {"type": "output", "output": data[3], "output_on": data[4] != 0}, battery=data[1])


def _mbus2(data: bytes) -> Decoded:
    if _kind(data, {1: 38, 3: 0}) == 1:
        return _mbus_values(data, 4)
    return _decoded(_fragment(data, "mbus", 1, packet="type"))


def _codec(device: str, read: Callable[[bytes], Decoded]) -> Callable[[int, bytes], Decoded]:
    def decode(f_port: int, data: bytes) -> Decoded:
        return read(data) if f_port == PORT_DATA else service(f_port, data, f"Vega {device}")

    return decode


decode_si12 = _codec("SI-12", _si12)
decode_si22 = _codec("SI-22", _si22)
decode_si23 = _codec("SI-23", _si23)
decode_td11 = _codec("TD-11", _td11)
decode_tp11 = _codec("TP-11", _tp11)
decode_tl11 = _codec("TL-11", _tl11)
decode_gm2 = _codec("GM-2", _gm2)
decode_mbus1 = _codec("M-BUS-1", _mbus1)
decode_mbus2 = _codec("M-BUS-2", _mbus2)
