"""The core of the application is tried on both databases: what holds on SQLite holds on PostgreSQL.

Modules of ``ON_BOTH`` run twice, unchanged: on PostgreSQL every ``open_database(path)`` opens a database that stands for
that path on a real server.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import appserver.db
from appserver.db import Database
from tests.support import schema
from tests.support.postgres import PostgresServer

ON_BOTH = frozenset(
    {
        "test_ingest",
        "test_store",
        "test_hours",
        "test_house_balance",
        "test_closed_periods",
        "test_corrections",
        "test_delivery",
        "test_incidents",
        "test_merging",
        "test_people_rows",
        "test_refreshing",
        "test_registry",
        "test_speed",
    }
)
"""Names of modules whose SQL differs between the two, or is bitemporal, or seals what was written."""
ON_BOTH_IN_TRIALS = frozenset(
    {
        "test_charges",
        "test_clocks",
        "test_every_kind",
        "test_files",
        "test_intake",
        "test_lifecycle",
        "test_mqtt",
        "test_notices",
        "test_statements",
        "test_subsystems",
        "test_time_base",
        "test_volumes",
    }
)
"""Those that build on them, with statements that are the same in both: on PostgreSQL in ``make trial``."""
TRIALS = os.environ.get("METERWAN_POSTGRESQL") == "all"


_NAMES: dict[Path, str] = {}
"""Databases on the server by the path they stand for."""


def _name(path: Path) -> str:
    return f"t{abs(hash(path)):x}"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if metafunc.module.__name__.rpartition(".")[2] in (ON_BOTH | ON_BOTH_IN_TRIALS if TRIALS else ON_BOTH):
        metafunc.parametrize("database_kind", ["sqlite", "postgresql"], indirect=True, scope="module")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    server = PostgresServer()
    try:
        appserver.db.migrate(Path(), url=server.create("migrated"))
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="module", autouse=True)
def database_kind(request: pytest.FixtureRequest) -> Iterator[str]:
    """``sqlite`` or ``postgresql``: what ``open_database`` opens in this module."""
    kind = getattr(request, "param", "sqlite")
    with pytest.MonkeyPatch.context() as patch:
        if kind == "sqlite":
            schema.copied(patch)
            yield kind
            return
        server: PostgresServer = request.getfixturevalue("postgres_server")
        names = _NAMES
        migrate, database = appserver.db.migrate, Database

        def url_of(path: Path) -> str:
            if path not in names:
                names[path] = _name(path)
                server.create(names[path], "migrated")
            return server.url_of(names[path])

        def brought_up_to_date(path: Path, revision: str = "head", url: str = "") -> None:
            if url or revision != "head" or path in names:
                migrate(path, revision, url or url_of(path))
            else:
                url_of(path)  # a copy of one that is up to date

        patch.setattr(appserver.db, "migrate", brought_up_to_date)
        patch.setattr(appserver.db, "Database", lambda path, url="": database(path, url or url_of(path)))
        yield kind
        while names:
            server.drop(names.popitem()[1])


@pytest.fixture
def copy_database(request: pytest.FixtureRequest, database_kind: str) -> Callable[[Path, Path], Database]:
    """Open a copy of a database that nobody has open."""

    def copy(source: Path, target: Path) -> Database:
        if database_kind == "sqlite":
            target.write_bytes(source.read_bytes())
        else:
            server: PostgresServer = request.getfixturevalue("postgres_server")
            _NAMES[target] = _name(target)
            server.create(_NAMES[target], _NAMES[source])
        return appserver.db.Database(target)

    return copy
