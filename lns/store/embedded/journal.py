"""The journal: opens the file, brings its schema up to date, commits batches."""

from __future__ import annotations

import contextlib
import sqlite3
from importlib import resources
from pathlib import Path

from lns.keys import KeyRing
from lns.radio import to_text
from lns.store.batch import Batch
from lns.store.embedded import statements
from lns.store.embedded.framelog import FrameLog
from lorawan.errors import FrameError, StateError

SCHEMA_VERSION = 2


def restores_of(path: Path) -> int:
    """The number of the last restore that a journal has skipped ahead for; 0 when there is none, or no readable file."""
    try:
        with contextlib.closing(sqlite3.connect(f"file:{_uri(path)}?mode=ro", uri=True)) as db:
            found = db.execute("SELECT value FROM mark WHERE name = ?", (statements.RESTORES,)).fetchone()
    except sqlite3.Error:
        return 0
    return int(found[0]) if found is not None else 0


_SEALED = (
    ("session", "sealed_keys", "sessions"),
    ("multicast_group", "sealed_keys", "multicast groups"),
    ("station_token", "sealed", "tokens of stations"),
)
"""Columns under the key-encryption key: (table, column, of what, for people)."""


class StoreError(Exception):
    """The store cannot take a batch now; ``fatal`` when the process must not go on with this file."""

    def __init__(self, text: str, fatal: bool) -> None:
        super().__init__(text)
        self.fatal = fatal


class SealedBatch:
    """A batch as plain rows: it may leave the engine's thread, and may be committed again after a failure."""

    __slots__ = ("batch", "events", "frames", "marks", "operations", "sessions")

    def __init__(self, batch: Batch) -> None:
        self.batch = batch
        self.frames = batch.frames
        self.events = batch.events
        self.sessions = [
            (
                session.confirmed,
                session.f_cnt_up,
                session.window.to_bytes(17, "little"),
                session.last_mic,
                session.last_frame_id,
                session.n_f_cnt_down,
                session.a_f_cnt_down,
                session.conf_f_cnt_down,
                to_text(session.radio),
                session.dr,
                session.tx_power,
                session.nb_trans,
                session.adr,
                session.adr_reason,
                session.last_seen_us,
                session.rssi_dbm,
                session.snr_db,
                session.gateways,
                session.id,
            )
            for session in batch.sessions.values()
        ]
        self.operations = batch.operations
        self.marks = batch.marks


