"""Norms live in one place: rules with source and term, on top of them those that an organisation entered."""

from __future__ import annotations

import sqlite3
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import get_args

import pytest
import sqlalchemy as sa

from appserver import registry
from appserver.api.rules import RuleKind
from appserver.db import Database, migrate, open_database
from appserver.errors import RegistryError
from appserver.metering import common_needs
from appserver.rules import KINDS, CommonNorm, Norm, Verification
from appserver.rules.entered import enter_rule, entered_rules, rule_book, withdraw_rule
from tests.support import satka

TODAY, NOW_US = date(2026, 11, 1), 1_793_000_000_000_000
WATER = {"resource": "cold_water", "per_person": 4.2}
TERM = {"valid_from": date(2026, 1, 1), "source": "Решение Собрания № 17", "author": "ivanova", "now_us": NOW_US}


@pytest.fixture
def db(tmp_path: Path) -> Database:
    database = open_database(tmp_path / "application.db")
    for number, name in enumerate(("УК «Дом»", "ТСЖ «Двор»"), 1):
        registry.create(database, "organisation", {"name": name})
        registry.create(database, "building", {"organisation_id": number, "address": f"г. Сатка, дом {number}"})
    yield database
    database.close()


def norm(db: Database, address: str, day: date = TODAY) -> Decimal | None:
    rule = rule_book(db).find("norm", day, address, resource="cold_water")
    return None if rule is None else rule.values.per_person  # type: ignore[attr-defined]


def test_fr_16_an_organisations_norm_holds_for_its_buildings_only(db: Database) -> None:
    enter_rule(db, "norm", WATER, organisation_id=1, **TERM)
    assert norm(db, "г. Сатка, дом 1") == Decimal("4.2")
    assert norm(db, "г. Сатка, дом 2") is None
    assert norm(db, "г. Сатка, дом 1", date(2025, 12, 31)) is None


def test_entered_beats_the_folder_which_beats_the_package(db: Database) -> None:
    address = "Москва, Арбат, 1"
    assert norm(db, address) == Decimal("6.935")
    folder = db.path.parent / "rules"
    folder.mkdir()
    (folder / "a.toml").write_text(
        '[[rule]]\nkind = "norm"\nname = "cold_water"\naddress = "Москва"\nvalid_from = 2020-01-01\nsource = "папка"\n'
        '[rule.values]\nresource = "cold_water"\nper_person = 6.5\n',
        encoding="utf-8",
    )
    assert norm(db, address) == Decimal("6.5")
    enter_rule(db, "norm", WATER, **TERM)
    assert norm(db, address) == Decimal("4.2")


def test_a_later_rule_takes_over_and_the_earlier_ones_version_stays(db: Database) -> None:
    enter_rule(db, "norm", WATER, **TERM)
    first, _ = rule_book(db).get(Norm, date(2026, 6, 30), resource="cold_water")
    enter_rule(db, "norm", WATER | {"per_person": "4.5"}, **TERM | {"valid_from": date(2026, 7, 1)})
    book = rule_book(db)
    assert book.get(Norm, date(2026, 6, 30), resource="cold_water")[0].version == first.version
    assert book.get(Norm, date(2026, 7, 1), resource="cold_water")[1].per_person == Decimal("4.5")


