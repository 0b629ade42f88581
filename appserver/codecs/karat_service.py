"""Packets by which every KARAT radio module tells of itself: info, settings, clock, radio, parameters, events.

Layout: github.com/ws-lab/karat-proto (MIT) at 4515b7a, pkg/karatproto/struct.go and migrations/0002_set_value.up.sql. The
bits of the event log have no published names.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from appserver.codecs.base import CodecError, Decoded
from appserver.codecs.karat import EPOCH, NO_VALUE_U32, expect_length

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


def _protocol(coded: int) -> str:
    """The protocol of an info packet: tenths, from 24 on in hex digits (20 and 0x1A are 2.0, 0x18 is 1.8)."""
    tenths = coded if coded < 24 else coded - 6
    return f"{tenths // 10}.{tenths % 10}"


def _info(data: bytes) -> Decoded:
    proto, node, software, kind, archives, battery = struct.unpack_from("<BIHHBB", data, 2)
    kind2, serial, unit, delta, connection = struct.unpack_from("<HQBhH", data, 13)
    values: dict[str, Any] = {
        "packet": "0x0100",
        "proto": proto,
        "protocol": _protocol(proto),
        "node_serial": node,
        "sw": software,
        "in_dev_type": kind,
        "arch_allowed": archives,
        "archives": _bits(archives, ARCHIVE_FLAGS),
        "battery_pct": battery,
        "in_dev_type2": kind2,
        "meter_serial": serial,
        "unit": unit,
        "delta_nsn": delta,
        "con_status": connection,
        "connection": _bits(connection, CONNECTION_FLAGS),
    }
    return Decoded(battery_pct=battery if battery <= 100 else None, values=values)


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


_PACKETS: dict[int, tuple[int, Callable[[bytes], Decoded]]] = {
    0x0014: (50, _parameters),
    0x0016: (4, _clock_correction),
    0x0021: (10, _radio),
    0x0041: (10, _event),
    0x0100: (28, _info),
    0x0101: (27, _settings),
}


def read_service(code: int, data: bytes) -> Decoded | None:
    """A packet of the module itself; None when ``code`` is another packet's. Raises CodecError for a wrong length."""
    if code not in _PACKETS:
        return None
    length, read = _PACKETS[code]
    expect_length(code, data, length)
    return read(data)
