"""What a KARAT module is told by downlink: queries of its archive, corrections of its clock; and that it has no record.

Layout: github.com/ws-lab/karat-proto, pkg/karatproto/struct.go. Little endian.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from datetime import datetime, timedelta

from lorasim.payloads import KARAT_DAY_INTEGRAL, KARAT_EPOCH, KARAT_HOUR_INTEGRAL

QUERY = {0x000C: "1.8", 0x003A: "2.0"}
CLOCK_CORRECTION = 0x0016
NO_RECORD = 0x011A
CODE = 0x1FFF
ERROR_SUBSYSTEM = 4 << 13


@dataclass(slots=True, frozen=True)
class Query:
    """A record that a module is asked for."""

    code: int
    """With the subsystem that is asked in its upper three bits."""
    protocol: str
    kind: int
    stamp: datetime
    """As it is asked for, on the module's clock."""

    @property
    def known(self) -> bool:
        """Whether modules keep such an archive."""
        return self.kind in (KARAT_DAY_INTEGRAL, KARAT_HOUR_INTEGRAL)

    @property
    def moment(self) -> datetime:
        """What its clock showed when the value was stored: a day is stamped with its last hour."""
        if self.kind == KARAT_DAY_INTEGRAL and self.stamp.hour == 23:
            return self.stamp.replace(minute=0, second=0) + timedelta(hours=1)
        return self.stamp


def parse(data: bytes) -> Query | None:
    """The query in a downlink; None when it is something else."""
    code = int.from_bytes(data[:2], "little")
    protocol = QUERY.get(code & CODE)
    if protocol is None or len(data) != 7:
        return None
    if protocol == "2.0":
        stamp = KARAT_EPOCH + timedelta(seconds=int.from_bytes(data[3:7], "little"))
    else:
        hour, day, month, year = data[3:7]
        try:
            stamp = datetime(2000 + year, month, day, hour)  # noqa: DTZ001 (the module's own zone)
        except ValueError:
            return None
    return Query(code, protocol, data[2], stamp)


def no_record(query: Query) -> bytes:
    """The answer when there is no such record."""
    return struct.pack("<HH", ERROR_SUBSYSTEM | query.code & CODE, NO_RECORD)


def clock_correction(data: bytes) -> int | None:
    """By how many microseconds a module is to set its clock forward; None when the downlink is something else."""
    if len(data) != 4 or int.from_bytes(data[:2], "little") != CLOCK_CORRECTION:
        return None
    seconds: int = struct.unpack_from("<h", data, 2)[0]
    return seconds * 1_000_000
