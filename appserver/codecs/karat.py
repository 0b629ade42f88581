"""NPO KARAT radio modules: the head of every packet, and the packets of the water meter module 926LW.

Layout: github.com/ws-lab/karat-proto (MIT) at 4515b7a, migrations/0002_set_value.up.sql. Little-endian::

    u16 func         bits 0..12 packet code, bits 13..15 subsystem - 1
    u8  archive type
    4   time         protocol 1.8: hour, day, month, year - 2000; protocol 2.0: seconds since 2000-03-01 00:00
    ... values

Times are the device's own, in the zone of its place.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from appserver.codecs.base import CodecError, Decoded, Measurement

EPOCH = datetime(2000, 3, 1)  # noqa: DTZ001 (device clocks have no zone)
PACKET_MASK = 0x1FFF
ERROR_SUBSYSTEM = 4
ERROR_LENGTH = 4
NO_VALUE_U32 = 0xFFFFFFFF
NO_VALUES_I32 = (0x7FFFFFFF, -0x80000000)


@dataclass(frozen=True, slots=True)
class Archive:
    """A kind of record: ``register`` is a meter's running total, the others are the volume of an interval."""

    name: str
    register: bool = True
    stored: bool = True
    daily: bool = False
    """Closed at the end of a day or month, so that a stamp of 23:00 is the midnight after it."""


ARCHIVES = {
    5: Archive("current", stored=False),
    6: Archive("hour_interval", register=False),
    7: Archive("day_interval", register=False),
    8: Archive("month_interval", register=False),
    9: Archive("month_integral", daily=True),
    14: Archive("hour_integral"),
    15: Archive("day_integral", daily=True),
    16: Archive("minute_interval", register=False),
}

STEP_S = {"1.8": 3600, "2.0": 0}
"""A stamp of protocol 1.8 has no minutes."""

FLAGS_1_8 = {2: "magnetic_tamper", 5: "corrected", 6: "head_detached"}
FLAGS_2_0 = {
    0: "mechanical_tamper",
    1: "magnetic_tamper",
    2: "out_of_range",
    3: "hardware_fault",
    8: "corrected",
    10: "reverse_flow",
    12: "leak",
    13: "no_medium",
}

ERRORS = {
    0x0101: "parameter out of range",
    0x0102: "unknown function code",
    0x0103: "wrong packet length",
    0x0104: "command cannot be carried out",
    0x0110: "meter does not answer",
    0x0111: "wrong length of the meter's answer",
    0x0112: "wrong address",
    0x0113: "wrong request code",
    0x0114: "checksum error",
    0x0115: "configuration error",
    0x0116: "wrong archive query",
    0x0117: "archive type not allowed",
    0x0118: "packet code not supported",
    0x0119: "query not supported",
    0x011A: "no such record in the archive",
}


def _flags(bits: int, names: dict[int, str]) -> tuple[str, ...]:
    return tuple(names.get(bit, f"bit{bit}") for bit in range(16) if bits >> bit & 1)


def time_1_8(data: bytes) -> datetime | None:
    hour, day, month, year = data[3:7]
    if (hour, day, month, year) in ((0, 0, 0, 0), (255, 255, 255, 255)):
        return None  # the clock was never set
    for offset, name, value, low, high in (
        (3, "hour", hour, 0, 23),
        (4, "day", day, 1, 31),
        (5, "month", month, 1, 12),
        (6, "year", year, 0, 99),
    ):
        if not low <= value <= high:
            raise CodecError(f"{name} is {value}, must be {low} to {high}", offset)
    try:
        return datetime(2000 + year, month, day, hour)  # noqa: DTZ001
    except ValueError as error:
        raise CodecError(f"there is no day {day} in month {month} of {2000 + year}", 4) from error


def time_2_0(data: bytes) -> datetime | None:
    seconds = int.from_bytes(data[3:7], "little")
    return None if seconds in (0, NO_VALUE_U32) else EPOCH + timedelta(seconds=seconds)


def archive_of(data: bytes) -> Archive:
    try:
        return ARCHIVES[data[2]]
    except KeyError:
        known = ", ".join(map(str, ARCHIVES))
        raise CodecError(f"archive type is {data[2]}, known are {known}", 2) from None


def boundary(stamp: datetime | None, archive: Archive) -> datetime | None:
    """The moment a record counts for: a day that is stamped with its last hour ends with that hour."""
    if stamp is not None and archive.daily and stamp.hour == 23:
        return stamp.replace(minute=0, second=0) + timedelta(hours=1)
    return stamp


def _record(
    data: bytes,
    protocol: str,
    stamp: datetime | None,
    flags: tuple[str, ...],
    registers: list[tuple[str, Decimal | None]],
) -> Decoded:
    archive = archive_of(data)
    channel = (int.from_bytes(data[:2], "little") >> 13) + 1
    at = boundary(stamp, archive)
    interval = "" if archive.register else archive.name
    measurements = tuple(
        Measurement(channel, value, "m3", "_".join(filter(None, (variant, interval))), at, archive.stored)
        for variant, value in registers
        if value is not None
    )
    values = {
        "packet": f"0x{int.from_bytes(data[:2], 'little') & PACKET_MASK:04X}",
        "protocol": protocol,
        "subsystem": channel,
        "archive": archive.name,
        "device_time": stamp.isoformat() if stamp else None,
        "flags": list(flags),
        **{f"{variant or 'volume'}_m3": str(value) if value is not None else None for variant, value in registers},
    }
    clock = None if archive.stored else stamp
    return Decoded(measurements, flags, clock=clock, values=values, clock_step_s=STEP_S[protocol])


def _packet_0x0284(data: bytes) -> Decoded:
    value = struct.unpack_from("<i", data, 8)[0]
    volume = None if value in NO_VALUES_I32 else Decimal(value).scaleb(-3)
    return _record(data, "1.8", time_1_8(data), _flags(data[7], FLAGS_1_8), [("", volume)])


def _packet_0x0285(data: bytes) -> Decoded:
    bits, forward, reverse = struct.unpack_from("<HII", data, 7)
    registers = [
        (variant, None if value == NO_VALUE_U32 else Decimal(value).scaleb(-4))
        for variant, value in (("", forward), ("reverse", reverse))
    ]
    return _record(data, "2.0", time_2_0(data), _flags(bits, FLAGS_2_0), registers)


_PACKETS: dict[int, tuple[int, Callable[[bytes], Decoded]]] = {
    0x0284: (12, _packet_0x0284),
    0x0285: (17, _packet_0x0285),
}


def expect_length(code: int, data: bytes, length: int) -> None:
    """Raise CodecError unless ``data`` is ``length`` bytes."""
    if len(data) != length:
        raise CodecError(f"{len(data)} bytes, packet 0x{code:04X} has {length}", min(len(data), length))


def error_packet(data: bytes) -> Decoded | None:
    """The error a module answers a command with; None when ``data`` is another packet."""
    word = int.from_bytes(data[:2], "little")
    if word >> 13 != ERROR_SUBSYSTEM or len(data) != ERROR_LENGTH:
        return None
    code = int.from_bytes(data[2:4], "little")
    packet = f"0x{word & PACKET_MASK:04X}"
    return Decoded(values={"packet": packet, "error": code, "error_text": ERRORS.get(code, "unknown error")})


def read_926lw(code: int, data: bytes) -> Decoded | None:
    """A record of a 926LW; None when ``code`` is another packet's. Raises CodecError."""
    if code not in _PACKETS:
        return None
    length, read = _PACKETS[code]
    expect_length(code, data, length)
    return read(data)
