"""Decoding again after a codec has changed: readings added, wrong ones taken away, statements told before and after."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from appserver import codecs, registry
from appserver.codecs.base import Codec, CodecError, Decoded, Measurement
from appserver.db import Database, open_database
from appserver.ingest import Ingest
from appserver.metering.corrections import correct
from appserver.metering.periods import close_period
from appserver.redecoding import redecode_with_report
from internalapi.messages import Event
from tests.support.satka import ZONE, microseconds, midnight

EUI = "70b3d5e75e0000aa"
OTHER = "70b3d5e75e0000bb"
FIRST = date(2026, 9, 1)
NOW_US = microseconds(midnight(date(2026, 11, 2)))
Scale = Callable[[int], Decimal]


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    database = open_database(tmp_path / "application.db")
    yield database
    database.close()


def codec(version: int, scale: int, from_length: int = 3) -> Codec:
    """Days since the first one, and the register in 10**-scale m3."""

    def decode(f_port: int, data: bytes, received_at_us: int) -> Decoded:
        if len(data) < from_length:
            raise CodecError("too short")
        at = datetime(2026, 9, 1) + timedelta(days=data[0])  # noqa: DTZ001 (device clocks have no zone)
        value = Decimal(int.from_bytes(data[1:3], "big")).scaleb(-scale)
        return Decoded((Measurement(1, value, "m3", at=at, archive=True),), values={"volume_m3": str(value)})

    return Codec("mine", version, "", decode, "local")


def meter(db: Database, eui: str, serial: str, flat: str) -> int:
    buildings = registry.page(db, "building").items
    if buildings:
        building = buildings[0]
    else:
        organisation = registry.create(db, "organisation", {"name": "УК"})
        fields = {"organisation_id": organisation.id, "address": "Сатка", "timezone": ZONE.key}
        building = registry.create(db, "building", fields)
    premises = registry.create(db, "premises", {"building_id": building.id, "number": flat})
    fields = {"building_id": building.id, "premises_id": premises.id, "resource": "cold_water"}
    point = registry.create(db, "point", fields)
    made = registry.create(db, "meter", {"serial": serial, "resource": "cold_water"})
    registry.install(db, point.id, made.id, FIRST, Decimal(0))
    registry.bind_channel(db, eui, made.id)
    return int(made.id)


def up(id_: int, day: int, raw: int, eui: str = EUI) -> Event:
    received = midnight(FIRST) + timedelta(days=day, hours=2)
    data = bytes((day,)) + raw.to_bytes(2, "big")
    return Event(
        id=id_, type="up", time_us=microseconds(received), dev_eui=eui, codec="mine", session_id=1, f_cnt=id_, f_port=2,
        data=data, frame_id=1000 + id_,
    )  # fmt: skip


def take(db: Database, *events: Event) -> None:
    Ingest(db, lambda: NOW_US).take(list(events))


def everything(db: Database) -> list[object]:
    return [
        db.rows(f"SELECT * FROM {name} ORDER BY 1, 2, 3") for name in ("reading", "boundary", "correction", "uplink")
    ]


@pytest.fixture
def wrong_scale(db: Database, monkeypatch: pytest.MonkeyPatch) -> int:
    """Sixty days of frames, read with a codec whose scale is ten times too large; then the codec is put right."""
    monkeypatch.setitem(codecs.CODECS, "mine", codec(1, 1))
    meter_id = meter(db, EUI, "1", "12")
    take(db, *(up(n, n, 10 * n) for n in range(1, 61)))
    monkeypatch.setitem(codecs.CODECS, "mine", codec(2, 2))
    return meter_id


def test_a_corrected_scale_changes_the_months_and_says_which(db: Database, wrong_scale: int) -> None:
    report = redecode_with_report(db, NOW_US, "mine")
    assert (report.frames, report.decoded, report.readings, report.withdrawn) == (60, 60, 60, 60)
    september = next(one for one in report.statements if one.month == "2026-09")
    assert (september.address, september.premises, september.resource) == ("Сатка", "12", "cold_water")
    assert (september.before, september.after) == (Decimal(30), Decimal(3))
    assert (september.days, september.closed) == (29, False)
    assert [one.month for one in report.statements] == ["2026-09", "2026-10"]
    assert db.rows("SELECT DISTINCT codec, state FROM uplink") == [("mine@2", "decoded")]
    # What stands now is what a codec that was right from the start would have given.
    assert db.rows("SELECT max(total_micro) FROM boundary")[0][0] == 6_000_000
    again = redecode_with_report(db, NOW_US, "mine")
    assert (again.frames, again.readings, again.withdrawn, again.statements) == (0, 0, 0, [])


def test_a_dry_run_tells_the_same_and_changes_nothing(db: Database, wrong_scale: int) -> None:
    before = everything(db)
    tried = redecode_with_report(db, NOW_US, "mine", dry_run=True)
    assert everything(db) == before
    assert tried.complete
    done = redecode_with_report(db, NOW_US, "mine")
    assert tried.statements == done.statements
    assert (tried.frames, tried.readings, tried.withdrawn) == (done.frames, done.readings, done.withdrawn)


def test_a_dry_run_that_has_no_more_time_says_so(
    db: Database, wrong_scale: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("appserver.redecoding.CHUNK", 10)
    ticks = iter(range(0, 10_000, 6))
    report = redecode_with_report(db, NOW_US, dry_run=True, clock=lambda: float(next(ticks)))
    assert (report.complete, report.frames) == (False, 20)


def test_a_persons_correction_stands_above_a_codec(db: Database, wrong_scale: int) -> None:
    at_us = microseconds(midnight(date(2026, 10, 1)))
    correct(db, wrong_scale, at_us, Decimal("4.5"), author="ivanova", reason="read on the spot", now_us=NOW_US)
    report = redecode_with_report(db, NOW_US, "mine")
    assert report.withdrawn == 59
    september = next(one for one in report.statements if one.month == "2026-09")
    assert september.after == Decimal("4.5")
    authors = db.rows("SELECT author FROM correction WHERE measured_at_us = ?", (at_us,))
    assert authors == [("ivanova",)]


def test_a_closed_period_is_marked(db: Database, wrong_scale: int) -> None:
    building = registry.page(db, "building").items[0].id
    close_period(
        db,
        building,
        "cold_water",
        date(2026, 9, 1),
        date(2026, 10, 1),
        author="ivanova",
        reason="",
        now_us=NOW_US,
    )
    report = redecode_with_report(db, NOW_US, "mine", dry_run=True)
    assert {one.month: one.closed for one in report.statements} == {"2026-09": True, "2026-10": False}


def test_frames_that_wait_are_decoded_and_fill_the_month(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(codecs.CODECS, "mine", codec(1, 2, from_length=9))
    meter(db, EUI, "1", "1")
    meter(db, OTHER, "2", "2")
    take(db, *(up(n, n, 10 * n) for n in range(1, 31)), up(100, 30, 500, OTHER))
    assert db.rows("SELECT count(*) FROM reading") == [(0,)]
    monkeypatch.setitem(codecs.CODECS, "mine", codec(2, 2))
    one = redecode_with_report(db, NOW_US, dev_euis=[EUI])
    assert (one.frames, one.decoded, one.readings, one.withdrawn) == (30, 30, 30, 0)
    assert [(s.premises, s.before, s.after) for s in one.statements if s.month == "2026-09"] == [
        ("1", None, Decimal(3))
    ]
    assert db.rows("SELECT state FROM uplink WHERE dev_eui = ?", (OTHER,)) == [("undecoded",)]
    assert redecode_with_report(db, NOW_US, "karat").frames == 0
    assert redecode_with_report(db, NOW_US).frames == 1


def test_a_frame_that_the_new_content_refuses_keeps_its_readings(
    db: Database, wrong_scale: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(codecs.CODECS, "mine", codec(3, 1, from_length=9))
    report = redecode_with_report(db, NOW_US, "mine")
    assert (report.undecoded, report.readings, report.withdrawn, report.statements) == (60, 0, 0, [])
    assert db.rows("SELECT count(*) FROM reading") == [(60,)]
