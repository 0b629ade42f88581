"""The days of a house out of whole millionths: row for row what marks and decimals give."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import pytest

from appserver.metering.balance import NOTHING, Ends, PeriodRow, period_row
from appserver.metering.chart import day_rows
from appserver.metering.house import MARK, OF_BUILDING, HouseView, mark_of, origin_of, read_house
from appserver.metering.timebase import day_number, midnight_us, moment
from tests.support import satka as support
from tests.support.satka import Satka


@pytest.fixture(scope="module")
def satka(tmp_path_factory: pytest.TempPathFactory) -> Satka:
    return support.build(tmp_path_factory.mktemp("satka") / "application.db", flats=24)


def by_marks(house: HouseView, pairs: list[tuple[int, int]]) -> list[PeriodRow]:
    """The rows by the functions that every other step of the balance uses."""
    marks = {
        (row[0], row[1]): mark_of(row, house.zone)
        for row in house.connection.execute(
            f"SELECT {MARK} FROM boundary b WHERE b.point_id IN {OF_BUILDING}", house.parameters
        )
    }
    rows = []
    for first, last in pairs:
        start_us, end_us = midnight_us(first, house.zone), midnight_us(last, house.zone)
        ends = []
        for point in house.points:
            stop = marks.get((point.point_id, last))
            start = marks.get((point.point_id, first)) or stop
            ends.append(
                NOTHING
                if stop is None or start is None
                else Ends(origin_of(house, point.point_id, start, start_us), stop)
            )
        moments = moment(start_us, house.zone), moment(end_us, house.zone)
        rows.append(period_row(house.points, ends, start_us, end_us, *moments))
    return rows


@pytest.mark.parametrize("resource", ["cold_water", "hot_water"])
def test_the_same_rows_as_by_marks(satka: Satka, resource: str) -> None:
    first = day_number(date(2026, 10, 1) - timedelta(days=4))
    house = read_house(satka.db.connection, satka.building_id, resource)
    rows = day_rows(house, first, first + 40)
    assert rows == by_marks(house, [(day, day + 1) for day in range(first, first + 40)])
    assert sum(row.individual for row in rows) > 10
    assert any(row.missing for row in rows)


def test_disputed_reset_reverse_and_unknown_clocks(satka: Satka) -> None:
    """Every quality, breaks, and errors that nobody knows: put into the table, taken back afterwards."""
    db = satka.db
    house = read_house(db.connection, satka.building_id, "cold_water")
    day = day_number(date(2026, 10, 15))
    with db.transaction() as connection:
        connection.execute(
            "UPDATE boundary SET quality = CASE point_id % 4 WHEN 0 THEN 'disputed' WHEN 1 THEN 'server_time' WHEN 2 THEN"
            " 'interpolated' ELSE 'measured' END, breaks = point_id % 2, clock_us = CASE WHEN point_id % 3 = 0 THEN NULL"
            " ELSE -7000000 * point_id END, spread_micro = CASE WHEN point_id % 5 = 0 THEN NULL ELSE 12345 END,"
            " total_micro = total_micro - 400000 WHERE day = ?",
            (day,),
        )
        rows = day_rows(house, day - 3, day + 3)
        expected = by_marks(house, [(at, at + 1) for at in range(day - 3, day + 3)])
        connection.execute("ROLLBACK")
        connection.execute("BEGIN")
    assert rows == expected
    assert rows[3].clock > Decimal(1)
