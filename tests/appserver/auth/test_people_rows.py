"""What the rows of grants, codes, photos, requests and ГИС ЖКХ come to, on SQLite and on PostgreSQL alike."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from appserver import registry
from appserver.auth import grant_store
from appserver.auth.grants import PARTIES, Grant, GrantRefused, Operation, Scope, operations_of
from appserver.auth.passwords import Passwords
from appserver.auth.places import PLACES, covered_installations, covers, listed, stays_at
from appserver.db import Database, open_database
from appserver.exchange import gis, gis_status
from appserver.metering.resident import resident_view
from appserver.models import User
from appserver.reports.passport import passport_of, passport_pdf
from appserver.residents import codes, homes, photos
from appserver.residents import tickets as desk
from tests.appserver.exchange.test_gis import with_statuses
from tests.appserver.requirements.test_cabinet import shot
from tests.support.house import House, make_house

TODAY, TOMORROW = date(2026, 10, 26), date(2026, 10, 27)
NOW_US = 1_793_000_000_000_000
LISTED = (
    "organisation", "building", "entrance", "premises", "account", "point", "meter", "installation", "seal", "verification",
)  # fmt: skip


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory, database_kind: str) -> Iterator[Database]:
    opened = open_database(tmp_path_factory.mktemp("people") / "application.db")
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def house(db: Database) -> House:
    return make_house(db)


def member(db: Database, login: str, **grant: object) -> tuple[int, Scope]:
    with db.writing() as session:
        user = User(login=login, password_hash="-", role="member", created_at_us=0)
        session.add(user)
        session.flush()
        id_ = user.id or 0
    grant_store.give(db, id_, grant, "t", NOW_US)
    return id_, grant_store.scope_of(db, id_)


def test_fr_14_every_kind_of_place_and_every_list_can_be_asked(db: Database, house: House) -> None:
    _, scope = member(db, "all", party="auditor")
    _, dated = member(db, "dated", party="service", building_id=house.building_id, since=date(2026, 10, 3))
    for kind in PLACES:
        key: int | str = "0" * 16 if kind == "device" else 1
        found = covers(db, scope, Operation.meters, kind, key, TODAY, TOMORROW)
        assert found == (
            kind
            in (
                "organisation",
                "building",
                "premises",
                "account",
                "point",
                "meter",
                "hung",
                "installation",
                "verification",
            )
        ), kind
        assert not covers(db, Scope(), None, kind, key, TODAY, TOMORROW)
        covers(db, dated, Operation.meters, kind, key, TODAY, TOMORROW, "cold_water")
    for kind in LISTED:
        for who in (scope, dated):
            page = registry.page(db, kind, only=listed(who, Operation.meters, kind, TODAY))
            assert len(page.items) == len(registry.page(db, kind).items), kind
        assert registry.page(db, kind, only=listed(Scope(), Operation.meters, kind, TODAY)).items == []
    assert covered_installations(db, dated, Operation.meters, house.meters["1"], TODAY) == {1}


def test_fr_14_days_of_a_grant_bound_what_it_covers(db: Database, house: House) -> None:
    _, scope = member(
        db, "was", party="service", building_id=house.building_id, since=date(2026, 10, 2), until=date(2026, 10, 5)
    )
    point = house.points["1"]
    for first, last, seen in (((2, 5, True)), (2, 6, False), (1, 5, False), (3, 4, True)):
        days = (date(2026, 10, first), date(2026, 10, last))
        assert covers(db, scope, Operation.read, "point", point, *days) is seen, days
    assert not covers(db, scope, Operation.read, "point", point, TODAY, TOMORROW)
    assert covered_installations(db, scope, Operation.read, house.meters["1"], TODAY) == set()


def test_fr_14_no_party_is_given_more_than_it_may() -> None:
    for party, most in PARTIES.items():
        assert operations_of(party, "") == frozenset(most)
        for operation in set(Operation) - set(most):
            with pytest.raises(GrantRefused):
                operations_of(party, operation)
    with pytest.raises(GrantRefused):
        operations_of("king", "")
    assert Grant(1, "auditor").everywhere and not Grant(1, "auditor", resource="gas").everywhere


def test_fr_25_the_rows_of_a_resident(db: Database, house: House) -> None:
    passwords = Passwords(64)
    [slip] = codes.issue(db, passwords, [1], "disp", TODAY, NOW_US, "a@example.org")
    [(id_, user_id, stored)] = codes.candidates(db, slip.account, NOW_US)
    assert user_id == slip.user_id and passwords._verify_now(stored, codes.normal(slip.code))
    assert codes.use(db, id_, NOW_US) and not codes.use(db, id_, NOW_US)
    assert codes.candidates(db, slip.account, NOW_US) == []
    [(email, _, code)] = codes.for_mail(db, passwords, slip.account, NOW_US)
    assert email == "a@example.org" and len(codes.normal(code)) == 8
    scope = grant_store.scope_of(db, slip.user_id)
    [home] = homes.homes(db, scope, TODAY)
    [meter] = homes.meters_of(db, home, TODAY, NOW_US)
    assert (home.number, meter.silent, str(meter.point.volume)) == ("1", True, "0.750")
    ticket = desk.ask(db, slip.user_id, 1, "fault", "Течёт", "x", "r", NOW_US)
    desk.say(db, ticket, "да", "disp", NOW_US, True, "done")
    row, said = desk.ticket(db, ticket, slip.user_id)
    assert (row.state, len(said)) == ("done", 2) and len(desk.tickets(db, "", None, "done")) == 1
    building = house.building_id
    desk.announce(db, {"title": "т", "text": "т", "first_day": TODAY, "building_id": building}, "d", NOW_US)
    assert [one.title for one in desk.told_to(db, 1, TODAY)] == ["т"] and len(desk.announcements(db)) == 1
    account = next(one for one in registry.page(db, "account").items if one.number == slip.account)
    registry.update(db, "account", account.id, {"closed_on": date(2026, 10, 3)})
    [stay] = stays_at(db, grant_store.scope_of(db, slip.user_id), 1, TODAY)
    assert (stay.until, stay.now) == (date(2026, 10, 4), False)
    [point] = resident_view(db, 1, TODAY, stay)
    assert (str(point.volume), str(point.last_value)) == ("0.450", "100.300")


def test_fr_07_photos_and_the_passport(db: Database, house: House, tmp_path: Path) -> None:
    meter = house.meters["1"]
    kept = photos.keep(db, meter, shot(), TODAY, "t", NOW_US, "р")
    assert photos.pixels(db, kept.id or 0) == kept.data and len(photos.photos(db, meter)) == 1
    passport = passport_of(db, meter)
    assert passport.installations[0]["installed_on"] == "2026-10-01" and len(passport.readings) == 6
    assert passport_of(db, meter, set()).readings == [], "nobody's installation, nobody's readings"
    assert passport_pdf(db, passport, "ru", TODAY).startswith(b"%PDF-")
    assert photos.drop(db, kept.id or 0) == meter


def test_fr_23_what_was_told_and_what_was_said(db: Database, house: House) -> None:
    month = date(2026, 10, 1)
    cells = ("адрес", "7", "Холодная вода", "10.2026", "1.0000000", "", "", "01.11.2026", "", "")
    rows = [gis.Told(house.meters["1"], "7", "cold_water", TODAY, cells)]
    for _ in range(2):
        gis_status.remember(db, house.building_id, month, rows, "t", NOW_US)
    outcome = gis_status.take_statuses(db, house.building_id, with_statuses(gis.workbook([cells]), "Загружено"), NOW_US)
    assert (outcome.accepted, gis_status.unsent(db, house.building_id, month, rows)) == (1, [])
