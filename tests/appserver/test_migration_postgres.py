"""A PostgreSQL database of the first schema that is in use goes through every migration, and ends where SQLite ends."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlmodel import SQLModel

import appserver.models  # noqa: F401
from appserver import registry
from appserver.db import ERRORS, MIGRATIONS, Database, migrate
from appserver.metering import house_balance
from appserver.metering.seals import DAY_US, seal
from appserver.postgres import PostgresConnection
from tests.support import satka
from tests.support.postgres import PostgresServer

TABLES = [table.name for table in SQLModel.metadata.sorted_tables]
"""Those that are referred to first."""

BESIDE = """
INSERT INTO user (id, login, name, password_hash, role, organisation_id, language, timezone, must_change_password, disabled,
  created_at_us, signed_in_at_us) VALUES (1, 'boss', 'Иванова', 'x', 'admin', 1, 'ru', '', 0, 0, 5, 6);
INSERT INTO api_token (id, name, prefix, secret_hash, role, user_id, created_at_us) VALUES (1, 'a', 'mwt_x', 'y', 'viewer', 1, 7);
INSERT INTO audit (id, at_us, actor, action, object_kind, object_id, detail, address)
  VALUES (1, 8, 'boss', 'import', 'import', '1', '{"rows": 3, "of": "дом"}', '10.0.0.1');
INSERT INTO sink (id, kind, name, url, headers, events, enabled, cursor, created_at_us, delivered, error)
  VALUES (1, 'webhook', 'billing', 'https://example.org', '{}', 'up', 1, 0, 9, 1, '');
INSERT INTO outbox (id, event_id, dev_eui, type, time_us, body) VALUES (1, 1, '4b41524154000001', 'up', 10, '{"a": 1.5}');
INSERT INTO delivery (id, sink_id, outbox_id, dev_eui, state, attempts, next_attempt_at_us, error)
  VALUES (1, 1, 1, '4b41524154000001', 'pending', 2, 11, 'refused');
"""
"""Rows of what a house does not have."""


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, satka.Satka]:
    """A house of the first schema: made by today's code, poured into the old tables column by column."""
    folder = tmp_path_factory.mktemp("old")
    house = satka.build(folder / "new.db", flats=2, days=4)
    migrate(folder / "old.db", "0001")
    with closing(sqlite3.connect(folder / "old.db")) as connection:
        connection.execute("ATTACH ? AS new", (str(folder / "new.db"),))
        for table in columns_of(connection):
            names = ", ".join(f'"{name}"' for name in columns_of(connection)[table])
            connection.execute(f'INSERT INTO main."{table}" ({names}) SELECT {names} FROM new."{table}"')
        connection.executescript(BESIDE)
        connection.commit()
    return folder / "old.db", house


def columns_of(connection: sqlite3.Connection) -> dict[str, list[str]]:
    found = connection.execute("SELECT name FROM main.sqlite_schema WHERE type = 'table'").fetchall()
    there = {name for (name,) in found}
    return {
        table: [row[1] for row in connection.execute(f'PRAGMA main.table_info("{table}")')]
        for table in TABLES
        if table in there
    }


def pour(source: Path, url: str) -> None:
    """The rows of an old SQLite file into the same tables on PostgreSQL, with their ids counted on."""
    with closing(sqlite3.connect(source)) as lite, closing(PostgresConnection.open(url)) as server:
        server.raw.execute("SET session_replication_role = replica")  # as a dump is loaded: triggers rest
        for table, names in columns_of(lite).items():
            listed = ", ".join(f'"{name}"' for name in names)
            types = dict(
                server.raw.execute(
                    "SELECT column_name::text, data_type::text FROM information_schema.columns"
                    " WHERE table_schema = 'public' AND table_name = %s",
                    (table,),
                ).fetchall()
            )
            rows = [
                tuple(
                    bool(v) if types[name] == "boolean" and v is not None else v
                    for name, v in zip(names, row, strict=True)
                )
                for row in lite.execute(f'SELECT {listed} FROM "{table}"')
            ]
            with server.raw.cursor() as cursor:
                places = ", ".join(["%s"] * len(names))
                cursor.executemany(f'INSERT INTO "{table}" ({listed}) VALUES ({places})', rows)
                if rows and "id" in names:
                    cursor.execute(
                        f"SELECT setval(pg_get_serial_sequence('\"{table}\"', 'id'), (SELECT max(id) FROM \"{table}\"))"
                    )
        server.raw.execute("SET session_replication_role = DEFAULT")


def revisions() -> Iterator[str]:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    return reversed([script.revision for script in ScriptDirectory.from_config(config).walk_revisions()])


def contents(db: Database) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table, in words that both databases share."""
    found = {}
    for table in SQLModel.metadata.sorted_tables:
        names = ", ".join(f'"{column.name}"' for column in table.columns)
        rows = db.rows(f'SELECT {names} FROM "{table.name}"')
        found[table.name] = sorted((tuple(map(plain, row)) for row in rows), key=repr)
    return found


def plain(value: Any) -> Any:
    if isinstance(value, (bytes, memoryview)):
        return bytes(value).hex()
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, str) and value.startswith(("{", "[")):
        return json.dumps(json.loads(value), sort_keys=True)
    if isinstance(value, (dict, list)):
        return json.dumps(value, sort_keys=True)
    return value.isoformat() if isinstance(value, date) else value


def test_every_migration_of_a_database_in_use_on_postgresql(
    old: tuple[Path, satka.Satka], postgres_server: PostgresServer
) -> None:
    path, house = old
    url = postgres_server.create("from_0001")
    first, *later = revisions()
    migrate(Path(), first, url)
    pour(path, url)
    for revision in later:
        migrate(Path(), revision, url)
    migrate(path)
    with closing(Database(path)) as lite, closing(Database(Path(), url)) as server:
        expected, found = contents(lite), contents(server)
        for table in TABLES:
            assert found[table] == expected[table], table
        assert all(found[table] for table in ("reading", "boundary", "uplink", "user", "audit", "delivery", "unsealed"))
        days = (house.first_day, house.last_day)
        told, same, new = (house_balance(db, house.building_id, "cold_water", *days) for db in (server, lite, house.db))
        assert told == same
        assert [(p.house, p.individual) for p in told.periods] == [(p.house, p.individual) for p in new.periods]
        # It is not only there, it works: ids count on, the hash chain begins, what is append-only stays so.
        assert registry.create(server, "organisation", {"name": "РСО"}).id > house.organisation_id
        assert len(seal(server, house.now_us + DAY_US)) == 1
        with pytest.raises(ERRORS, match="append-only"):
            server.connection.execute("DELETE FROM reading")
    house.db.close()
    postgres_server.drop("from_0001")
