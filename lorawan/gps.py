"""GPS time, which DeviceTimeAns, beacons and ping slots use: it counts leap seconds that UTC leaves out.

Times between modules are microseconds of UTC since 1970 (``utc_us``), or of GPS since 1980-01-06 (``gps_us``). The
leap seconds are data: ``leap_seconds.csv`` beside this file.
"""

from __future__ import annotations

from bisect import bisect_right
from datetime import UTC, datetime
from importlib import resources
from typing import Final

from lorawan.commands.session import DeviceTimeAns

SECOND_US: Final = 1_000_000
GPS_EPOCH_UTC_US: Final = 315_964_800 * SECOND_US
"""1980-01-06T00:00:00Z."""


def parse_leap_seconds(text: str) -> list[tuple[int, int]]:
    """Rows of (UTC moment in µs, seconds that GPS is ahead from then on) from the text of the data file."""
    rows = []
    for line in text.splitlines():
        if line and not line.startswith("#"):
            day, seconds = line.split(",")
            moment = datetime.fromisoformat(day).replace(tzinfo=UTC)
            rows.append((int(moment.timestamp()) * SECOND_US, int(seconds)))
    return rows


_ROWS = parse_leap_seconds(resources.files("lorawan").joinpath("leap_seconds.csv").read_text("utf-8"))
_UTC_STARTS = [utc_us for utc_us, _ in _ROWS]
_GPS_STARTS = [utc_us - GPS_EPOCH_UTC_US + seconds * SECOND_US for utc_us, seconds in _ROWS]
_AHEAD_US = [seconds * SECOND_US for _, seconds in _ROWS]


def utc_to_gps_us(utc_us: int) -> int:
    """GPS time of a UTC moment. Before 1980-01-06 the result is negative."""
    row = bisect_right(_UTC_STARTS, utc_us) - 1
    return utc_us - GPS_EPOCH_UTC_US + (_AHEAD_US[row] if row >= 0 else 0)


def gps_to_utc_us(gps_us: int) -> int:
    """UTC of a GPS moment. A leap second has no UTC of its own here: it repeats the second after it."""
    row = bisect_right(_GPS_STARTS, gps_us) - 1
    return gps_us + GPS_EPOCH_UTC_US - (_AHEAD_US[row] if row >= 0 else 0)


def leap_seconds(utc_us: int) -> int:
    """By how many seconds GPS is ahead of UTC at this moment: 18 since 2017."""
    return (utc_to_gps_us(utc_us) - (utc_us - GPS_EPOCH_UTC_US)) // SECOND_US


def device_time_ans(uplink_end_utc_us: int) -> DeviceTimeAns:
    """The answer to DeviceTimeReq: GPS time at the end of the uplink that asked, to the nearest 1/256 s."""
    ticks = (utc_to_gps_us(uplink_end_utc_us) * 256 + SECOND_US // 2) // SECOND_US
    return DeviceTimeAns(seconds=ticks >> 8 & 0xFFFFFFFF, fraction=ticks & 0xFF)
