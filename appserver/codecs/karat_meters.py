"""NPO KARAT meters behind a radio module: 306, 307, 308 through 929LW (both protocol generations), Compact 213 and 223,
electricity; and the packets by which every module tells of itself: info, settings, clock, radio, parameters, events, errors.

Tables: ``karat_layouts``. The head and the time base are those of ``karat``.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal

from appserver.codecs.base import CodecError, Decoded, Measurement
from appserver.codecs.karat import (
    EPOCH,
    NO_VALUE_U32,
    NO_VALUES_I32,
    PACKET_MASK,
    archive_of,
    boundary,
    error_packet,
    packet_0x0100,
    time_1_8,
    time_2_0,
)
from appserver.codecs.karat_layouts import FIELD_TYPES, LAYOUTS_1_8, LAYOUTS_2_0, Layout

HEAD = 7
MAX_NUMBER = 1e12
"""No register is larger; a float of 1e30 is no value but noise."""
UNITS = {"gcal": "Gcal", "m3": "m3", "kwh": "kWh"}
ARCHIVE_FLAGS = (
    "current",
    "hour_interval",
    "day_interval",
    "month_interval",
    "month_integral",
    "hour_integral",
    "day_integral",
    "minute_interval",
)
CONNECTION_FLAGS = (
    "power_on",
    "scheduled",
    "magnet",
    "downlink",
    "service_command",
    "no_reception",
    "no_transmission",
    "watchdog",
)
RADIO_FLAGS = ("class_c", "unconfirmed", "no_repetition", "service_log", "clock_autocalibration")


def _bits(bits: int, names: tuple[str, ...]) -> list[str]:
    return [names[bit] if bit < len(names) else f"bit{bit}" for bit in range(bits.bit_length()) if bits >> bit & 1]


def _number(name: str, raw: float, minutes: int) -> Decimal | None:
    """A field in its unit; None for what the device has no value for."""
    unit = name.rpartition("_")[2]
    if unit in ("kwh", "kvarh"):
        return None if raw == NO_VALUE_U32 else Decimal(int(raw)).scaleb(-3)
    if unit == "h":
        return None if raw in NO_VALUES_I32 else (Decimal(int(raw)) / minutes).quantize(Decimal("0.0001"))
    return Decimal(f"{raw:.6f}") if math.isfinite(raw) and abs(raw) < MAX_NUMBER else None


def _packet(code: int, protocol: str, layout: Layout, data: bytes) -> Decoded:
    names = layout.fields.split()
    form = struct.Struct("<" + "".join(FIELD_TYPES[name.rpartition("_")[2]] for name in names))
    _expect_length(code, data, HEAD + form.size)
    archive = archive_of(data)
    stamp = time_1_8(data) if protocol == "1.8" else time_2_0(data)
    subsystem = (int.from_bytes(data[:2], "little") >> 13) + 1
    raws = dict(zip((name for name in names if not name.startswith("gap")), form.unpack_from(data, HEAD), strict=True))
    err = raws.pop("err", None)
    flags = None
    if err is not None:
        flags = tuple(layout.flags.get(bit, f"bit{bit}") for bit in range(32) if err >> bit & 1)
    minutes = 600 if layout.compact and protocol == "1.8" else 60
    numbers = {name: _number(name, raw, minutes) for name, raw in raws.items()}
    interval = "" if archive.register else archive.name
    at = boundary(stamp, archive)
    measurements = tuple(
        Measurement(
            subsystem * 10 + digit if digit else subsystem,
            value,
            UNITS[name.rpartition("_")[2]],
            "_".join(filter(None, (variant, interval))),
            at,
            archive.stored,
        )
        for name, (digit, variant) in layout.registers.items()
        if (value := numbers.get(name)) is not None
    )
    values = {
        "packet": f"0x{code:04X}",
        "protocol": protocol,
        "subsystem": subsystem,
        "archive": archive.name,
        "device_time": stamp.isoformat() if stamp else None,
        **({} if flags is None else {"flags": list(flags)}),
        **{name: None if value is None else str(value) for name, value in numbers.items()},
    }
    return Decoded(measurements, flags, clock=None if archive.stored else stamp, values=values)


def _expect_length(code: int, data: bytes, length: int) -> None:
    if len(data) != length:
        raise CodecError(f"{len(data)} bytes, packet 0x{code:04X} has {length}", min(len(data), length))


def _seconds(seconds: int) -> datetime | None:
    return None if seconds in (0, NO_VALUE_U32) else EPOCH + timedelta(seconds=seconds)


def _settings(data: bytes) -> Decoded:
    events, seconds, zone, offset, period, archives, count, *messages = struct.unpack("<HIbhHBB6H", data[2:])
    clock = _seconds(seconds)
    values = {
        "packet": "0x0101",
        "events": _bits(events, CONNECTION_FLAGS),
        "device_time": clock.isoformat() if clock else None,
        "time_zone_min": zone * 15,
        "offset_time": offset,
        "tx_period": period,
        "archives": _bits(archives, ARCHIVE_FLAGS),
        "message_count": count,
        "messages": messages,
    }
    return Decoded(clock=clock, values=values)


def _clock_correction(data: bytes) -> Decoded:
    return Decoded(values={"packet": "0x0016", "delta_s": struct.unpack("<h", data[2:])[0]})


def _radio(data: bytes) -> Decoded:
    join, low, high, port, attempts, adr, flags = struct.unpack("<BHBBBBB", data[2:])
    values = {
        "packet": "0x0021",
        "join_params": join,
        "dn2_freq": high << 16 | low,
        "f_port": port,
        "tx_attempts": attempts,
        "adr": adr,
        "flags": _bits(flags, RADIO_FLAGS),
    }
    return Decoded(values=values)


def _clock_1_8(data: bytes) -> datetime | None:
    """Second, minute, hour, day, month, year - 2000 at byte 8."""
    second, minute, hour, day, month, year = data[8:14]
    if data[8:14] in (bytes(6), b"\xff" * 6):
        return None
    try:
        return datetime(2000 + year, month, day, hour, minute, second)  # noqa: DTZ001 (device clocks have no zone)
    except ValueError as error:
        raise CodecError(f"there is no such time: {error}", 8) from error


def _parameters(data: bytes) -> Decoded:
    kind, node, _, offset, period, proto, kind2, serial = struct.unpack_from("<HI6siiBH6s", data, 2)
    address, delta, archives, count, *messages, zone, day = struct.unpack_from("<BhBB6HbB", data, 31)
    clock = _clock_1_8(data)
    values = {
        "packet": "0x0014",
        "in_dev_type": kind,
        "node_serial": node,
        "device_time": clock.isoformat() if clock else None,
        "offset_time": offset,
        "tx_period": period,
        "protocol": f"{proto >> 4}.{proto & 15}",
        "in_dev_type2": kind2,
        "meter_serial": serial[::-1].hex(),
        "modbus_address": address,
        "delta_nsn": delta,
        "archives": _bits(archives, ARCHIVE_FLAGS),
        "message_count": count,
        "messages": messages,
        "time_zone_min": zone * 15,
        "report_day": day,
    }
    return Decoded(clock=clock, values=values)


def _event(data: bytes) -> Decoded:
    code, seconds = struct.unpack("<II", data[2:])
    at = _seconds(seconds)
    return Decoded(values={"packet": "0x0041", "event_bits": code, "device_time": at.isoformat() if at else None})


_SERVICE: dict[int, tuple[int, Callable[[bytes], Decoded]]] = {
    0x0014: (50, _parameters),
    0x0016: (4, _clock_correction),
    0x0021: (10, _radio),
    0x0041: (10, _event),
    0x0100: (28, packet_0x0100),
    0x0101: (27, _settings),
}


def decode(f_port: int, data: bytes) -> Decoded:
    """A packet of a KARAT meter or of its module. The port is a setting of the device, so any is taken.

    Raises CodecError when the packet code is unknown, the length is not the packet's, or its head has no sense.
    """
    if len(data) < 4:
        raise CodecError(f"{len(data)} bytes are too few for a packet", len(data))
    error = error_packet(data)
    if error is not None:
        return error
    code = int.from_bytes(data[:2], "little") & PACKET_MASK
    if code in _SERVICE:
        length, read = _SERVICE[code]
        _expect_length(code, data, length)
        return read(data)
    for protocol, layouts in (("1.8", LAYOUTS_1_8), ("2.0", LAYOUTS_2_0)):
        if code in layouts:
            return _packet(code, protocol, layouts[code], data)
    raise CodecError(f"packet code 0x{code:04X} is not one of a KARAT meter", 0)
