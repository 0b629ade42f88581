"""What meters put into FRMPayload: KARAT-926LW of both protocol generations and Vega SI-11.

Layouts: github.com/ws-lab/karat-proto and github.com/VegaAbsolute/IoTVegaParser. Little endian throughout.
"""

from __future__ import annotations

import struct
from datetime import datetime
from typing import Final

from lorasim.consumption import UNITS_PER_M3

KARAT_PORT: Final = 5
VEGA_PORT: Final = 2

KARAT_CURRENT: Final = 5
KARAT_HOUR_INTEGRAL: Final = 14
KARAT_DAY_INTEGRAL: Final = 15
"""Archive types: the value now, at a full hour, at a midnight."""

KARAT_EPOCH: Final = datetime(2000, 3, 1)  # noqa: DTZ001  (in the device's own zone)


def karat_926_v18(archive: int, at_local: datetime, units: int, errors: int = 0) -> bytes:
    """Packet 0x0284: hour, day, month, year − 2000 in the device's zone; int32 of 0.001 m³."""
    stamp = bytes([at_local.hour, at_local.day, at_local.month, at_local.year - 2000])
    return struct.pack("<HB4sBi", 0x0284, archive, stamp, errors, units * 1000 // UNITS_PER_M3)


def karat_926_v20(archive: int, at_local: datetime, units: int, flags: int = 0, reverse_units: int = 0) -> bytes:
    """Packet 0x0285: seconds since 2000-03-01 in the device's zone; u32 of 0.0001 m³ forward and reverse."""
    seconds = round((at_local.replace(tzinfo=None) - KARAT_EPOCH).total_seconds())
    return struct.pack("<HBIHII", 0x0285, archive, seconds, flags, units & 0xFFFFFFFF, reverse_units)


VEGA_PERIOD_H: Final = {1: 6, 6: 1, 12: 5, 24: 7}
"""Code of a communication period, bits 1 to 3 of the configuration byte."""


def vega_si11(
    unix_s: int, pulses: tuple[int, int, int, int], period_h: int = 24, battery_percent: int = 100, celsius: int = 21
) -> bytes:
    """Packet of current values, revision 1 (24 bytes): OTAA, four pulse inputs, time in UTC, four counters."""
    configuration = VEGA_PERIOD_H.get(period_h, 7) << 1
    return struct.pack("<BBBIb4I", 0x01, battery_percent, configuration, unix_s, celsius, *pulses)
