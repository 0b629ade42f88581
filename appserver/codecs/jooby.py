"""Jooby radio modules: pulse counters, gas (GAZI3) and electricity (MTX LORA).

Layout: github.com/jooby-dev/jooby-docs at baafd67, docs/analog (read, not copied). A message is commands after each other
and a checksum (XOR from 0x55). Counters are pulses, by channels from 1. Dates and hours are the device's own; a daily
counter counts for the midnight its date begins with. Hourly steps stand in the values: whether they go forward or back is
told differently by different commands.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from functools import reduce
from operator import xor
from typing import Any

from appserver.codecs.base import CodecError, Decoded, Decoder, Measurement

CHECKSUM_SEED = 0x55
EXTRA = 0x1F
EPOCH = datetime(2000, 1, 1)  # noqa: DTZ001 (device clocks have no zone)
MAX_VALUE_BYTES = 5
MAGNET = 0x80
COEFFICIENTS = {0x80: 1, 0x81: 5, 0x82: 10, 0x83: 100, 0x84: 1000, 0x85: 10000, 0x86: 100000}
"""Litres a pulse; below 0x80 the byte is the number itself."""

GAS_STATUS = {0: "low_battery", 1: "magnetic_tamper", 2: "module_removed", 3: "connection_lost"}
PULSE_STATUS = {
    0: "low_battery",
    3: "connection_lost",
    4: "input1_inactive",
    5: "input2_inactive",
    6: "input3_inactive",
    8: "input4_inactive",
}
MTX_STATUS = {
    0: "case_opened",
    1: "magnetic_tamper",
    2: "parameters_set_remotely",
    3: "parameters_set_locally",
    4: "restarted",
    5: "locked_out",
    6: "time_set",
    7: "time_corrected",
    8: "hardware_fault",
    9: "terminal_opened",
    10: "module_compartment_opened",
    11: "tariff_plan_changed",
    12: "tariff_plan_received",
}


class _Body:
    """The body of a command."""

    __slots__ = ("data", "offset")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.offset = 0

    def byte(self) -> int:
        return self.take(1)[0]

    def take(self, length: int) -> bytes:
        taken = self.data[self.offset : self.offset + length]
        if len(taken) != length:
            raise CodecError("the command is cut off", self.offset)
        self.offset += length
        return taken

    def extended(self) -> int:
        """Seven bits a byte, the lowest first; the top bit says that another byte follows."""
        value = 0
        for n in range(MAX_VALUE_BYTES):
            byte = self.byte()
            value |= (byte & 0x7F) << 7 * n
            if not byte & 0x80:
                return value
        raise CodecError(f"a value has more than {MAX_VALUE_BYTES} bytes", self.offset)

    def date(self) -> datetime | None:
        """Seven bits of the year from 2000, four of the month, five of the day; None when it is no date."""
        word = int.from_bytes(self.take(2), "big")
        try:
            return datetime(2000 + (word >> 9), word >> 5 & 0xF, word & 0x1F)  # noqa: DTZ001
        except ValueError:
            return None

    def channels(self) -> list[int]:
        bits = self.extended()
        if not bits:
            raise CodecError("the command names no channel", self.offset)
        return [bit + 1 for bit in range(bits.bit_length()) if bits >> bit & 1]

    def rest(self) -> list[int]:
        """Extended values up to the end."""
        found = []
        while self.offset < len(self.data):
            found.append(self.extended())
        return found


@dataclass(slots=True)
class _Message:
    """What is read so far."""

    status: Mapping[int, str]
    commands: list[dict[str, Any]] = field(default_factory=list)
    measurements: list[Measurement] = field(default_factory=list)
    flags: list[str] | None = None
    clock: datetime | None = None

    def count(self, channel: int, raw: int, at: datetime | None, archive: bool) -> None:
        if at is not None or not archive:  # a stored value without its moment is no reading
            self.measurements.append(Measurement(channel, Decimal(raw), "imp", at=at, archive=archive))

    def flag(self, names: list[str]) -> None:
        self.flags = [*(self.flags or []), *names]


def _text(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def _grouped(body: _Body, channels: list[int]) -> dict[int, list[int]]:
    """Equally many values a channel; how many is told by the length alone."""
    values = body.rest()
    each, left = divmod(len(values), len(channels))
    if left or not each:
        raise CodecError(f"{len(values)} values cannot be of {len(channels)} channels", len(body.data))
    return {channel: values[n * each : (n + 1) * each] for n, channel in enumerate(channels)}


def _current(message: _Message, body: _Body) -> dict[str, Any]:
    counters = _grouped(body, body.channels())
    for channel, (raw, *_) in counters.items():
        message.count(channel, raw, None, False)
    return {"command": "current", "channels": {str(channel): values[0] for channel, values in counters.items()}}


def _day(message: _Message, body: _Body) -> dict[str, Any]:
    date = body.date()
    counters = _grouped(body, body.channels())
    for channel, (raw, *_) in counters.items():
        message.count(channel, raw, date, True)
    channels = {str(channel): values[0] for channel, values in counters.items()}
    return {"command": "day", "date": _text(date), "channels": channels}


def _hours(message: _Message, body: _Body) -> dict[str, Any]:
    date, packed = body.date(), body.byte()
    hour, hours = packed & 0x1F, (packed >> 5) + 1
    at = date + timedelta(hours=hour) if date is not None and hour < 24 else None
    counters = _grouped(body, body.channels())
    for channel, (raw, *_) in counters.items():
        message.count(channel, raw, at, True)
    channels = {str(channel): values for channel, values in counters.items()}
    return {"command": "hours", "date": _text(date), "hour": hour, "hours": hours, "channels": channels}


def _archive_days(message: _Message, body: _Body) -> dict[str, Any]:
    date, channels, days = body.date(), body.channels(), body.byte()
    counters = _grouped(body, channels)
    if any(len(values) != days for values in counters.values()):
        raise CodecError(f"the command has not {days} values a channel", len(body.data))
    for channel, values in counters.items():
        for n, raw in enumerate(values):
            message.count(channel, raw, None if date is None else date + timedelta(days=n), True)
    return {"command": "archive_days", "date": _text(date), "channels": {str(c): v for c, v in counters.items()}}


def _absolute(body: _Body, steps: int = 0) -> dict[int, tuple[int, list[int]]]:
    """Coefficient and values by channel: the counter and ``steps``."""
    return {n: (body.byte(), [body.extended() for _ in range(1 + steps)]) for n in body.channels()}


def _absolutes(message: _Message, found: dict[int, tuple[int, list[int]]], at: datetime | None, archive: bool) -> Any:
    for channel, (_, values) in found.items():
        message.count(channel, values[0], at, archive)
    return {
        str(channel): {
            "pulse_coefficient": coefficient,
            "litres_per_pulse": COEFFICIENTS.get(coefficient, coefficient if coefficient < 0x80 else None),
            "value": values[0],
            **({"steps": values[1:]} if values[1:] else {}),
        }
        for channel, (coefficient, values) in found.items()
    }


def _absolute_current(message: _Message, body: _Body) -> dict[str, Any]:
    return {"command": "absolute_current", "channels": _absolutes(message, _absolute(body), None, False)}


def _absolute_day(message: _Message, body: _Body) -> dict[str, Any]:
    date = body.date()
    channels = _absolutes(message, _absolute(body), date, True)
    return {"command": "absolute_day", "date": _text(date), "channels": channels}


def _absolute_hours(message: _Message, body: _Body) -> dict[str, Any]:
    date, packed = body.date(), body.byte()
    hour, hours = packed & 0x1F, (packed >> 5) + 1
    at = date + timedelta(hours=hour) if date is not None and hour < 24 else None
    start = body.offset
    # Firmware counts the first hour as a step or not; only one of the two fills the command.
    for steps in (hours, hours - 1):
        body.offset = start
        try:
            found = _absolute(body, steps)
        except CodecError:
            continue
        if body.offset == len(body.data):
            told = _absolutes(message, found, at, True)
            return {"command": "absolute_hours", "date": _text(date), "hour": hour, "hours": hours, "channels": told}
    raise CodecError(f"the command has not the values of {hours} hours", len(body.data))


def _old_counter(message: _Message, body: _Body, at: datetime | None, magnet: int, archive: bool) -> dict[str, Any]:
    raw = int.from_bytes(body.take(3), "big")
    message.count(1, raw, at, archive)
    if magnet & MAGNET:
        message.flag(["magnetic_tamper"])
    return {"magnet": bool(magnet & MAGNET), "value": raw}


def _old_current(message: _Message, body: _Body) -> dict[str, Any]:
    return {"command": "current", **_old_counter(message, body, None, body.byte(), False)}


def _old_dated(message: _Message, body: _Body) -> dict[str, Any]:
    date, packed = body.date(), body.byte()
    hour = packed & 0x1F
    at = date + timedelta(hours=hour) if date is not None and hour < 24 else None
    told = {"command": "counter", "time": _text(at), **_old_counter(message, body, at, packed, True)}
    steps = [int.from_bytes(body.take(2), "big") for _ in range((len(body.data) - body.offset) // 2)]
    return told | ({"steps": [step & 0x1FFF for step in steps]} if steps else {})


def _time(message: _Message, body: _Body) -> dict[str, Any]:
    sequence = body.byte()
    message.clock = EPOCH + timedelta(seconds=int.from_bytes(body.take(4), "big"))
    return {"command": "time", "sequence": sequence, "device_time": _text(message.clock)}


def _last_event(message: _Message, body: _Body) -> dict[str, Any]:
    sequence = body.byte()
    raw = body.data[body.offset :]
    if len(raw) not in (1, 2):
        raise CodecError("the status has one byte or two", body.offset)
    body.offset = len(body.data)
    if message.status is MTX_STATUS:
        bits = int.from_bytes(raw, "little")
    else:  # an extended value, in which bit 7 says only that another byte follows
        bits = raw[0] if len(raw) == 1 else (raw[0] & 0x7F) | raw[1] << 8
    named = [message.status.get(bit, f"bit{bit}") for bit in range(bits.bit_length()) if bits >> bit & 1]
    message.flag(named)
    return {"command": "last_event", "sequence": sequence, "status": named}


_SHORT: dict[int, Callable[[_Message, _Body], dict[str, Any]]] = {1: _old_dated, 2: _old_dated, 3: _last_event}
"""Commands whose id is in the top three bits of the first byte and whose length is in the others."""
_LONG: dict[int, Callable[[_Message, _Body], dict[str, Any]]] = {
    0x07: _old_current,
    0x09: _time,
    0x16: _day,
    0x17: _hours,
    0x18: _current,
    0x1A: _hours,
    0x1B: _archive_days,
}
_EXTRA: dict[int, Callable[[_Message, _Body], dict[str, Any]]] = {
    0x0A: _absolute_hours,
    0x0B: _absolute_day,
    0x0F: _absolute_current,
}


def _command(data: bytes, offset: int) -> tuple[str, Callable[[_Message, _Body], dict[str, Any]] | None, int, int]:
    """Name, reader, start of the body and its length."""
    first = data[offset]
    if first >> 5:
        return f"{first & 0xE0:02x}", _SHORT.get(first >> 5), offset + 1, first & 0x1F
    header = 3 if first == EXTRA else 2
    if offset + header > len(data):
        raise CodecError("the head of a command is cut off", offset)
    code = data[offset + header - 2]
    reader = (_EXTRA if first == EXTRA else _LONG).get(code)
    return f"{'1f' if first == EXTRA else ''}{code:02x}", reader, offset + header, data[offset + header - 1]


def codec(status: Mapping[int, str]) -> Decoder:
    """A codec of the table in ``registry``; ``status`` names the bits of the device's status."""

    def decode(f_port: int, data: bytes, received_at_us: int) -> Decoded:
        if len(data) < 2:
            raise CodecError(f"{len(data)} bytes are too few for a message", len(data))
        checksum = reduce(xor, data[:-1], CHECKSUM_SEED)
        if checksum != data[-1]:
            raise CodecError(f"the checksum is 0x{data[-1]:02x}, must be 0x{checksum:02x}", len(data) - 1)
        message, content = _Message(status), data[:-1]
        offset = 0
        while offset < len(content):
            name, read, start, length = _command(content, offset)
            body = content[start : start + length]
            if len(body) != length:
                raise CodecError(f"command {name} is cut off", start)
            told = {"command": name, "data": body.hex()} if read is None else read(message, _Body(body))
            message.commands.append(told)
            offset = start + length
        flags = None if message.flags is None else tuple(dict.fromkeys(message.flags))
        values: dict[str, Any] = {"commands": message.commands}
        if flags is not None:
            values["flags"] = list(flags)
        return Decoded(tuple(message.measurements), flags, clock=message.clock, values=values)

    return decode
