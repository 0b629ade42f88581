"""Boundary values of many points at once: the same rows as one by one, in few queries."""

from __future__ import annotations

import random
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest

from appserver.db import Connection, Database
from appserver.metering import add_manual_reading
from appserver.metering.collection import check_tally
from appserver.metering.corrections import correct
from appserver.metering.refreshing import refresh_many
from appserver.metering.timebase import day_number, microseconds
from tests.support import satka as support
from tests.support.marks_one_by_one import refresh_one
from tests.support.satka import Satka

FIRST = date(2026, 10, 1)


@pytest.fixture(scope="module")
def satka(tmp_path_factory: pytest.TempPathFactory, database_kind: str) -> Satka:
    built = support.build(tmp_path_factory.mktemp("satka") / "application.db", flats=14, days=20)
    rng = random.Random(5)
    for number, meter_id in enumerate(sorted(built.meters.values())):
        at = support.midnight(FIRST + timedelta(days=rng.randrange(3, 18), hours=0)) + timedelta(
            hours=rng.randrange(-8, 9)
        )
        add_manual_reading(
            built.db, meter_id, Decimal(rng.randrange(10**6)) / 1000, microseconds(at), built.now_us, "и"
        )
        if number % 3 == 0:
            day = support.midnight(FIRST + timedelta(days=rng.randrange(2, 18)))
            correct(built.db, meter_id, microseconds(day), None, author="петров", reason="описка", now_us=built.now_us)
    return built


def boundaries(db: Database) -> list[tuple[object, ...]]:
    return db.rows("SELECT * FROM boundary ORDER BY point_id, day")


@pytest.mark.parametrize("seed", range(6))
def test_the_same_rows_as_one_by_one(satka: Satka, seed: int) -> None:
    """After rows were lost, spoilt, or made where none belong, before, within and after the days that are refreshed."""
    rng = random.Random(seed)
    first = day_number(FIRST)
    points = sorted(satka.points.values())
    days_of = {
        point: rng.sample(range(first - 3, first + 25), rng.randrange(1, 9))
        for point in rng.sample(points, len(points) // 2)
    }
    spoilt = []
    for point, days in days_of.items():
        for day in days:
            what = rng.randrange(4)
            if what == 0:
                spoilt.append(("DELETE FROM boundary WHERE point_id = ? AND day = ?", (point, day)))
            elif what == 1:
                spoilt.append(
                    ("UPDATE boundary SET value_micro = value_micro + 77 WHERE point_id = ? AND day = ?", (point, day))
                )
    found = []
    for work in (
        lambda connection: refresh_many(connection, days_of),
        lambda connection: sum(refresh_one(connection, point, days) for point, days in sorted(days_of.items())),
    ):
        with satka.db.transaction() as connection:
            for sql, parameters in spoilt:
                connection.execute(sql, parameters)
            changed = work(connection)
            found.append((changed, connection.execute("SELECT * FROM boundary ORDER BY point_id, day").fetchall()))
            assert check_tally(connection) == {}
            connection.execute("ROLLBACK")
            connection.execute("BEGIN")
    assert found[0] == found[1]


def test_what_is_in_order_stays(satka: Satka) -> None:
    first = day_number(FIRST)
    before = boundaries(satka.db)
    with satka.db.transaction() as connection:
        assert refresh_many(connection, {p: range(first - 5, first + 30) for p in satka.points.values()}) == 0
    assert boundaries(satka.db) == before


def test_a_batch_takes_a_handful_of_queries(satka: Satka) -> None:
    """Not some for each point: the number of queries does not grow with the points."""
    counts = []
    for number in (4, 28):
        points = sorted(satka.points.values())[:number]
        with satka.db.transaction() as connection:
            counted = Counting(connection)
            refresh_many(counted, {point: [day_number(FIRST) + 25] for point in points})  # type: ignore[arg-type]
        counts.append(counted.queries)
    assert counts == [6, 6]


class Counting:
    """A connection that counts its queries."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.queries = 0

    def execute(self, *arguments: Any) -> Any:
        self.queries += 1
        return self._connection.execute(*arguments)

    def executemany(self, *arguments: Any) -> Any:
        return self._connection.executemany(*arguments)
