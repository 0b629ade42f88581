"""Bookings of airtime that outlive the process.

A downlink's row is written with the frame itself, before anything is sent, and names all ways that it may go. At the
outcome it shrinks to the way that it went, or is deleted when every gateway refused. So whatever dies in between, a ledger
that is filled from these rows has all airtime that was really used, and on doubt a little more.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from lns.gateways.ledger import HOUR_US

if TYPE_CHECKING:
    from lns.clock import Now
    from lns.gateways.gateway import GatewayRegistry
    from lns.store.batch import Batch
    from regional import Plan


class Sending(NamedTuple):
    """One way of a frame: its gateway, where, when and how long."""

    gateway_eui: int
    frequency_hz: int
    start_us: int
    """Monotonic; in the store relative to the row's moment."""
    airtime_us: int


_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(list[Sending]).decode


class AirtimeBook:
    """Rows of the store: which are there, and when they may go."""

    __slots__ = ("_ends", "_last_key", "_reserved")

    def __init__(self) -> None:
        self._reserved: dict[int, list[Sending]] = {}
        """Frame → what its row says; its outcome is not known yet."""
        self._ends: deque[tuple[int, int]] = deque()
        """(when the frame is off the air, frame), of rows whose outcome is known."""
        self._last_key = 0

    def new_key(self) -> int:
        """In place of a frame's number, for what is in no frame log: beacons."""
        self._last_key -= 1
        return self._last_key

    def reserve(self, batch: Batch, frame_id: int, ways: Sequence[Sending], now: Now) -> None:
        """The frame may go these ways: the row is durable with its batch."""
        if ways:
            self._reserved[frame_id] = merged = _dearest(ways)
            batch.operations.append(("airtime_put", _row(frame_id, merged, now)))

    def settle(self, batch: Batch, frame_id: int, sent: Sequence[Sending], now: Now) -> None:
        """It went these ways; none: it was not on the air at all."""
        reserved = self._reserved.pop(frame_id, None)
        if reserved is None:
            return
        if not sent:
            batch.operations.append(("airtime_drop", (frame_id,)))
            return
        if reserved != list(sent):
            batch.operations.append(("airtime_put", _row(frame_id, sent, now)))
        self._ends.append((max(one.start_us + one.airtime_us for one in sent), frame_id))

    def prune(self, batch: Batch, now: Now) -> None:
        """Delete rows that no sliding hour holds any more."""
        before_us = now.mono_us - HOUR_US
        while self._ends and self._ends[0][0] <= before_us:
            batch.operations.append(("airtime_drop", (self._ends.popleft()[1],)))
        untold = []
        for frame_id, ways in self._reserved.items():
            if max(way.start_us + way.airtime_us for way in ways) > before_us:
                break
            untold.append(frame_id)  # nobody ever told what became of it, and now it does not matter any more
        for frame_id in untold:
            del self._reserved[frame_id]
            batch.operations.append(("airtime_drop", (frame_id,)))

    def restore(
        self, rows: Iterable[tuple[int, int, int, bytes]], gateways: GatewayRegistry, plan: Plan, now: Now
    ) -> None:
        """Fill the ledgers from the store's rows (frame, wall clock, monotonic clock, ways), at the start."""
        sendings: list[tuple[int, int, Sending]] = []
        for frame_id, wall_us, mono_us, ways in rows:
            self._last_key = min(self._last_key, frame_id)
            at_us = now.mono_us - age_us(wall_us, mono_us, now)
            placed = [way._replace(start_us=at_us + way.start_us) for way in _unpack(ways)]
            sendings += [(way.start_us, frame_id, way) for way in placed]
            self._ends.append((max(way.start_us + way.airtime_us for way in placed), frame_id))
        self._ends = deque(sorted(self._ends))
        for start_us, _, way in sorted(sendings):
            gateway = gateways.get(way.gateway_eui)
            if gateway is not None and start_us + way.airtime_us > now.mono_us - HOUR_US:
                gateway.ledger.book(plan.sub_band(way.frequency_hz), start_us, way.airtime_us, is_new=False)
                if start_us + way.airtime_us > now.mono_us:
                    gateway.schedule.take(start_us, way.airtime_us, now.mono_us)


def age_us(wall_us: int, mono_us: int, now: Now) -> int:
    """How long ago a row was written, never more than is certain.

    While the machine runs its monotonic clock tells, whatever happens to the wall clock; after a reboot that one begins anew
    and the wall clock tells. Of the two ages the smaller one that can be is taken: airtime is rather held against a gateway
    for too long than forgotten.
    """
    return min((age for age in (now.wall_us - wall_us, now.mono_us - mono_us) if age >= 0), default=0)


def _row(frame_id: int, ways: Sequence[Sending], now: Now) -> tuple[Any, ...]:
    relative = [way._replace(start_us=way.start_us - now.mono_us) for way in ways]
    return frame_id, now.wall_us, now.mono_us, _pack(relative)


def _dearest(ways: Sequence[Sending]) -> list[Sending]:
    """Of several windows of one gateway in one place the longest: only one of them is used."""
    best: dict[tuple[int, int], Sending] = {}
    for way in ways:
        key = (way.gateway_eui, way.frequency_hz)
        if key not in best or way.airtime_us > best[key].airtime_us:
            best[key] = way
    return list(best.values())
