"""MET-01, MET-06, MET-08, FR-05: nothing is overwritten; people's words stand over readings; closed periods stay."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from appserver.db import Database, open_database
from appserver.errors import RegistryError
from appserver.metering import house_balance
from appserver.metering.corrections import believed, correct, corrections, open_conflicts
from appserver.metering.incoming import Item, take
from appserver.metering.periods import after_close, close_period, closed_periods, closed_values
from appserver.metering.store import rebuild
from tests.support.house import FIRST_DAY, House, make_house
from tests.support.refusals import REFUSED

FIRST, LAST = date(2026, 10, 1), date(2026, 10, 6)
NOW_US = int((FIRST_DAY + timedelta(days=40)).timestamp()) * 1_000_000


def at(day: int) -> int:
    return int((FIRST_DAY + timedelta(days=day)).timestamp()) * 1_000_000


@pytest.fixture
def db(tmp_path: Path) -> Database:
    database = open_database(tmp_path / "application.db")
    yield database
    database.close()


@pytest.fixture
def house(db: Database) -> House:
    return make_house(db)


def volume(db: Database, house: House, point: str) -> Decimal | None:
    balance = house_balance(db, house.building_id, "cold_water", FIRST, LAST, "month")
    return next(p.volume for p in balance.points if p.point_id == house.points[point])


def test_met_01_correction_supersedes_and_the_reading_stays(db: Database, house: House) -> None:
    meter, readings = house.meters["1"], db.rows("SELECT * FROM reading")
    row = correct(db, meter, at(5), Decimal("101"), author="ivanov", reason="misread", document="act 7", now_us=NOW_US)
    assert (row.supersedes, row.value) == (Decimal("100.75"), Decimal(101))
    assert volume(db, house, "1") == Decimal(1)
    again = correct(db, meter, at(5), Decimal("100.9"), author="petrov", reason="a digit", now_us=NOW_US + 1)
    assert again.supersedes == Decimal(101)
    assert volume(db, house, "1") == Decimal("0.9")
    assert db.rows("SELECT * FROM reading") == readings
    assert [(c.author, c.value) for c in corrections(db, meter)] == [
        ("petrov", Decimal("100.9")),
        ("ivanov", Decimal(101)),
    ]
    assert db.rows("SELECT supersedes_id FROM correction ORDER BY id") == [(None,), (row.id,)]
    assert db.rows("SELECT value_micro, quality FROM last_reading WHERE meter_id = ?", (meter,)) == [
        (100_900_000, "corrected")
    ]
    before = db.rows("SELECT * FROM boundary ORDER BY 1, 2")
    with db.transaction() as connection:
        rebuild(connection, house.points["1"])
    assert db.rows("SELECT * FROM boundary ORDER BY 1, 2") == before


def test_met_01_correction_can_take_away_and_give_back(db: Database, house: House) -> None:
    meter = house.meters["1"]
    correct(db, meter, at(5), None, author="ivanov", reason="somebody else's meter", now_us=NOW_US)
    assert volume(db, house, "1") == Decimal("0.6"), "up to the day before"
    correct(db, meter, at(5), Decimal("100.75"), author="ivanov", reason="it was right", now_us=NOW_US + 1)
    assert volume(db, house, "1") == Decimal("0.75")


@pytest.mark.parametrize("verb", ["UPDATE correction SET reason = 'x'", "DELETE FROM correction"])
def test_met_01_corrections_are_append_only(db: Database, house: House, verb: str) -> None:
    correct(db, house.meters["1"], at(5), Decimal(101), author="ivanov", reason="misread", now_us=NOW_US)
    with pytest.raises(REFUSED, match="append-only"):
        db.connection.execute(verb)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"reason": "  "}, "reason"),
        ({"value": Decimal("NaN")}, "value"),
        ({"value": Decimal("100.75")}, "value"),
        ({"measured_at_us": NOW_US + 1}, "measured_at"),
        ({"measured_at_us": at(5) + 1, "value": None}, "value"),
        ({"meter_id": 999}, "meter_id"),
    ],
)
def test_met_01_refusals(db: Database, house: House, changes: dict[str, object], field: str) -> None:
    given = {
        "meter_id": house.meters["1"],
        "measured_at_us": at(5),
        "value": Decimal(101),
        "reason": "misread",
    } | changes
    with pytest.raises(RegistryError) as caught:
        correct(db, author="ivanov", now_us=NOW_US, **given)  # type: ignore[arg-type]
    assert caught.value.field == field


def test_fr_05_what_was_believed_on_a_day(db: Database, house: House) -> None:
    point, known = house.points["1"], int((FIRST_DAY + timedelta(days=30)).timestamp()) * 1_000_000
    correct(db, house.meters["1"], at(5), Decimal(101), author="ivanov", reason="misread", now_us=NOW_US)
    then, now = believed(db, point, at(5), NOW_US - 1), believed(db, point, at(5), NOW_US)
    assert then is not None and now is not None
    assert (then.value, now.value) == (Decimal("100.75"), Decimal(101))
    assert believed(db, point, at(5), known - 1) is None, "nothing was recorded before"


def test_fr_20_conflict_of_equal_rank_waits_for_a_person(db: Database, house: House) -> None:
    """MET-06: LoRaWAN and GPRS contradict each other; the person's word ends it, also for the value that stood."""
    told = Item(FIRST_DAY + timedelta(days=5), Decimal("100.8"), meter_id=house.meters["1"])
    assert take(db, [told], "gprs", NOW_US).new == 1
    [conflict] = open_conflicts(db, house.building_id)
    assert (conflict.values, conflict.sources) == ((Decimal("100.75"), Decimal("100.8")), ("lorawan", "gprs"))
    row = next(
        p
        for p in house_balance(db, house.building_id, "cold_water", FIRST, LAST, "month").points
        if p.point_id == house.points["1"]
    )
    assert (row.quality, row.volume) == ("disputed", Decimal("0.75"))
    correct(db, house.meters["1"], at(5), Decimal("100.75"), author="ivanov", reason="seen on site", now_us=NOW_US)
    assert open_conflicts(db) == []
    balance = house_balance(db, house.building_id, "cold_water", FIRST, LAST, "month")
    assert [p.quality for p in balance.points] == ["measured"] * 3


