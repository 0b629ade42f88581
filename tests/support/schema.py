"""application.db with its schema and nothing in it: made by the migrations once, then copied.

What migrations do is tried in tests/appserver/test_migrations.py and its neighbours; other tests want a database.
"""

from __future__ import annotations

import sqlite3
import tempfile
from functools import cache
from pathlib import Path

import pytest

import appserver.db
from appserver.db import migrate


@cache
def empty_database() -> bytes:
    """The file, as the first start leaves it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "application.db"
        migrate(path)
        connection = sqlite3.connect(path)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()
        return path.read_bytes()


def copied(patch: pytest.MonkeyPatch) -> None:
    """``open_database`` of a path where nothing is yet opens a copy; everything else migrates as ever."""

    def brought_up_to_date(path: Path, revision: str = "head", url: str = "") -> None:
        if url or revision != "head" or path.exists():
            migrate(path, revision, url)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(empty_database())

    patch.setattr(appserver.db, "migrate", brought_up_to_date)
