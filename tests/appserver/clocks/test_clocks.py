"""FR-02: device clocks are put right by downlink, within limits; the result is what the next frame shows."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from lorasim import archive

from appserver.clocks import store
from appserver.clocks.plan import Clock, is_zone, outcome, step_s
from appserver.clocks.runner import round_of
from appserver.codecs import encode
from appserver.db import Database, open_database
from appserver.errors import RegistryError
from appserver.ingest import Ingest
from appserver.rules import ClockCorrection, load
from internalapi.client import ApiError, NetworkUnavailable
from internalapi.messages import Event, Problem, QueueItem

SECOND, HOUR = 1_000_000, 3_600_000_000
RULE = load().get(ClockCorrection, date(2026, 11, 1))[1]
NOW = int(datetime(2026, 11, 1, 12, tzinfo=UTC).timestamp()) * SECOND
KARAT_EPOCH = datetime(2000, 3, 1, tzinfo=UTC)
KINDS = ("karat", "vega-si-11", "betar-water")


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    database = open_database(tmp_path / "application.db")
    yield database
    database.close()


def frame(codec: str, clock: datetime) -> tuple[int, bytes]:
    """What a module of this kind sends at a moment of its clock, by the makers' layouts."""
    if codec == "karat":
        return 5, struct.pack("<HBIHII", 0x0285, 5, int((clock - KARAT_EPOCH).total_seconds()), 0, 1000, 0)
    seconds = int(clock.timestamp())
    if codec == "betar-water":
        return 2, struct.pack("<BBbBBIBBI", 1, 90, 20, 0, 0, seconds, 0, 0, 1000)
    return 2, struct.pack("<BBBIb4I", 1, 90, 0, seconds, 20, 1, 2, 3, 4)


class World:
    """Modules with clocks of their own, and the network between us and them: class A, one downlink after an uplink."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self.offsets: dict[str, float] = {}
        self.codecs: dict[str, str] = {}
        self.items: dict[str, QueueItem] = {}
        self.puts: list[dict[str, Any]] = []
        self.away = self.refuses = self.deaf = False
        self.events = 0

    def add(self, codec: str, offset_s: float) -> str:
        dev_eui = f"70b3d5000000000{len(self.codecs)}"
        self.codecs[dev_eui], self.offsets[dev_eui] = codec, offset_s
        return dev_eui

    async def queue_put(self, **fields: Any) -> QueueItem:
        if self.away:
            raise NetworkUnavailable("away")
        if self.refuses:
            raise ApiError(404, Problem("not_found", "There is no such device."))
        key = fields["idempotency_key"]
        if key not in self.items:
            self.puts.append(fields)
            self.items[key] = QueueItem(
                f"q{len(self.items)}", fields["dev_eui"], fields["f_port"], fields["data"], False, "queued", "", 0, None, None
            )  # fmt: skip
        return self.items[key]

    async def queue(self, *, key: str) -> SimpleNamespace:
        return SimpleNamespace(items=[item for item in self.items.values() if item.dev_eui == key])

    def talk(self, now: int) -> None:
        """Every module says its time, and then hears what waits for it."""
        events = []
        for dev_eui, codec in self.codecs.items():
            at = datetime.fromtimestamp(now / SECOND, UTC) + timedelta(seconds=self.offsets[dev_eui])
            f_port, data = frame(codec, at)
            self.events += 1
            events.append(
                Event(self.events, "up", now, dev_eui, codec=codec, f_port=f_port, data=data, f_cnt=self.events)
            )
        Ingest(self.db, lambda: now).take(events)
        for item in self.items.values():
            if item.state != "queued":
                continue
            item.state = "sent"
            if not self.deaf:
                if self.codecs[item.dev_eui] == "karat":
                    function, delta = struct.unpack("<Hh", item.data)
                    assert (function, item.f_port) == (0x0016, 5)
                else:
                    function, delta = struct.unpack("<Bq", item.data)
                    assert (function, item.f_port) == (255, 4)
                self.offsets[item.dev_eui] += delta

    async def day(self, now: int, hours: int = 24, every: int = 4) -> int:
        """Rounds every minute's worth of an hour, talks every four hours; returns the time after it."""
        for hour in range(hours):
            if hour % every == 0:
                self.talk(now + hour * HOUR)
            await round_of(self.db, self, now + hour * HOUR + 60 * SECOND, RULE, "clocks/1")
        return now + hours * HOUR


