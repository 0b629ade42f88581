"""Vega SI-23: polls electricity and heat meters over RS-485, counts pulses, carries MODBUS and transparent answers.

Layout: github.com/VegaAbsolute/IoTVegaParser at 5f262340, chirpstack/devices/si23 (read, not copied). Little-endian; the
first byte of port 2 says why the packet was sent and so what it is. The units of a heat meter are not published.
"""

from __future__ import annotations

import struct
from decimal import Decimal
from typing import Any

from appserver.codecs.base import Decoded, Measurement
from appserver.codecs.vega import moment
from appserver.codecs.vega_parts import (
    HUNDREDTH,
    MEDIA,
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
    scaled,
)

REASONS = {
    0: "time",
    1: "input1",
    2: "input2",
    21: "input1_threshold",
    22: "input2_threshold",
    30: "request",
    208: "power_off",
    209: "power_on",
}
METERS = {
    1: "Энергомера 102М",
    2: "Меркурий 206",
    3: "Пульс СТК-15",
    4: "Меркурий 234",
    5: "Ленэнерго",
    6: "Пульсар",
}
INTERFACE_MODES = ("transparent", "metering", "modbus", "custom")


def _state(data: bytes) -> Decoded:
    reason, seconds, temperature, first, second, config, battery = struct.unpack("<BIbIIBB", data)
    values = {
        "reason": REASONS[reason],
        "temperature_c": temperature,
        **inputs_of((first, second)),
        "confirmed": bool(config & 1),
        "period_min": SI12_PERIODS_MIN.get(config >> 3 & 7),
        "interface": INTERFACE_MODES[config >> 6],
    }
    counted = tuple(pulses((first, second), seconds))
    return decoded(values, counted, seconds=seconds, battery=battery, temperature=temperature)


def _head(data: bytes, reason: str, offset: int = 1) -> dict[str, Any]:
    kind, serial = struct.unpack_from("<BI", data, offset)
    return {"reason": reason, "meter": METERS.get(kind, str(kind)), "meter_serial": serial}


def _electricity(data: bytes) -> Decoded:
    success, seconds, *raw = struct.unpack_from("<BI4I", data, 6)
    tariffs = [scaled(value, HUNDREDTH) for value in raw]
    values = {
        **_head(data, "electricity_meter"),
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
    return decoded(values, tuple(measurements), seconds=seconds, flags=flags_set({"meter_silent": not success}))


def _heat(data: bytes) -> Decoded:
    seconds, energy, volume, hours, supply, back, flow16, flow32, power, medium = struct.unpack_from(
        "<IQIIHHhIIB", data, 6
    )
    values = {
        **_head(data, "heat_meter"),
        "energy": scaled(energy, TENTH, 2**64 - 1),
        "volume": scaled(volume, 0),
        "operating_time": scaled(hours, 0),
        "supply_temperature_c": scaled(supply, HUNDREDTH, NO_VALUE_U16),
        "return_temperature_c": scaled(back, HUNDREDTH, NO_VALUE_U16),
        "flow": flow16,
        "flow32": scaled(flow32, 0),
        "power": scaled(power, 0),
        "medium": MEDIA.get(medium, str(medium)),
    }
    return decoded(values, seconds=seconds)


def _phases(data: bytes) -> Decoded:
    success, seconds, *raw = struct.unpack_from("<BI14h", data, 6)
    fields = (
        *((f"voltage_{phase}_v", -2) for phase in "abc"),
        *((f"current_{phase}_a", -3) for phase in "abc"),
        *((f"power_factor_{phase}", -1) for phase in ("sum", "a", "b", "c")),
        *((f"angle_{phase}_deg", -1) for phase in "abc"),
        ("frequency_hz", -2),
    )
    values = {
        **_head(data, "electricity_meter_phases"),
        "poll_succeeded": success > 0,
        **{
            name: Decimal(value).scaleb(power) if success else None
            for (name, power), value in zip(fields, raw, strict=True)
        },
    }
    return decoded(values, seconds=seconds, flags=flags_set({"meter_silent": not success}))


def _read(data: bytes) -> Decoded:
    lengths = {
        **dict.fromkeys(REASONS, 16),
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
    reason = packet_type(data, lengths)
    if reason in REASONS:
        return _state(data)
    if reason in (4, 13):
        return decoded(fragment(data, "modbus" if reason == 4 else "transparent", 2, reason == 4))
    if reason in (5, 6):
        values = fragment(data, "modbus" if reason == 6 else "transparent", 6, reason == 6)
        return decoded(values, seconds=int.from_bytes(data[1:5], "little"))
    if reason in (9, 11):
        return decoded(
            _head(data, "no_answer" if reason == 9 else "answers_again", 2) | {"setting": data[1]},
            flags=flags_set({"meter_silent": reason == 9}),
        )
    if reason in (10, 12):
        word = "no_modbus_answer" if reason == 10 else "modbus_answers_again"
        return decoded({"reason": word, "setting": data[1]}, flags=flags_set({"meter_silent": reason == 10}))
    return {7: _electricity, 8: _heat, 17: _phases}[reason](data)


decode_si23 = codec("SI-23", _read)
