"""The schema: migrations and models say the same, an old populated database comes up to date, two starts do not clash."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlmodel import SQLModel

import appserver.models  # noqa: F401
from appserver.db import migrate, open_database
from appserver.metering import house_balance
from tests.support import satka


def test_migrations_make_what_the_models_say(tmp_path: Path) -> None:
    db = open_database(tmp_path / "application.db")
    with db.engine.connect() as connection:
        differences = compare_metadata(MigrationContext.configure(connection), SQLModel.metadata)
    assert differences == []
    db.close()


def test_populated_database_keeps_everything(tmp_path: Path) -> None:
    house = satka.build(tmp_path / "application.db", flats=3, days=5)
    before = house.db.rows("SELECT * FROM reading ORDER BY 1, 2, 3, 4")
    total = house_balance(house.db, house.building_id, "cold_water", house.first_day, house.last_day).total
    house.db.close()
    migrate(tmp_path / "application.db")
    again = open_database(tmp_path / "application.db")
    assert again.rows("SELECT * FROM reading ORDER BY 1, 2, 3, 4") == before
    assert house_balance(again, house.building_id, "cold_water", house.first_day, house.last_day).total == total
    assert again.rows("PRAGMA integrity_check") == [("ok",)]
    assert again.rows("PRAGMA foreign_key_check") == []
    again.close()


def test_two_programs_that_start_together(tmp_path: Path) -> None:
    path, errors = tmp_path / "application.db", []

    def start() -> None:
        try:
            migrate(path)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert errors == []
    assert sqlite3.connect(path).execute("SELECT count(*) FROM alembic_version").fetchone() == (1,)


def test_path_with_a_space_and_a_percent_sign(tmp_path: Path) -> None:
    folder = tmp_path / "a folder 100%"
    db = open_database(folder / "application.db")
    assert db.rows("SELECT count(*) FROM meter") == [(0,)]
    db.close()


def test_connections_are_durable_and_check_references(tmp_path: Path) -> None:
    db = open_database(tmp_path / "application.db")
    assert db.rows("PRAGMA journal_mode") == [("wal",)]
    assert db.rows("PRAGMA synchronous") == [(2,)]
    assert db.rows("PRAGMA foreign_keys") == [(1,)]
    with pytest.raises(sqlite3.IntegrityError, match="FOREIGN KEY"):
        db.connection.execute(
            "INSERT INTO building (organisation_id, address, fias_guid, timezone, kind) VALUES (9, 'a', '', 'UTC', 'house')"
        )
    db.close()


def test_failed_transaction_leaves_nothing(tmp_path: Path) -> None:
    db = open_database(tmp_path / "application.db")
    with pytest.raises(ZeroDivisionError), db.transaction() as connection:
        connection.execute("INSERT INTO organisation (kind, name, inn) VALUES ('other', 'a', '')")
        raise ZeroDivisionError
    assert db.rows("SELECT * FROM organisation") == []
    db.close()