@pytest.fixture
def world(db: Database) -> World:
    return World(db)


@pytest.mark.parametrize("codec", KINDS)
@pytest.mark.parametrize("offset_s", [-37 * 60, 61, 700, -86_000])
async def test_fr_02_a_wrong_clock_is_put_right(world: World, codec: str, offset_s: int) -> None:
    eui = world.add(codec, offset_s)
    right = world.add(codec, 20)
    await world.day(NOW, 24 * 4)
    assert abs(world.offsets[eui]) <= RULE.limit_s and world.offsets[right] == 20
    rows = store.of_device(world.db, eui)
    assert {row.state for row in rows} == {"corrected"}
    assert rows[-1].offset_us == pytest.approx(offset_s * SECOND, abs=SECOND)
    assert abs(rows[0].offset_after_us or 0) <= RULE.limit_s * SECOND
    assert all(abs(row.delta_s) <= RULE.max_step_s for row in rows)
    assert store.of_device(world.db, right) == []
    journal = world.db.rows("SELECT action, object_id FROM audit ORDER BY id")
    assert journal == [("clock.correct", eui), ("clock.settle", eui)] * len(rows)
    assert {fields["at_most_once"] for fields in world.puts} == {True}


async def test_fr_02_once_a_day_and_not_for_ever(world: World) -> None:
    """A module that does not obey is asked three times, a day apart, and then left to a person."""
    eui = world.add("karat", 3000)
    world.deaf = True
    await world.day(NOW, 24 * 7)
    rows = store.of_device(world.db, eui)
    assert [row.state for row in rows] == ["unchanged"] * RULE.attempts
    times = sorted(row.planned_at_us for row in rows)
    assert all(b - a >= RULE.every_hours * HOUR for a, b in itertools.pairwise(times))
    with pytest.raises(RegistryError, match=r"lately|changed nothing"):
        store.ask(world.db, eui, NOW + 7 * 24 * HOUR, RULE, "engineer")


@pytest.mark.parametrize(("codec", "most"), [("karat", 0x7FFF), ("vega-si-11", 86_400), ("betar-gas", 86_400)])
def test_fr_02_never_beyond_what_the_device_allows(codec: str, most: int) -> None:
    rule = RULE.model_copy(update={"max_step_s": 86_400})
    for sign in (1, -1):
        clock = Clock(codec, sign * 10**9 * SECOND + 7 * SECOND * 60)
        assert step_s(clock, NOW, rule) == (-sign * most, "")