class Journal:
    """One SQLite file. :meth:`commit` is called from one thread only, :meth:`reader` opens further connections."""

    def __init__(self, path: Path) -> None:
        """Open ``path``, made when it is not there. Raises StoreError when it is no journal or a newer one."""
        self.path = path
        try:
            self._open()
        except sqlite3.Error as error:
            raise StoreError(f"{path} cannot be opened as the network's journal: {error}", fatal=True) from error

    def _open(self) -> None:
        self.log = FrameLog(self.path.parent)
        """Frames and events that have left this file."""
        self._db = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False, cached_statements=64)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.execute("PRAGMA busy_timeout = 5000")
        self._db.execute("PRAGMA cache_size = -65536")
        # Only where the log grows faster than :meth:`checkpoint` finds a quiet moment.
        self._db.execute("PRAGMA wal_autocheckpoint = 4000")
        self._migrate()

    def _migrate(self) -> None:
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version > SCHEMA_VERSION:
            raise StoreError(
                f"{self.path} was written by a newer version (schema {version}, this program knows {SCHEMA_VERSION}): "
                "install that version, or restore an older backup",
                fatal=True,
            )
        for target in range(version + 1, SCHEMA_VERSION + 1):
            script = resources.files(__package__).joinpath(f"schema_v{target}.sql").read_text("utf-8")
            self._db.executescript(f"BEGIN IMMEDIATE;\n{script}\nPRAGMA user_version = {target};\nCOMMIT;")

    def commit(self, sealed: SealedBatch) -> None:
        """Make a batch durable: all of it, or none. Raises StoreError; the batch may then be tried again."""
        db = self._db
        try:
            db.execute("BEGIN IMMEDIATE")
            try:
                self._write(db, sealed)
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise _store_error(self.path, error) from error

    def checkpoint(self) -> None:
        """Bring the log's pages into the file, without waiting for readers. Raises StoreError; what is durable stays so."""
        try:
            self._db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        except sqlite3.Error as error:
            raise _store_error(self.path, error) from error

    def _write(self, db: sqlite3.Connection, sealed: SealedBatch) -> None:
        for name, parameters in sealed.operations:
            db.execute(statements.OPERATIONS[name], parameters)
        if sealed.sessions:
            changed = statements.UPDATE_SESSIONS.run(db, sealed.sessions)
            if changed != len(sealed.sessions):
                raise StateError(
                    f"{len(sealed.sessions) - changed} session counters in {self.path} are ahead of this server: "
                    "another server has written this file"
                )
        if sealed.frames:
            statements.INSERT_FRAMES.run(db, sealed.frames)
        if sealed.events:
            statements.INSERT_EVENTS.run(db, sealed.events)
        if sealed.marks is not None:
            db.executemany(statements.SET_MARK, zip(statements.MARKS, sealed.marks, strict=True))

    def reader(self) -> sqlite3.Connection:
        """A further connection that only reads; it sees whole batches."""
        db = sqlite3.connect(f"file:{_uri(self.path)}?mode=ro", uri=True, isolation_level=None, check_same_thread=False)
        db.execute("PRAGMA busy_timeout = 5000")
        db.create_function("fold", 1, str.lower, deterministic=True)  # lower() of SQLite knows no Russian
        return db

    def rekey(self, old: bytes, new: bytes) -> int:
        """Seal all session keys and tokens under another key-encryption key, in one transaction; returns how many.

        What is under ``new`` already stays. Nothing under ``old`` is left in the file or its log. Raises StateError
        when one opens under neither, sqlite3.Error when the file cannot be written; nothing has changed then.
        """
        rings = KeyRing(old), KeyRing(new)

        def reseal(sealed: bytes) -> bytes | None:
            with contextlib.suppress(FrameError):
                return rings[0].reseal(sealed, rings[1])
            with contextlib.suppress(FrameError):
                return rings[1].reseal(sealed, rings[1])
            return None

        db = self._db
        db.create_function("reseal", 1, reseal, deterministic=True)
        db.execute("PRAGMA secure_delete = ON")
        db.execute("BEGIN IMMEDIATE")
        try:
            resealed = 0
            for table, column, what in _SEALED:
                (lost,) = db.execute(f"SELECT count(*) FROM {table} WHERE reseal({column}) IS NULL").fetchone()
                if lost:
                    raise StateError(f"{lost} {what} in {self.path} are sealed under another key-encryption key")
                resealed += db.execute(
                    f"UPDATE {table} SET {column} = reseal({column}) WHERE {column} <> reseal({column})"
                ).rowcount
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return resealed

    def close(self) -> None:
        self._db.close()


def _uri(path: Path) -> str:
    from urllib.parse import quote

    return quote(str(path.resolve()))


def _store_error(path: Path, error: sqlite3.Error) -> StoreError:
    code = getattr(error, "sqlite_errorname", "") or ""
    if code == "SQLITE_FULL":
        return StoreError(f"disk full: {path} cannot grow; free some space", fatal=False)
    if code in ("SQLITE_IOERR_FSYNC", "SQLITE_CORRUPT", "SQLITE_NOTADB") or code.startswith("SQLITE_CONSTRAINT"):
        # After a failed fsync nobody knows what is on the disk, and a batch that breaks a rule of the schema will never
        # fit: only a fresh start may look.
        return StoreError(f"{path}: {error} ({code})", fatal=True)
    return StoreError(f"{path}: {error} ({code or 'error'})", fatal=False)
