"""The frame log on the disk: one SQLite file a month, beside the journal.

The journal has the frames that may still change. What is settled is moved here by :meth:`FrameLog.add`, durable before the
journal forgets it, so a crash in between leaves it in both: the log's word counts (:attr:`FrameLog.last_frame_id`). Old
months are dropped as files, old blocks of the oldest month as rows.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import msgspec

from lns.store.embedded import blocks

PATTERN = "frames-????-??.db"
SCHEMA_VERSION = 1
SCHEMA = """
CREATE TABLE block (
    first_frame INTEGER PRIMARY KEY,
    last_frame  INTEGER NOT NULL,
    first_event INTEGER NOT NULL,
    last_event  INTEGER NOT NULL,
    first_us    INTEGER NOT NULL,
    last_us     INTEGER NOT NULL,
    max_device  INTEGER NOT NULL,
    kinds       TEXT NOT NULL,
    gateways    TEXT NOT NULL,
    devices     BLOB NOT NULL   -- the device of each frame, four bytes, least significant first
);
CREATE INDEX block_by_event ON block (last_event);
CREATE TABLE content (
    first_frame INTEGER PRIMARY KEY,
    frames      BLOB NOT NULL,  -- zlib of MessagePack of lns.store.embedded.blocks.KeptFrame
    events      BLOB NOT NULL   -- zlib of MessagePack of (id, body)
);
"""
_SUMMARY = blocks.BLOCK_COLUMNS[:-2]


class Summary(NamedTuple):
    """What a search knows of a block before it is opened."""

    path: Path
    first_frame: int
    last_frame: int
    first_us: int
    last_us: int
    kinds: frozenset[str]
    gateways: frozenset[str]
    devices: bytes


class Usage(NamedTuple):
    """What the log takes on the disk."""

    frames: int
    bytes: int
    oldest_us: int | None
    newest_us: int | None


class FrameLog:
    """All months of one data folder. Its methods open the files themselves and may be called in any thread."""

    def __init__(self, folder: Path) -> None:
        """Raises sqlite3.Error when a month's file cannot be read."""
        self.folder = folder
        self.last_frame_id = self.last_event_id = self.max_device_id = 0
        """The last ones that lie here."""
        for path in self.months():
            with _opened(path) as db:
                last = db.execute("SELECT max(last_frame), max(last_event), max(max_device) FROM block").fetchone()
            self.last_frame_id = max(self.last_frame_id, last[0] or 0)
            self.last_event_id = max(self.last_event_id, last[1] or 0)
            self.max_device_id = max(self.max_device_id, last[2] or 0)

    def months(self) -> list[Path]:
        """Files, oldest first."""
        # A file in whose making the process died has no tables yet; the next block makes them.
        return sorted(path for path in self.folder.glob(PATTERN) if _is_made(path))

    # -------------------------------------------------------------------------------------------------- writing

    def add(self, rows: list[tuple[Any, ...]]) -> None:
        """Add blocks (rows of :func:`blocks.block_row`, by rising id) durably. Raises sqlite3.Error."""
        newest = self.months()[-1:]
        for row in rows:
            # The wall clock may jump back; ids do not, and a later file has later ids.
            path = max([self.folder / f"frames-{month_of(row[5])}.db", *newest])
            with _opened(path, write=True) as db, db:
                db.execute("BEGIN IMMEDIATE")
                db.execute(
                    f"INSERT INTO block ({', '.join(_SUMMARY)}) VALUES ({', '.join('?' * len(_SUMMARY))})", row[:-2]
                )
                db.execute("INSERT INTO content (first_frame, frames, events) VALUES (?, ?, ?)", (row[0], *row[-2:]))
            self.last_frame_id, self.last_event_id = row[1], row[3]
            self.max_device_id = max(self.max_device_id, row[6])
            newest = [path]

    def purge(self, before_us: int, consumed_event_id: int, max_bytes: int | None, now_us: int | None = None) -> int:
        """Drop what is older than ``before_us``, and the oldest of what is beyond ``max_bytes``; returns how many blocks.

        Events behind ``consumed_event_id`` stay whatever the limits: the application has not taken them yet. A block that
        is dated after ``now_us`` was written while the wall clock was ahead: it is as old as the one behind it.
        """
        dropped = 0
        excess = max(0, self.usage().bytes - max_bytes) if max_bytes is not None else 0
        months = self.months()
        for path in months:
            with _opened(path, write=True) as db:
                rows = db.execute(
                    "SELECT first_frame, length(frames) + length(events) + length(devices), last_us, last_event"
                    " FROM block JOIN content USING (first_frame) ORDER BY first_frame"
                ).fetchall()
                victims = []
                ages_us = _believable([row[2] for row in rows], now_us)
                for (first_frame, length, _, last_event), last_us in zip(rows, ages_us, strict=True):
                    if last_event > consumed_event_id or (last_us >= before_us and excess <= 0):
                        break
                    victims.append((first_frame,))
                    excess -= length
                is_over = len(victims) == len(rows) and path != months[-1]
                if victims and not is_over:
                    _delete(db, victims)
            if is_over:
                for suffix in ("", "-wal", "-shm"):
                    path.with_name(path.name + suffix).unlink(missing_ok=True)
            dropped += len(victims)
            if len(victims) < len(rows):
                break
        return dropped

    # -------------------------------------------------------------------------------------------------- reading

    def summaries(
        self,
        before: int | None = None,
        after: int | None = None,
        since_us: int | None = None,
        until_us: int | None = None,
    ) -> Iterator[Summary]:
        """Blocks with frames before (newest first) or after (oldest first) an id, in a span of time."""
        order = "DESC" if after is None else "ASC"
        sql = (
            "SELECT first_frame, last_frame, first_us, last_us, kinds, gateways, devices FROM block"
            f" WHERE first_frame < ? AND last_frame > ? AND last_us >= ? AND first_us < ? ORDER BY first_frame {order}"
        )
        limits = (_or(before, 1 << 62), _or(after, -1), _or(since_us, -1 << 62), _or(until_us, 1 << 62))
        for path in self.months() if after is not None else reversed(self.months()):
            with (
                contextlib.suppress(sqlite3.OperationalError),
                _opened(path) as db,
            ):  # a month that was dropped just now
                for first, last, first_us, last_us, kinds, gateways, devices in db.execute(sql, limits):
                    yield Summary(
                        path,
                        first,
                        last,
                        first_us,
                        last_us,
                        frozenset(kinds.split()),
                        frozenset(gateways.split()),
                        devices,
                    )

    def frames(self, block: Summary, device_id: int | None = None) -> list[blocks.KeptFrame]:
        """Frames of a block by rising id, all or one device's."""
        places = None if device_id is None else blocks.places_of(device_id, block.devices)
        if places == []:
            return []
        found = self._content(block.path, "SELECT frames FROM content WHERE first_frame = ?", block.first_frame)
        return blocks.frames_of(found, places) if found is not None else []

    def events_around(self, event_id: int) -> dict[int, msgspec.Raw]:
        """The events of the block that has ``event_id``, by id; empty when it is gone."""
        for path in reversed(self.months()):
            found = self._content(path, _EVENTS_FROM + " AND first_event <= ?1", event_id)
            if found is not None:
                return dict(blocks.events_of(found))
        return {}

    def events(self, after: int, limit: int) -> list[msgspec.Raw]:
        """Bodies of events after an id, oldest first."""
        bodies: list[msgspec.Raw] = []
        for path in self.months():
            while len(bodies) < limit:
                found = self._content(path, _EVENTS_FROM, after + 1)
                if found is None:
                    break
                fresh = [(id, body) for id, body in blocks.events_of(found) if id > after]
                bodies += [body for _, body in fresh]
                after = fresh[-1][0]
        return bodies[:limit]

    def usage(self) -> Usage:
        """Frames, bytes on the disk, and the span of time."""
        frames = size = 0
        oldest: int | None = None
        newest: int | None = None
        for path in self.months():
            with contextlib.suppress(sqlite3.OperationalError, OSError), _opened(path) as db:
                size += sum(one.stat().st_size for one in path.parent.glob(path.name + "*"))
                count, first_us, last_us = db.execute(
                    "SELECT sum(length(devices)) / 4, min(first_us), max(last_us) FROM block"
                ).fetchone()
                if count:
                    frames += count
                    oldest = first_us if oldest is None else min(oldest, first_us)
                    newest = last_us if newest is None else max(newest, last_us)
        return Usage(frames, size, oldest, newest)

    def frames_since(self, since_us: int) -> int:
        """How many frames are not older, by whole blocks."""
        count = 0
        for path in self.months():
            with contextlib.suppress(sqlite3.OperationalError), _opened(path) as db:
                count += db.execute(
                    "SELECT coalesce(sum(length(devices)) / 4, 0) FROM block WHERE first_us >= ?", (since_us,)
                ).fetchone()[0]
        return count

    @staticmethod
    def _content(path: Path, sql: str, key: int) -> bytes | None:
        with contextlib.suppress(sqlite3.OperationalError), _opened(path) as db:
            found = db.execute(sql, (key,)).fetchone()
            return found[0] if found is not None else None
        return None


