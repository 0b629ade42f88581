"""FR-21: every subsystem of a KARAT module is asked for what is missing of the meter behind it."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from appserver import registry
from appserver.backfill.plan import subsystem_of
from appserver.backfill.runner import round_of
from appserver.codecs import CommandError, encode
from appserver.db import Database, open_database
from appserver.ingest import Ingest
from appserver.metering.timebase import day_number, midnight_us
from appserver.rules import Backfill, load
from internalapi.messages import Event, QueueItem

HOUR = 3_600_000_000
EUI = "4b41524154000077"
MOSCOW = ZoneInfo("Europe/Moscow")
KARAT_EPOCH = datetime(2000, 3, 1)  # noqa: DTZ001 (the module's clock)
RULE = load().get(Backfill, date(2026, 11, 1))[1]
INSTALLED, TODAY = date(2026, 10, 28), date(2026, 11, 4)
NOW = midnight_us(day_number(TODAY), MOSCOW) + 12 * HOUR


class Module:
    """A KARAT module with two electricity meters; it remembers the days up to ``memory`` back."""

    def __init__(self, db: Database) -> None:
        self.db, self.items, self.events = db, {}, 0
        self.memory = {0: 100, 1: 100}

    async def queue_put(self, **fields: Any) -> QueueItem:
        key = fields["idempotency_key"]
        if key not in self.items:
            self.items[key] = QueueItem(
                f"q{len(self.items)}", fields["dev_eui"], fields["f_port"], fields["data"], False, "queued", "", 0, None, None
            )  # fmt: skip
        return self.items[key]

    def say(self, index: int, kind: int, clock: datetime, value: int, at_us: int) -> None:
        seconds = int((clock - KARAT_EPOCH).total_seconds())
        self.event(struct.pack("<HBI9I", 900 | index << 13, kind, seconds, value, *[0] * 8), at_us)

    def event(self, data: bytes, at_us: int) -> None:
        self.events += 1
        frame = Event(self.events, "up", at_us, EUI, codec="karat-meter", f_port=5, data=data, f_cnt=self.events)
        Ingest(self.db, lambda: at_us).take([frame])

    def answer(self, at_us: int) -> None:
        for item in self.items.values():
            if item.state != "queued":
                continue
            item.state = "sent"
            function, kind, seconds = struct.unpack("<HBI", item.data)
            assert (function & 0x1FFF, kind, item.f_port) == (0x003A, 15, 5)
            index, clock = function >> 13, KARAT_EPOCH + timedelta(seconds=seconds)
            if (TODAY - clock.date()).days > self.memory[index]:
                self.event(struct.pack("<HH", 4 << 13 | 0x3A, 0x011A), at_us)
            else:
                self.say(index, kind, clock, 1000 * (index * 100 + (clock.date() - INSTALLED).days + 1), at_us)


@pytest.fixture
def module(tmp_path: Path) -> Iterator[Module]:
    db = open_database(tmp_path / "application.db")
    organisation = registry.create(db, "organisation", {"name": "УК"})
    house = registry.create(db, "building", {"organisation_id": organisation.id, "address": "a"})
    for channel in (1, 2):
        point = registry.create(
            db,
            "point",
            {"building_id": house.id, "resource": "electricity", "role": "house", "name": str(channel)},
        )
        meter = registry.create(db, "meter", {"serial": f"E{channel}", "resource": "electricity"})
        registry.install(db, point.id, meter.id, INSTALLED, Decimal((channel - 1) * 100))
        registry.bind_channel(db, EUI, meter.id, channel)
        registry.bind_channel(db, EUI, meter.id, channel * 10 + 1, "energy_t1")
    made = Module(db)
    yield made
    db.close()


async def rounds(module: Module, hours: int) -> None:
    for hour in range(0, hours, 4):
        now = NOW + hour * HOUR
        module.say(0, 5, datetime.fromtimestamp(now / 1_000_000, MOSCOW).replace(tzinfo=None), 50_000_000, now)
        await round_of(module.db, module, now + HOUR, RULE)
        module.answer(now + 2 * HOUR)
    await round_of(module.db, module, NOW + hours * HOUR, RULE)


async def test_fr_21_all_subsystems_are_asked_boundaries_of_the_period_first(module: Module) -> None:
    await rounds(module, 80)
    asked = module.db.rows("SELECT subsystem, day, state FROM archive_query ORDER BY id")
    assert {state for *_, state in asked} == {"answered"}
    first = day_number(date(2026, 11, 1))
    assert {(subsystem, day) for subsystem, day, _ in asked[:2]} == {(1, first), (2, first)}, "the billing boundary"
    assert len(asked) == len({(s, d) for s, d, _ in asked})
    known = module.db.rows(
        "SELECT point_id, day, value_micro / 1000000 FROM boundary WHERE event <> 'installed' ORDER BY 1, 2"
    )
    for point in (1, 2):
        days = {day: value for p, day, value in known if p == point}
        for day in range(day_number(INSTALLED) + 1, day_number(TODAY) + 1):
            assert days[day] == (point - 1) * 100 + day - day_number(INSTALLED)


async def test_fr_21_no_such_record_ends_the_asking_of_its_subsystem_alone(module: Module) -> None:
    module.memory[1] = 2
    await rounds(module, 120)
    states = module.db.rows("SELECT subsystem, state, count(*) FROM archive_query GROUP BY 1, 2 ORDER BY 1, 2")
    assert [(s, state) for s, state, _ in states] == [(1, "answered"), (2, "answered"), (2, "no_record")]
    first = day_number(date(2026, 11, 1))
    assert module.db.rows("SELECT min(day) FROM archive_query WHERE subsystem = 2") == [(first,)], (
        "what is older than a record that is not there is not asked"
    )
    assert module.db.rows("SELECT min(day) FROM archive_query WHERE subsystem = 1") == [(day_number(INSTALLED) + 1,)]


@pytest.mark.parametrize(("subsystem", "hex_"), [(1, "3a000f"), (2, "3a200f"), (4, "3a600f"), (8, "3ae00f")])
def test_the_subsystem_stands_in_the_head_as_in_all_packets(subsystem: int, hex_: str) -> None:
    query = {"command": "archive_query", "protocol": "2.0", "archive": "day_integral", "time": "2026-10-31T23:00:00"}
    assert encode("karat-meter", query | {"subsystem": subsystem})[1].hex().startswith(hex_)
    assert encode("karat-meter", query | {"protocol": "1.8", "subsystem": subsystem})[1][1] >> 5 == subsystem - 1
    with pytest.raises(CommandError, match="subsystem"):
        encode("karat-meter", query | {"subsystem": 9})


def test_channels_and_their_subsystems() -> None:
    assert [subsystem_of(channel) for channel in (1, 2, 11, 13, 21, 83)] == [1, 2, 1, 1, 2, 8]
