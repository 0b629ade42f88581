"""Filling gaps: what is asked, of whom, how often; what becomes of it."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from appserver.backfill import store
from appserver.backfill.plan import Asked, Gap, Stamp, budget, choose, stamp_of
from appserver.backfill.runner import round_of
from appserver.db import Database
from appserver.ingest import Ingest
from appserver.metering.timebase import day_number, midnight_us
from appserver.rules import Backfill, load
from internalapi.client import ApiError, NetworkUnavailable
from internalapi.messages import Event, Problem, QueueItem
from tests.support import satka

HOUR = 3_600_000_000
RULE = load().get(Backfill, date(2026, 11, 1))[1]
YEKATERINBURG = ZoneInfo("Asia/Yekaterinburg")
FIRST = day_number(date(2026, 11, 1))


def gap(device: str, day: int, point: int | None = None) -> Gap:
    number = int(device, 36)
    return Gap(device, number, point or number, day)


def test_fr_21_boundaries_of_the_billing_period_come_first_then_the_newest() -> None:
    gaps = [gap("a", FIRST + 3), gap("a", FIRST), gap("b", FIRST + 2), gap("c", FIRST + 5)]
    chosen = choose(gaps, [], (), 10, RULE)
    assert [(g.dev_eui, g.day - FIRST) for g in chosen] == [("a", 0), ("c", 5), ("b", 2)]
    assert [g.dev_eui for g in choose(gaps, [], (), 2, RULE)] == ["a", "c"]
    assert [g.dev_eui for g in choose(gaps, [], {"a", "c"}, 10, RULE)] == ["b"]


def test_fr_21_stops_at_no_such_record_and_after_some_tries() -> None:
    point = gap("a", FIRST).point_id
    gone = [Asked(point, FIRST, "no_record")]
    assert choose([gap("a", FIRST), gap("a", FIRST - 9)], gone, (), 10, RULE) == []
    assert choose([gap("a", FIRST + 1)], gone, (), 10, RULE) == [gap("a", FIRST + 1)]
    tired = [Asked(point, FIRST, "expired")] * RULE.attempts
    assert choose([gap("a", FIRST)], tired[1:], (), 10, RULE) == [gap("a", FIRST)]
    assert choose([gap("a", FIRST)], tired, (), 10, RULE) == []


def test_fr_21_within_the_airtime_of_an_hour_and_few_at_a_time() -> None:
    hour = RULE.airtime_ms_hour // RULE.query_airtime_ms
    assert budget(RULE, 0, 0) == RULE.in_flight
    assert budget(RULE, 0, RULE.in_flight) == 0
    assert budget(RULE, hour - 3, 0) == 3
    assert budget(RULE, hour + 1, 0) == 0


def test_fr_21_the_stamp_of_a_midnight() -> None:
    midnight = stamp_of(FIRST, YEKATERINBURG, YEKATERINBURG)
    assert midnight == Stamp("day_integral", datetime(2026, 10, 31, 23))  # noqa: DTZ001
    assert stamp_of(FIRST, YEKATERINBURG, ZoneInfo("UTC")) == Stamp("hour_integral", datetime(2026, 10, 31, 19))  # noqa: DTZ001
    long_day = day_number(date(2024, 2, 29))
    assert stamp_of(long_day + 1, ZoneInfo("Asia/Almaty"), ZoneInfo("Asia/Almaty")).time.day == 29


class World:
    """The network's queue and the modules behind it: they answer by the published layouts."""

    def __init__(self, house: satka.Satka, has_record: bool = True) -> None:
        self.house, self.has_record = house, has_record
        self.items: dict[str, QueueItem] = {}
        self.away = False
        self.refuses = False
        self.events = 5_000_000

    async def queue_put(self, **fields: Any) -> QueueItem:
        if self.away:
            raise NetworkUnavailable("away")
        if self.refuses:
            raise ApiError(404, Problem("not_found", "There is no such device."))
        key = fields["idempotency_key"]
        if key not in self.items:
            self.items[key] = QueueItem(
                f"q{len(self.items)}",
                fields["dev_eui"],
                fields["f_port"],
                fields["data"],
                False,
                "queued",
                "",
                0,
                None,
                None,
            )
        return self.items[key]

    def answer(self, at_us: int, lost: Any = lambda: False) -> int:
        """Every module answers what is queued for it."""
        events = []
        for key, item in list(self.items.items()):
            if item.state != "queued":
                continue
            item.state = "sent"
            if lost():
                continue
            function, kind, seconds = struct.unpack("<HBI", item.data)
            assert (function, kind) == (0x003A, 15)
            at = satka.KARAT_EPOCH + timedelta(seconds=seconds)
            assert at.hour == 23
            newest = max(value for (dev_eui, _), value in self.house_truth.items() if dev_eui == item.dev_eui)
            value = self.house_truth.get((item.dev_eui, at.date()), newest)  # nobody is at home afterwards
            data = struct.pack("<HBIHII", 0x0285, 15, seconds, 0, value, 0)
            if not self.has_record:
                data = struct.pack("<HH", 4 << 13 | 0x3A, 0x011A)
            self.events += 1
            events.append(
                Event(
                    self.events,
                    "up",
                    at_us,
                    item.dev_eui,
                    codec="karat",
                    f_port=5,
                    data=data,
                    f_cnt=self.events,
                    session_id=9,
                )
            )
            assert key
        Ingest(self.house.db, lambda: at_us).take(events)
        return len(events)

    house_truth: dict[tuple[str, date], int]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    house = satka.build(tmp_path_factory.mktemp("satka") / "application.db", flats=8, days=20)
    house.db.close()
    return house.db.path