_EVENTS_FROM = (
    "SELECT c.events FROM block b JOIN content c USING (first_frame)"
    " WHERE b.first_frame = (SELECT first_frame FROM block WHERE last_event >= ?1 AND last_event >= first_event"
    " ORDER BY last_event LIMIT 1)"
)


def month_of(time_us: int) -> str:
    """The month of a moment, as the files are called: 2026-11 (UTC)."""
    return f"{datetime.fromtimestamp(time_us / 1e6, UTC):%Y-%m}"


def _believable(times_us: list[int], now_us: int | None) -> list[int]:
    """Times of blocks in their order, of which none may be after ``now_us``: such a one takes the time of the next."""
    if now_us is None or max(times_us, default=0) <= now_us:
        return times_us
    found, next_us = [], now_us
    for time_us in reversed(times_us):
        next_us = time_us if time_us <= now_us else next_us
        found.append(next_us)
    return found[::-1]


def _delete(db: sqlite3.Connection, first_frames: list[tuple[int]]) -> None:
    """Delete blocks and give their room back to the disk."""
    db.execute("BEGIN IMMEDIATE")
    db.executemany("DELETE FROM block WHERE first_frame = ?", first_frames)
    db.executemany("DELETE FROM content WHERE first_frame = ?", first_frames)
    db.execute("COMMIT")
    db.executescript("PRAGMA incremental_vacuum")  # a step frees a page, and execute() makes only one
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _or(value: int | None, otherwise: int) -> int:
    return otherwise if value is None else value


def _is_made(path: Path) -> bool:
    with _opened(path) as db:
        return bool(db.execute("PRAGMA user_version").fetchone()[0])


@contextlib.contextmanager
def _opened(path: Path, write: bool = False) -> Iterator[sqlite3.Connection]:
    # Also who only reads may have to mend what a process left that died in the middle of a write, which "ro" could not.
    name = f"file:{quote(str(path.resolve()))}?mode={'rwc' if write else 'rw'}"
    with contextlib.closing(sqlite3.connect(name, uri=True, isolation_level=None)) as db:
        db.execute("PRAGMA busy_timeout = 5000")
        if not write:
            db.execute("PRAGMA query_only = ON")
        else:
            db.execute("PRAGMA auto_vacuum = INCREMENTAL")
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = FULL")
            if db.execute("PRAGMA user_version").fetchone()[0] == 0:
                db.executescript(f"BEGIN IMMEDIATE;{SCHEMA}PRAGMA user_version = {SCHEMA_VERSION};COMMIT;")
        yield db
