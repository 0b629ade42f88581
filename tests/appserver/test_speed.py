"""A hundredth of the town of ``benchmarks/metering.py``, with generous bounds: an index that is lost or passed over shows."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from appserver.db import Database, open_database
from appserver.metering import collection, house_balance, silent_modules, volumes
from appserver.postgres import PostgresConnection
from benchmarks import metering as benchmark
from benchmarks.metering import MEASURED, MONTH, RESOURCE, ZONE, Figure
from benchmarks.support.town import Town, build

TOWN = Town(houses=6, days=365, hourly_houses=1, hourly_days=5)
LOADED = 6
"""The machine may be that much slower than the one the goals are for, and busy."""


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory, database_kind: str) -> Iterator[Database]:
    database = open_database(tmp_path_factory.mktemp("town") / "application.db")
    build(database, TOWN, lambda _: None)
    yield database
    database.close()


def scanned(db: Database, sql: str, parameters: object) -> list[str]:
    """Large tables that a query reads from end to end."""
    word = "EXPLAIN " if db.url else "EXPLAIN QUERY PLAN "
    plan = "\n".join(str(row[-1]) for row in db.connection.execute(word + sql, parameters).fetchall())  # type: ignore[arg-type]
    names = r"Seq Scan on (reading|boundary)\b" if db.url else r"SCAN (b|r|boundary|reading|uplink)\b(?! USING)"
    return re.findall(names, plan)


def test_no_question_reads_a_large_table_from_end_to_end(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, object]] = []
    connection = db.connection

    class Listening:
        def execute(self, sql: str, parameters: object = ()) -> object:
            if sql.lstrip().startswith(("SELECT", "WITH")):
                asked.append((sql, parameters))
            return connection.execute(sql, parameters)  # type: ignore[arg-type]

        def __getattr__(self, name: str) -> object:
            return getattr(connection, name)

    with monkeypatch.context() as patch:
        patch.setattr(db._local, "connection", Listening())
        house_balance(db, 3, RESOURCE, *MONTH, "month")
        house_balance(db, 3, RESOURCE, *MONTH, "day")
        collection(db, TOWN.now_us, ZONE)
        silent_modules(db, TOWN.now_us - 86_400_000_000)
        assert sum(1 for _ in volumes(db, *MONTH)) == 6 * 180
    assert len(asked) > 15
    if db.url:
        assert isinstance(connection, PostgresConnection)
    assert {sql: found for sql, parameters in asked if (found := scanned(db, sql, parameters))} == {}


@pytest.mark.parametrize("measure", MEASURED, ids=lambda measure: measure.__name__)
def test_within_generous_bounds(db: Database, measure: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmark, "HOUSES", 2)
    monkeypatch.setattr(benchmark, "READINGS", 3000)
    figure = measure(db, TOWN)  # type: ignore[operator]
    assert (figure.ratio if db.url else spent(figure)) < LOADED, str(figure)


def spent(figure: Figure) -> float:
    """Its ratio by the time of the processor, which waits for no neighbour; a server's is its own."""
    return figure.cpu * figure.goal / 1e6 if figure.more_is_better else figure.cpu / figure.goal
