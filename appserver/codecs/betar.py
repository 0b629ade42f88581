"""Betar: water meters СХВЭ and СГВЭ, gas meter СГБМ.

Layout: github.com/VegaAbsolute/IoTVegaParser at 5f262340, chirpstack/devices/betar_shve (read, not copied).
Little-endian; port 2 data, ports 3 and 4 settings and clock as in Vega's own devices. The clock shows UTC.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from appserver.codecs.base import CodecError, Decoded, Measurement
from appserver.codecs.vega import PORT_CLOCK, PORT_DATA, PORT_SETTINGS, service

CURRENT_VALUES = 1
WATER = struct.Struct("<BBbBBIBBI")
GAS = struct.Struct("<BBIbIB")
NO_VALUE = 0xFFFFFFFF
WATER_FLAGS = ("magnetic_tamper", "indicator_blocked", "leak", "burst")


def _moment(seconds: int) -> datetime | None:
    return None if seconds in (0, NO_VALUE) else datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)


def _report(
    battery: int, temperature: int, seconds: int, raw: int, decimals: int, flags: tuple[str, ...] | None, **more: int
) -> Decoded:
    clock = _moment(seconds)
    volume = None if raw == NO_VALUE else Decimal(raw).scaleb(-decimals)
    values: dict[str, Any] = {
        "type": "current",
        "battery_pct": battery,
        "temperature_c": temperature,
        "device_time": clock.isoformat() if clock else None,
        "volume_m3": None if volume is None else str(volume),
        **more,
    }
    if flags is not None:
        values["flags"] = list(flags)
    measurements = () if volume is None else (Measurement(1, volume, "m3", at=clock),)
    return Decoded(measurements, flags, battery if battery <= 100 else None, temperature, clock, values)


def _water(data: bytes) -> Decoded:
    _, battery, temperature, magnet, blocked, seconds, leak, burst, raw = WATER.unpack(data)
    bits = zip(WATER_FLAGS, (magnet, blocked, leak, burst), strict=True)
    return _report(battery, temperature, seconds, raw, 4, tuple(name for name, bit in bits if bit))


def _gas(data: bytes) -> Decoded:
    _, battery, seconds, temperature, raw, reboots = GAS.unpack(data)
    return _report(battery, temperature, seconds, raw, 3, None, reboots=reboots)


def _port(f_port: int, data: bytes, layout: struct.Struct, read: Callable[[bytes], Decoded]) -> Decoded:
    if f_port in (PORT_SETTINGS, PORT_CLOCK):
        return service(f_port, data, "Betar meter")  # these two packets are the same in every device of the family
    if f_port != PORT_DATA:
        raise CodecError(f"port {f_port} is not one of a Betar meter (2 data, 3 settings, 4 clock)")
    if not data or data[0] != CURRENT_VALUES:
        raise CodecError(f"packet type is {data[0]}, must be 1" if data else "there is no data", 0)
    if len(data) != layout.size:
        raise CodecError(f"{len(data)} bytes, this packet has {layout.size}", min(len(data), layout.size))
    return read(data)


def decode_water(f_port: int, data: bytes, received_at_us: int) -> Decoded:
    """СХВЭ, СГВЭ: 15 bytes; the temperature is one signed byte."""
    return _port(f_port, data, WATER, _water)


def decode_gas(f_port: int, data: bytes, received_at_us: int) -> Decoded:
    """СГБМ: 12 bytes."""
    return _port(f_port, data, GAS, _gas)
