"""Statements of a whole town: read by sets, the same numbers as in the balance of each house."""

from __future__ import annotations

import itertools
from contextlib import closing
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from appserver.db import open_database
from appserver.errors import RegistryError
from appserver.metering import collection, house_balance, silent_modules, volumes
from appserver.metering.collection import check_tally, silent_by_building
from appserver.metering.free_volumes import free_volumes
from appserver.metering.readings import NewReading, store
from appserver.metering.timebase import date_of, microseconds
from tests.support import satka as support
from tests.support.house import make_house
from tests.support.satka import Satka

FIRST, LAST = date(2026, 10, 1), date(2026, 11, 1)
PERIODS = [
    (FIRST, LAST),
    (FIRST, date(2026, 10, 11)),
    (date(2026, 10, 14), date(2026, 10, 17)),  # around the replacement
    (date(2026, 9, 1), date(2026, 10, 20)),  # from before the meters
    (date(2026, 10, 20), date(2026, 12, 1)),  # beyond what is known
    (date(2026, 12, 1), date(2027, 1, 1)),  # nothing is known
]


@pytest.fixture(scope="module")
def satka(tmp_path_factory: pytest.TempPathFactory, database_kind: str) -> Satka:
    return support.build(tmp_path_factory.mktemp("satka") / "application.db")


@pytest.mark.parametrize(("first", "last"), PERIODS)
@pytest.mark.parametrize("resource", ["cold_water", "hot_water"])
@pytest.mark.parametrize("whole", [False, True])
def test_the_same_as_in_the_balance_of_the_house(
    satka: Satka, first: date, last: date, resource: str, whole: bool
) -> None:
    balance = house_balance(satka.db, satka.building_id, resource, first, last, "month", whole_period=whole)
    expected = [
        (p.point_id, p.premises, p.account_number, p.serial, p.start, p.end, p.start_at, p.end_at, p.volume, p.quality)
        for p in balance.points
    ]
    found = [
        (v.point_id, v.premises, v.account_number, v.serial, v.start, v.end, v.start_us, v.end_us, v.volume, v.quality)
        for v in volumes(satka.db, first, last, resource, individual=False, whole_period=whole)
    ]
    assert found == [
        (*row[:6], *(None if at is None else microseconds(at) for at in row[6:8]), *row[8:]) for row in expected
    ]


@pytest.mark.parametrize(("first", "last"), PERIODS)
def test_each_volume_has_the_bound_that_the_balance_gives_it(satka: Satka, first: date, last: date) -> None:
    balance = house_balance(satka.db, satka.building_id, "cold_water", first, last, "month", whole_period=True)
    expected = [(p.point_id, p.volume, p.quality, p.clock, p.error) for p in balance.points]
    found = volumes(satka.db, first, last, "cold_water", individual=False, whole_period=True, bounds=True)
    assert [(v.point_id, v.volume, v.quality, v.clock, v.error) for v in found] == expected
    free = free_volumes(satka.db, first, last, satka.building_id, resource="cold_water").rows
    assert [(v.point.point_id, v.volume, v.quality, v.clock, v.error) for v in free] == expected
    assert [(v.start, v.end, v.start_at, v.end_at) for v in free] == [
        (p.start, p.end, p.start_at, p.end_at) for p in balance.points
    ]


def test_steps_of_a_free_period_add_up_to_it(satka: Satka) -> None:
    first, last = date(2026, 10, 3), date(2026, 10, 9)
    whole = free_volumes(satka.db, first, last, satka.building_id, resource="cold_water").rows
    for step, count in (("day", 6), ("month", 1), ("hour", 144)):
        rows = free_volumes(satka.db, first, last, satka.building_id, resource="cold_water", step=step).rows
        assert len(rows) == count * len(whole)
        for at, one in enumerate(whole):
            its = rows[at * count : (at + 1) * count]
            assert [row.period_end for row in its[:-1]] == [row.period_start for row in its[1:]]
            if all(row.quality != "missing" for row in its) and one.quality != "partial":
                assert sum(row.volume for row in its if row.volume is not None) == one.volume
    days = house_balance(satka.db, satka.building_id, "cold_water", first, last, "day").periods
    rows = free_volumes(satka.db, first, last, satka.building_id, resource="cold_water", step="day").rows
    for at, day in enumerate(days):
        flats = [row.volume for row in rows[at::6] if row.point.role == "individual" and row.volume is not None]
        assert sum(flats) == day.individual


def test_a_period_may_begin_and_end_at_any_moment(tmp_path: Path) -> None:
    with closing(open_database(tmp_path / "application.db")) as db:
        house = make_house(db)
        meter, point = house.meters["1"], house.points["1"]
        start = datetime(2026, 10, 2, tzinfo=ZoneInfo("Europe/Moscow"))
        hours = [
            NewReading(meter, "volume", at, 100_150_000 + n * 5_000 + 1_000 * (n > 7), "archive", "lorawan", at)
            for n in range(1, 24)
            for at in (microseconds(start) + n * 3_600_000_000,)
        ]
        with db.transaction() as connection:
            store(connection, hours, microseconds(start) + 30 * 86_400_000_000)
        edges = [start, start + timedelta(hours=7, minutes=30), start + timedelta(days=1)]
        first, second = (free_volumes(db, a, b, point_id=point).rows[0] for a, b in itertools.pairwise(edges))
        whole = free_volumes(db, edges[0], edges[2], point_id=point).rows[0]
        assert (first.end, second.start) == (Decimal("100.188"), Decimal("100.188"))
        assert (first.quality, whole.quality) == ("interpolated", "measured")
        assert (first.volume, second.volume, whole.volume) == (Decimal("0.038"), Decimal("0.112"), Decimal("0.15"))
        # Half an hour on, 3 l of the 6 l of that hour had flowed: it may be all of them or none.
        assert first.clock is not None and first.error is not None
        assert Decimal("0.003") <= first.error - first.clock < Decimal("0.0031")
        beyond = free_volumes(db, edges[1], edges[2] + timedelta(days=30), point_id=point).rows[0]
        assert (beyond.quality, beyond.start_at, beyond.end) == ("partial", edges[1], Decimal("100.75"))
        assert beyond.end_at is not None and beyond.end_at < beyond.period_end


