"""A month of a point by the hour: volumes in eight bytes each, qualities in one.

Sums of many points are made of whole numbers as long as a month: volume *i* is a digit of base 2⁶⁴ that carries a bias,
so that one addition adds all hours of two points and no digit runs into its neighbour.
"""

from __future__ import annotations

import math
import sys
from array import array
from collections.abc import Iterable, Sequence
from datetime import date
from functools import lru_cache
from zoneinfo import ZoneInfo

from appserver.metering.balance import QUALITY_ORDER
from appserver.metering.timebase import HOUR_US, day_number, midnight_us, moment

RANK = {quality: rank for rank, quality in enumerate(QUALITY_ORDER)}
MISSING = RANK["missing"]
BIAS = 1 << 63
LARGEST = 1 << 52
"""No hour's volume is larger: what claims to be (a register that jumped) is not known. A thousand of them can be added."""
_POINTS_A_SUM = 255
_KNOWN = bytes(rank != MISSING for rank in range(256))
_ESTIMATED = bytes(rank not in (RANK["measured"], MISSING) for rank in range(256))


def month_of(at_us: int, zone: ZoneInfo) -> int:
    """The month that a moment lies in, counted from January of the year 0."""
    local = moment(at_us, zone)
    return local.year * 12 + local.month - 1


@lru_cache(maxsize=4096)
def month_edges(month: int, zone: ZoneInfo) -> tuple[int, int]:
    """The first moment of a month and that of the next."""
    ends = (date(each // 12, each % 12 + 1, 1) for each in (month, month + 1))
    first, last = (midnight_us(day_number(end), zone) for end in ends)
    return first, last


@lru_cache(maxsize=4096)
def hours_in(month: int, zone: ZoneInfo) -> int:
    """How many hours a month has, the last one perhaps a short one."""
    first_us, last_us = month_edges(month, zone)
    return math.ceil((last_us - first_us) / HOUR_US)


class Month:
    """A month of a point on its way; hours that nobody told are missing."""

    __slots__ = ("ranks", "volumes")

    def __init__(self, hours: int, volumes: bytes = b"", ranks: bytes = b"") -> None:
        self.volumes = array("Q", volumes) if volumes else array("Q", [BIAS]) * hours
        self.ranks = bytearray(ranks) if ranks else bytearray([MISSING]) * hours
        if sys.byteorder == "big" and volumes:
            self.volumes.byteswap()

    def put(self, hour: int, volume_micro: int | None, rank: int) -> None:
        """Say what is known of an hour; None is nothing."""
        known = volume_micro is not None and abs(volume_micro) <= LARGEST
        self.volumes[hour] = BIAS + (volume_micro if known and volume_micro is not None else 0)
        self.ranks[hour] = rank if known else MISSING

    def forget(self, first: int, last: int) -> None:
        """Let the hours from ``first`` to ``last`` (excluded) be missing."""
        if first < last:
            self.volumes[first:last] = array("Q", [BIAS]) * (last - first)
            self.ranks[first:last] = bytes([MISSING]) * (last - first)

    @property
    def packed(self) -> tuple[bytes, bytes]:
        """Volumes and ranks as they are kept."""
        volumes = self.volumes
        if sys.byteorder == "big":
            volumes = array("Q", volumes)
            volumes.byteswap()
        return volumes.tobytes(), bytes(self.ranks)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is known of any hour."""
        return self.ranks.count(MISSING) == len(self.ranks)


def unpacked(volumes: bytes, ranks: bytes) -> list[int | None]:
    """The volumes of one point, None where they are missing."""
    its = array("Q", volumes)
    if sys.byteorder == "big":
        its.byteswap()
    return [None if rank == MISSING else value - BIAS for value, rank in zip(its, ranks, strict=True)]


def summed(blocks: Iterable[bytes], hours: int) -> list[int]:
    """The sum of packed volumes hour by hour; what is missing counts nothing."""
    total, count = 0, 0
    for block in blocks:
        total += int.from_bytes(block, "little")
        count += 1
    if not count:
        return [0] * hours
    total -= (count - 1) * _biases(hours)
    its = array("Q", total.to_bytes(8 * hours, "little"))
    if sys.byteorder == "big":
        its.byteswap()
    return [value - BIAS for value in its]


@lru_cache(maxsize=16)
def _biases(hours: int) -> int:
    return int.from_bytes(BIAS.to_bytes(8, "little") * hours, "little")


def counted(ranks: Sequence[bytes], hours: int) -> tuple[list[int], list[int]]:
    """How many of the points are known in each hour, and how many of these with less than a measured value."""
    return _counted(ranks, hours, _KNOWN), _counted(ranks, hours, _ESTIMATED)


def _counted(ranks: Sequence[bytes], hours: int, table: bytes) -> list[int]:
    counts = [0] * hours
    for start in range(0, len(ranks), _POINTS_A_SUM):
        total = sum(int.from_bytes(its.translate(table), "little") for its in ranks[start : start + _POINTS_A_SUM])
        counts = [a + b for a, b in zip(counts, total.to_bytes(hours, "little"), strict=True)]
    return counts
