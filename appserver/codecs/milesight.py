"""Milesight: channel, type, value after each other; what all products share, and UC300, EM300-DI, EM500-PP and CT101.

Layouts: github.com/Milesight-IoT/SensorDecoders at e79c9d8 (read, not copied). Little-endian; any port. A channel and type
that the table does not have has no known length, so that what follows it stays in hex. Times are UTC.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from appserver.codecs.base import CodecError, Decoded, Decoder, Measurement, utc


@dataclass(slots=True)
class _Message:
    """What is read so far."""

    values: dict[str, Any] = field(default_factory=dict)
    measurements: list[Measurement] = field(default_factory=list)
    flags: list[str] = field(default_factory=list)

    def pulses(self, name: str, channel: int, raw: int, at: datetime | None = None) -> None:
        """A counter of now, or of a stored record when ``at`` is given."""
        if at is None:
            self.values[name] = raw
        self.measurements.append(Measurement(channel, Decimal(raw), "imp", at=at, archive=at is not None))


Read = Callable[[_Message, bytes], None]
Table = Mapping[tuple[int, int], tuple[int, Read]]
"""Channel and type to the length of the value and what reads it."""


def _word(name: str, form: str = "", power: int = 0, nothing: tuple[int, ...] = (), size: int = 0) -> tuple[int, Read]:
    """A value in words; without ``form`` its hex digits."""
    layout = struct.Struct("<" + form)

    def read(message: _Message, raw: bytes) -> None:
        if not form:
            message.values[name] = raw.hex()
            return
        number = layout.unpack(raw)[0]
        if number in nothing:
            message.values[name] = None
            message.flags.append(f"{name}_sensor_fault")
        else:
            message.values[name] = str(Decimal(number).scaleb(power)) if power else number

    return (layout.size if form else size), read


def _switch(name: str) -> tuple[int, Read]:
    def read(message: _Message, raw: bytes) -> None:
        message.values[name] = "on" if raw[0] else "off"

    return 1, read


def _counter(name: str, channel: int) -> tuple[int, Read]:
    return 4, lambda message, raw: message.pulses(name, channel, int.from_bytes(raw, "little"))


SHARED: Table = {
    (0xFF, 0x01): _word("ipso_version", size=1),
    (0xFF, 0x09): _word("hardware_version", size=2),
    (0xFF, 0x0A): _word("firmware_version", size=2),
    (0xFF, 0x0B): _word("device_status", size=1),
    (0xFF, 0x0F): _word("lorawan_class", "B"),
    (0xFF, 0x16): _word("serial", size=8),
    (0xFF, 0xFE): _word("reset_event", size=1),
    (0xFF, 0xFF): _word("tsl_version", size=2),
    (0x01, 0x75): _word("battery_pct", "B", nothing=(0xFF,)),
}

# -------------------------------------------------------------------------------------------------------------- UC300

UC300_MODBUS_LENGTHS = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 4, 8: 4, 9: 4, 10: 4, 11: 4}


def _half(raw: bytes) -> str | None:
    number = struct.unpack("<e", raw)[0]
    return f"{number:.6g}" if math.isfinite(number) else None


def _statistics(name: str) -> tuple[int, Read]:
    def read(message: _Message, raw: bytes) -> None:
        for n, suffix in enumerate(("", "_max", "_min", "_avg")):
            message.values[name + suffix] = _half(raw[2 * n : 2 * n + 2])

    return 8, read


UC300: Table = {
    **SHARED,
    **{(0x02 + n, 0x00): _switch(f"di{n}") for n in range(1, 5)},
    **{(0x02 + n, 0xC8): _counter(f"counter_{n}", n) for n in range(1, 5)},
    **{(0x06 + n, 0x01): _switch(f"do{n}") for n in (1, 2)},
    **{(0x08 + n, 0x67): _word(f"pt100_{n}_c", "h", -1) for n in (1, 2)},
    **{(0x0A + n, 0x02): _word(f"adc_{n}", "I", -2) for n in (1, 2)},
    **{(0x0C + n, 0x02): _word(f"adv_{n}", "I", -2) for n in (1, 2)},
    **{(0x08 + n, 0xE2): _statistics(f"pt100_{n}") for n in (1, 2)},
    **{(0x0A + n, 0xE2): _statistics(f"adc_{n}") for n in (1, 2)},
    **{(0x0C + n, 0xE2): _statistics(f"adv_{n}") for n in (1, 2)},
    (0xFF, 0x15): _word("modbus_error_channel", "B"),
}

# ----------------------------------------------------------------------------------------------------------- EM300-DI

WATER_ALARMS = {1: "water_outage", 3: "water_flow"}
"""The even ones say that an alarm is over."""
MODE_PULSES = 2


def _conversion(message: _Message, raw: bytes) -> None:
    """Water by pulses: litres or what the device is set to, so words and no register."""
    water, per, total = struct.unpack_from("<HHf", raw)
    message.values |= {
        "water_conversion": str(Decimal(water).scaleb(-1)),
        "pulse_conversion": str(Decimal(per).scaleb(-1)),
        "water": f"{total:.7g}" if math.isfinite(total) else None,
    }
    if len(raw) == 9 and raw[8] in WATER_ALARMS:
        message.flags.append(WATER_ALARMS[raw[8]])


def _gpio_alarm(message: _Message, raw: bytes) -> None:
    message.values["gpio"] = "high" if raw[0] else "low"
    if raw[1]:
        message.flags.append("gpio_alarm")


def _record(message: _Message, raw: bytes) -> None:
    seconds, temperature, humidity, mode, level, count = struct.unpack("<IhBBBI", raw)
    at = utc(seconds)
    point = {
        "time": at.isoformat() if at else None,
        "temperature_c": str(Decimal(temperature).scaleb(-1)),
        "humidity_pct": str(Decimal(humidity) / 2),
    }
    if mode == MODE_PULSES:
        point["pulses"] = str(count)
        if at is not None and seconds:
            message.pulses("", 1, count, at)
    else:
        point["gpio"] = "high" if level else "low"
    message.values.setdefault("history", []).append(point)


def _record_v2(message: _Message, raw: bytes) -> None:
    message.values.setdefault("history", []).append({"data": raw.hex()})


def _half_percent(message: _Message, raw: bytes) -> None:
    message.values["humidity_pct"] = str(Decimal(raw[0]) / 2)


EM300_DI: Table = {
    **SHARED,
    (0x03, 0x67): _word("temperature_c", "h", -1),
    (0x04, 0x68): (1, _half_percent),
    (0x05, 0x00): _word("gpio", "B"),
    (0x05, 0xC8): _counter("pulses", 1),
    (0x05, 0xE1): (8, _conversion),
    (0x85, 0x00): (2, _gpio_alarm),
    (0x85, 0xE1): (9, _conversion),
    (0x20, 0xCE): (13, _record),
    (0x21, 0xCE): (18, _record_v2),
}

# -------------------------------------------------------------------------------------------------- EM500-PP and CT101


def _pressure_record(message: _Message, raw: bytes) -> None:
    seconds, pressure = struct.unpack("<Ih", raw)
    at = utc(seconds)
    point = {"time": at.isoformat() if at else None, "pressure_kpa": pressure}
    message.values.setdefault("history", []).append(point)


def _current_alarm(message: _Message, raw: bytes) -> None:
    for name, value in zip(("current_max_a", "current_min_a", "current_a"), struct.unpack("<3H", raw[:6]), strict=True):
        message.values[name] = str(Decimal(value).scaleb(-2))
    message.flags += [name for bit, name in ((0, "current_threshold"), (2, "current_over_range")) if raw[6] >> bit & 1]


def _temperature_alarm(message: _Message, raw: bytes) -> None:
    message.values["temperature_c"] = str(Decimal(int.from_bytes(raw[:2], "little", signed=True)).scaleb(-1))
    if raw[2]:
        message.flags.append("temperature_threshold")


EM500_PP: Table = {**SHARED, (0x03, 0x7B): _word("pressure_kpa", "h"), (0x20, 0xCE): (6, _pressure_record)}
CT101: Table = {
    **SHARED,
    (0x03, 0x97): _word("total_current_ah", "I", -2),
    (0x04, 0x98): _word("current_a", "H", -2, (0xFFFF,)),
    (0x09, 0x67): _word("temperature_c", "h", -1, (-1, -3)),
    (0x84, 0x98): (7, _current_alarm),
    (0x89, 0x67): (3, _temperature_alarm),
}


def _modbus(message: _Message, data: bytes, offset: int) -> int:
    """A MODBUS value of the UC300, as long as its type says; the offset after it."""
    if offset + 3 > len(data):
        raise CodecError("a MODBUS value is cut off", offset)
    channel, kind = data[offset] + 1, data[offset + 2]
    length = UC300_MODBUS_LENGTHS.get(kind & 0x7F)
    raw = data[offset + 3 : offset + 3 + (length or 0)]
    if length is None or len(raw) != length:
        raise CodecError(f"a MODBUS value of type {kind & 0x7F} is unknown or cut off", offset)
    if kind & 0x7F in (5, 7):
        number = struct.unpack("<f", raw)[0]
        message.values[f"modbus_{channel}"] = f"{number:.7g}" if math.isfinite(number) else None
    else:
        message.values[f"modbus_{channel}"] = int.from_bytes(raw, "little", signed=bool(kind & 0x80))
    return offset + 3 + length


def codec(table: Table) -> Decoder:
    """A codec of the table in ``registry``."""

    def decode(f_port: int, data: bytes, received_at_us: int) -> Decoded:
        if not data:
            raise CodecError("there is no data", 0)
        message = _Message()
        offset = 0
        while offset < len(data):
            key = (data[offset], data[offset + 1] if offset + 1 < len(data) else -1)
            if key == (0xFF, 0x19) and table is UC300:
                offset = _modbus(message, data, offset + 2)
                continue
            entry = table.get(key)
            if entry is None:
                if offset == 0:
                    raise CodecError(f"there is no value {data[:2].hex(' ')} in this device", 0)
                message.values["unread"] = data[offset:].hex()
                break
            length, read = entry
            raw = data[offset + 2 : offset + 2 + length]
            if len(raw) != length:
                raise CodecError(f"the value {data[offset : offset + 2].hex(' ')} is cut off", offset)
            read(message, raw)
            offset += 2 + length
        values = message.values
        battery = values.get("battery_pct")
        temperature = values.get("temperature_c")
        flags = tuple(message.flags) if message.flags else None
        return Decoded(
            tuple(message.measurements),
            flags,
            battery if isinstance(battery, int) and battery <= 100 else None,
            round(Decimal(temperature)) if temperature is not None else None,
            values=values | ({"flags": list(flags)} if flags else {}),
        )

    return decode
