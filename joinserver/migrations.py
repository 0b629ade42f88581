"""Numbered SQL files bring ``join.db`` to the newest schema, each in one transaction, after a copy of the old file."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from lorawan.errors import StateError

SCHEMA = Path(__file__).parent / "schema"
"""Folder of ``v1.sql``, ``v2.sql``, …; the number is SQLite's ``user_version`` afterwards."""


def migrate(db: sqlite3.Connection, path: Path, schema: Path = SCHEMA) -> None:
    """Run what the file has not seen yet.

    A file that holds data is first copied to ``<name>.v<old>.backup`` beside it. Raises :class:`StateError` when the
    file is newer than this program, ``sqlite3.Error`` when a script fails; the file is then at the version before it.
    """
    scripts = {int(file.stem[1:]): file for file in schema.glob("v*.sql")}
    (version,) = db.execute("PRAGMA user_version").fetchone()
    newest = max(scripts, default=0)
    if version > newest:
        raise StateError(f"{path} has schema {version}, this program knows {newest}: use the newer program")
    if 0 < version < newest:
        _copy(db, path.with_name(f"{path.name}.v{version}.backup"))
    for number in range(version + 1, newest + 1):
        try:
            db.executescript(
                f"BEGIN IMMEDIATE;\n{scripts[number].read_text()}\nPRAGMA user_version = {number};\nCOMMIT;"
            )
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise


def _copy(db: sqlite3.Connection, target: Path) -> None:
    target.unlink(missing_ok=True)
    target.touch(0o600)
    db.execute("VACUUM INTO ?", (str(target),))
