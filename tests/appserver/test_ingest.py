"""Events become readings: at least once in, exactly one reading out (INV-22's inner half, FR-01, MET-01…06)."""

from __future__ import annotations

import asyncio
import os
import random
import struct
import time
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from appserver import codecs, registry
from appserver.codecs import base as codec_base
from appserver.db import Database, open_database
from appserver.errors import RegistryError
from appserver.ingest import Ingest, consume, decode_bound, redecode, waiting_frames
from appserver.metering import add_manual_reading, house_balance, point_readings
from internalapi.client import NetworkUnavailable
from internalapi.messages import Event, EventsResult, NetworkStatus
from tests.support.refusals import FAILED, REFUSED, empty_disk, fill_disk
from tests.support.satka import DAY_INTEGRAL, ZONE, karat, microseconds, midnight, vega

EUI = "70b3d5e75e0000aa"
FIRST = date(2026, 10, 1)
NOW_US = microseconds(midnight(date(2026, 11, 2)))


@pytest.fixture
def db(tmp_path: Path) -> Database:
    database = open_database(tmp_path / "application.db")
    yield database
    database.close()


def meter(db: Database, serial: str = "1", start: str = "100", flat: str = "1") -> tuple[int, int]:
    """A meter that hangs in a flat since the first day: (meter id, point id)."""
    page = registry.page(db, "building")
    if page.items:
        building = page.items[0]
    else:
        organisation = registry.create(db, "organisation", {"name": "УК"})
        building = registry.create(
            db, "building", {"organisation_id": organisation.id, "address": "Сатка", "timezone": ZONE.key}
        )
    premises = registry.create(db, "premises", {"building_id": building.id, "number": flat})
    point = registry.create(
        db, "point", {"building_id": building.id, "premises_id": premises.id, "resource": "cold_water"}
    )
    made = registry.create(db, "meter", {"serial": serial, "resource": "cold_water"})
    registry.install(db, point.id, made.id, FIRST, Decimal(start))
    return made.id, point.id


def up(
    id_: int, data: bytes, received: datetime, codec: str = "karat", f_port: int | None = 5, eui: str = EUI
) -> Event:
    return Event(
        id=id_, type="up", time_us=microseconds(received), dev_eui=eui, codec=codec, session_id=1, f_cnt=id_, f_port=f_port,
        data=data, frame_id=1000 + id_,
    )  # fmt: skip


def content(db: Database) -> list[tuple]:
    return db.rows(
        "SELECT meter_id, register, measured_at_us, value_micro, quality, source FROM reading ORDER BY 1, 2, 3, 4"
    )


def test_provenance_of_a_reading(db: Database) -> None:
    """MET-02: from the value back to frame, session, counter, codec and both times."""
    meter_id, point_id = meter(db)
    registry.bind_channel(db, EUI, meter_id)
    received = midnight(FIRST) + timedelta(days=1, hours=3)
    taken = Ingest(db, lambda: NOW_US).take(
        [up(7, karat(Decimal("101.5"), midnight(FIRST) + timedelta(days=1)), received)]
    )
    assert (taken.uplinks, taken.readings, taken.undecoded, taken.cursor) == (1, 2, 0, 7)
    (reading,), _ = point_readings(db, point_id=point_id, register_name="volume")
    assert reading.value == Decimal("101.5")
    assert (reading.dev_eui, reading.frame_id, reading.session_id, reading.f_cnt) == (EUI, 1007, 1, 7)
    assert (reading.codec, reading.quality, reading.source) == ("karat@2", "archive", "lorawan")
    assert reading.measured_at_us == reading.device_time_us == microseconds(midnight(FIRST) + timedelta(days=1))
    assert (reading.received_at_us, reading.recorded_at_us) == (microseconds(received), NOW_US)


