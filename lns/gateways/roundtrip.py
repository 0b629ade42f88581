"""How long before its transmission a message must leave for a gateway, learned from what earlier ones took.

The one-way delay cannot be measured, and need not be: when a frame was heard is known only as "arrival less delay above
the least", so the server's idea of a moment is late by the least delay of the way up. A message that leaves a whole round
trip before that moment therefore arrives by it, however the round trip is divided between up and down.
"""

from __future__ import annotations

from collections import deque

DEFAULT_RTT_US = 100_000
"""Assumed until measured: an LTE backhaul on a fair day."""
SAMPLES = 24
"""The slowest of so many, save one freak, is what to reckon with."""
SLACK_US = 20_000
"""For what the round trip does not know: our own queues and a jump in the backhaul."""
LATE_US = 40_000
"""A first TOO_LATE raises the lead by this; another in a row doubles it."""
MOST_LATE_US = 400_000
HOPELESS_US = 4_000_000
"""Longer ones count as this: no window waits for them, and they are forgotten sooner."""
STALE_US = 20_000_000
"""A measurement so old keeps no message from its window: a gateway must not stay excluded, for nothing is measured while
nothing is sent. Within a minute after its backhaul has recovered it is not."""
GUESS_US = 1_000_000
"""What is tried then, at most: in time for RX2."""


class RoundTrip:
    """Round trips of one gateway, PULL_RESP → TX_ACK. Microseconds."""

    __slots__ = (
        "_at_us",
        "_late_us",
        "_samples",
        "deviation_us",
        "is_guess",
        "least_us",
        "most_us",
        "smoothed_us",
        "sum_us",
        "taken",
    )

    def __init__(self) -> None:
        self._samples: deque[int] = deque(maxlen=SAMPLES)
        self._late_us = 0
        self._at_us = 0
        self.is_guess = False
        """The only sample was not measured; the first that is takes its place."""
        self.smoothed_us: int | None = None
        """As RFC 6298 §2 smooths it; None until measured."""
        self.deviation_us = 0
        self.taken = 0
        """How many were measured since :meth:`restart_summary`, their sum, least and most: for statistics."""
        self.sum_us = self.least_us = self.most_us = 0

    def measure(self, rtt_us: int, now_us: int) -> None:
        """Take one."""
        if self.is_guess:
            self._samples.clear()
            self.smoothed_us, self.is_guess = None, False
        self._samples.append(min(rtt_us, HOPELESS_US))
        self._at_us = now_us
        if self.smoothed_us is None:
            self.smoothed_us, self.deviation_us = rtt_us, 0
        else:
            apart_us = abs(rtt_us - self.smoothed_us)
            if rtt_us < self.smoothed_us:
                apart_us = min(apart_us, self.deviation_us)  # quicker than before is no reason to leave earlier
            self.deviation_us += (apart_us - self.deviation_us) // 4
            self.smoothed_us += (rtt_us - self.smoothed_us) // 8
        self.least_us = min(self.least_us, rtt_us) if self.taken else rtt_us
        self.most_us = max(self.most_us, rtt_us)
        self.taken += 1
        self.sum_us += rtt_us

    def too_late(self) -> None:
        """The gateway had the message too late although it had left in time: the next one leaves earlier."""
        self._late_us = min(max(2 * self._late_us, LATE_US), MOST_LATE_US)

    def in_time(self) -> None:
        """The gateway took a message: what :meth:`too_late` has added is let down slowly."""
        if self._late_us:
            self._late_us -= self._late_us // 16 + 1

    def relax(self, now_us: int) -> None:
        """Called when only this lead stands between a message and its window. What was measured long ago is doubted: the
        quickest counts, and half of it. What was measured lately is true, and nothing changes."""
        if self._samples and now_us - self._at_us > STALE_US:
            guess_us = max(DEFAULT_RTT_US, min(min(self._samples) // 2, GUESS_US))
            self._samples.clear()
            self._samples.append(guess_us)
            self.is_guess, self._at_us = True, now_us
            self.deviation_us, self._late_us = 0, self._late_us // 2

    @property
    def expected_us(self) -> int:
        """A round trip that the next one hardly exceeds."""
        samples = self._samples
        if not samples:
            return DEFAULT_RTT_US
        slowest = max(samples)
        if len(samples) == SAMPLES:
            slowest = sorted(samples)[-2]
        return slowest + self.deviation_us

    @property
    def lead_us(self) -> int:
        """A message must leave so long before it is wanted at the gateway, by the server's idea of that moment."""
        return self.expected_us + self._late_us + SLACK_US

    def restart_summary(self) -> tuple[int, int, int, int]:
        """(how many, sum, least, most) since the last call."""
        summary = self.taken, self.sum_us, self.least_us, self.most_us
        self.taken = self.sum_us = self.least_us = self.most_us = 0
        return summary
