"""MET-08, FR-15, FR-16: a closed period prints what was frozen; what comes later is charged by the next one."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from appserver import reports
from appserver.db import ERRORS, Database, open_database
from appserver.errors import RegistryError
from appserver.metering import house_balance
from appserver.metering.closed import counted_balance
from appserver.metering.corrections import correct
from appserver.metering.frozen import hash_of, summary_of
from appserver.metering.periods import close_period, closed_periods, preview_close, reopen_period
from appserver.metering.readings import NewReading, store
from appserver.rules.entered import enter_rule
from tests.support.house import FIRST_DAY, House, make_house

OCTOBER, NOVEMBER, DECEMBER = date(2026, 10, 1), date(2026, 11, 1), date(2026, 12, 1)
WATER = "cold_water"


def at(day: int) -> int:
    """Midnight so many days after the first of October, in Moscow."""
    return int((FIRST_DAY + timedelta(days=day)).timestamp()) * 1_000_000


NOW_US = at(62)


@pytest.fixture
def db(tmp_path: Path) -> Database:
    database = open_database(tmp_path / "application.db")
    yield database
    database.close()


@pytest.fixture
def house(db: Database) -> House:
    """October and November: flat 1 draws 3.1 and 3.0 m³, flat 2 6.2 and 6.0, the house 12.4 and 12.0."""
    made = make_house(db)
    readings = []
    for name, daily in (("1", "0.1"), ("2", "0.2"), ("house", "0.4")):
        for day in (31, 61):
            value = 100 + Decimal(daily) * day
            readings.append(
                NewReading(made.meters[name], "volume", at(day), int(value * 1_000_000), "archive", "lorawan", at(day))
            )
    with db.transaction() as connection:
        store(connection, readings, at(61))
    return made


def close(db: Database, house: House, first: date, last: date, now_us: int = NOW_US, **more: str) -> int:
    return close_period(
        db, house.building_id, WATER, first, last, author=more.pop("author", "ivanova"), now_us=now_us, **more
    ).id


def statement(db: Database, house: House, name: str, first: date, last: date) -> dict[str, dict[str, object]]:
    made = reports.make(db, name, house.building_id, first, last, WATER, "month")
    keys = [column.key for column in made.columns]
    return {str(row[1]): dict(zip(keys, row, strict=True)) for row in made.rows}


def test_fr_15_a_closed_statement_is_printed_as_it_was_byte_for_byte(db: Database, house: House) -> None:
    close(db, house, OCTOBER, NOVEMBER)
    made = {
        (name, language, form): reports.render(
            reports.make(db, name, house.building_id, OCTOBER, NOVEMBER, WATER, "day", language), form
        )
        for name in ("individual", "house", "balance")
        for language in ("ru", "en")
        for form in ("csv", "xlsx", "pdf", "html", "json")
    }
    correct(db, house.meters["1"], at(31), Decimal("103.6"), author="petrov", reason="photo", now_us=NOW_US + 1)
    with db.transaction() as connection:
        connection.execute("UPDATE building SET address = 'другой адрес'")
        connection.execute("UPDATE meter SET verification_until = '2020-01-01'")
    live = house_balance(db, house.building_id, WATER, OCTOBER, NOVEMBER, "month")
    assert next(p.volume for p in live.points if p.premises == "1") == Decimal("3.6")
    for (name, language, form), before in made.items():
        again = reports.make(db, name, house.building_id, OCTOBER, NOVEMBER, WATER, "day", language)
        assert reports.render(again, form) == before, (name, language, form)
    head = dict(reports.make(db, "balance", house.building_id, OCTOBER, NOVEMBER, WATER).header)
    [closing] = closed_periods(db)
    assert head["Период закрыт"].endswith("ivanova, редакция 1")
    assert head["Контрольная сумма закрытия (SHA-256)"] == hash_of(db, closing.id)


@pytest.mark.parametrize("step", ["hour", "day", "month"])
def test_met_08_a_closed_balance_is_what_was_frozen(db: Database, house: House, step: str) -> None:
    before = house_balance(db, house.building_id, WATER, OCTOBER, NOVEMBER, step)  # type: ignore[arg-type]
    id_ = close(db, house, OCTOBER, NOVEMBER)
    correct(db, house.meters["1"], at(31), Decimal("103.6"), author="petrov", reason="photo", now_us=NOW_US + 1)
    told = counted_balance(db, house.building_id, WATER, OCTOBER, NOVEMBER, step)  # type: ignore[arg-type]
    assert told.closing is not None and told.closing.id == id_
    assert told.balance.total == before.total
    assert told.balance.points == before.points
    assert [(p.start, p.house, p.individual) for p in told.balance.periods] == [
        (p.start, p.house, p.individual) for p in before.periods
    ]
    reopen_period(db, id_, author="ivanova", reason="photo of flat 1", now_us=NOW_US + 2)
    live = counted_balance(db, house.building_id, WATER, OCTOBER, NOVEMBER, step)  # type: ignore[arg-type]
    assert live.closing is None
    if step != "hour":
        assert live.balance.total.individual == before.total.individual + Decimal("0.5")


def test_met_08_a_year_has_its_closed_months_as_they_were(db: Database, house: House) -> None:
    close(db, house, OCTOBER, NOVEMBER)
    correct(db, house.meters["1"], at(31), Decimal("103.6"), author="petrov", reason="photo", now_us=NOW_US + 1)
    told = counted_balance(db, house.building_id, WATER, OCTOBER, DECEMBER, "month")
    assert told.closing is None and [c.first_day for c in told.within] == [OCTOBER]
    assert [row.individual for row in told.balance.periods] == [Decimal("9.3"), Decimal("8.5")]
    assert told.balance.total.individual == Decimal("17.8"), "the closed month's part stays, November has its own"
    made = reports.make(db, "individual", house.building_id, OCTOBER, DECEMBER, WATER)
    assert made.notes[-1].startswith("В периоде есть закрытый")


def test_fr_16_a_correction_after_closing_is_the_next_periods_recalculation(db: Database, house: House) -> None:
    october = close(db, house, OCTOBER, NOVEMBER)
    correct(db, house.meters["1"], at(31), Decimal("103.6"), author="petrov", reason="photo", now_us=NOW_US + 1)
    flat = statement(db, house, "individual", NOVEMBER, DECEMBER)["1"]
    assert (flat["volume"], flat["charge"], flat["recalculation"]) == (Decimal("2.5"), Decimal("2.5"), Decimal("0.5"))
    [again] = preview_close(db, house.building_id, WATER, NOVEMBER, DECEMBER).recalculations
    assert (again.before, again.after, again.volume) == (Decimal("3.1"), Decimal("3.6"), Decimal("0.5"))
    assert (again.reason, again.close_id) == ("photo (petrov)", october)
    november = close(db, house, NOVEMBER, DECEMBER, NOW_US + 2)
    assert summary_of(db, november).recalculations == [again]
    assert preview_close(db, house.building_id, WATER, DECEMBER, date(2026, 12, 2)).recalculations == []
    first, second = (
        statement(db, house, "individual", *span)["1"] for span in ((OCTOBER, NOVEMBER), (NOVEMBER, DECEMBER))
    )
    charged = first["charge"] + second["charge"] + second["recalculation"]  # type: ignore[operator]
    assert charged == Decimal("106.1") - Decimal(100), "what the register counted in both months, exactly"
    notes = reports.make(db, "individual", house.building_id, NOVEMBER, DECEMBER, WATER, language="en").notes
    assert notes[0] == "Recalculation: 10.2026, 1: 3.100 → 3.600 (+0.500), photo (petrov)"


def test_fr_16_what_is_recalculated_twice_is_given_back(db: Database, house: House) -> None:
    """October is opened again and closed with the correction that November had charged already."""
    october = close(db, house, OCTOBER, NOVEMBER)
    correct(db, house.meters["1"], at(31), Decimal("103.6"), author="petrov", reason="photo", now_us=NOW_US + 1)
    close(db, house, NOVEMBER, DECEMBER, NOW_US + 2)
    reopen_period(db, october, author="ivanova", reason="court", now_us=NOW_US + 3)
    close(db, house, OCTOBER, NOVEMBER, NOW_US + 4, reason="court")
    [back] = preview_close(db, house.building_id, WATER, DECEMBER, date(2026, 12, 2)).recalculations
    assert (back.volume, back.after) == (Decimal("-0.5"), Decimal("3.6"))


def test_met_08_reopening_has_its_author_and_reason_and_happens_once(db: Database, house: House) -> None:
    id_ = close(db, house, OCTOBER, NOVEMBER)
    with pytest.raises(RegistryError, match="why"):
        reopen_period(db, id_, author="ivanova", reason=" ", now_us=NOW_US)
    opened = reopen_period(db, id_, author="ivanova", reason="a photo came", now_us=NOW_US + 1)
    assert (opened.reopened_by, opened.reopened_reason, opened.stands) == ("ivanova", "a photo came", False)
    with pytest.raises(RegistryError, match="does not stand"):
        reopen_period(db, id_, author="ivanova", reason="again", now_us=NOW_US + 2)
    second = close(db, house, OCTOBER, NOVEMBER, NOW_US + 3, reason="with the photo")
    assert [(p.id, p.stands) for p in closed_periods(db)] == [(second, True), (id_, False)]
    with pytest.raises(RegistryError, match="does not stand"):
        reopen_period(db, id_, author="ivanova", reason="again", now_us=NOW_US + 4)
    for change in ("UPDATE period_result SET sha256 = ''", "DELETE FROM period_reopen"):
        with pytest.raises(ERRORS, match="append-only"):
            db.connection.execute(change)


def test_fr_15_a_closing_keeps_the_versions_of_its_rules(db: Database, house: House) -> None:
    norm = {"resource": WATER, "per_person": "4"}
    term = {"valid_from": date(2026, 1, 1), "source": "Решение", "author": "a", "now_us": NOW_US}
    enter_rule(db, "norm", norm, **term)  # type: ignore[arg-type]
    id_ = close(db, house, OCTOBER, NOVEMBER)
    kinds = [rule.version.partition("@")[0] for rule in summary_of(db, id_).rules]
    assert kinds == ["substitution", "verification", "norm"]
    enter_rule(db, "verification", {"expired_accepted": True}, **term)  # type: ignore[arg-type]
    notes = reports.make(db, "individual", house.building_id, OCTOBER, NOVEMBER, WATER).notes
    assert [rule.version in "\n".join(notes) for rule in summary_of(db, id_).rules] == [True] * 3
    assert preview_close(db, house.building_id, WATER, NOVEMBER, DECEMBER).recalculations == [], (
        "rules alone move nothing"
    )


def test_fr_03_a_month_whose_end_only_few_have_told_charges_nobody_for_a_part_of_it(db: Database, house: House) -> None:
    """Two of three points have no value at its end: known in part is not measured, whatever nine tenths have told."""
    for name in ("2", "house"):
        correct(db, house.meters[name], at(31), None, author="t", reason="none came", now_us=NOW_US)
        correct(db, house.meters[name], at(61), None, author="t", reason="none came", now_us=NOW_US)
    rows = statement(db, house, "individual", OCTOBER, NOVEMBER)
    assert (rows["1"]["quality"], rows["1"]["charge"]) == ("изм.", Decimal("3.1"))
    assert (rows["2"]["quality"], rows["2"]["charge"], rows["2"]["basis"]) == (
        "частично",
        None,
        "нет оснований (п. 60)",
    )
    assert preview_close(db, house.building_id, WATER, OCTOBER, NOVEMBER).balance.total.imbalance is None
