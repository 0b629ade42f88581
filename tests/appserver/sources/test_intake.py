"""Deliveries: one transaction, once for a key, refused readings are listed and tried again."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from appserver import registry
from appserver.db import Database
from appserver.errors import RegistryError
from appserver.metering.incoming import Item
from appserver.sources import intake
from appserver.sources.intake import Delivery, Row, deliver, item_of, told_of
from appserver.sources.messages import readers
from tests.appserver.sources.conftest import NOW_US
from tests.support.house import FIRST_DAY, House

DAY = FIRST_DAY + timedelta(days=6)


def delivery(*items: Item, **fields: object) -> Delivery:
    return replace(Delivery("http", "token:modem", [Row(n, item) for n, item in enumerate(items)]), **fields)


def test_fr_20_a_delivery_leaves_a_note_with_its_readings(db: Database, house: House) -> None:
    item = Item(DAY, Decimal("100.9"), meter_id=house.meters["1"])
    receipt = deliver(db, delivery(item, name="night"), NOW_US)
    (note,) = intake.intakes(db)
    assert (note.id, note.channel, note.name, note.new, note.errors) == (receipt.intake_id, "http", "night", 1, 0)
    assert db.rows("SELECT author, received_at_us FROM reading WHERE value_micro = 100900000") == [
        (note.author, note.received_at_us)
    ]
    again = deliver(db, delivery(item, name="night"), NOW_US + 1)
    assert (again.intake_id, again.new, again.known) == (None, 0, 1), "what brings nothing new leaves no note"


def test_fr_20_one_key_is_one_delivery(db: Database, house: House) -> None:
    item = Item(DAY, Decimal("100.9"), meter_id=house.meters["1"])
    stranger = Item(DAY, Decimal(1), serial="nobody")
    first = deliver(db, delivery(item, stranger, key="k1", digest="a"), NOW_US)
    second = deliver(db, delivery(item, stranger, key="k1", digest="a"), NOW_US + 5)
    assert (second.repeated, second.intake_id, second.new, second.errors) == (True, first.intake_id, 1, first.errors)
    with pytest.raises(RegistryError, match="Idempotency-Key"):
        deliver(db, delivery(item, key="k1", digest="b"), NOW_US)
    assert not deliver(db, delivery(item, key="k1", digest="b", author="token:other"), NOW_US).repeated
    assert db.rows("SELECT count(*) FROM reading WHERE value_micro = 100900000") == [(1,)]


def test_fr_20_all_or_nothing_when_we_die_before_the_commit(
    db: Database, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither readings nor a note are left; the sender was told nothing and sends again."""
    item = Item(DAY, Decimal("100.9"), meter_id=house.meters["1"])
    with monkeypatch.context() as broken:
        broken.setattr(intake, "_note", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            deliver(db, delivery(item), NOW_US)
    assert db.rows("SELECT count(*) FROM reading WHERE value_micro = 100900000") == [(0,)]
    assert intake.intakes(db) == []
    assert deliver(db, delivery(item), NOW_US).new == 1


def test_fr_20_refused_readings_wait_for_their_meter(db: Database, house: House) -> None:
    item = Item(DAY, Decimal("5.5"), serial="NEW-1", register_name="volume")
    deliver(db, delivery(item), NOW_US)
    deliver(db, delivery(item), NOW_US + 9)
    (entry,) = intake.refused(db)
    assert (entry.reason, entry.attempts, entry.seen_at_us) == ("There is no meter 'NEW-1'.", 2, NOW_US + 9)
    assert item_of(entry.told) == item
    assert intake.try_again(db, [entry.id], NOW_US + 10, readers(db)) == (0, 1)
    registry.create(db, "meter", {"serial": "NEW-1", "resource": "gas"})
    assert intake.try_again(db, [entry.id], NOW_US + 11, readers(db)) == (1, 0)
    assert intake.refused(db) == [] and intake.refused_count(db) == 0
    assert db.rows("SELECT author, source FROM reading WHERE value_micro = 5500000") == [("token:modem", "gprs")]
    with pytest.raises(RegistryError, match="no open"):
        intake.try_again(db, [entry.id], NOW_US, readers(db))


def test_fr_20_what_was_put_aside_stays_aside(db: Database, house: House) -> None:
    item = Item(DAY, Decimal("5.5"), serial="neighbour")
    deliver(db, delivery(item), NOW_US)
    assert intake.drop(db, [intake.refused(db)[0].id], NOW_US) == 1
    deliver(db, delivery(item), NOW_US + 5)
    assert intake.refused(db) == [] and len(intake.refused(db, "dropped")) == 1


def test_old_notes_go_and_what_is_refused_stays_for_a_term(db: Database, house: House) -> None:
    deliver(db, delivery(Item(DAY, Decimal("100.9"), meter_id=house.meters["1"])), NOW_US)
    deliver(db, delivery(Item(DAY, Decimal("101.9"), meter_id=house.meters["2"]), channel="mqtt"), NOW_US)
    deliver(db, delivery(Item(DAY, Decimal(1), serial="nobody")), NOW_US)
    assert intake.prune(db, NOW_US + intake.KEEP_MESSAGES_US) == 0
    assert intake.prune(db, NOW_US + intake.KEEP_MESSAGES_US + 1) == 1
    assert len(intake.refused(db)) == 1
    assert intake.prune(db, NOW_US + intake.KEEP_US + 1) == 2
    assert intake.refused(db) == [] and intake.intakes(db) == []


def test_a_sender_that_never_says_anything_right_fills_no_disk(
    db: Database, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "MAX_OPEN", 10)
    for number in range(25):
        deliver(db, delivery(Item(DAY, Decimal(number), serial="nobody")), NOW_US + number)
    assert [entry.told["value"] for entry in intake.refused(db)] == [str(n) for n in range(24, 14, -1)]


def test_fr_20_the_meter_that_hung_at_a_point_or_account_then(db: Database, house: House) -> None:
    by_point = Item(DAY, Decimal("100.9"), point_id=house.points["1"])
    by_account = Item(DAY, Decimal("101.6"), account="74012", resource="cold_water")
    receipt = deliver(db, delivery(by_point, by_account), NOW_US)
    assert (receipt.new, receipt.errors) == (2, [])
    assert sorted(db.rows("SELECT meter_id FROM reading WHERE source = 'gprs'")) == sorted(
        [(house.meters["1"],), (house.meters["2"],)]
    )
    early = replace(by_point, measured_at=FIRST_DAY - timedelta(days=20))
    wrong = (
        early,
        replace(by_account, account="1"),
        replace(by_account, resource="gas"),
        replace(by_point, register_name="Volume; DROP"),
        Item(DAY, Decimal(1)),
    )
    reasons = [what for _, what in deliver(db, delivery(*wrong), NOW_US).errors]
    assert [text.split(" ")[:2] for text in reasons] == [
        ["No", "meter"],
        ["There", "is"],
        ["There", "is"],
        ["'Volume;", "DROP'"],
        ["It", "names"],
    ]


def test_fr_20_an_account_with_two_meters_needs_the_resource(db: Database, house: House) -> None:
    (premises,) = db.rows("SELECT premises_id FROM point WHERE id = ?", (house.points["1"],))[0]
    place = {"building_id": house.building_id, "premises_id": premises, "resource": "hot_water", "role": "individual"}
    point = registry.create(db, "point", place)
    meter = registry.create(db, "meter", {"serial": "H1", "resource": "hot_water"})
    registry.install(db, point.id, meter.id, FIRST_DAY.date() + timedelta(days=1), Decimal(0))
    item = Item(DAY, Decimal("7.5"), account="74011")
    ((_, reason),) = deliver(db, delivery(item), NOW_US).errors
    assert reason == "Several meters have the account '74011'; give the resource or the meter's id."
    assert deliver(db, delivery(replace(item, resource="hot_water")), NOW_US).new == 1
    assert db.rows("SELECT meter_id FROM reading WHERE value_micro = 7500000") == [(meter.id,)]


@pytest.mark.parametrize(
    "told", [{}, {"measured_at": "soon", "value": "1"}, {"measured_at": "2026-10-01", "value": "x"}]
)
def test_told_things_that_are_no_items(told: dict[str, str]) -> None:
    with pytest.raises(ValueError):
        item_of(told)


def test_items_as_json_and_back() -> None:
    item = Item(DAY, Decimal("1.50"), account="7", resource="gas", archive=False, point_id=3, meter_id=None)
    assert item_of(told_of(item)) == item
