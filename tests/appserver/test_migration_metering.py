"""Migration 0002 on a database of version 0001 that is in use."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from appserver.db import migrate, open_database
from appserver.metering import house_balance
from appserver.metering.seals import DAY_US, seal, verify_file
from tests.support import satka


@pytest.fixture
def old(tmp_path: Path) -> tuple[Path, satka.Satka]:
    """A house of version 0001 with all its rows: made by today's code, poured into the old schema column by column."""
    house = satka.build(tmp_path / "new.db", flats=3, days=5)
    path = tmp_path / "application.db"
    migrate(path, "0001")
    connection = sqlite3.connect(path)
    connection.execute("ATTACH ? AS new", (str(tmp_path / "new.db"),))
    for (table,) in connection.execute("SELECT name FROM main.sqlite_schema WHERE type = 'table'").fetchall():
        if table != "alembic_version":
            names = ", ".join(f'"{row[1]}"' for row in connection.execute(f'PRAGMA main.table_info("{table}")'))
            connection.execute(f'INSERT INTO main."{table}" ({names}) SELECT {names} FROM new."{table}"')
    connection.commit()
    connection.close()
    return path, house


def test_a_populated_database_of_0001_comes_up_to_date(old: tuple[Path, satka.Satka]) -> None:
    path, house = old
    connection = sqlite3.connect(path)
    before = connection.execute("SELECT * FROM reading ORDER BY 1, 2, 3, 4").fetchall()
    marks = connection.execute("SELECT * FROM boundary ORDER BY 1, 2").fetchall()
    connection.close()
    assert len(before) > 50 and len(marks) > 30
    expected = house_balance(house.db, house.building_id, "cold_water", house.first_day, house.last_day)
    house.db.close()
    db = open_database(path)
    assert [row[:-1] for row in db.rows("SELECT * FROM reading ORDER BY 1, 2, 3, 4")] == before
    assert [row[:-2] for row in db.rows("SELECT * FROM boundary ORDER BY 1, 2")] == marks
    assert db.rows("SELECT DISTINCT ratio FROM installation") == [("1",)]
    assert db.rows("SELECT DISTINCT counter_bits FROM module_channel") == [(32,)]
    told = house_balance(db, house.building_id, "cold_water", house.first_day, house.last_day)
    assert [(p.house, p.individual) for p in told.periods] == [(p.house, p.individual) for p in expected.periods]
    assert db.rows("PRAGMA integrity_check") == [("ok",)]
    assert db.rows("PRAGMA foreign_key_check") == []
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        db.connection.execute("DELETE FROM reading")
    db.close()


def test_readings_of_before_are_sealed_too(old: tuple[Path, satka.Satka]) -> None:
    path, house = old
    house.db.close()
    db = open_database(path)
    count = db.rows("SELECT count(*) FROM reading")[0][0]
    assert db.rows("SELECT count(*) FROM unsealed") == [(count,)]
    assert len(seal(db, house.now_us + DAY_US)) == 1
    db.close()
    verdict = verify_file(path)
    assert verdict is not None
    assert (verdict.rows, verdict.waiting, verdict.faults) == (count, 0, ())
