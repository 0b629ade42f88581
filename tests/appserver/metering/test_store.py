"""Boundary values kept while readings come in any order equal those computed at the end from all of them."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from appserver import registry
from appserver.db import Database, open_database
from appserver.metering.readings import NewReading, store
from appserver.metering.store import rebuild
from appserver.metering.timebase import HOUR_US, day_number, midnight_us, zone_of

ZONE = zone_of("Asia/Yekaterinburg")
FIRST = date(2026, 10, 1)
START_US = midnight_us(day_number(FIRST), ZONE)
COLUMNS = "day, installation_id, value_micro, total_micro, breaks, quality, event"


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory, database_kind: str) -> Database:
    database: Database = open_database(tmp_path_factory.mktemp("store") / "application.db")
    organisation = registry.create(database, "organisation", {"name": "УК"})
    registry.create(
        database, "building", {"organisation_id": organisation.id, "address": "Сатка", "timezone": ZONE.key}
    )
    yield database
    database.close()


_serial = iter(range(10**6))


def point_with_two_meters(db: Database) -> tuple[int, int, int]:
    """A point whose first meter is replaced on day 4 at 10:00."""
    number = next(_serial)
    point = registry.create(db, "point", {"building_id": 1, "resource": "cold_water", "name": str(number)})
    first, second = (
        registry.create(db, "meter", {"serial": f"{number}/{n}", "resource": "cold_water"}) for n in (1, 2)
    )
    registry.install(db, point.id, first.id, FIRST, Decimal(99_990))
    at_us = START_US + (4 * 24 + 10) * HOUR_US
    registry.replace_meter(db, point.id, second.id, FIRST + timedelta(days=4), Decimal(12), Decimal("0.5"), at_us)
    return point.id, first.id, second.id


READINGS = st.lists(
    st.tuples(
        st.booleans(),  # of the second meter
        st.one_of(st.integers(0, 9).map(lambda day: day * 24), st.integers(0, 240)),  # hours since the first midnight
        st.integers(0, 20),
        st.sampled_from(["archive", "measured", "server_time"]),
    ),
    max_size=40,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(READINGS, st.randoms(use_true_random=False))
def test_any_order_gives_the_same_marks(db: Database, drawn: list, random) -> None:
    point_id, *meters = point_with_two_meters(db)
    readings = [
        NewReading(
            meters[second],
            "volume",
            START_US + hour * HOUR_US,
            (units if second else (99_990 + units) % 100_000) * 1_000_000,
            quality,
            "lorawan",
            START_US + hour * HOUR_US + index,
        )
        for index, (second, hour, units, quality) in enumerate(drawn)
    ]
    random.shuffle(readings)
    while readings:
        size = random.randrange(1, len(readings) + 1)
        with db.transaction() as connection:
            store(connection, readings[:size], START_US)
        del readings[:size]
    query = f"SELECT {COLUMNS} FROM boundary WHERE point_id = {point_id} ORDER BY day"
    kept = db.rows(query)
    with db.transaction() as connection:
        rebuild(connection, point_id)
    assert kept == db.rows(query)
    assert [row[0] for row in kept] == sorted(row[0] for row in kept)


def test_act_values_are_marks_without_any_reading(db: Database) -> None:
    point_id, *_ = point_with_two_meters(db)
    rows = db.rows(f"SELECT {COLUMNS} FROM boundary WHERE point_id = ?", (point_id,))
    assert [(row[0], row[2], row[6]) for row in rows] == [(day_number(FIRST), 99_990_000_000, "installed")]


def test_readings_outside_an_installation_do_not_count(db: Database, tmp_path: Path) -> None:
    point_id, first, second = point_with_two_meters(db)
    late = START_US + 8 * 24 * HOUR_US
    early = START_US + 24 * HOUR_US
    with db.transaction() as connection:
        for meter_id, at_us in ((first, late), (second, early)):
            reading = NewReading(meter_id, "volume", at_us, 5_000_000, "archive", "lorawan", at_us)
            assert store(connection, [reading], at_us) == 1
    rows = db.rows("SELECT day FROM boundary WHERE point_id = ?", (point_id,))
    assert [day for (day,) in rows] == [day_number(FIRST)]
