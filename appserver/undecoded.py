"""Frames that no codec could read, or that belong to no meter: what waits, for what reason."""

from __future__ import annotations

from dataclasses import dataclass

from appserver.db import Database


@dataclass(frozen=True, slots=True)
class WaitingFrame:
    """A frame that is not decoded, or whose channels are bound to no meter."""

    id: int
    dev_eui: str
    f_port: int | None
    data: bytes
    received_at_us: int
    codec: str
    """The codec of its profile; with ``@`` and a version when that read it."""
    state: str
    """``undecoded`` or ``unbound``."""
    reason: str
    frame_id: int
    """Of the frame log, 0 when there is none."""


@dataclass(frozen=True, slots=True)
class WaitingGroup:
    """Frames of one codec that wait for one reason."""

    codec: str
    state: str
    reason: str
    frames: int
    devices: int
    newest_us: int


def groups(db: Database, limit: int = 200) -> list[WaitingGroup]:
    """What waits, by codec and reason, the most frames first."""
    rows = db.rows(
        "SELECT codec, state, reason, count(*), count(DISTINCT dev_eui), max(received_at_us) FROM uplink"
        " WHERE state <> 'decoded' GROUP BY codec, state, reason ORDER BY 4 DESC, 1, 3 LIMIT ?",
        (limit,),
    )
    return [WaitingGroup(*row) for row in rows]


def frames(
    db: Database, codec: str = "", dev_eui: str = "", before: int | None = None, limit: int = 100
) -> list[WaitingFrame]:
    """Frames that wait, newest first; ``before`` is an id, ``codec`` a name without its version."""
    rows = db.rows(
        "SELECT id, dev_eui, f_port, data, received_at_us, codec, state, reason, frame_id FROM uplink"
        " WHERE state <> 'decoded' AND (?1 = '' OR codec = ?1 OR substr(codec, 1, length(?1) + 1) = ?1 || '@')"
        " AND (?2 = '' OR dev_eui = ?2) AND (?3 IS NULL OR id < ?3) ORDER BY id DESC LIMIT ?4",
        (codec, dev_eui, before, limit),
    )
    return [WaitingFrame(*row) for row in rows]
