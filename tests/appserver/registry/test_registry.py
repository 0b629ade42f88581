"""Create, change, find and delete in the registry; every refusal names the field and says what to do."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from appserver import registry
from appserver.db import Database, open_database
from appserver.errors import RegistryError
from appserver.metering import add_manual_reading
from appserver.metering.timebase import day_number, midnight_us, zone_of


@pytest.fixture
def db(tmp_path: Path) -> Database:
    database = open_database(tmp_path / "application.db")
    yield database
    database.close()


@pytest.fixture
def place(db: Database) -> dict[str, int]:
    """An organisation, a building, a flat, a point and two meters."""
    organisation = registry.create(db, "organisation", {"name": "УК Дом"})
    building = registry.create(
        db, "building", {"organisation_id": organisation.id, "address": "Сатка, 1", "timezone": "Asia/Yekaterinburg"}
    )
    premises = registry.create(db, "premises", {"building_id": building.id, "number": "1"})
    point = registry.create(
        db, "point", {"building_id": building.id, "premises_id": premises.id, "resource": "cold_water"}
    )
    meters = [registry.create(db, "meter", {"serial": s, "resource": "cold_water"}) for s in ("A", "B")]
    return {
        "organisation": organisation.id, "building": building.id, "premises": premises.id, "point": point.id,
        "a": meters[0].id, "b": meters[1].id,
    }  # fmt: skip


def refusal(call, *args, **kwargs) -> RegistryError:
    with pytest.raises(RegistryError) as caught:
        call(*args, **kwargs)
    assert len(caught.value.detail) > 10
    return caught.value


@pytest.mark.parametrize(
    ("kind", "values", "field"),
    [
        ("organisation", {}, "name"),
        ("organisation", {"name": "  "}, "name"),
        ("organisation", {"name": "x" * 201}, "name"),
        ("organisation", {"name": "a\x07b"}, "name"),
        ("organisation", {"name": "x", "kind": "gang"}, "kind"),
        ("organisation", {"name": "x", "inn": "123"}, "inn"),
        ("organisation", {"name": "x", "owner": "me"}, "owner"),
        ("building", {"organisation_id": 77, "address": "a"}, "organisation_id"),
        ("building", {"organisation_id": 1, "address": "a", "timezone": "Mars/Base"}, "timezone"),
        ("building", {"organisation_id": 1, "address": "a", "timezone": "../../etc/passwd"}, "timezone"),
        ("building", {"organisation_id": 1, "address": "a", "fias_guid": "zzz"}, "fias_guid"),
        ("premises", {"building_id": 1, "number": ""}, "number"),
        ("premises", {"building_id": 1, "number": "2", "area_m2": "-1"}, "area_m2"),
        ("premises", {"building_id": 1, "number": "2", "residents": True}, "residents"),
        ("point", {"building_id": 1, "resource": "beer"}, "resource"),
        ("meter", {"serial": "1", "resource": "cold_water", "digits": 0}, "digits"),
        ("meter", {"serial": "1", "resource": "cold_water", "qmax": "NaN"}, "qmax"),
        ("meter", {"serial": "1", "resource": "cold_water", "verified_on": "2026-13-01"}, "verified_on"),
        ("meter", {"resource": "cold_water"}, "serial"),
    ],
)
def test_invalid_values(db: Database, place: dict[str, int], kind: str, values: dict, field: str) -> None:
    error = refusal(registry.create, db, kind, values)
    assert (error.code, error.field) == ("invalid", field)


@pytest.mark.parametrize(
    ("kind", "values", "field"),
    [
        ("organisation", {"name": "УК Дом"}, "name"),
        ("building", {"organisation_id": 1, "address": "Сатка, 1"}, "address"),
        ("premises", {"building_id": 1, "number": "1"}, "number"),
        ("meter", {"serial": "A", "resource": "hot_water"}, "serial"),
    ],
)
def test_doubles(db: Database, place: dict[str, int], kind: str, values: dict, field: str) -> None:
    error = refusal(registry.create, db, kind, values)
    assert (error.code, error.field) == ("conflict", field)


def test_update_changes_only_what_is_given(db: Database, place: dict[str, int]) -> None:
    changed = registry.update(db, "meter", place["a"], {"model": "СВК", "verification_until": "2030-05-01"})
    assert (changed.serial, changed.model, changed.verification_until) == ("A", "СВК", date(2030, 5, 1))
    assert registry.get(db, "meter", place["a"]).model == "СВК"
    assert refusal(registry.update, db, "meter", 99, {"model": "x"}).code == "not_found"
    assert refusal(registry.update, db, "meter", place["b"], {"serial": "A", "model": "СВК"}).code == "conflict"
    assert refusal(registry.update, db, "building", place["building"], {"address": None}).field == "address"


def test_point_stays_in_the_building_of_its_premises(db: Database, place: dict[str, int]) -> None:
    other = registry.create(db, "building", {"organisation_id": place["organisation"], "address": "Сатка, 2"})
    values = {"building_id": other.id, "premises_id": place["premises"], "resource": "cold_water"}
    assert refusal(registry.create, db, "point", values).field == "premises_id"


def test_pages_search_and_filters(db: Database, place: dict[str, int]) -> None:
    for number in range(2, 30):
        registry.create(
            db,
            "premises",
            {"building_id": place["building"], "number": str(number), "account_number": f"ЛС{number:03}"},
        )
    seen, cursor = [], ""
    while True:
        page = registry.page(db, "premises", cursor=cursor, limit=10, building_id=place["building"])
        seen += [p.number for p in page.items]
        if page.next_cursor is None:
            break
        cursor = page.next_cursor
    assert seen == [str(n) for n in range(1, 30)]
    assert [p.number for p in registry.page(db, "premises", q="лс01").items] == [str(n) for n in range(10, 20)]
    assert registry.page(db, "premises", q="%").items == []
    assert refusal(registry.page, db, "premises", cursor="x").field == "cursor"
    assert refusal(registry.page, db, "premises", colour="red").field == "colour"


@pytest.mark.parametrize("kind", ["organisation", "building", "premises"])
def test_what_others_refer_to_is_not_deleted(db: Database, place: dict[str, int], kind: str) -> None:
    assert refusal(registry.delete, db, kind, place[kind]).code == "conflict"


def test_without_history_everything_can_be_deleted(db: Database, place: dict[str, int]) -> None:
    for kind, key in (
        ("meter", "a"),
        ("meter", "b"),
        ("point", "point"),
        ("premises", "premises"),
        ("building", "building"),
        ("organisation", "organisation"),
    ):
        registry.delete(db, kind, place[key])
    assert registry.page(db, "building").items == []


def test_with_history_it_is_closed_instead(db: Database, place: dict[str, int]) -> None:
    installation = registry.install(db, place["point"], place["a"], date(2026, 10, 1), Decimal(5))
    channel = registry.bind_channel(db, "70-B3-D5-E7-5E-00-00-01", place["a"])
    assert channel.dev_eui == "70b3d5e75e000001"
    at_us = installation.installed_at_us + 5
    add_manual_reading(db, place["a"], Decimal(6), at_us, at_us, "ivanov")
    for kind, key in (("meter", place["a"]), ("point", place["point"]), ("installation", installation.id)):
        assert refusal(registry.delete, db, kind, key).code == "conflict"
    for kind, changes in (("meter", {"resource": "hot_water"}), ("point", {"resource": "hot_water"})):
        key = place["a"] if kind == "meter" else place["point"]
        assert refusal(registry.update, db, kind, key, changes).field == "resource"
    registry.delete(db, "channel", channel.id)


# ------------------------------------------------------------------------------------------------------ installations


def test_installation_begins_with_the_day_of_the_building(db: Database, place: dict[str, int]) -> None:
    made = registry.install(db, place["point"], place["a"], date(2026, 10, 1), Decimal("5.5"))
    assert made.installed_at_us == midnight_us(day_number(date(2026, 10, 1)), zone_of("Asia/Yekaterinburg"))
    assert db.rows("SELECT value_micro, total_micro, event FROM boundary") == [(5_500_000, 0, "installed")]


def test_no_overlap_at_a_point_or_of_a_meter(db: Database, place: dict[str, int]) -> None:
    other = registry.create(
        db,
        "point",
        {"building_id": place["building"], "premises_id": place["premises"], "resource": "cold_water", "name": "кухня"},
    )
    first = registry.install(db, place["point"], place["a"], date(2026, 10, 1), Decimal(0))
    assert refusal(registry.install, db, place["point"], place["b"], date(2026, 11, 1), Decimal(0)).field == "point_id"
    assert refusal(registry.install, db, place["point"], place["b"], date(2026, 9, 1), Decimal(0)).field == "point_id"
    assert refusal(registry.install, db, other.id, place["a"], date(2026, 11, 1), Decimal(0)).field == "meter_id"
    registry.remove(db, first.id, date(2026, 11, 1), Decimal(7))
    assert refusal(registry.install, db, place["point"], place["b"], date(2026, 10, 31), Decimal(0)).field == "point_id"
    registry.install(db, place["point"], place["b"], date(2026, 11, 1), Decimal(0))
    registry.install(db, other.id, place["a"], date(2026, 11, 1), Decimal(7))


def test_installation_refusals(db: Database, place: dict[str, int]) -> None:
    hot = registry.create(db, "meter", {"serial": "H", "resource": "hot_water"})
    assert refusal(registry.install, db, place["point"], hot.id, date(2026, 10, 1), Decimal(0)).field == "meter_id"
    assert refusal(registry.install, db, 99, place["a"], date(2026, 10, 1), Decimal(0)).code == "not_found"
    assert (
        refusal(registry.install, db, place["point"], place["a"], date(2026, 10, 1), Decimal("NaN")).field
        == "start_value"
    )
    made = registry.install(db, place["point"], place["a"], date(2026, 10, 1), Decimal(0))
    assert refusal(registry.remove, db, made.id, date(2026, 9, 1), Decimal(1)).field == "removed_on"
    registry.remove(db, made.id, date(2026, 10, 2), Decimal(1))
    assert refusal(registry.remove, db, made.id, date(2026, 10, 3), Decimal(1)).code == "conflict"


def test_replacement_moves_the_module(db: Database, place: dict[str, int]) -> None:
    registry.install(db, place["point"], place["a"], date(2026, 10, 1), Decimal(10))
    registry.bind_channel(db, "70b3d5e75e000001", place["a"], 1, "", Decimal("0.01"), Decimal(10), Decimal(500))
    done = registry.replace_meter(
        db, place["point"], place["b"], date(2026, 10, 15), Decimal(12), Decimal("0.5"), start_pulses=Decimal(700)
    )
    (new,) = done.channels
    assert (new.meter_id, new.weight, new.start_value, new.start_pulses) == (
        place["b"],
        Decimal("0.01"),
        Decimal("0.5"),
        Decimal(700),
    )
    assert new.valid_from_us == done.removed.removed_at_us == done.installed.installed_at_us
    (old,) = registry.page(db, "channel", meter_id=place["a"]).items
    assert old.valid_until_us == new.valid_from_us
    assert (
        refusal(registry.replace_meter, db, 99, place["a"], date(2026, 10, 16), Decimal(1), Decimal(1)).code
        == "not_found"
    )


def test_channels(db: Database, place: dict[str, int]) -> None:
    bound = registry.bind_channel(db, "70b3d5e75e000001", place["a"], valid_from_us=10)
    assert (bound.register_name, bound.weight, bound.channel) == ("volume", Decimal(1), 1)
    assert refusal(registry.bind_channel, db, "70b3d5e75e000001", place["b"]).field == "channel"
    for values, field in (
        ({"dev_eui": "xyz"}, "dev_eui"),
        ({"channel": 0}, "channel"),
        ({"weight": Decimal(0)}, "weight"),
    ):
        arguments = {"dev_eui": "70b3d5e75e000009", "meter_id": place["a"], **values}
        assert refusal(registry.bind_channel, db, **arguments).field == field
    assert refusal(registry.close_channel, db, bound.id, 10).field == "valid_until"
    registry.close_channel(db, bound.id, 20)
    registry.bind_channel(db, "70b3d5e75e000001", place["b"], valid_from_us=20)


def test_other_zone_moves_the_midnights(db: Database, place: dict[str, int]) -> None:
    made = registry.install(db, place["point"], place["a"], date(2026, 10, 1), Decimal(10))
    moscow = midnight_us(day_number(date(2026, 10, 5)), zone_of("Europe/Moscow"))
    add_manual_reading(db, place["a"], Decimal(11), moscow, moscow, "ivanov")
    query = "SELECT day, value_micro FROM boundary WHERE installation_id = ? ORDER BY day DESC LIMIT 1"
    assert db.rows(query, (made.id,))[0][1] == 10_000_000
    registry.update(db, "building", place["building"], {"timezone": "Europe/Moscow"})
    assert db.rows(query, (made.id,)) == [(day_number(date(2026, 10, 5)), 11_000_000)]
