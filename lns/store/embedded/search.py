"""Search the frame log and the journal's newest frames as one."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from lns.store.embedded import blocks
from lns.store.embedded.blocks import KeptFrame
from lns.store.embedded.framelog import FrameLog, Summary
from lns.uplink.reception import from_receptions

HOT_CHUNK = 2000
BLOCKS_A_PAGE = 256
"""A page that has opened so many blocks ends, with a cursor to go on from: a search without a hit shall not hold others up."""
FEW_DEVICES = 64


@dataclass(slots=True)
class Search:
    """What is looked for; everything given must hold."""

    device_ids: frozenset[int] | None = None
    gateway: str = ""
    kinds: frozenset[str] | None = None
    since_us: int | None = None
    until_us: int | None = None
    takes: Callable[[KeptFrame, Callable[[], msgspec.Raw | None]], bool] | None = None
    """Looks at a frame itself, and at its event when it asks for that."""

    def may_have(self, block: Summary) -> bool:
        """False when no frame of a block can be wanted."""
        if self.kinds is not None and not self.kinds & block.kinds:
            return False
        if self.gateway and self.gateway not in block.gateways:
            return False
        if self.device_ids is not None and len(self.device_ids) <= FEW_DEVICES:
            return any(blocks.places_of(one, block.devices) for one in self.device_ids)
        return True

    def wants(self, frame: KeptFrame, event: Callable[[], msgspec.Raw | None]) -> bool:
        if self.device_ids is not None and frame.device_id not in self.device_ids:
            return False
        if self.kinds is not None and frame.kind not in self.kinds:
            return False
        if self.since_us is not None and frame.time_us < self.since_us:
            return False
        if self.until_us is not None and frame.time_us >= self.until_us:
            return False
        if self.gateway and frame.gateway != self.gateway and not _heard_by(self.gateway, frame, event()):
            return False
        return self.takes is None or self.takes(frame, event)


class Found(NamedTuple):
    """A page of frames, each with its event's body."""

    items: list[tuple[KeptFrame, msgspec.Raw | None]]
    next: int | None
    """Go on before (after) this frame; None when there is no more."""


def find(
    db: sqlite3.Connection, log: FrameLog, search: Search, before: int | None, after: int | None, limit: int
) -> Found:
    """Frames newest first from before ``before``, or oldest first from after ``after``."""
    items: list[tuple[KeptFrame, msgspec.Raw | None]] = []
    opened = 0
    events = _Events(db, log)
    boundary = log.last_frame_id

    def take(frames: Sequence[KeptFrame]) -> int | None:
        for frame in frames:
            event = events.getter(frame)
            if search.wants(frame, event):
                items.append((frame, event()))
                if len(items) == limit:
                    return frame.id
        return None

    for source in (_hot, _packed) if after is None else (_packed, _hot):
        for frames in source(db, log, search, before, after, boundary):
            last = take(frames)
            opened += source is _packed
            if last is None and opened == BLOCKS_A_PAGE and frames:
                last = frames[-1].id
            if last is not None:
                return Found(items, last)
    return Found(items, None)


def _hot(
    db: sqlite3.Connection, log: FrameLog, search: Search, before: int | None, after: int | None, boundary: int
) -> Iterator[list[KeptFrame]]:
    order = "DESC" if after is None else "ASC"
    low, high = max(boundary, -1 if after is None else after), 1 << 62 if before is None else before
    clauses, parameters = "", []
    if search.device_ids is not None and len(search.device_ids) <= FEW_DEVICES:
        clauses += f" AND f.device_id IN ({', '.join('?' * len(search.device_ids))})"
        parameters += sorted(search.device_ids)
    while True:
        rows = db.execute(
            f"{blocks.JOINED} WHERE f.id > ? AND f.id < ?{clauses} ORDER BY f.id {order} LIMIT {HOT_CHUNK}",
            (low, high, *parameters),
        ).fetchall()
        yield [KeptFrame(*row) for row in rows]
        if len(rows) < HOT_CHUNK:
            return
        low, high = (low, rows[-1][0]) if after is None else (rows[-1][0], high)


def _packed(
    db: sqlite3.Connection, log: FrameLog, search: Search, before: int | None, after: int | None, boundary: int
) -> Iterator[list[KeptFrame]]:
    only = next(iter(search.device_ids)) if search.device_ids is not None and len(search.device_ids) == 1 else None
    for block in log.summaries(before, after, search.since_us, search.until_us):
        if block.first_frame > boundary or not search.may_have(block):
            continue
        frames = [
            frame
            for frame in log.frames(block, only)
            if (before is None or frame.id < before) and (after is None or frame.id > after)
        ]
        yield frames if after is not None else frames[::-1]


class _Events:
    """Bodies of uplinks' events, a block at a time."""

    def __init__(self, db: sqlite3.Connection, log: FrameLog) -> None:
        self._db = db
        self._log = log
        self._block: dict[int, msgspec.Raw] = {}

    def getter(self, frame: KeptFrame) -> Callable[[], msgspec.Raw | None]:
        return lambda: self._body(frame.event_id)

    def _body(self, event_id: int | None) -> msgspec.Raw | None:
        if event_id is None:
            return None
        if event_id > self._log.last_event_id:
            row = self._db.execute("SELECT body FROM event WHERE id = ?", (event_id,)).fetchone()
            return msgspec.Raw(row[0]) if row is not None else None
        if event_id not in self._block:
            self._block = self._log.events_around(event_id)
        return self._block.get(event_id)


def _heard_by(gateway: str, frame: KeptFrame, event: msgspec.Raw | None) -> bool:
    heard = from_receptions(frame.kind, frame.detail) if event is None else blocks.receptions_of(event)
    return any(one.gateway_eui == gateway for one in heard)