def test_fr_01_thousand_frames_twice_shuffled_with_duplicates(db: Database, tmp_path: Path) -> None:
    """FR-01: any order, any repetition, the same content."""
    rng = random.Random(1)
    frames = []
    for number in range(1000):
        eui = f"70b3d5e75e{number % 40:06x}"
        stamp = midnight(FIRST) + timedelta(days=number // 40)
        value = Decimal(100) + Decimal(number // 40) / 8
        frames.append((karat(value, stamp), stamp + timedelta(minutes=number % 40), eui))

    def build(database: Database, order: Sequence[int]) -> None:
        for number in range(40):
            made, _ = meter(database, str(number), flat=str(number + 1))
            registry.bind_channel(database, f"70b3d5e75e{number:06x}", made)
        ingest = Ingest(database, lambda: NOW_US)
        events = []
        for position, index in enumerate(order, 1):
            data, received, eui = frames[index]
            event = up(position, data, received, eui=eui)
            event_fields = {n: getattr(event, n) for n in event.__struct_fields__} | {"f_cnt": index}
            events.append(Event(**event_fields))
        for at in range(0, len(events), 128):
            ingest.take(events[at : at + 128])

    build(db, range(1000))
    mixed = [*range(1000), *rng.sample(range(1000), 100), *range(1000)]
    rng.shuffle(mixed)
    other = open_database(tmp_path / "other.db")
    build(other, mixed)
    assert content(db) == content(other)
    boundary = "SELECT point_id, day, value_micro, total_micro, breaks, quality, event FROM boundary ORDER BY 1, 2"
    assert db.rows(boundary) == other.rows(boundary)
    assert len(content(db)) == 2000
    assert other.rows("SELECT count(*) FROM uplink") == [(1000,)]
    other.close()


def test_events_up_to_the_cursor_are_left_out(db: Database) -> None:
    meter_id, _ = meter(db)
    registry.bind_channel(db, EUI, meter_id)
    ingest = Ingest(db, lambda: NOW_US)
    events = [
        up(n, karat(Decimal(100 + n), midnight(FIRST) + timedelta(days=n)), midnight(FIRST) + timedelta(days=n))
        for n in (1, 2, 3)
    ]
    assert ingest.take(events[:2]).events == 2
    assert ingest.take(events).events == 1
    assert ingest.take(events).events == 0
    assert ingest.cursor() == 3


def test_batch_is_all_or_nothing(db: Database) -> None:
    meter_id, _ = meter(db)
    registry.bind_channel(db, EUI, meter_id)
    fill_disk(db, "reading", "NEW.value_micro > 102000000")
    ingest = Ingest(db, lambda: NOW_US)
    events = [
        up(n, karat(Decimal(100 + n), midnight(FIRST) + timedelta(days=n)), midnight(FIRST) + timedelta(days=n))
        for n in (1, 2, 3)
    ]
    with pytest.raises(FAILED, match="disk full"):
        ingest.take(events)
    assert (content(db), db.rows("SELECT * FROM uplink"), ingest.cursor()) == ([], [], 0)
    empty_disk(db, "reading")
    assert ingest.take(events).readings == 6


@pytest.mark.parametrize(
    "statement",
    ["UPDATE reading SET value_micro = 1", "DELETE FROM reading", "UPDATE audit SET actor = ''", "DELETE FROM audit"],
)
def test_readings_and_audit_are_append_only(db: Database, statement: str) -> None:
    """MET-01."""
    meter_id, _ = meter(db)
    add_manual_reading(db, meter_id, Decimal(101), microseconds(midnight(FIRST)) + 1, NOW_US, "ivanov")
    db.connection.execute(
        "INSERT INTO audit (at_us, actor, action, object_kind, object_id, detail, address) VALUES (1, 'a', 'b', '', '', '{}', '')"
    )
    with pytest.raises(REFUSED, match="append-only"):
        db.connection.execute(statement)


def test_fr_01_the_first_received_of_equal_frames_is_the_origin(db: Database) -> None:
    """MET-02: also when it is taken later; the value and when it was written down stay as they are."""
    meter_id, _ = meter(db)
    registry.bind_channel(db, EUI, meter_id)
    stamp = midnight(FIRST) + timedelta(days=1)
    late, early = (up(n, karat(Decimal(101), stamp), stamp + timedelta(hours=hours)) for n, hours in ((1, 9), (2, 2)))
    rows = "SELECT value_micro, received_at_us, recorded_at_us, conflict FROM reading WHERE register = 'volume'"
    Ingest(db, lambda: NOW_US).take([late])
    assert db.rows(rows) == [(101_000_000, late.time_us, NOW_US, 0)]
    assert Ingest(db, lambda: NOW_US + 1).take([early]).readings == 0
    assert db.rows(rows) == [(101_000_000, early.time_us, NOW_US, 0)]
    assert db.rows("SELECT received_at_us FROM last_reading WHERE register = 'volume'") == [(late.time_us,)]


def test_fr_01_conflict_keeps_both_and_flags(db: Database) -> None:
    """MET-06: an equal record is one row, a different one a further version, and the boundary is disputed."""
    meter_id, _ = meter(db)
    registry.bind_channel(db, EUI, meter_id)
    stamp = midnight(FIRST) + timedelta(days=1)
    ingest = Ingest(db, lambda: NOW_US)
    ingest.take(
        [up(1, karat(Decimal(101), stamp), stamp), up(2, karat(Decimal(101), stamp), stamp + timedelta(hours=1))]
    )
    ingest.take([up(3, karat(Decimal(102), stamp), stamp + timedelta(hours=2))])
    rows = db.rows("SELECT value_micro, conflict FROM reading WHERE register = 'volume' ORDER BY value_micro")
    assert rows == [(101_000_000, 0), (102_000_000, 1)]
    balance = house_balance(db, 1, "cold_water", FIRST, FIRST + timedelta(days=1))
    assert (balance.points[0].end, balance.points[0].quality) == (Decimal(101), "disputed")


def test_fr_01_undecoded_frames_stay_and_are_decoded_again(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """FR-01: kept raw with the reason, readings appear when the codec can read them."""
    meter_id, _ = meter(db)
    registry.bind_channel(db, EUI, meter_id)
    stamp = midnight(FIRST) + timedelta(days=1)
    taken = Ingest(db, lambda: NOW_US).take(
        [
            up(1, b"\x01\x02\x03", stamp),
            up(2, struct.pack("<I", 103_500), stamp + timedelta(minutes=1), codec="mine"),
            up(3, b"", stamp, f_port=None),
            up(4, b"\x05", stamp, codec=""),
        ]
    )
    assert (taken.uplinks, taken.undecoded, taken.readings) == (4, 3, 0)
    assert db.rows("SELECT state, reason, codec FROM uplink ORDER BY id") == [
        ("undecoded", "3 bytes are too few for a packet (byte 3)", "karat"),
        ("undecoded", "there is no codec 'mine'", "mine"),
        ("decoded", "no application data", "karat"),
        ("undecoded", "the device's profile has no codec", ""),
    ]

    waiting = waiting_frames(db)
    assert [(f.f_port, f.data, f.state) for f in waiting] == [
        (5, b"\x05", "undecoded"),
        (5, struct.pack("<I", 103_500), "undecoded"),
        (5, b"\x01\x02\x03", "undecoded"),
    ]
    assert [f.id for f in waiting_frames(db, EUI, before=waiting[0].id, limit=1)] == [waiting[1].id]
    assert waiting_frames(db, "0000000000000000") == []

    def mine(f_port: int, data: bytes, received_at_us: int) -> codec_base.Decoded:
        value = Decimal(int.from_bytes(data, "little")).scaleb(-3)
        return codec_base.Decoded((codec_base.Measurement(1, value, "m3"),), values={"volume_m3": str(value)})

    monkeypatch.setitem(codecs.CODECS, "mine", codec_base.Codec("mine", 3, "", mine, "utc"))
    again = redecode(db, NOW_US)
    assert (again.frames, again.decoded, again.readings) == (3, 1, 1)
    assert db.rows("SELECT codec, state FROM uplink WHERE id = 2") == [("mine@3", "decoded")]
    assert content(db)[0][3:] == (103_500_000, "server_time", "lorawan")
    assert redecode(db, NOW_US).readings == 0


def test_codec_that_fails_stops_nobody(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    meter_id, _ = meter(db)
    registry.bind_channel(db, EUI, meter_id)

    def broken(f_port: int, data: bytes, received_at_us: int) -> codec_base.Decoded:
        raise ZeroDivisionError("oops")

    monkeypatch.setitem(codecs.CODECS, "broken", codec_base.Codec("broken", 1, "", broken, "utc"))
    stamp = midnight(FIRST) + timedelta(days=1)
    taken = Ingest(db, lambda: NOW_US).take(
        [up(1, b"x", stamp, codec="broken"), up(2, karat(Decimal(101), stamp), stamp)]
    )
    assert (taken.undecoded, taken.readings) == (1, 2)
    assert "ZeroDivisionError: oops" in db.rows("SELECT reason FROM uplink WHERE id = 1")[0][0]


@pytest.mark.parametrize("value", [Decimal("NaN"), Decimal("Infinity"), Decimal(10) ** 40])
def test_values_that_cannot_be_readings_stop_nobody(
    db: Database, monkeypatch: pytest.MonkeyPatch, value: Decimal
) -> None:
    meter_id, _ = meter(db)
    registry.bind_channel(db, EUI, meter_id)

    def odd(f_port: int, data: bytes, received_at_us: int) -> codec_base.Decoded:
        return codec_base.Decoded((codec_base.Measurement(1, value, "m3"),))

    monkeypatch.setitem(codecs.CODECS, "odd", codec_base.Codec("odd", 1, "", odd, "utc"))
    stamp = midnight(FIRST) + timedelta(days=1)
    taken = Ingest(db, lambda: NOW_US).take([up(1, b"x", stamp, codec="odd"), up(2, karat(Decimal(101), stamp), stamp)])
    assert (taken.undecoded, taken.readings) == (1, 2)
    assert "cannot be readings" in db.rows("SELECT reason FROM uplink WHERE id = 1")[0][0]


def test_unbound_channel_waits_for_its_meter(db: Database) -> None:
    meter_id, _ = meter(db)
    stamp = midnight(FIRST) + timedelta(days=1)
    Ingest(db, lambda: NOW_US).take([up(1, karat(Decimal(101), stamp), stamp)])
    assert db.rows("SELECT state, reason FROM uplink") == [("unbound", "channel 1 of the device is bound to no meter")]
    registry.bind_channel(db, EUI, meter_id)
    assert redecode(db, NOW_US, [EUI]).readings == 2
    assert db.rows("SELECT state, reason FROM uplink") == [("decoded", "")]


def test_a_start_decodes_what_a_killed_process_left_waiting(db: Database) -> None:
    meter_id, _ = meter(db)
    stamp = midnight(FIRST) + timedelta(days=1)
    Ingest(db, lambda: NOW_US).take([up(1, karat(Decimal(101), stamp), stamp)])
    assert decode_bound(db, NOW_US).readings == 0
    registry.bind_channel(db, EUI, meter_id)
    assert decode_bound(db, NOW_US).readings == 2
    assert db.rows("SELECT state FROM uplink") == [("decoded",)]
    assert decode_bound(db, NOW_US).readings == 0


def test_pulses_become_cubic_metres(db: Database) -> None:
    meter_id, _ = meter(db, start="12.345")
    registry.bind_channel(db, EUI, meter_id, 1, "", Decimal("0.01"), Decimal("12.345"), Decimal(1000))
    stamp = midnight(FIRST) + timedelta(days=1)
    Ingest(db, lambda: NOW_US).take([up(1, vega(1270, stamp), stamp + timedelta(seconds=9), "vega-si-11", 2)])
    assert [(row[1], row[3], row[4]) for row in content(db)] == [("volume", 15_045_000, "measured")]
    assert content(db)[0][2] == microseconds(stamp)
    state = db.rows("SELECT battery_pct, temperature_c, clock_offset_us, last_reading_at_us FROM device_state")
    assert state == [(97, 21, -9_000_000, microseconds(stamp) + 9_000_000)]


@pytest.mark.parametrize(
    ("clock", "quality"),
    [
        (timedelta(0), "measured"),
        (timedelta(minutes=-40), "measured"),
        (timedelta(minutes=4), "measured"),
        (timedelta(minutes=6), "server_time"),
        (timedelta(days=-2), "server_time"),
        (timedelta(days=-9000), "server_time"),
    ],
)
def test_fr_02_which_time_a_reading_gets(db: Database, clock: timedelta, quality: str) -> None:
    """FR-02 (b, d): both times are kept; a clock before the installation or far ahead is not believed."""
    meter_id, _ = meter(db)
    registry.bind_channel(db, EUI, meter_id)
    received = midnight(FIRST) + timedelta(days=1)
    told = received + clock
    Ingest(db, lambda: NOW_US).take([up(1, karat(Decimal(101), told, archive=5), received)])
    (row,) = db.rows(
        "SELECT measured_at_us, device_time_us, received_at_us, quality FROM reading WHERE register = 'volume'"
    )
    believed = told if quality == "measured" else received
    # An old wall clock of the zone may have had another offset: compare what was told, not the moment.
    assert row[0] == microseconds(believed)
    assert row[2:] == (microseconds(received), quality)
    assert row[1] == microseconds(told.replace(tzinfo=None).replace(tzinfo=ZONE))


def test_fr_02_declared_zone_of_the_device_clock(db: Database) -> None:
    meter_id, _ = meter(db)
    registry.bind_channel(db, EUI, meter_id)
    registry.set_device_clock(db, EUI, "UTC")
    with pytest.raises(RegistryError, match="IANA"):
        registry.set_device_clock(db, EUI, "Mars/Base")
    stamp = midnight(FIRST) + timedelta(days=1)
    Ingest(db, lambda: NOW_US).take([up(1, karat(Decimal(101), stamp), stamp + timedelta(hours=6))])
    assert content(db)[0][2] == microseconds(stamp + timedelta(hours=5))


def test_flags_are_raised_and_cleared(db: Database) -> None:
    meter_id, _ = meter(db)
    registry.bind_channel(db, EUI, meter_id)
    days = [midnight(FIRST) + timedelta(days=n) for n in range(1, 5)]
    ingest = Ingest(db, lambda: NOW_US)
    ingest.take(
        [
            up(n, karat(Decimal(100 + n), day, flags), day)
            for n, (day, flags) in enumerate(zip(days, (0, 2, 2 | 1 << 12, 1 << 12), strict=True), 1)
        ]
    )
    rows = db.rows("SELECT flag, raised_at_us, cleared_at_us FROM device_flag ORDER BY id")
    us = [microseconds(day) for day in days]
    assert rows == [("magnetic_tamper", us[1], us[3]), ("leak", us[2], None)]
    assert db.rows("SELECT flags FROM device_state") == [("leak",)]


def test_an_exception_that_the_network_made_is_in_the_audit_log_once(db: Database) -> None:
    log = Event(
        id=1, type="log", time_us=NOW_US, dev_eui=EUI, level="WARNING", code="UPLINK_F_CNT_RESET",
        text="FCntUp was reset from 70000 to 2", context={"audit": "device.f_cnt_reset"},
    )  # fmt: skip
    other = Event(id=2, type="log", time_us=NOW_US, dev_eui=EUI, level="WARNING", code="UPLINK_MIC", text="wrong MIC")
    ingest = Ingest(db, lambda: NOW_US)
    ingest.take([log, other])
    ingest.check(0)  # the network's events start anew
    ingest.take([log, other])
    assert db.rows("SELECT at_us, actor, action, object_kind, object_id, detail FROM audit") == [
        (NOW_US, "network", "device.f_cnt_reset", "device", EUI, '{"text":"FCntUp was reset from 70000 to 2"}')
    ]


def test_replaced_meter_takes_over_at_the_moment_of_the_act(db: Database) -> None:
    old, point_id = meter(db)
    registry.bind_channel(db, EUI, old)
    new = registry.create(db, "meter", {"serial": "2", "resource": "cold_water"}).id
    swap = midnight(FIRST) + timedelta(days=2, hours=10)
    registry.replace_meter(db, point_id, new, swap.date(), Decimal("102.5"), Decimal("0.015"), microseconds(swap))
    days = [midnight(FIRST) + timedelta(days=n) for n in range(5)]
    values = [Decimal(v) for v in ("100", "101", "102", "0.3", "1.265")]
    Ingest(db, lambda: NOW_US).take(
        [up(n + 1, karat(v, d), d + timedelta(minutes=5)) for n, (d, v) in enumerate(zip(days, values, strict=True))]
    )
    balance = house_balance(db, 1, "cold_water", FIRST, FIRST + timedelta(days=4), "month")
    assert balance.points[0].volume == Decimal("2.5") + Decimal("1.25")
    assert {row[0] for row in content(db)} == {old, new}


def test_late_value_moves_only_what_follows_from_it(db: Database) -> None:
    meter_id, _ = meter(db, start="99980")
    registry.bind_channel(db, EUI, meter_id)
    days = [midnight(FIRST) + timedelta(days=n) for n in range(1, 11)]
    ingest = Ingest(db, lambda: NOW_US)
    values = [99_990, 99_995, None, 3, 8, 9, 12, 15, 16, 17]
    ingest.take(
        [up(n, karat(Decimal(v), d), d) for n, (d, v) in enumerate(zip(days, values, strict=True), 1) if v is not None]
    )
    ingest.take([up(50, karat(Decimal(99_999), days[2]), days[9] + timedelta(hours=1))])
    rows = db.rows("SELECT value_micro, total_micro, event FROM boundary ORDER BY day")
    assert [r[1] // 1_000_000 for r in rows] == [0, 10, 15, 19, 23, 28, 29, 32, 35, 36, 37]
    assert [r[2] for r in rows][3:5] == ["", "rollover"]


class FakeNetwork:
    """Hands out events by cursor, and is away now and then."""

    def __init__(self, events: list[Event], away: int = 0) -> None:
        self.all = events
        self.away = away
        self.asked = 0
        self.waiting = asyncio.Event()

    async def status(self) -> NetworkStatus:
        self._maybe_away()
        last = self.all[-1].id if self.all else 0
        return NetworkStatus("", 0, "RU864", 0, 0, 0, 0, last, "ok", {})

    async def events(self, *, after: int, limit: int, wait_s: float) -> EventsResult:
        self._maybe_away()
        found = [event for event in self.all if event.id > after][:limit]
        if not found:
            self.waiting.set()
            await asyncio.sleep(wait_s)
        return EventsResult(found)

    def _maybe_away(self) -> None:
        self.asked += 1
        if self.asked <= self.away:
            raise NetworkUnavailable("restarting")


def some_events(count: int) -> list[Event]:
    days = [midnight(FIRST) + timedelta(days=n) for n in range(1, count + 1)]
    return [up(n, karat(Decimal(100 + n), day), day) for n, day in enumerate(days, 1)]


async def run_until_idle(db: Database, network: FakeNetwork) -> None:
    stop = asyncio.Event()
    task = asyncio.create_task(consume(network, db, stop, lambda: NOW_US))
    await asyncio.wait_for(network.waiting.wait(), 20)
    stop.set()
    await asyncio.wait_for(task, 5)


async def test_consumer_survives_the_network_being_away(db: Database) -> None:
    meter_id, _ = meter(db)
    registry.bind_channel(db, EUI, meter_id)
    await run_until_idle(db, FakeNetwork(some_events(20), away=2))
    assert len(content(db)) == 40
    await run_until_idle(db, FakeNetwork(some_events(25)))
    assert len(content(db)) == 50


async def test_consumer_survives_a_database_that_cannot_be_written(db: Database) -> None:
    meter_id, _ = meter(db)
    registry.bind_channel(db, EUI, meter_id)
    fill_disk(db, "uplink")
    network = FakeNetwork(some_events(3))
    stop = asyncio.Event()
    task = asyncio.create_task(consume(network, db, stop, lambda: NOW_US))
    while network.asked < 4:
        await asyncio.sleep(0.01)
    assert content(db) == []
    await asyncio.to_thread(db.rows, "SELECT 1")
    await asyncio.to_thread(empty_disk, db, "uplink")
    await asyncio.wait_for(network.waiting.wait(), 20)
    stop.set()
    await asyncio.wait_for(task, 5)
    assert len(content(db)) == 6


async def test_network_made_anew_is_taken_from_its_first_event(db: Database) -> None:
    """A restored network.db has event ids below the cursor; known frames change nothing, new ones count."""
    meter_id, _ = meter(db)
    registry.bind_channel(db, EUI, meter_id)
    await run_until_idle(db, FakeNetwork(some_events(20)))
    anew = some_events(6)
    fresh = up(7, karat(Decimal(130), midnight(FIRST) + timedelta(days=30)), midnight(FIRST) + timedelta(days=30))
    await run_until_idle(db, FakeNetwork([*anew, fresh]))
    assert db.rows("SELECT count(*) FROM uplink") == [(21,)]
    assert len(content(db)) == 42


def processor_s(db: Database) -> float:
    """Seconds of the processor that this thread and what serves its connection have taken."""
    if not db.url:
        return time.thread_time()
    ((backend,),) = db.rows("SELECT pg_backend_pid()")
    user, system = Path(f"/proc/{backend}/stat").read_text().rpartition(")")[2].split()[11:13]
    return time.thread_time() + (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def test_five_thousand_readings_a_second(db: Database) -> None:
    """Decoding, boundary values and the commit included, in the processor's time: the machine is shared."""
    for number in range(100):
        made, _ = meter(db, str(number), flat=str(number + 1))
        registry.bind_channel(db, f"70b3d5e75e{number:06x}", made)
    ingest = Ingest(db, lambda: NOW_US)
    best = 0.0
    for batch in range(5):
        events = []
        for index in range(1000):
            number = batch * 1000 + index
            stamp = midnight(FIRST) + timedelta(hours=number // 100)
            eui = f"70b3d5e75e{number % 100:06x}"
            events.append(
                up(number + 1, karat(Decimal(100) + Decimal(number // 100) / 16, stamp, archive=14), stamp, eui=eui)
            )
        start = processor_s(db)
        taken = ingest.take(events)
        best = max(best, taken.readings / (processor_s(db) - start))
        assert taken.readings == 2000
    assert best >= 5000
    assert DAY_INTEGRAL == 15
