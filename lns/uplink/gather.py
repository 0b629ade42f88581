"""Copies of one frame, from the first to the end of the deduplication window."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from enum import Enum, auto
from typing import TYPE_CHECKING, Any

from lns.clock import Now
from lns.gateways.frames import RxFrame

if TYPE_CHECKING:
    from lns.session import Session
    from lns.store.batch import Batch


class Kind(Enum):
    DATA = auto()
    """A new data frame."""
    LATE = auto()
    """A data frame older than the newest, never seen before: data only."""
    REPEATED = auto()
    """The newest frame transmitted once more by the device: answered again, no second event."""
    JOIN = auto()
    """A join- or rejoin-request."""


class Gathered:
    """A frame and all its receptions so far. ``heard_us`` of each copy is when the gateway really heard it."""

    __slots__ = (
        "batch",
        "copies",
        "deadline_us",
        "dr",
        "event",
        "f_cnt",
        "frame_id",
        "kind",
        "phy",
        "session",
        "wall_us",
    )

    def __init__(self, kind: Kind, rx: RxFrame, dr: int, deadline_us: int) -> None:
        self.kind = kind
        self.phy = rx.phy
        self.copies = [rx]
        self.dr = dr
        self.deadline_us = deadline_us
        self.wall_us = rx.wall_us
        self.session: Session | None = None
        self.f_cnt = 0
        self.frame_id = 0
        self.batch: Batch | None = None
        """The batch that made it durable."""
        self.event: list[Any] | None = None
        """Row of the event that it became."""


class Gatherer:
    """Open windows. They close in the order they were opened, for all are of one length."""

    def __init__(self, window_us: int) -> None:
        self._window_us = window_us
        self._open: dict[bytes, Gathered] = {}
        self._order: deque[Gathered] = deque()

    def __len__(self) -> int:
        return len(self._order)

    def get(self, phy: bytes) -> Gathered | None:
        """The open window of these bytes: a copy on any channel belongs to it."""
        return self._open.get(phy)

    def open(self, kind: Kind, rx: RxFrame, dr: int, now: Now) -> Gathered:
        gathered = Gathered(kind, rx, dr, now.mono_us + self._window_us)
        self._open[rx.phy] = gathered
        self._order.append(gathered)
        return gathered

    def timer_us(self) -> int | None:
        """When the oldest window closes, monotonic microseconds."""
        return self._order[0].deadline_us if self._order else None

    def closed(self, now: Now) -> Iterator[Gathered]:
        """Windows whose time is over, oldest first. Each is open until its turn, so an error in one loses no other."""
        order, opened = self._order, self._open
        while order and order[0].deadline_us <= now.mono_us:
            gathered = order.popleft()
            del opened[gathered.phy]
            yield gathered
