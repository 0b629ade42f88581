"""Statements of a whole town: read by sets, the same numbers as in the balance of each house."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from appserver.errors import RegistryError
from appserver.metering import collection, house_balance, silent_modules, volumes
from appserver.metering.collection import check_tally
from appserver.metering.timebase import date_of, microseconds
from tests.support import satka as support
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
