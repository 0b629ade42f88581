"""FR-01: all frames of a house, in any order, in any batches, twice: the same database, ids aside."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appserver.db import Database, open_database
from appserver.metering.seals import seal
from internalapi.messages import Event
from tests.support import replay, satka
from tests.support.satka import karat, microseconds, midnight, vega

DAY_US = 86_400_000_000
MAGNET, LEAK = 1 << 1, 1 << 12


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[satka.Satka, Path]]:
    """Three flats, known to the registry; not one frame."""
    folder = tmp_path_factory.mktemp("order")
    house = satka.build(folder / "built.db", flats=3, days=2)
    blank = replay.blank(house.db.path, folder / "blank.db")
    blank.close()
    yield house, folder / "blank.db"
    house.db.close()


def frames(house: satka.Satka) -> list[Event]:
    """Four days: values, the same ones asked for again, contradictions, flags that come and go, clocks, batteries."""
    made: list[Event] = []

    def hear(eui: str, codec: str, f_port: int, data: bytes, hours: float) -> None:
        at_us = microseconds(midnight(house.first_day) + timedelta(hours=hours))
        fields = {"dev_eui": eui, "codec": codec, "f_port": f_port, "data": data, "session_id": 1, "f_cnt": len(made)}
        made.append(Event(id=len(made) + 1, type="up", time_us=at_us, **fields))

    flat, other, main = (house.dev_euis[key] for key in ((1, "cold_water"), (2, "cold_water"), (0, "cold_water")))
    for day, flags in enumerate((0, MAGNET, 0, MAGNET | LEAK, LEAK)):
        stamp, value = midnight(house.first_day) + timedelta(days=day), Decimal(1000) + day
        hear(flat, "karat", 5, karat(value, stamp, flags), 24 * day + 1)
        hear(flat, "karat", 5, karat(value, stamp, flags & LEAK), 24 * day + 30)  # asked for: the same value, later
        noon = stamp + timedelta(hours=12)
        hear(flat, "karat", 5, karat(value + Decimal("0.5"), noon, archive=5), 24 * day + 12 + day / 10)
        hear(other, "karat", 5, karat(value + day % 2, stamp), 24 * day + 2)
        hear(other, "karat", 5, karat(value + day % 3, stamp), 24 * day + 3)  # contradicts now and then
        hear(main, "vega-si-11", 2, vega(1000 + 100 * day, stamp, battery=97 - day), 24 * day + 0.5)
    hear(flat, "karat", 5, b"\x00\x01", 50)
    for hours, level in ((20, 200), (70, 180)):
        at_us = microseconds(midnight(house.first_day) + timedelta(hours=hours))
        made.append(Event(id=99, type="status", time_us=at_us, dev_eui=main, battery=level))
    return made


def database(blank: Path, folder: Path, name: str) -> Database:
    (folder / name).write_bytes(blank.read_bytes())
    return Database(folder / name)


@settings(max_examples=12)
@given(seed=st.integers(0, 2**32), batch=st.integers(1, 80))
def test_fr_01_any_order_in_any_batches_twice_gives_the_same_database(
    registry: tuple[satka.Satka, Path], seed: int, batch: int
) -> None:
    house, blank = registry
    events = frames(house)
    mixed = events * 2
    random.Random(seed).shuffle(mixed)
    with tempfile.TemporaryDirectory() as folder:
        straight, turned = (database(blank, Path(folder), name) for name in ("straight.db", "turned.db"))
        replay.take(straight, events, house.now_us)
        replay.take(turned, mixed, house.now_us, batch)
        one, other = replay.dump(straight), replay.dump(turned)
        assert replay.differences(one, other) == []
        assert all(one[table] for table in ("uplink", "reading", "boundary", "device_flag", "device_state"))
        straight.close()
        turned.close()


def test_fr_01_a_late_frame_takes_its_place_among_the_flags(registry: tuple[satka.Satka, Path], tmp_path: Path) -> None:
    """The frame that cleared the magnet comes last of all: two spells, not one; what a person noted stays."""
    house, blank = registry
    db = database(blank, tmp_path, "flags.db")
    eui = house.dev_euis[1, "cold_water"]
    its = [event for event in frames(house) if event.dev_eui == eui and len(event.data) == 17][:12:3]
    late = its.pop(2)
    replay.take(db, its, house.now_us, 1)
    with db.transaction() as connection:
        connection.execute("UPDATE device_flag SET note = 'seen' WHERE flag = 'magnetic_tamper'")
    spells = "SELECT raised_at_us, cleared_at_us, note FROM device_flag WHERE flag = 'magnetic_tamper' ORDER BY 1"
    assert db.rows(spells) == [(its[1].time_us, None, "seen")]
    with db.transaction() as connection:
        connection.execute("UPDATE event_cursor SET event_id = 0")
    replay.take(db, [late], house.now_us)
    assert db.rows(spells) == [(its[1].time_us, late.time_us, "seen"), (its[2].time_us, None, "")]
    assert db.rows("SELECT flags FROM device_state WHERE dev_eui = ?", (eui,)) == [("magnetic_tamper leak",)]
    db.close()


def test_fr_01_a_sealed_reading_keeps_its_origin(registry: tuple[satka.Satka, Path], tmp_path: Path) -> None:
    """An earlier frame with the same value becomes the origin; not once the day of recording is sealed."""
    house, blank = registry
    db = database(blank, tmp_path, "sealed.db")
    first, second = frames(house)[:2]
    origin = "SELECT received_at_us FROM reading WHERE register = 'volume'"
    replay.take(db, [second], house.now_us)
    with db.transaction() as connection:
        connection.execute("UPDATE event_cursor SET event_id = 0")
    seal(db, house.now_us + 2 * DAY_US)
    replay.take(db, [first], house.now_us + 3 * DAY_US)
    assert db.rows(origin) == [(second.time_us,)]
    db.close()
    other = database(blank, tmp_path, "open.db")
    replay.take(other, [second, first], house.now_us, 1)
    assert other.rows(origin) == [(first.time_us,)]
    other.close()


@pytest.mark.parametrize(
    "column", ["value_micro = value_micro + 1", "received_at_us = received_at_us + 1", "author = 'x'"]
)
def test_met_01_an_origin_may_only_become_earlier(
    registry: tuple[satka.Satka, Path], tmp_path: Path, column: str
) -> None:
    house, blank = registry
    db = database(blank, tmp_path, "refused.db")
    replay.take(db, frames(house), house.now_us)
    with pytest.raises(Exception, match="append-only"), db.transaction() as connection:
        connection.execute(f"UPDATE reading SET {column}")
    db.close()


def test_the_blank_copy_has_the_registry_and_no_frame(registry: tuple[satka.Satka, Path], tmp_path: Path) -> None:
    house, blank = registry
    db = open_database(blank)
    assert db.rows("SELECT count(*) FROM point") == house.db.rows("SELECT count(*) FROM point")
    assert not any(any(rows) for table, rows in replay.dump(db).items() if table != "device_state")
    db.close()
