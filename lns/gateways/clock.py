"""When was a frame really in the air? A gateway's counter against the server's clock.

``tmst`` is the concentrator's own microsecond counter; it wraps every 4,294.967296 s and starts anew when the forwarder
restarts. Network delay is never negative, so the smallest ``arrival - counter`` seen lately is the offset between the
clocks plus the least delay; anything above it is delay of that one datagram.
"""

from __future__ import annotations

WRAP_US = 1 << 32
_HALF_US = WRAP_US // 2
_TERM_US = 300_000_000
"""An offset counts for this long and as long again: crystals drift by some 10 ms in ten minutes."""
_RESTART_US = 3_000_000
"""A datagram that seems to be earlier than possible by more than this means that the counter was reset."""
_LATEST_US = 30_000_000
"""A datagram that seems to be later than this means the same: none is so late and of use."""
_NOTED_US = 500_000
_STEADY_US = 100_000
"""Two datagrams apart that seem to be late by the same time, from ``_NOTED_US`` on and within this, mean the same too."""


class ConcentratorClock:
    """Maps a gateway's ``tmst`` onto the server's monotonic clock."""

    __slots__ = ("_late_at_us", "_late_us", "_next_us", "_offset_us", "_seen_us", "_term_us", "restarts")

    def __init__(self) -> None:
        self._offset_us: int | None = None
        self._next_us = 0
        """The least offset of the term that runs: the only one that counts when the term after it begins."""
        self._term_us = 0
        self._seen_us = 0
        self._late_us = 0
        self._late_at_us = 0
        self.restarts = 0
        """How often the counter was found to have been reset."""

    def observe(self, tmst: int, arrival_us: int) -> int:
        """Take the counter of a datagram that arrived at ``arrival_us`` (monotonic).

        Returns when the frame's reception ended, monotonic microseconds, as well as it can be known: at most ``arrival_us``.
        """
        raw = arrival_us - tmst
        offset_us = self._offset_us
        if offset_us is None or arrival_us - self._seen_us > 2 * _TERM_US:
            return self._begin(raw, arrival_us)
        self._seen_us = arrival_us
        if arrival_us - self._term_us > _TERM_US:
            # The offset of the term that ended counts during the next one, so that one slow datagram moves no moment.
            self._offset_us = offset_us = self._next_us
            self._next_us, self._term_us = raw, arrival_us
        delay = (raw - offset_us) % WRAP_US
        if delay >= _HALF_US:
            # Earlier than the least delay known: a quicker path, or a counter that began anew.
            if WRAP_US - delay > _RESTART_US:
                self.restarts += 1
                return self._begin(raw, arrival_us)
            self._offset_us = self._next_us = raw
            return arrival_us
        if delay > _LATEST_US or (delay > _NOTED_US and self._is_steady(delay, arrival_us)):
            # The counter was reset to a lower value.
            self.restarts += 1
            return self._begin(raw, arrival_us)
        if (raw - self._next_us) % WRAP_US >= _HALF_US:
            self._next_us = raw
        return arrival_us - delay

    def _begin(self, raw: int, arrival_us: int) -> int:
        self._offset_us = self._next_us = raw
        self._term_us = self._seen_us = arrival_us
        return arrival_us

    def _is_steady(self, late_us: int, arrival_us: int) -> bool:
        """Was the datagram before, a while ago, late by the same time? Frames that waited together arrive together."""
        same = abs(late_us - self._late_us) < _STEADY_US and arrival_us - self._late_at_us > _NOTED_US
        self._late_us, self._late_at_us = late_us, arrival_us
        return same
