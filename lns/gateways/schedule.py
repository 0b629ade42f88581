"""What a gateway's one transmitter is promised for, and when it was deaf.

A gateway sends one frame at a time, its forwarder keeps at most 32 of them and refuses frames that overlap
(COLLISION_PACKET, packet_forwarder and sx1302_hal jitqueue.c: guards of 32.5 or 42.5 ms between frames). Asking this
schedule first finds the conflict while another gateway or window can still be chosen. While a gateway transmits it hears
nothing: what it did not hear then says nothing about a device.
"""

from __future__ import annotations

from bisect import bisect_left, insort

GUARD_US = 48_000
"""Kept free before each frame: the larger of the two forwarders' guards, and what our clocks may differ by."""
QUEUE_LENGTH = 32
"""JIT_QUEUE_MAX of both generations: one more is refused as a collision."""
MAX_ADVANCE_US = 500_000_000
"""Forwarders answer TOO_EARLY from 512 s (4 beacon periods) on."""
REMEMBERED_US = 30_000_000
"""For so long after a frame it is known that the gateway was deaf during it."""


class TransmitSchedule:
    """Intervals in which the transmitter is taken. Monotonic microseconds."""

    __slots__ = ("_busy",)

    def __init__(self) -> None:
        self._busy: list[tuple[int, int]] = []
        """(start less the guard, end), sorted; no two overlap unless somebody took without asking."""

    def is_free(self, start_us: int, airtime_us: int) -> bool:
        """True when a frame of ``airtime_us`` could start at ``start_us``."""
        begin, end = start_us - GUARD_US, start_us + airtime_us
        i = bisect_left(self._busy, (begin, 0))
        if i and self._busy[i - 1][1] > begin:
            return False
        return i == len(self._busy) or self._busy[i][0] >= end

    def next_free_us(self, start_us: int, airtime_us: int) -> int:
        """The earliest time from ``start_us`` on at which a frame of ``airtime_us`` could start."""
        for begin, end in self._busy:
            if end > start_us - GUARD_US and begin < start_us + airtime_us:
                start_us = end + GUARD_US
        return start_us

    def promised(self, now_us: int) -> int:
        """How many frames the transmitter has yet to send or finish."""
        busy = self._busy
        yet = bisect_left(busy, (now_us, 0))
        count = len(busy) - yet
        while yet and busy[yet - 1][1] > now_us:
            yet -= 1
            count += 1
        return count

    def is_full(self, now_us: int) -> bool:
        """True when the forwarder's queue has no place for one more frame."""
        return len(self._busy) >= QUEUE_LENGTH and self.promised(now_us) >= QUEUE_LENGTH

    def was_deaf(self, begin_us: int, end_us: int) -> bool:
        """True when the gateway transmitted at some time between these, so that it cannot have heard a whole frame."""
        return any(start + GUARD_US < end_us and end > begin_us for start, end in self._busy)

    def take(self, start_us: int, airtime_us: int, now_us: int) -> None:
        """Promise the transmitter; what ended long before ``now_us`` is forgotten."""
        busy = self._busy
        while busy and busy[0][1] < now_us - REMEMBERED_US:
            del busy[0]
        insort(busy, (start_us - GUARD_US, start_us + airtime_us))

    def release(self, start_us: int, airtime_us: int) -> None:
        """Take a promise back: the gateway refused the frame."""
        entry = (start_us - GUARD_US, start_us + airtime_us)
        if entry in self._busy:
            self._busy.remove(entry)

    def clear(self, now_us: int) -> None:
        """The gateway began anew: what it had in its queue is lost."""
        self._busy = [(start, end) for start, end in self._busy if start + GUARD_US < now_us]
