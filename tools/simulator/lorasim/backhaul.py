"""The way between one gateway and the server: delay, jitter, loss, duplication, and times when nothing passes."""

from __future__ import annotations

import random
from dataclasses import dataclass, field


@dataclass(slots=True)
class Backhaul:
    """Keys of ``[backhaul]``, and of ``backhaul`` of one gateway."""

    delay_ms: float = 15.0
    """One way."""
    jitter_ms: float = 10.0
    """Up to so much is added, evenly spread; datagrams may overtake each other, messages of a connection do not."""
    loss: float = 0.0
    """Share of datagrams that never arrive. A connection loses nothing."""
    duplicate: float = 0.0
    """Share of datagrams that arrive twice."""


@dataclass(slots=True)
class BackhaulOutage:
    """Keys of ``[[gateways.outages]]``: a time without backhaul."""

    at_s: float
    """Seconds after the start of the run."""
    for_s: float
    """How long."""
    buffered: bool = False
    """The gateway keeps received frames and hands them over afterwards, in order, with the counters of their reception. Without
    it they are lost; a Basics Station loses its connection."""

    def covers(self, since_start_us: int) -> bool:
        return self.at_s * 1e6 <= since_start_us < (self.at_s + self.for_s) * 1e6

    @property
    def end_us(self) -> int:
        return round((self.at_s + self.for_s) * 1e6)


BETWEEN_BUFFERED_US = 5_000
"""What was buffered leaves one after another."""


@dataclass(slots=True)
class Way:
    """The way of one gateway. Times are those of the world; ``start_us`` is when its run began."""

    config: Backhaul
    rng: random.Random
    outages: list[BackhaulOutage] = field(default_factory=list)
    start_us: int = 0
    lost: int = 0
    buffered: int = 0
    _last_us: dict[str, int] = field(default_factory=dict)
    """When the last message of a connection arrives, by direction: the next one comes no sooner."""
    _released_us: int = 0

    def outage(self, now: int) -> BackhaulOutage | None:
        """The outage that lasts now."""
        if not self.outages:
            return None
        return next((one for one in self.outages if one.covers(now - self.start_us)), None)

    def _delay_us(self) -> int:
        return round((self.config.delay_ms + self.rng.uniform(0, self.config.jitter_ms)) * 1000)

    def datagram(self, now: int, keep: bool = False) -> list[int]:
        """When the copies of a datagram arrive: usually one. ``keep``: a gateway that buffers keeps it through an outage."""
        outage = self.outage(now)
        if outage is not None:
            if not (keep and outage.buffered):
                self.lost += 1
                return []
            self.buffered += 1
            self._released_us = max(self._released_us, self.start_us + outage.end_us) + BETWEEN_BUFFERED_US
            return [self._released_us + self._delay_us()]
        if self.rng.random() < self.config.loss:
            self.lost += 1
            return []
        copies = 1 + (self.rng.random() < self.config.duplicate)
        return [now + self._delay_us() for _ in range(copies)]

    def message(self, now: int, direction: str) -> int | None:
        """When a message of a connection arrives; None when the outage has broken the connection."""
        outage = self.outage(now)
        if outage is not None and not outage.buffered:
            self.lost += 1
            return None
        leaves_us = now if outage is None else self.start_us + outage.end_us
        arrives_us = max(leaves_us + self._delay_us(), self._last_us.get(direction, 0))
        self._last_us[direction] = arrives_us
        return arrives_us
