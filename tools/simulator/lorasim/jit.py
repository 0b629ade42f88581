"""The just-in-time transmit queue of a packet forwarder, with the margins of the real programs.

Two generations differ: ``1301`` (Lora-net/packet_forwarder, SX1301) and ``1302`` (sx1302_hal). Times here are values of
the concentrator's counter: microseconds modulo 2**32, compared unsigned, as the forwarders do.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

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


BEACON_GUARD_US = 3_000_000
BEACON_RESERVED_US = 2_120_000


class Kind(Enum):
    """What a packet is to the queue: ``tmst`` makes class A, ``tmms`` class B, ``imme`` class C."""

    A = auto()
    B = auto()
    C = auto()
    BEACON = auto()


@dataclass(slots=True)
class Planned:
    tmst: int
    downlink: Downlink
    kind: Kind = Kind.A

    @property
    def post_us(self) -> int:
        """Taken after its beginning."""
        return BEACON_RESERVED_US if self.kind is Kind.BEACON else self.downlink.airtime_us


class JitQueue:
    """At most 32 packets that do not overlap."""

    __slots__ = ("_forwarder", "_planned")

    def __init__(self, forwarder: Forwarder) -> None:
        self._forwarder = forwarder
        self._planned: list[Planned] = []

    def __len__(self) -> int:
        return len(self._planned)

    def enqueue(self, tmst: int, downlink: Downlink, now_tmst: int, kind: Kind = Kind.A) -> str:
        """Accept a packet (``NONE``) or say why not, in the words of ``txpk_ack.error``."""
        if len(self._planned) >= QUEUE_LENGTH:
            return "COLLISION_PACKET"
        ahead = (tmst - now_tmst) % COUNTER
        if ahead <= self._forwarder.too_late_us:
            return "TOO_LATE"
        if ahead > MAX_ADVANCE_US:  # so is everything in the past, the counter being unsigned
            return "TOO_EARLY"
        planned = Planned(tmst, downlink, kind)
        for other in self._planned:
            if self._overlap(planned, other):
                return "COLLISION_BEACON" if other.kind is Kind.BEACON else "COLLISION_PACKET"
        self._planned.append(planned)
        return "NONE"

    def _overlap(self, new: Planned, other: Planned) -> bool:
        before_new, before_other = self._guard_us(new, other), self._guard_us(other, new)
        after_other = (new.tmst - other.tmst) % COUNTER <= before_new + other.post_us
        return after_other or (other.tmst - new.tmst) % COUNTER <= before_other + new.post_us

    def _guard_us(self, packet: Planned, against: Planned) -> int:
        """Kept free before a packet. A beacon's long guard holds against class B only."""
        guard = self._forwarder.guard_us + MARGIN_US
        if packet.kind is not Kind.BEACON:
            return guard
        return guard + BEACON_GUARD_US if against.kind is Kind.B else START_DELAY_US + MARGIN_US

    def first_gap(self, now_tmst: int, airtime_us: int) -> int:
        """When an immediate packet may leave: after the program's delay, or behind what is planned."""
        tmst = (now_tmst + self._forwarder.immediate_delay_us) % COUNTER
        for _ in range(len(self._planned) + 1):
            busy = [p for p in self._planned if self._in_the_way(tmst, airtime_us, p)]
            if not busy:
                break
            end = max((p.tmst + p.post_us - now_tmst) % COUNTER for p in busy)
            tmst = (now_tmst + end + self._forwarder.guard_us + MARGIN_US + 1) % COUNTER
        return tmst

    def _in_the_way(self, tmst: int, airtime_us: int, other: Planned) -> bool:
        guard = self._forwarder.guard_us + MARGIN_US
        after_other = (tmst - other.tmst) % COUNTER <= guard + other.post_us
        return after_other or (other.tmst - tmst) % COUNTER <= guard + airtime_us

    def timer(self) -> int | None:
        """Start of the next packet in the radio's clock."""
        return min((p.downlink.start_us for p in self._planned), default=None)

    def take_due(self, now_us: int) -> list[Downlink]:
        due = [p.downlink for p in self._planned if p.downlink.start_us <= now_us]
        self._planned = [p for p in self._planned if p.downlink.start_us > now_us]
        return sorted(due, key=lambda downlink: downlink.start_us)

    def clear(self) -> None:
        self._planned.clear()
