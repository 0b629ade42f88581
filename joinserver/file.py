"""``join.db`` as a file: opening, schema, the key-encryption key, clean and unclean stops, transactions, audit.

Every key in it is wrapped (RFC 3394) under the key-encryption key, which the caller holds and the file never sees.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from joinserver.migrations import SCHEMA, migrate
from joinserver.values import AuditEntry
from lorawan.crypto import unwrap_key, wrap_key
from lorawan.errors import FrameError, StateError
from lorawan.identifiers import EUI64

_KEK_CHECK = b"MeterWAN join.db"
_WRAPPED = {"device": ("app_key", "nwk_key"), "session": ("app_s_key", "s_nwk_s_int_key")}
"""Table → columns that hold a wrapped key."""


class JoinFile:
    """The open file. Use as a context manager or call :meth:`close`, which marks the stop as clean."""

    unclean: bool
    """The last use of the file did not end with :meth:`close`."""
    epoch: int
    """Rises after every unclean stop and every restore; JoinNonces written in an older one skip ahead."""

    def __init__(self, path: Path, kek: bytes, *, schema: Path = SCHEMA) -> None:
        """Open or create the file and bring its schema up to date.

        ``kek`` is the key-encryption key, 16, 24 or 32 bytes. After an unclean stop every JoinNonce skips ahead.
        Raises :class:`StateError` for a KEK of another length or another KEK than the file was made with, and for
        a file of a newer version.
        """
        _check_length(path, kek)
        self.path = path
        self._kek = kek
        if not path.exists():
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5.0)
        try:
            for pragma in ("journal_mode=WAL", "synchronous=FULL", "secure_delete=ON", "foreign_keys=ON"):
                self._db.execute(f"PRAGMA {pragma}")
            migrate(self._db, path, schema)
            self._start()
        except BaseException:
            self._db.close()
            raise

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.path)!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Mark the stop as clean and close the file. A second call does nothing."""
        try:
            self._db.execute("UPDATE state SET in_use = 0")
        except sqlite3.ProgrammingError:
            return
        finally:
            self._db.close()

    def audit(self, dev_eui: EUI64 | None = None, *, limit: int = 1000) -> list[AuditEntry]:
        """The newest audit entries first, of one device or of all."""
        where, values = ("WHERE dev_eui = ?", [eui_bytes(dev_eui)]) if dev_eui is not None else ("", [])
        rows = self._db.execute(
            f"SELECT at_us, who, action, dev_eui, why, detail FROM audit {where} ORDER BY id DESC LIMIT ?",
            (*values, limit),
        )
        return [
            AuditEntry(at_us, who, action, None if eui is None else eui_of(eui), why, detail)
            for at_us, who, action, eui, why, detail in rows
        ]

    def mark_restored(self, *, who: str, why: str, now_us: int, replaced_epoch: int = 0) -> None:
        """Tell that this file came from a backup: every JoinNonce skips ahead from now on.

        ``replaced_epoch`` is :func:`epoch_of` the file that the backup has replaced: with it, a second restore of the
        same backup does not skip to where the first one did. Join-requests answered after the backup was made are no
        longer known; the audit entry says so.
        """
        epoch = max(self.epoch, replaced_epoch) + 1
        with self._transaction():
            self._db.execute("UPDATE state SET epoch = ?", (epoch,))
            self._audit(now_us, who, "restore", None, why, "DevNonces used after the backup are not known")
        self.epoch = epoch

    def rotate_kek(self, kek: bytes, *, who: str, why: str, now_us: int) -> int:
        """Wrap every stored key under another KEK in one transaction. Gives the number of keys wrapped anew."""
        _check_length(self.path, kek)

        def rewrap(wrapped: bytes) -> bytes:
            return wrap_key(kek, unwrap_key(self._kek, wrapped))

        self._db.create_function("rewrap", 1, rewrap, deterministic=True)
        rotated = 0
        with self._transaction():
            for table, columns in _WRAPPED.items():
                for column in columns:
                    sql = f"UPDATE {table} SET {column} = rewrap({column}) WHERE {column} IS NOT NULL"
                    rotated += self._db.execute(sql).rowcount
            self._db.execute("UPDATE state SET kek_check = ?", (wrap_key(kek, _KEK_CHECK),))
            self._audit(now_us, who, "rotate_kek", None, why, f"{rotated} keys")
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # nothing under the old KEK stays in the log
        self._kek = kek
        return rotated

    def _start(self) -> None:
        """Check the KEK, see whether the last stop was clean, and mark the file as in use."""
        with self._transaction():
            row = self._db.execute("SELECT kek_check, epoch, in_use FROM state").fetchone()
            if row is None:
                row = (wrap_key(self._kek, _KEK_CHECK), 0, 0)
                self._db.execute("INSERT INTO state (id, kek_check) VALUES (1, ?)", row[:1])
            kek_check, epoch, in_use = row
            if self._unwrapped(kek_check) != _KEK_CHECK:
                raise StateError(
                    f"{self.path}: its keys are wrapped under another key-encryption key; "
                    "give the KEK file that belongs to this data folder"
                )
            self.unclean = bool(in_use)
            self.epoch: int = epoch + in_use
            self._db.execute("UPDATE state SET epoch = ?, in_use = 1", (self.epoch,))

    @contextmanager
    def _transaction(self, *, commit: bool = True) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT" if commit else "ROLLBACK")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    def _audit(self, at_us: int, who: str, action: str, dev_eui: EUI64 | None, why: str, detail: str = "") -> None:
        eui = None if dev_eui is None else eui_bytes(dev_eui)
        self._db.execute(
            "INSERT INTO audit (at_us, who, action, dev_eui, why, detail) VALUES (?, ?, ?, ?, ?, ?)",
            (at_us, who, action, eui, why, detail),
        )

    def _unwrap(self, wrapped: bytes | None, dev_eui: EUI64) -> bytes | None:
        if wrapped is None:
            return None
        key = self._unwrapped(wrapped)
        if key is None:
            raise StateError(
                f"DevEUI {dev_eui}: its stored key does not unwrap, {self.path} is damaged; give the key anew"
            )
        return key

    def _unwrapped(self, wrapped: bytes) -> bytes | None:
        try:
            return unwrap_key(self._kek, wrapped)
        except FrameError:
            return None


def epoch_of(path: Path) -> int:
    """The epoch of a ``join.db`` that nobody has open, to be asked before a backup replaces it; 0 when it is gone."""
    try:
        db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
        try:
            (epoch,) = db.execute("SELECT epoch + in_use FROM state").fetchone()
        finally:
            db.close()
    except (sqlite3.Error, TypeError):
        return 0
    return int(epoch)


def eui_bytes(eui: EUI64) -> bytes:
    """An EUI as the file keeps it: 8 bytes, most significant first."""
    return eui.to_bytes(8, "big")


def eui_of(stored: bytes) -> EUI64:
    """The inverse of :func:`eui_bytes`."""
    return EUI64(int.from_bytes(stored, "big"))


def _check_length(path: Path, kek: bytes) -> None:
    if len(kek) not in (16, 24, 32):
        raise StateError(f"{path}: a key-encryption key has 16, 24 or 32 bytes, not {len(kek)}")