def test_a_free_period_that_makes_no_sense_is_refused(satka: Satka) -> None:
    for wrong, said in (
        ({"building_id": 1, "point_id": 1}, "one of the two"),
        ({}, "one of the two"),
        ({"building_id": 4711}, "no building 4711"),
        ({"point_id": 4711}, "no point 4711"),
        ({"building_id": satka.building_id, "resource": "oil"}, "no resource 'oil'"),
        ({"building_id": satka.building_id, "step": "week"}, "no step 'week'"),
        ({"building_id": satka.building_id, "step": "hour"}, "more than 20000 values"),
    ):
        with pytest.raises(RegistryError, match=said):
            free_volumes(satka.db, FIRST, LAST, **wrong)  # type: ignore[arg-type]
    with pytest.raises(RegistryError, match="empty"):
        free_volumes(satka.db, LAST, FIRST, satka.building_id)
    with pytest.raises(RegistryError, match="31 days at most"):
        free_volumes(satka.db, FIRST, LAST + timedelta(days=1), satka.building_id, step="hour")


def test_silent_modules_of_a_building_and_of_an_organisation(satka: Satka) -> None:
    everybody, _ = silent_modules(satka.db, 2**62, limit=1000)
    assert len(everybody) > 50
    assert all(one.organisation and one.address for one in everybody)
    for place, expected in (
        ({"building_id": satka.building_id}, everybody),
        ({"organisation_id": satka.organisation_id}, everybody),
        ({"building_id": satka.building_id + 1}, []),
        ({"organisation_id": satka.organisation_id + 1}, []),
    ):
        assert silent_modules(satka.db, 2**62, "", 1000, **place)[0] == expected, place
    count = len(everybody)
    assert silent_by_building(satka.db, 2**62, [satka.building_id]) == {satka.building_id: (count, count)}
    assert silent_by_building(satka.db, 0, [satka.building_id]) == {satka.building_id: (count, 0)}


def test_only_flats_of_all_resources_and_of_an_organisation(satka: Satka) -> None:
    rows = list(volumes(satka.db, FIRST, LAST))
    assert {row.role for row in rows} == {"individual"}
    assert [row.resource for row in rows] == sorted(row.resource for row in rows)
    assert len(rows) == 118
    assert rows == list(volumes(satka.db, FIRST, LAST, organisation_id=satka.organisation_id))
    assert list(volumes(satka.db, FIRST, LAST, organisation_id=satka.organisation_id + 1)) == []


def test_what_makes_no_sense_is_refused_at_once(satka: Satka) -> None:
    with pytest.raises(RegistryError, match="no resource 'oil'"):
        volumes(satka.db, FIRST, LAST, "oil")
    with pytest.raises(RegistryError, match="empty"):
        volumes(satka.db, LAST, FIRST)


def test_collection_is_kept_and_counts_as_a_count_would(satka: Satka) -> None:
    assert check_tally(satka.db.connection) == {}
    for day in range(-2, 33):
        now_us = microseconds(support.midnight(FIRST + timedelta(days=day))) + 3_600_000_000
        found = collection(satka.db, now_us, support.ZONE.key)
        counted = satka.db.rows(
            "SELECT count(*) FROM boundary b JOIN installation i ON i.id = b.installation_id"
            " WHERE b.day = ? AND i.removed_at_us IS NULL",
            ((FIRST + timedelta(days=day) - date_of(0)).days,),
        )[0][0]
        silent = satka.db.rows(
            "SELECT count(DISTINCT c.dev_eui) FROM module_channel c LEFT JOIN device_state d ON d.dev_eui = c.dev_eui"
            " WHERE c.valid_until_us IS NULL AND coalesce(d.last_uplink_at_us, 0) < ?",
            (now_us - 24 * 3_600_000_000,),
        )[0][0]
        assert (found.known, found.silent) == (counted, silent)


def test_fr_28_silent_modules_page_by_page(satka: Satka) -> None:
    now_us = microseconds(support.midnight(LAST)) + 3_600_000_000
    whole, nothing = silent_modules(satka.db, now_us - 24 * 3_600_000_000, limit=1000)
    assert nothing is None
    assert len(whole) == collection(satka.db, now_us, support.ZONE.key).silent > 0
    assert satka.dev_euis[support.SILENT, "hot_water"] in {one.dev_eui for one in whole}
    pages, cursor = [], ""
    while cursor is not None:
        page, cursor = silent_modules(satka.db, now_us - 24 * 3_600_000_000, cursor, limit=1)
        pages += page
    assert pages == whole
