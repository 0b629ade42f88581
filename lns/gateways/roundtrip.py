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
"""Without a measurement for so long, what is known is believed less and less: a gateway must not stay excluded, and within
a minute after its backhaul has recovered it is not."""


class RoundTrip:
    """Round trips of one gateway, PULL_RESP → TX_ACK. Microseconds."""

    __slots__ = (
        "_at_us",
        "_late_us",
        "_samples",
        "deviation_us",
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
        self.smoothed_us: int | None = None
        """As RFC 6298 §2 smooths it; None until measured."""
        self.deviation_us = 0
        self.taken = 0
        """How many were measured since :meth:`restart_summary`, their sum, least and most: for statistics."""
        self.sum_us = self.least_us = self.most_us = 0

    def measure(self, rtt_us: int, now_us: int) -> None:
        """Take one."""
        self._samples.append(min(rtt_us, HOPELESS_US))
        self._at_us = now_us
        if self.smoothed_us is None:
            self.smoothed_us, self.deviation_us = rtt_us, 0
        else:
            self.deviation_us += (abs(rtt_us - self.smoothed_us) - self.deviation_us) // 4
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
        """Called now and then. Forget the slower ones when nothing was measured for long: nothing is, when all is too slow."""
        if self._samples and now_us - self._at_us > STALE_US:
            self._at_us = now_us
            self._late_us //= 2
            if len(self._samples) > 1:
                quick = sorted(self._samples)[: max(1, len(self._samples) // 4)]
                self._samples.clear()
                self._samples.extend(quick)
                self.deviation_us //= 4
            else:
                self._samples[0] = min(self._samples[0], max(DEFAULT_RTT_US, self._samples[0] * 3 // 4))

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
