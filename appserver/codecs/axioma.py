"""Axioma Qalcosonic W1: hourly steps and the current volume on port 100, alarms on port 103.

Layout: github.com/TheThingsNetwork/lorawan-devices, vendor/axioma at 34d9b1e (read, not copied). Little-endian; times
are UTC. Volumes are litres.
"""

from __future__ import annotations

import struct
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from appserver.codecs.base import CodecError, Decoded, Measurement

PORT_DATA, PORT_ALARM = 100, 103
EXTENDED = struct.Struct("<IBIII15H")
ALARM = struct.Struct("<IB")
NO_VALUE, NO_STEP = 0xFFFFFFFF, 0xFFFF
ENHANCED = struct.Struct("<BIBI41s")
ENHANCED_VERSION, ENHANCED_STEPS, STEP_BITS = 1, 23, 14
WHOLE_FLAGS = {0x20: "leak", 0x60: "reverse_flow", 0xA0: "burst", 0x80: "freeze"}
"""The upper three bits are one code."""
BIT_FLAGS = {0x04: "low_battery", 0x08: "permanent_error", 0x10: "temporary_error"}


def _moment(seconds: int) -> datetime | None:
    return None if seconds in (0, NO_VALUE) else datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)


def _flags(status: int) -> tuple[str, ...]:
    code = status & 0xE0
    whole = (WHOLE_FLAGS.get(code, f"code_{code:02x}"),) if code else ()
    return tuple(name for bit, name in BIT_FLAGS.items() if status & bit) + whole


def _extended(data: bytes) -> Decoded:
    seconds, status, volume, log_seconds, log_volume, *steps = EXTENDED.unpack(data)
    clock, logged = _moment(seconds), _moment(log_seconds)
    measurements = []
    if volume != NO_VALUE:
        measurements.append(Measurement(1, Decimal(volume).scaleb(-3), "m3", at=clock))
    hourly: list[str] = []
    if log_volume != NO_VALUE and logged is not None:
        hour, total = logged.replace(minute=0, second=0), log_volume
        for step in (0, *steps):
            if step == NO_STEP:
                break  # the sum is unknown from here on
            total += step
            measurements.append(Measurement(1, Decimal(total).scaleb(-3), "m3", at=hour, archive=True))
            hourly.append(str(Decimal(total).scaleb(-3)))
            hour += timedelta(hours=1)
    flags = _flags(status)
    values = {
        "type": "extended",
        "device_time": clock.isoformat() if clock else None,
        "status": status,
        "flags": list(flags),
        "volume_m3": None if volume == NO_VALUE else str(Decimal(volume).scaleb(-3)),
        "log_time": logged.isoformat() if logged else None,
        "hourly_m3": hourly,
    }
    return Decoded(tuple(measurements), flags, clock=clock, values=values)


def _enhanced(data: bytes) -> Decoded:
    version, seconds, status, base, packed = ENHANCED.unpack(data)
    if version != ENHANCED_VERSION:
        raise CodecError(f"frame version is {version}, must be {ENHANCED_VERSION}", 0)
    bits = int.from_bytes(packed, "little")
    mask = (1 << STEP_BITS) - 1
    steps = [bits >> STEP_BITS * n & mask for n in range(ENHANCED_STEPS)]
    multiplier = bits >> STEP_BITS * ENHANCED_STEPS
    clock, flags = _moment(seconds), _flags(status)
    # What a multiplier above 0 multiplies by is not published, so such steps are no litres.
    known = base != NO_VALUE and multiplier == 0 and mask not in steps
    volume = Decimal(base + sum(steps)).scaleb(-3) if known else None
    values = {
        "type": "enhanced",
        "device_time": clock.isoformat() if clock else None,
        "status": status,
        "flags": list(flags),
        "log_volume_m3": None if base == NO_VALUE else str(Decimal(base).scaleb(-3)),
        "steps": steps,
        "multiplier": multiplier,
        "volume_m3": None if volume is None else str(volume),
    }
    measurements = () if volume is None else (Measurement(1, volume, "m3", at=clock),)
    return Decoded(measurements, flags, clock=clock, values=values)


def _alarm(data: bytes) -> Decoded:
    seconds, status = ALARM.unpack(data)
    clock, flags = _moment(seconds), _flags(status)
    values = {
        "type": "alarm",
        "device_time": clock.isoformat() if clock else None,
        "status": status,
        "flags": list(flags),
    }
    return Decoded((), flags, clock=clock, values=values)


_PACKETS = {
    (PORT_DATA, EXTENDED.size): _extended,
    (PORT_DATA, ENHANCED.size): _enhanced,
    (PORT_ALARM, ALARM.size): _alarm,
}


def decode_w1(f_port: int, data: bytes, received_at_us: int) -> Decoded:
    """Qalcosonic W1: extended packet (47 bytes), 24-hour packet (51 bytes) and alarm (5 bytes)."""
    read = _PACKETS.get((f_port, len(data)))
    if read is None:
        known = ", ".join(f"{length} on port {port}" for port, length in _PACKETS)
        raise CodecError(f"{len(data)} bytes on port {f_port} are no packet of a Qalcosonic W1, which has {known}")
    return read(data)
