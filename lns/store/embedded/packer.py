"""Moves frames that will not change any more from the journal into the frame log."""

from __future__ import annotations

import sqlite3
from typing import Any

from lns.store.embedded.blocks import JOINED, block_row
from lns.store.embedded.framelog import FrameLog

BLOCK = 1024
"""Frames of a block. More make it hardly smaller, and slower to look into."""
SETTLED_AFTER_US = 30_000_000
"""By then a frame has its copies, its event and, of class A, the TX_ACK of its answer."""
OUTCOME_WITHIN_US = 600_000_000
"""A downlink of class B may wait for its ping slot; one that has no outcome by then gets none."""
FLUSH_AFTER_US = 86_400_000_000
"""Where few frames come, a block is made of a day's."""


def pack_settled(db: sqlite3.Connection, log: FrameLog, handed_over_id: int, wall_us: int) -> bool:
    """Move the oldest settled frames, at most a block, and the events that go with them. False: it is not time yet.

    The journal may forget frames up to ``log.last_frame_id`` and events up to ``log.last_event_id`` afterwards. Its newest
    frame always stays. Raises sqlite3.Error when the log cannot be written; nothing is lost then.
    """
    rows = db.execute(
        f"{JOINED} WHERE f.id > ? AND f.id < (SELECT max(id) FROM frame) ORDER BY f.id LIMIT ?",
        (log.last_frame_id, BLOCK),
    ).fetchall()
    settled = 0
    while settled < len(rows) and _is_settled(rows[settled], handed_over_id, wall_us):
        settled += 1
    frames = rows[:settled]
    if not frames or (settled < BLOCK and frames[0][2] > wall_us - FLUSH_AFTER_US):
        return False
    events = db.execute(
        "SELECT id, body FROM event WHERE id > ?1 AND id <= ?2 AND id <"
        " (SELECT coalesce(min(id), ?2 + 1) FROM event WHERE frame_id > ?3 AND id > ?1) ORDER BY id",
        (log.last_event_id, _last_event(frames, log.last_event_id), frames[-1][0]),
    ).fetchall()
    log.add([block_row(frames, events, log.last_event_id)])
    return True


def _is_settled(row: tuple[Any, ...], handed_over_id: int, wall_us: int) -> bool:
    id, kind, time_us, outcome = row[0], row[1], row[2], row[15]
    if kind in ("up", "late") and id > handed_over_id:
        return False
    if time_us > wall_us + OUTCOME_WITHIN_US:
        return True  # of the time before the wall clock was set back: it must not hold up all that came since
    return bool(time_us <= wall_us - (OUTCOME_WITHIN_US if outcome == "scheduled" else SETTLED_AFTER_US))


def _last_event(frames: list[tuple[Any, ...]], otherwise: int) -> int:
    return max((row[16] for row in frames if row[16] is not None), default=otherwise)