@pytest.fixture
def world(built: Path, tmp_path: Path) -> Iterator[World]:
    """The house with every tenth boundary of its KARAT modules lost."""
    path = tmp_path / "application.db"
    path.write_bytes(built.read_bytes())
    db = Database(path)
    house = satka.Satka(db, 1, 1, date(2026, 10, 1), date(2026, 10, 20), 0)
    made = World(house)
    rng = random.Random(7)
    truth = {}
    with db.transaction() as connection:
        connection.execute("DROP TRIGGER reading_no_delete")
        rows = connection.execute(
            "SELECT c.dev_eui, c.meter_id, b.point_id, b.day, b.value_micro FROM boundary b"
            " JOIN installation i ON i.id = b.installation_id AND i.removed_at_us IS NULL"
            " JOIN module_channel c ON c.meter_id = i.meter_id AND c.valid_until_us IS NULL"
            " JOIN uplink u ON u.id = (SELECT max(id) FROM uplink WHERE dev_eui = c.dev_eui) AND u.codec LIKE 'karat@%'"
            " WHERE b.event NOT LIKE '%installed%' ORDER BY 1, 4"
        ).fetchall()
        for dev_eui, meter, point, day, value in rows:
            truth[dev_eui, date(1970, 1, 1) + timedelta(days=day - 1)] = value // 100
            if rng.random() < 0.1:
                connection.execute("DELETE FROM boundary WHERE point_id = ? AND day = ?", (point, day))
                at_us = midnight_us(day, YEKATERINBURG)
                near = (meter, at_us - 6 * HOUR, at_us + 6 * HOUR)
                connection.execute("DELETE FROM reading WHERE meter_id = ? AND measured_at_us BETWEEN ? AND ?", near)
    made.house_truth = truth
    yield made
    db.close()


def now_of(world: World) -> int:
    return int(world.house.db.rows("SELECT max(received_at_us) FROM uplink")[0][0]) + 7 * HOUR


def missing(world: World, now: int) -> int:
    with world.house.db.snapshot() as connection:
        found = store.gaps(connection, now, RULE)
    return sum((g.dev_eui, date(1970, 1, 1) + timedelta(days=g.day - 1)) in world.house_truth for g in found)


async def test_fr_21_ten_per_cent_lost_after_48_hours_all_are_there(world: World) -> None:
    """One answer in ten is lost too; the modules talk every four hours."""
    now, rng = now_of(world), random.Random(3)
    before = missing(world, now)
    assert before > 10
    for hours in range(0, 48, 4):
        await round_of(world.house.db, world, now + hours * HOUR, RULE.model_copy(update={"expires_hours": 5}))
        world.answer(now + hours * HOUR + HOUR, lambda: rng.random() < 0.1)
    await round_of(world.house.db, world, now + 49 * HOUR, RULE)
    left = missing(world, now)
    assert left <= before * 0.001, (before, left)
    states = dict(world.house.db.rows("SELECT state, count(*) FROM archive_query GROUP BY 1"))
    assert states["answered"] >= before


async def test_fr_21_no_such_record_ends_the_asking(world: World) -> None:
    world.has_record = False
    now = now_of(world)
    for hours in range(0, 96, 4):
        await round_of(world.house.db, world, now + hours * HOUR, RULE)
        world.answer(now + hours * HOUR + HOUR)
    refused = world.house.db.rows("SELECT state, reason FROM archive_query GROUP BY 1, 2")
    assert ("no_record", "no such record in the archive") in refused
    asked = len(world.items)
    gaps = world.house.db.rows("SELECT count(*) FROM (SELECT DISTINCT point_id, day FROM archive_query)")[0][0]
    assert asked == gaps, "nothing is asked twice that is not there"


async def test_fr_21_killed_between_any_two_lines(world: World) -> None:
    now = now_of(world)
    world.away = True
    assert await round_of(world.house.db, world, now, RULE) == 0
    planned = store.planned(world.house.db)
    assert planned
    world.away = False
    for query in planned:  # handed over, and killed before it was written down
        await world.queue_put(
            dev_eui=query.dev_eui, f_port=query.f_port, data=query.data, idempotency_key=f"archive-query-{query.id}"
        )
    assert await round_of(world.house.db, world, now, RULE) == len(planned)
    assert len(world.items) == len(planned), "the same key is the same item"
    assert store.planned(world.house.db) == []


async def test_fr_21_one_query_a_device_and_refusals_say_why(world: World) -> None:
    now = now_of(world)
    await round_of(world.house.db, world, now, RULE)
    devices = [item.dev_eui for item in world.items.values()]
    assert len(devices) == len(set(devices)) <= RULE.in_flight
    assert await round_of(world.house.db, world, now + 1, RULE) == 0, "they are under way"
    world.refuses = True
    world.answer(now + HOUR)
    await round_of(world.house.db, world, now + 2 * HOUR, RULE)
    assert world.house.db.rows("SELECT DISTINCT state FROM archive_query WHERE reason LIKE '%no such device%'") == [
        ("failed",)
    ]
    meter = world.house.db.rows("SELECT meter_id FROM archive_query LIMIT 1")[0][0]
    shown = store.of_meter(world.house.db, meter)
    assert shown and shown[0].archive == "day_integral"


async def test_fr_21_a_rule_of_nothing_asks_nothing(world: World) -> None:
    assert await round_of(world.house.db, world, now_of(world), RULE.model_copy(update={"in_flight": 0})) == 0
    assert world.items == {}
