"""What a gateway's one transmitter is promised for.

A gateway sends one frame at a time and its forwarder refuses frames that overlap (COLLISION_PACKET, packet_forwarder and
sx1302_hal jitqueue.c: guards of 31.5 or 41.5 ms before a frame). Asking this schedule first finds the conflict while
another gateway or window can still be chosen.
"""

from __future__ import annotations

from bisect import bisect_left, insort

GUARD_US = 45_000
"""Kept free before each frame: the larger of the two forwarders' guards and a little more."""


class TransmitSchedule:
    """Intervals in which the transmitter is taken. Monotonic microseconds."""

    __slots__ = ("_busy",)

    def __init__(self) -> None:
        self._busy: list[tuple[int, int]] = []

    def is_free(self, start_us: int, airtime_us: int) -> bool:
        """True when a frame of ``airtime_us`` could start at ``start_us``."""
        begin, end = start_us - GUARD_US, start_us + airtime_us
        i = bisect_left(self._busy, (begin, 0))
        if i and self._busy[i - 1][1] > begin:
            return False
        return i == len(self._busy) or self._busy[i][0] >= end

    def promised(self, now_us: int) -> int:
        """How many frames the transmitter has yet to send or finish."""
        return sum(end > now_us for _, end in self._busy)

    def take(self, start_us: int, airtime_us: int, now_us: int) -> None:
        """Promise the transmitter; what ended before ``now_us`` is forgotten."""
        busy = self._busy
        while busy and busy[0][1] < now_us:
            del busy[0]
        insort(busy, (start_us - GUARD_US, start_us + airtime_us))

    def release(self, start_us: int, airtime_us: int) -> None:
        """Take a promise back: the gateway refused the frame."""
        entry = (start_us - GUARD_US, start_us + airtime_us)
        if entry in self._busy:
            self._busy.remove(entry)