def test_withdrawing_is_kept_and_ends_it(db: Database) -> None:
    row = enter_rule(db, "verification", {"expired_accepted": True}, **TERM)
    assert rule_book(db).get(Verification, TODAY)[1].expired_accepted
    withdraw_rule(db, row.id or 0, "petrov", "отменено", NOW_US + 1)
    assert not rule_book(db).get(Verification, TODAY)[1].expired_accepted
    [kept] = entered_rules(db)
    assert (kept.withdrawn_by, kept.withdrawn_reason, kept.withdrawn_at_us) == ("petrov", "отменено", NOW_US + 1)
    for again, code in ((row.id or 0, "conflict"), (99, "not_found")):
        with pytest.raises(RegistryError) as caught:
            withdraw_rule(db, again, "petrov", "x", NOW_US)
        assert caught.value.code == code


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"kind": "norms"}, "kind"),
        ({"source": " "}, "source"),
        ({"valid_to": date(2026, 1, 1)}, "valid_to"),
        ({"organisation_id": 9}, "organisation_id"),
        ({"values": {"resource": "cold_water"}}, "values"),
        ({"values": WATER | {"per_person": "-1"}}, "values.per_person"),
        ({"values": WATER | {"persons": 1}}, "values.persons"),
        ({"valid_from": date(2026, 1, 1)}, "valid_from"),
    ],
)
def test_refusals_name_the_field(db: Database, changes: dict[str, object], field: str) -> None:
    if field == "valid_from":
        enter_rule(db, "norm", WATER, **TERM)
    given = {"kind": "norm", "values": WATER} | TERM | changes
    with pytest.raises(RegistryError) as caught:
        enter_rule(db, **given)  # type: ignore[arg-type]
    assert caught.value.field == field


def test_fr_17_common_needs_take_their_norms_from_the_rules_and_name_them(tmp_path: Path) -> None:
    house = satka.build(tmp_path / "application.db", flats=3, days=32)
    with house.db.transaction() as connection:
        connection.execute("UPDATE premises SET area_m2 = 50000000, residents = 2")
        connection.execute(
            "INSERT INTO premises (building_id, number, kind, account_number, area_m2)"
            " VALUES (?, 'подвал', 'common', '', 20000000)",
            (house.building_id,),
        )
    month = house.first_day.replace(day=1)
    plain = common_needs.by_rules(house.db, rule_book(house.db), house.building_id, "cold_water", month)
    assert plain.by_norm is None and plain.rules == ()
    cap = {"resource": "cold_water", "per_m2": "0.001"}
    enter_rule(house.db, "common_norm", cap, **TERM | {"valid_from": date(2020, 1, 1)})
    book = rule_book(house.db)
    made = common_needs.by_rules(house.db, book, house.building_id, "cold_water", month)
    rule, _ = book.get(CommonNorm, month, resource="cold_water")
    assert (made.by_norm, made.rules) == (Decimal("0.020"), (rule.version,))
    house.db.close()


def test_migration_keeps_norms_of_their_former_table(tmp_path: Path) -> None:
    path = tmp_path / "application.db"
    migrate(path, "0004")
    connection = sqlite3.connect(path)
    connection.executescript(
        "INSERT INTO organisation (id, kind, name, inn) VALUES (1, 'other', 'УК', '');"
        "INSERT INTO building (id, organisation_id, address, fias_guid, timezone, kind)"
        " VALUES (7, 1, 'г. Сатка, дом 1', '', 'UTC', 'house');"
        "CREATE TABLE norm (id INTEGER PRIMARY KEY, building_id INTEGER, resource TEXT, kind TEXT, value INTEGER,"
        " valid_from DATE, valid_until DATE, source TEXT);"
        "INSERT INTO norm VALUES (1, NULL, 'cold_water', 'person_month', 4275000, '2024-01-01', '2025-01-01', 'Решение 1');"
        "INSERT INTO norm VALUES (2, 7, 'cold_water', 'common_m2_month', 31000, '2024-01-01', NULL, '');"
    )
    connection.close()
    db = open_database(path)
    book = rule_book(db)
    rule, person = book.get(Norm, date(2024, 6, 1), "где угодно", resource="cold_water")
    assert (person.per_person, rule.source, rule.valid_to) == (Decimal("4.275"), "Решение 1", date(2025, 1, 1))
    assert book.get(CommonNorm, TODAY, "г. Сатка, дом 1")[1].per_m2 == Decimal("0.031")
    assert book.find("common_norm", TODAY, "г. Сатка, дом 2") is None
    assert "norm" not in sa.inspect(db.engine).get_table_names()
    db.close()


def test_the_api_knows_all_kinds() -> None:
    assert set(get_args(RuleKind)) == set(KINDS)
