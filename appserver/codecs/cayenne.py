"""Cayenne LPP: channel, type, value after each other; big-endian, any port.

Types: the LPP 1.0 data types (IPSO numbers less 3200) with the extensions that libraries for it agree on. Energy (0.001
kWh) is a reading of its channel; everything else is words.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from appserver.codecs.base import CodecError, Decoded, Measurement

TYPES: dict[int, tuple[str, int, bool, int, int]] = {
    0: ("digital_in", 1, False, 0, 1),
    1: ("digital_out", 1, False, 0, 1),
    2: ("analog_in", 2, True, -2, 1),
    3: ("analog_out", 2, True, -2, 1),
    100: ("generic", 4, False, 0, 1),
    101: ("illuminance_lx", 2, False, 0, 1),
    102: ("presence", 1, False, 0, 1),
    103: ("temperature_c", 2, True, -1, 1),
    104: ("humidity_pct", 1, False, -1, 5),
    113: ("accelerometer_g", 2, True, -3, 3),
    115: ("pressure_hpa", 2, False, -1, 1),
    116: ("voltage_v", 2, False, -2, 1),
    117: ("current_a", 2, False, -3, 1),
    118: ("frequency_hz", 4, False, 0, 1),
    120: ("percentage", 1, False, 0, 1),
    121: ("altitude_m", 2, True, 0, 1),
    125: ("concentration_ppm", 2, False, 0, 1),
    128: ("power_w", 2, False, 0, 1),
    130: ("distance_m", 4, False, -3, 1),
    131: ("energy_kwh", 4, False, -3, 1),
    132: ("direction_deg", 2, False, 0, 1),
    133: ("unix_time", 4, False, 0, 1),
    134: ("gyrometer_dps", 2, True, -2, 3),
    135: ("colour", 1, False, 0, 3),
    136: ("gps", 3, True, -4, 3),
    142: ("switch", 1, False, 0, 1),
}
"""Name, bytes a number, signed, power of ten, how many numbers. Humidity counts in halves: 5 tenths, one number."""
HUMIDITY, ENERGY, GPS, TEMPERATURE = 104, 131, 136, 103
ALTITUDE_POWER = -2


def decode_lpp(f_port: int, data: bytes, received_at_us: int) -> Decoded:
    """Any Cayenne LPP payload. Raises CodecError for an unknown type, whose length nobody knows."""
    if not data:
        raise CodecError("there is no data", 0)
    values: dict[str, Any] = {}
    measurements = []
    temperature = None
    offset = 0
    while offset < len(data):
        if offset + 2 > len(data):
            raise CodecError("the last value is cut off", offset)
        channel, kind = data[offset], data[offset + 1]
        if kind not in TYPES:
            raise CodecError(f"data type {kind} is not one of Cayenne LPP", offset + 1)
        name, size, signed, power, count = TYPES[kind]
        count, factor = (1, count) if kind == HUMIDITY else (count, 1)
        raw = data[offset + 2 : offset + 2 + size * count]
        if len(raw) != size * count:
            raise CodecError("the last value is cut off", offset)
        numbers = [
            Decimal(int.from_bytes(raw[n * size : (n + 1) * size], "big", signed=signed) * factor).scaleb(
                ALTITUDE_POWER if kind == GPS and n == 2 else power
            )
            for n in range(count)
        ]
        texts = [str(number) for number in numbers]
        values[f"{name}_{channel}"] = texts[0] if count == 1 else texts
        if kind == ENERGY:
            measurements.append(Measurement(channel, numbers[0], "kWh"))
        elif kind == TEMPERATURE:
            temperature = round(numbers[0])
        offset += 2 + len(raw)
    return Decoded(tuple(measurements), temperature_c=temperature, values=values)