def test_fr_20_archive_beats_a_value_read_while_asked(db: Database, house: House) -> None:
    told = Item(FIRST_DAY + timedelta(days=5), Decimal("100.8"), meter_id=house.meters["1"], archive=False)
    take(db, [told], "gprs", NOW_US)
    assert open_conflicts(db) == []
    assert volume(db, house, "1") == Decimal("0.75")


def test_met_08_closed_period_stays_and_late_arrivals_are_listed(db: Database, house: House) -> None:
    closed = close_period(db, house.building_id, "cold_water", FIRST, LAST, author="ivanov", now_us=NOW_US)
    assert closed.revision == 1
    assert after_close(db, closed.id) == []
    late = Item(FIRST_DAY + timedelta(days=2, hours=3), Decimal("100.31"), meter_id=house.meters["1"])
    take(db, [late], "gprs", NOW_US + 5)
    correct(db, house.meters["2"], at(5), Decimal("101.5"), author="petrov", reason="photo", now_us=NOW_US + 6)
    assert [(row.kind, row.value, row.source) for row in after_close(db, closed.id)] == [
        ("reading", Decimal("100.31"), "gprs"),
        ("correction", Decimal("101.5"), "photo"),
    ]
    values = {value.point_id: value for value in closed_values(db, closed.id)}
    two = values[house.points["2"]]
    assert (two.volume, two.volume_now, two.changed) == (Decimal("1.25"), Decimal("1.5"), True)
    assert not values[house.points["1"]].changed
    for change in ("UPDATE period_value SET volume_micro = 0", "DELETE FROM period_close"):
        with pytest.raises(REFUSED, match="append-only"):
            db.connection.execute(change)
    with pytest.raises(RegistryError, match="reason"):
        close_period(db, house.building_id, "cold_water", FIRST, LAST, author="ivanov", now_us=NOW_US + 9)
    second = close_period(
        db, house.building_id, "cold_water", FIRST, LAST, author="ivanov", now_us=NOW_US + 9, reason="photo of flat 2"
    )
    assert (second.revision, after_close(db, second.id)) == (2, [])
    assert not any(value.changed for value in closed_values(db, second.id))
    assert [period.revision for period in closed_periods(db, house.building_id)] == [2, 1]


@pytest.mark.parametrize(
    ("building", "first", "last", "now_us", "code"),
    [
        (1, FIRST, LAST, at(4), "invalid"),
        (1, FIRST + timedelta(days=1), LAST, NOW_US, "conflict"),
        (9, FIRST, LAST, NOW_US, "not_found"),
    ],
)
def test_met_08_refusals(
    db: Database, house: House, building: int, first: date, last: date, now_us: int, code: str
) -> None:
    close_period(db, house.building_id, "cold_water", FIRST, LAST, author="ivanov", now_us=NOW_US)
    with pytest.raises(RegistryError) as caught:
        close_period(db, building, "cold_water", first, last, author="ivanov", now_us=now_us)
    assert caught.value.code == code
    assert len(closed_periods(db)) == 1
