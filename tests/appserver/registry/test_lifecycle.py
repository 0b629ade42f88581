"""The life of meters and buildings: states, seals, verifications, accounts, acts, and the journal of two times."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from appserver import registry
from appserver.db import ERRORS, Database, open_database
from appserver.errors import RegistryError
from appserver.metering.timebase import microseconds
from appserver.registry import Note
from appserver.registry.verifications import next_date


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    opened = open_database(tmp_path / "application.db")
    yield opened
    opened.close()


@pytest.fixture
def place(db: Database) -> dict[str, int]:
    organisation = registry.create(db, "organisation", {"name": "УК «Дом»"})
    building = registry.create(db, "building", {"organisation_id": organisation.id, "address": "Сатка, Бакальская, 12"})
    premises = registry.create(db, "premises", {"building_id": building.id, "number": "5", "account_number": "740105"})
    point = registry.create(
        db, "point", {"building_id": building.id, "premises_id": premises.id, "resource": "cold_water"}
    )
    meter = registry.create(db, "meter", {"serial": "18270260", "model": "СВК", "resource": "cold_water"})
    return {name: thing.id for name, thing in locals().items() if name not in ("db",)}


def at(text: str) -> int:
    return microseconds(datetime.fromisoformat(text))


def state(db: Database, meter: int) -> str:
    return str(registry.get(db, "meter", meter).state)


def lines(db: Database, subject: str, id_: int) -> list[tuple[str, str, str | None, str | None]]:
    return [(e.event, e.field, e.before, e.after) for e in reversed(registry.events(db, subject, id_))]


def test_fr_05_what_was_believed_on_one_day_about_another(db: Database, place: dict[str, int]) -> None:
    flat = place["premises"]
    told = Note("ivanova", date(2026, 8, 1), "справка 12", at_us=at("2026-08-05T10:00:00+03:00"))
    registry.update(db, "premises", flat, {"residents": 2}, told)
    # On 15 September it comes out that a third person has lived there since 20 August.
    late = Note("petrov", date(2026, 8, 20), "акт 7", at_us=at("2026-09-15T10:00:00+03:00"))
    registry.update(db, "premises", flat, {"residents": 3}, late)

    def said(on: date, known: str) -> str | None:
        return registry.believed(db, "premises", flat, "residents", on, at(known)).value

    assert said(date(2026, 8, 31), "2026-09-10T00:00:00+03:00") == "2"
    assert said(date(2026, 8, 31), "2026-09-20T00:00:00+03:00") == "3"
    assert said(date(2026, 8, 10), "2026-09-20T00:00:00+03:00") == "2"
    assert not registry.believed(
        db, "premises", flat, "residents", date(2026, 8, 31), at("2020-01-01T00:00+00:00")
    ).known


def test_fr_05_before_the_first_line_the_value_it_replaced(db: Database, place: dict[str, int]) -> None:
    """Things that are older than the journal have no line of their creation."""
    with db.transaction() as connection:
        connection.execute("INSERT INTO premises (building_id, number, kind, account_number, residents)"
                           " VALUES (?, 'old', 'flat', '', 4)", (place["building"],))  # fmt: skip
    (old,) = (row[0] for row in db.rows("SELECT id FROM premises WHERE number = 'old'"))
    registry.update(
        db, "premises", old, {"residents": 1}, Note("a", date(2026, 9, 1), at_us=at("2026-09-02T00:00+00:00"))
    )
    before = registry.believed(db, "premises", old, "residents", date(2026, 8, 31), at("2026-09-03T00:00+00:00"))
    assert (before.known, before.value) == (True, "4")


def test_fr_05_the_life_of_a_meter(db: Database, place: dict[str, int]) -> None:
    meter, point = place["meter"], place["point"]
    assert state(db, meter) == "in_stock"
    papers = {"install_act": "акт 15", "installed_by": "Петров"}
    hung = registry.install(db, point, meter, date(2026, 2, 1), Decimal("3.481"), facts=papers, note=Note("petrov"))
    assert state(db, meter) == "installed"
    registry.update(db, "installation", hung.id, {"commissioned_on": date(2026, 2, 3), "commission_act": "акт 16"})
    assert state(db, meter) == "commissioned"
    registry.update(db, "meter", meter, {"state": "failed"}, Note("dispatcher", remark="капли под стеклом"))
    with pytest.raises(RegistryError, match="cannot become in_stock; it can become commissioned"):
        registry.update(db, "meter", meter, {"state": "in_stock"})
    gone = registry.remove(db, hung.id, date(2026, 6, 1), Decimal("5.271"), facts={"removal_act": "акт 20"})
    assert (gone.removal_act, state(db, meter)) == ("акт 20", "removed")
    registry.update(db, "meter", meter, {"state": "repair"})
    registry.update(db, "meter", meter, {"state": "in_stock"})
    registry.install(db, point, meter, date(2026, 7, 1), Decimal("5.271"))
    assert state(db, meter) == "installed"
    with pytest.raises(RegistryError, match="written_off"):
        registry.update(db, "meter", meter, {"state": "written_off"})
    events = registry.events(db, "meter", meter)
    assert [e.event for e in reversed(events)] == [
        "created", "installed", "commissioned", "changed", "removed", "changed", "changed", "installed",
    ]  # fmt: skip
    installed = events[-2]
    assert (installed.document, installed.effective_on, installed.actor) == ("акт 15", date(2026, 2, 1), "petrov")
    assert installed.after == "Сатка, Бакальская, 12, 5: 3.481 m³"
    assert [e.event for e in reversed(registry.events(db, "point", point))] == [
        "created", "meter_installed", "meter_removed", "meter_installed",
    ]  # fmt: skip
    written_off = registry.create(db, "meter", {"serial": "x", "resource": "cold_water", "state": "written_off"})
    with pytest.raises(RegistryError, match="written off"):
        registry.install(db, point, written_off.id, date(2026, 8, 1), Decimal(0))


def test_an_installation_by_mistake_leaves_the_meter_where_it_was(db: Database, place: dict[str, int]) -> None:
    hung = registry.install(db, place["point"], place["meter"], date(2026, 2, 1), Decimal(0))
    registry.delete(db, "installation", hung.id)
    assert state(db, place["meter"]) == "in_stock"


def test_states_of_a_building(db: Database, place: dict[str, int]) -> None:
    building = place["building"]
    assert registry.get(db, "building", building).state == "commissioned"
    registry.update(db, "building", building, {"state": "demolished"}, Note("a", date(2026, 5, 1), "распоряжение 3"))
    with pytest.raises(RegistryError, match="that is its last state"):
        registry.update(db, "building", building, {"state": "planned"})
    assert lines(db, "building", building)[-1] == ("changed", "state", "commissioned", "demolished")


def test_fr_08_a_verification_does_not_lose_the_earlier_ones(db: Database, place: dict[str, int]) -> None:
    meter = place["meter"]
    registry.update(db, "meter", meter, {"verification_months": 72})

    def verified(on: str, **more: Any) -> Any:
        return registry.create(db, "verification", {"meter_id": meter, "verified_on": on, **more})

    first = verified("2014-05-10", organisation="ФБУ «Челябинский ЦСМ»")
    assert first.valid_until == date(2020, 5, 9)
    second = verified("2020-05-12", arshin_number="С-ГЭШ/12-05-2020/123456789")
    now = registry.get(db, "meter", meter)
    assert (now.verified_on, now.verification_until) == (date(2020, 5, 12), date(2026, 5, 11))
    verified("2017-01-01", valid_until="2018-01-01")  # found late in the papers: the newest still counts
    assert registry.get(db, "meter", meter).verification_until == date(2026, 5, 11)
    assert len(registry.page(db, "verification", meter_id=meter).items) == 3
    unfit = verified("2026-05-05", result="unfit", document="извещение 4")
    assert registry.get(db, "meter", meter).verification_until == date(2026, 5, 4)
    registry.delete(db, "verification", unfit.id)
    assert registry.get(db, "meter", meter).verification_until == date(2026, 5, 11)
    registry.update(db, "verification", second.id, {"valid_until": "2024-05-11"})
    assert registry.get(db, "meter", meter).verification_until == date(2024, 5, 11)
    with pytest.raises(RegistryError, match="verified on that day already"):
        verified("2020-05-12")
    with pytest.raises(RegistryError, match="must be after"):
        verified("2021-01-01", valid_until="2020-01-01")
    events = [(e.event, e.effective_on, e.document) for e in registry.events(db, "meter", meter)]
    assert ("verified", date(2020, 5, 12), "С-ГЭШ/12-05-2020/123456789") in events


def test_dates_written_into_the_meter_become_verifications(db: Database, place: dict[str, int]) -> None:
    meter = place["meter"]

    def known() -> list[tuple[date | None, date | None]]:
        return [(v.verified_on, v.valid_until) for v in registry.page(db, "verification", meter_id=meter).items]

    registry.update(db, "meter", meter, {"verification_until": "2026-01-01"})
    assert known() == [(None, date(2026, 1, 1))]
    registry.update(db, "meter", meter, {"verified_on": "2020-01-02"})
    assert known() == [(date(2020, 1, 2), date(2026, 1, 1))]
    registry.update(db, "meter", meter, {"verified_on": "2025-12-01", "verification_until": "2031-11-30"})
    assert known() == [(date(2020, 1, 2), date(2026, 1, 1)), (date(2025, 12, 1), date(2031, 11, 30))]
    registry.update(db, "meter", meter, {"verified_on": None, "verification_until": None})
    assert registry.get(db, "meter", meter).verification_until == date(2026, 1, 1)


@pytest.mark.parametrize(
    ("on", "months", "until"),
    [
        (date(2020, 5, 10), 72, date(2026, 5, 9)),
        (date(2020, 2, 29), 12, date(2021, 2, 27)),
        (date(2019, 12, 31), 2, date(2020, 2, 28)),
        (date(2020, 1, 1), 48, date(2023, 12, 31)),
    ],
)
def test_end_of_a_term(on: date, months: int, until: date) -> None:
    assert next_date(on, months) == until


def test_seals(db: Database, place: dict[str, int]) -> None:
    meter = place["meter"]
    given = {
        "meter_id": meter,
        "number": "0012345",
        "place": "накидная гайка",
        "set_on": "2026-02-03",
        "set_act": "акт 16",
    }
    seal = registry.create(db, "seal", given, Note("petrov"))
    with pytest.raises(RegistryError, match="got a seal of this number"):
        registry.create(db, "seal", given)
    for wrong in ({"removed_on": "2026-02-02"}, {"removed_act": "акт 20"}):
        with pytest.raises(RegistryError) as refused:
            registry.update(db, "seal", seal.id, wrong)
        assert refused.value.field == "removed_on"
    registry.update(db, "seal", seal.id, {"removed_on": "2026-06-01", "removed_act": "акт 20", "removed_by": "Сидоров"})
    done = [(e.event, e.after, e.document, e.effective_on) for e in registry.events(db, "meter", meter)][:2]
    assert done == [
        ("unsealed", "0012345", "акт 20", date(2026, 6, 1)),
        ("sealed", "0012345", "акт 16", date(2026, 2, 3)),
    ]
    registry.delete(db, "meter", meter)  # never installed: its seals go along
    assert db.rows("SELECT * FROM meter_seal") == []


def test_accounts_of_premises(db: Database, place: dict[str, int]) -> None:
    flat = place["premises"]
    (first,) = registry.page(db, "account", premises_id=flat).items
    assert first.number == "740105"
    second = registry.create(db, "account", {"premises_id": flat, "number": "740106", "share": "0.5"})
    assert registry.get(db, "premises", flat).account_number == "740105"
    registry.update(db, "account", first.id, {"closed_on": "2026-01-31"})
    assert registry.get(db, "premises", flat).account_number == "740106"
    registry.update(db, "premises", flat, {"account_number": "740107"})
    assert [a.number for a in registry.page(db, "account", premises_id=flat).items] == ["740105", "740106", "740107"]
    with pytest.raises(RegistryError, match="of this number already"):
        registry.create(db, "account", {"premises_id": flat, "number": "740106"})
    with pytest.raises(RegistryError, match="share"):
        registry.update(db, "account", second.id, {"share": "1.5"})


def test_entrances(db: Database, place: dict[str, int]) -> None:
    entrance = registry.create(db, "entrance", {"building_id": place["building"], "number": "1", "floors": 5})
    registry.update(db, "premises", place["premises"], {"entrance_id": entrance.id, "floor": 2})
    other = registry.create(db, "building", {"organisation_id": place["organisation"], "address": "другой"})
    strange = registry.create(db, "entrance", {"building_id": other.id, "number": "1"})
    with pytest.raises(RegistryError, match="in another building"):
        registry.update(db, "premises", place["premises"], {"entrance_id": strange.id})
    with pytest.raises(RegistryError, match="has premises"):
        registry.delete(db, "entrance", entrance.id)
    registry.delete(db, "building", other.id)
    assert db.rows("SELECT count(*) FROM entrance") == [(1,)]


def test_the_journal_of_a_building_knows_what_happened_inside(db: Database, place: dict[str, int]) -> None:
    registry.install(db, place["point"], place["meter"], date(2026, 2, 1), Decimal(0))
    inside = {(e.subject, e.event) for e in registry.events(db, "building", place["building"], whole=True)}
    assert {("building", "created"), ("premises", "created"), ("point", "meter_installed")} <= inside
    assert len(registry.events(db, "building", place["building"])) == 1


def test_the_journal_is_append_only(db: Database, place: dict[str, int]) -> None:
    registry.add_note(db, "point", place["point"], Note("petrov", remark="проверен контрольным съёмом"))
    for statement in ("UPDATE registry_event SET after = 'x'", "DELETE FROM registry_event"):
        with pytest.raises(ERRORS, match="append-only"):
            db.connection.execute(statement)
    with pytest.raises(RegistryError, match="remark"):
        registry.add_note(db, "point", place["point"], Note("petrov"))


def test_deleting_is_remembered(db: Database, place: dict[str, int]) -> None:
    spare = registry.create(db, "meter", {"serial": "77", "resource": "gas"})
    registry.delete(db, "meter", spare.id, Note("ivanova"))
    last = registry.events(db, "meter", spare.id)[0]
    assert (last.event, last.actor) == ("deleted", "ivanova")
    assert '"serial": "77"' in (last.before or "")
