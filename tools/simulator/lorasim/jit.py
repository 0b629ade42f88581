"""The just-in-time transmit queue of a packet forwarder, with the margins of the real programs.

Two generations differ: ``1301`` (Lora-net/packet_forwarder, SX1301) and ``1302`` (sx1302_hal). Times here are values of
the concentrator's counter: microseconds modulo 2**32, compared unsigned, as the forwarders do.
"""

from __future__ import annotations

from dataclasses import dataclass

from lorasim.radio import Downlink

COUNTER = 1 << 32
QUEUE_LENGTH = 32
START_DELAY_US = 1_500
MARGIN_US = 1_000
MAX_ADVANCE_US = 4 * 128_000_000


@dataclass(slots=True, frozen=True)
class Forwarder:
    """What distinguishes one forwarder program from another."""

    name: str
    jit_delay_us: int
    """Before a packet's time, in which the queue hands it to the radio."""
    immediate_delay_us: int
    """An ``imme`` packet leaves this long after its PULL_RESP."""
    power_table_dbm: tuple[int, ...]
    clamps_power: bool
    """True: nearest lower power and a ``warn``; False: TX_POWER, nothing sent."""

    @property
    def guard_us(self) -> int:
        """Room kept before each packet."""
        return START_DELAY_US + self.jit_delay_us

    @property
    def too_late_us(self) -> int:
        return self.guard_us + MARGIN_US


FORWARDERS = {
    "1301": Forwarder("1301", 30_000, 1_000_000, (0, 3, 6, 10, 11, 12, 13, 14, 16, 20, 23, 25, 26, 27), False),
    "1302": Forwarder("1302", 40_000, 80_000, (12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27), True),
}


@dataclass(slots=True)
class Planned:
    tmst: int
    downlink: Downlink


class JitQueue:
    """At most 32 packets that do not overlap."""

    __slots__ = ("_forwarder", "_planned")

    def __init__(self, forwarder: Forwarder) -> None:
        self._forwarder = forwarder
        self._planned: list[Planned] = []

    def __len__(self) -> int:
        return len(self._planned)

    def enqueue(self, tmst: int, downlink: Downlink, now_tmst: int) -> str:
        """Accept a packet (``NONE``) or say why not, in the words of ``txpk_ack.error``."""
        if len(self._planned) >= QUEUE_LENGTH:
            return "COLLISION_PACKET"
        ahead = (tmst - now_tmst) % COUNTER
        if ahead <= self._forwarder.too_late_us:
            return "TOO_LATE"
        if ahead > MAX_ADVANCE_US:  # so is everything in the past, the counter being unsigned
            return "TOO_EARLY"
        if any(self._overlap(tmst, downlink.airtime_us, other) for other in self._planned):
            return "COLLISION_PACKET"
        self._planned.append(Planned(tmst, downlink))
        return "NONE"

    def _overlap(self, tmst: int, airtime_us: int, other: Planned) -> bool:
        guard = self._forwarder.guard_us + MARGIN_US
        after_other = (tmst - other.tmst) % COUNTER <= guard + other.downlink.airtime_us
        return after_other or (other.tmst - tmst) % COUNTER <= guard + airtime_us

    def first_gap(self, now_tmst: int, airtime_us: int) -> int:
        """When an immediate packet may leave: after the program's delay, or behind what is planned."""
        tmst = (now_tmst + self._forwarder.immediate_delay_us) % COUNTER
        for _ in range(len(self._planned) + 1):
            busy = [p for p in self._planned if self._overlap(tmst, airtime_us, p)]
            if not busy:
                break
            end = max((p.tmst + p.downlink.airtime_us - now_tmst) % COUNTER for p in busy)
            tmst = (now_tmst + end + self._forwarder.guard_us + MARGIN_US + 1) % COUNTER
        return tmst

    def timer(self) -> int | None:
        """Start of the next packet in the radio's clock."""
        return min((p.downlink.start_us for p in self._planned), default=None)

    def take_due(self, now_us: int) -> list[Downlink]:
        due = [p.downlink for p in self._planned if p.downlink.start_us <= now_us]
        self._planned = [p for p in self._planned if p.downlink.start_us > now_us]
        return sorted(due, key=lambda downlink: downlink.start_us)

    def clear(self) -> None:
        self._planned.clear()