@pytest.mark.parametrize(
    ("clock", "why"),
    [
        (Clock("karat", 60 * SECOND), "right"),
        (Clock("axioma-w1", 5000 * SECOND), "no command"),
        (Clock("karat", 5 * HOUR + 20 * SECOND), "zone"),
        (Clock("karat", -(HOUR // 2)), "zone"),
        (Clock("karat", 700 * SECOND, last_planned_at_us=NOW - 23 * HOUR), "lately"),
        (Clock("karat", 700 * SECOND, last_planned_at_us=NOW - 25 * HOUR, in_vain=3), "in vain"),
    ],
)
def test_fr_02_clocks_that_are_left_alone(clock: Clock, why: str) -> None:
    assert step_s(clock, NOW, RULE) == (0, why)
    assert step_s(replace(clock, codec="karat", offset_us=700 * SECOND, last_planned_at_us=None, in_vain=0), NOW, RULE)[
        0
    ]


@pytest.mark.parametrize("delta_s", [-32_768, -37, 1, 700, 32_767])
def test_fr_02_the_simulated_module_reads_it_as_it_is_meant(delta_s: int) -> None:
    """Its reader of the layout is not ours."""
    _, data = encode("karat", {"command": "clock_correction", "delta_s": delta_s})
    assert archive.clock_correction(data) == delta_s * SECOND


def test_fr_02_another_zone_is_no_wrong_clock() -> None:
    assert [is_zone(s) for s in (3600, -18_000, 45 * 60, 900, 700, 3700)] == [True, True, True, False, False, False]


def test_fr_02_what_became_of_a_step() -> None:
    assert outcome(100_000 * SECOND, -30_000, 70_010 * SECOND, RULE)[0] == "corrected"
    assert outcome(700 * SECOND, -700, 5 * SECOND, RULE) == ("corrected", "")
    assert outcome(700 * SECOND, -700, 699 * SECOND, RULE)[0] == "unchanged"


async def test_fr_02_killed_between_any_two_lines(world: World) -> None:
    """The network was away, or we died after it took the item: one correction goes out."""
    eui = world.add("karat", 700)
    world.talk(NOW)
    world.away = True
    assert await round_of(world.db, world, NOW + SECOND, RULE) == 0
    assert [row.state for row in store.of_device(world.db, eui)] == ["planned"]
    world.away = False
    (step,) = store.open_steps(world.db)
    await world.queue_put(dev_eui=eui, f_port=5, data=step.data, idempotency_key=f"clock-correction-{step.id}")
    assert await round_of(world.db, world, NOW + 2 * SECOND, RULE) == 1
    assert len(world.items) == 1
    world.talk(NOW + 4 * HOUR)
    await round_of(world.db, world, NOW + 4 * HOUR + SECOND, RULE)
    world.talk(NOW + 8 * HOUR)
    await round_of(world.db, world, NOW + 8 * HOUR + SECOND, RULE)
    assert [row.state for row in store.of_device(world.db, eui)] == ["corrected"] and world.offsets[eui] == 0


async def test_fr_02_what_the_network_refuses_or_never_sends(world: World) -> None:
    refused, silent = world.add("karat", 700), world.add("vega-si-11", 800)
    world.talk(NOW)
    world.refuses = True
    await round_of(world.db, world, NOW + SECOND, RULE)
    assert {store.of_device(world.db, eui)[0].state for eui in (refused, silent)} == {"failed"}
    assert "no such device" in store.of_device(world.db, refused)[0].reason.lower()
    world.refuses = False
    later = NOW + 25 * HOUR
    world.talk(later)
    await round_of(world.db, world, later + SECOND, RULE)
    for item in world.items.values():
        item.state = "expired"
    await round_of(world.db, world, later + 2 * HOUR, RULE)
    assert {store.of_device(world.db, eui)[0].state for eui in (refused, silent)} == {"expired"}


@pytest.mark.parametrize(
    ("offset_s", "least_s"),
    [(0, 0), (1200, 0), (-1200, 0), (3 * 3600 + 1200, 2 * 3600 + 1800), (-5 * 3600, -4 * 3600 - 1800)],
)
async def test_fr_02_a_stamp_without_minutes_is_no_measure(db: Database, offset_s: int, least_s: int) -> None:
    """KARAT's protocol 1.8 tells the hour alone: a right clock is not called wrong, and none is corrected by it."""
    now = NOW + 30 * 60 * SECOND
    at = datetime.fromtimestamp(now / SECOND, UTC) + timedelta(seconds=offset_s)
    data = struct.pack("<HB4BBi", 0x0284, 5, at.hour, at.day, at.month, at.year - 2000, 0, 1000)
    Ingest(db, lambda: now).take([Event(1, "up", now, "a" * 16, codec="karat", f_port=5, data=data, f_cnt=1)])
    told, seen = store.offset_of(db, "a" * 16)
    assert told is not None and seen is None
    assert told == pytest.approx(least_s * SECOND, abs=0)
    assert abs(told) <= abs(offset_s) * SECOND
    assert store.plan(db, now + SECOND, RULE) == 0


async def test_fr_02_an_old_offset_is_no_measure(world: World) -> None:
    eui = world.add("karat", 700)
    world.talk(NOW)
    await round_of(world.db, world, NOW + store.SILENT_US + HOUR, RULE)
    assert store.of_device(world.db, eui) == []
    with pytest.raises(RegistryError, match="not known"):
        store.ask(world.db, eui, NOW + store.SILENT_US + HOUR, RULE, "engineer")
    world.talk(NOW + store.SILENT_US + HOUR)
    store.ask(world.db, eui, NOW + store.SILENT_US + HOUR, RULE, "engineer")
    assert store.of_device(world.db, eui)[0].author == "engineer"
    with pytest.raises(RegistryError, match="under way"):
        store.ask(world.db, eui, NOW + store.SILENT_US + HOUR, RULE, "engineer")
