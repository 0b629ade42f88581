"""The frame log: settled frames leave the journal, stay findable, and go when their time is over."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from internalapi import messages as m
from lns.store.embedded import packer
from lns.store.embedded.blocks import block_row, events_of, frames_of, places_of
from lns.store.embedded.framelog import FrameLog, month_of
from lns.store.embedded.journal import SCHEMA_VERSION, Journal
from lns.store.embedded.packer import pack_settled
from tests.support.lab import SECOND_US, Lab

DAY_US = 86_400 * SECOND_US


def pack(lab: Lab, later_us: int = 2 * DAY_US) -> None:
    """What ``Network.pack`` does, ``later_us`` from now."""
    reader = lab.journal.reader()
    while pack_settled(reader, lab.frame_log, lab.state.handed_over_id, lab.wall_us + later_us):
        lab.state.batch.operations.append(("frames_packed", (lab.frame_log.last_frame_id,)))
        lab.state.batch.operations.append(("events_packed", (lab.frame_log.last_event_id,)))
        lab.pump()
    reader.close()


def events_of_api(lab: Lab, **fields: object) -> list[m.Event]:
    decode = m.decoder(m.Event).decode
    return [decode(body) for body in lab.call("events", **fields)["events"]]


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    made = Lab(tmp_path, gateways={"udp": {"datagrams_per_s": 0}})
    yield made
    made.close()


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packer, "BLOCK", 7)


def test_a_frame_is_the_same_before_and_after_it_is_packed(lab: Lab, small_blocks: None) -> None:
    gateways = [lab.gateway(1), lab.gateway(2)]
    nodes = [lab.abp(number) for number in range(1, 4)]
    for number in range(12):
        node = nodes[number % 3]
        lab.uplink(node.up(bytes((number,)), confirmed=number % 4 == 0), *gateways[: 1 + number % 2])
        lab.advance(4 * SECOND_US)
    before = lab.call("frames", limit=1000).items
    events = events_of_api(lab)
    assert {one.type for one in before} == {"up", "down"}
    pack(lab)
    assert lab.frame_log.usage().frames == len(before) - 1 and lab.rows("SELECT count(*) FROM frame") == [(1,)]
    assert lab.call("frames", limit=1000).items == before
    assert lab.call("frames", after=0, limit=1000).items == before[::-1]
    assert events_of_api(lab) == events
    for after in range(len(events) + 1):
        assert events_of_api(lab, after=after, limit=3) == events[after : after + 3]
    page, found = lab.call("frames", limit=4), []
    while True:
        found += page.items
        if page.next_before is None:
            break
        page = lab.call("frames", limit=4, before=page.next_before)
    assert found == before
    lab.kill()
    assert lab.call("frames", limit=1000).items == before and events_of_api(lab) == events


def test_searches_find_packed_frames_and_fresh_ones_alike(lab: Lab, small_blocks: None) -> None:
    gateways = [lab.gateway(1), lab.gateway(2)]
    nodes = [lab.abp(number) for number in range(1, 4)]
    lab.call("devices_put", items=[m.DeviceWrite(nodes[1].dev_eui, name="Подвал №7")])
    start_us = lab.wall_us
    for number in range(9):
        lab.uplink(nodes[number % 3].up(bytes((0xC0 + number, 0xFE))), gateways[number % 2])
        lab.advance(4 * SECOND_US)

    def found(**fields: object) -> list[int]:
        return [one.id for one in lab.call("frames", **fields).items]

    every = found()
    middle = lab.call("frames").items[4]
    searches: list[dict[str, object]] = [
        {"dev_eui": nodes[0].dev_eui},
        {"gateway_eui": gateways[1].eui},
        {"type": "up"},
        {"type": "down"},
        {"type": "rejected"},
        {"since_us": start_us + 10 * SECOND_US, "until_us": start_us + 20 * SECOND_US},
        {"q": "подвал"},
        {"q": "ПОДВАЛ №7"},
        {"q": nodes[2].dev_eui[-6:]},
        {"q": middle.dev_addr},
        {"q": "c4fe"},
        {"q": middle.phy.hex()[20:40]},
        {"q": "nothing to say"},
        {"q": "sent"},
        {"q": "no such words"},
    ]
    fresh = [found(**search) for search in searches]
    assert [bool(one) for one in fresh] == [True, True, True, False, False, *[True] * 8, False, False]
    assert len(fresh[6]) == 3 and fresh[6] == fresh[7] and len(fresh[8]) == 3 and len(fresh[10]) == 1
    pack(lab)
    assert lab.frame_log.usage().frames == len(every) - 1
    assert [found(**search) for search in searches] == fresh


def test_the_way_of_an_uplink_and_why_nothing_answers_it(lab: Lab) -> None:
    gateways = [lab.gateway(1), lab.gateway(2)]
    node = lab.abp()
    phy = node.up(b"\x01")
    gateways[0].hear(phy)
    lab.advance(50_000)
    gateways[1].hear(phy)
    lab.advance(SECOND_US)
    (frame,) = lab.call("frames").items
    assert frame.silence == "nothing to say" and frame.downlink_id == 0
    steps = dict(frame.timeline)
    assert steps[f"heard by {gateways[0].eui}"] == 0 and steps[f"heard by {gateways[1].eui}"] == 50_000
    assert steps["accepted"] == 0 and steps["handed over"] == 200_000
    lab.uplink(node.up(b"\x02", confirmed=True), gateways[0])
    down, up = lab.call("frames", limit=2).items
    assert (down.type, up.downlink_id, down.reply_to, up.silence) == ("down", down.id, up.id, "")
    lab.uplink(node.up(b"\x03", confirmed=True), gateways[0], tmst=None)
    assert "no window" in lab.call("frames", limit=1).items[0].silence


def test_refused_frames_are_in_the_log_with_their_reason_and_within_a_budget(lab: Lab) -> None:
    gateway, node = lab.gateway(), lab.abp()
    first = node.up(b"\x01")
    lab.uplink(first)
    for number in range(3):
        lab.uplink(node.up(bytes((number,))))
    lab.uplink(first)
    broken = bytearray(node.up(b"\x05"))
    broken[-1] ^= 1
    lab.uplink(bytes(broken))
    mic, replay = lab.call("frames", type="rejected").items
    assert "MIC" in mic.outcome and "replay" in replay.outcome
    assert (mic.dev_eui, replay.dev_eui, replay.f_cnt) == (node.dev_eui, node.dev_eui, 0)
    for one in (mic, replay):
        (heard,) = one.receptions
        assert (heard.gateway_eui, heard.rssi_dbm, heard.snr_db) == (gateway.eui, -90, 5.0)
        assert one.timeline == ((f"heard by {gateway.eui}", 0),)
    for number in range(1000):
        broken[-2] = number & 0xFF
        broken[-3] = number >> 8
        gateway.hear(bytes(broken))
    assert len(lab.call("frames", type="rejected", limit=1000).items) < 600
    assert lab.counters["refused_not_logged"] > 400


def test_a_join_request_of_an_unknown_device_is_in_the_log(lab: Lab) -> None:
    lab.gateway()
    request = bytes.fromhex("00") + bytes(8) + bytes.fromhex("0102030405060708") + bytes(6)
    lab.uplink(request)
    (frame,) = lab.call("frames", type="join").items
    assert frame.type == "join_request" and frame.outcome == "refused: no device has the DevEUI 0807060504030201"


def test_dying_between_the_log_and_the_journal_makes_no_frame_twice(lab: Lab) -> None:
    lab.gateway()
    node = lab.abp()
    for number in range(5):
        lab.uplink(node.up(bytes((number,))))
    before, events = lab.call("frames").items, events_of_api(lab)
    reader = lab.journal.reader()
    assert pack_settled(reader, lab.frame_log, lab.state.handed_over_id, lab.wall_us + 2 * DAY_US)
    reader.close()
    assert lab.rows("SELECT count(*) FROM frame") == [(5,)]
    lab.kill()
    assert lab.rows("SELECT count(*) FROM frame") == [(1,)]
    assert lab.call("frames").items == before and events_of_api(lab) == events


def test_frames_that_wait_for_their_end_stay_in_the_journal(lab: Lab) -> None:
    lab.gateway()
    node = lab.abp()
    for number in range(3):
        lab.uplink(node.up(bytes((number,))))
    pack(lab, later_us=10 * SECOND_US)
    assert lab.frame_log.usage().frames == 0, "their answers may still be on their way"
    pack(lab, later_us=3600 * SECOND_US)
    assert lab.frame_log.usage().frames == 0, "a block is not full, and a day not over"


@pytest.mark.parametrize("step_us", [-3600 * SECOND_US, -3650 * DAY_US])
def test_a_clock_that_was_set_back_does_not_stop_the_packing(lab: Lab, small_blocks: None, step_us: int) -> None:
    """Else the journal would grow until the old time comes again."""
    lab.gateway()
    node = lab.abp()
    for number in range(10):
        lab.uplink(node.up(bytes((number,))))
        lab.advance(60 * SECOND_US)
    lab.wall_us += step_us
    for number in range(11):
        lab.uplink(node.up(bytes((number,))))
        lab.advance(60 * SECOND_US)
    before = lab.call("frames").items
    pack(lab, later_us=0)
    assert lab.frame_log.usage().frames == 14
    assert lab.call("frames").items == before


def test_the_numbers_go_on_behind_a_log_that_is_newer_than_the_journal(lab: Lab) -> None:
    """A backup copies the journal first: what moved meanwhile is in the log only as far as the journal knows nothing of it."""
    lab.gateway()
    node = lab.abp()
    for number in range(4):
        lab.uplink(node.up(bytes((number,))))
    pack(lab)
    last = lab.frame_log.last_frame_id, lab.frame_log.last_event_id
    lab.state.batch.operations += [
        ("set_mark", (name, 0)) for name in ("last_frame_id", "last_event_id", "handed_over_id")
    ]
    lab.pump()
    db = sqlite3.connect(lab.path)
    db.execute("DELETE FROM frame")
    db.execute("DELETE FROM event")
    db.execute("UPDATE mark SET value = 0 WHERE name IN ('last_frame_id', 'last_event_id', 'handed_over_id')")
    db.commit()
    db.close()
    lab.kill()
    assert (lab.state.last_frame_id, lab.state.last_event_id) >= last
    lab.uplink(node.up(b"new"))
    ids = [one.id for one in lab.call("frames").items]
    assert len(ids) == len(set(ids)) == 4


def test_old_months_go_as_files_and_old_blocks_as_rows(tmp_path: Path) -> None:
    log = FrameLog(tmp_path)
    start_us = 1_793_000_000_000_000
    for number in range(8):
        log.add([_block(number * 10 + 1, start_us + number * 10 * DAY_US)])
    files = [path.name for path in log.months()]
    assert files == sorted({f"frames-{month_of(start_us + n * 10 * DAY_US)}.db" for n in range(8)})
    assert log.usage().frames == 80
    assert log.purge(start_us + 15 * DAY_US, consumed_event_id=5, max_bytes=None) == 0, "nobody has taken these events"
    assert log.purge(start_us + 15 * DAY_US, consumed_event_id=1000, max_bytes=None) == 2
    assert [block.first_frame for block in log.summaries(after=0)] == [21, 31, 41, 51, 61, 71]
    assert log.purge(start_us + 65 * DAY_US, consumed_event_id=1000, max_bytes=None) == 5
    assert [path.name for path in log.months()] == files[-1:]
    assert FrameLog(tmp_path).last_frame_id == 80


def test_blocks_of_a_clock_that_was_ahead_go_with_their_neighbours(tmp_path: Path) -> None:
    log = FrameLog(tmp_path)
    for number, day in enumerate((100, 101, 3700, 3701, 103, 104, 3800)):
        frame = (
            number + 1,
            "up",
            day * DAY_US,
            1,
            1,
            1,
            0,
            1,
            0,
            868900000,
            "SF9BW125",
            b"",
            b"",
            "",
            0,
            "",
            None,
            b"",
        )
        log.add([block_row([frame], [], 0)])
    assert log.purge(103 * DAY_US, 1 << 62, None) == 2, "who does not know what time it is stops there"
    assert log.purge(103 * DAY_US, 1 << 62, None, 110 * DAY_US) == 0
    assert log.purge(104 * DAY_US, 1 << 62, None, 110 * DAY_US) == 3
    assert log.purge(105 * DAY_US, 1 << 62, None, 110 * DAY_US) == 1
    assert log.usage().frames == 1, "nobody knows how old the newest is: at most as old as now"


def test_the_size_is_bounded(tmp_path: Path) -> None:
    log = FrameLog(tmp_path)
    log.add([_block(number * 10 + 1, 1_793_000_000_000_000 + number, payload=20_000) for number in range(50)])
    size = log.usage().bytes
    assert log.purge(0, consumed_event_id=10_000, max_bytes=size // 2) > 20
    assert log.usage().bytes < 0.6 * size
    assert max(block.last_frame for block in log.summaries()) == 500, "the newest stay"


def _block(first: int, time_us: int, payload: int = 10) -> tuple[object, ...]:
    noise = random.Random(first).randbytes
    frames = [
        (
            id,
            "up",
            time_us,
            id,
            id,
            id,
            1,
            2,
            0,
            868900000,
            "SF7BW125",
            noise(payload),
            b"",
            "70b3d50000000001",
            0,
            "",
            id,
            b"",
        )
        for id in range(first, first + 10)
    ]
    return block_row(frames, [(id, b"\x80") for id in range(first, first + 10)], first - 1)


@given(st.lists(st.sampled_from([1, 256, 0x01010101, 0x0100, 7, 0xFFFFFFFF]), max_size=40))
def test_the_frames_of_a_device_are_found_by_place(devices: list[int]) -> None:
    packed = b"".join(one.to_bytes(4, "little") for one in devices)
    for device in (1, 256, 0x01010101, 2):
        assert places_of(device, packed) == [place for place, one in enumerate(devices) if one == device]


def test_a_block_gives_back_what_went_in() -> None:
    row = _block(1, 5)
    assert [one.id for one in frames_of(row[-2])] == list(range(1, 11))  # type: ignore[arg-type]
    assert [one.id for one in frames_of(row[-2], [3, 9])] == [4, 10]  # type: ignore[arg-type]
    assert [id for id, _ in events_of(row[-1])] == list(range(1, 11))  # type: ignore[arg-type]


def test_a_journal_of_version_1_loses_nothing(tmp_path: Path) -> None:
    """Frames of 0.1.0 stay findable, packed or not, and counters are what they were."""
    lab = Lab(tmp_path)
    lab.gateway()
    nodes = [lab.abp(number) for number in range(1, 4)]
    for number in range(9):
        lab.uplink(nodes[number % 3].up(bytes((number,)), confirmed=number == 4))
    lab.advance(5 * SECOND_US)
    frames, events = lab.call("frames").items, events_of_api(lab)
    sessions = lab.rows("SELECT id, f_cnt_up, replay_window, n_f_cnt_down FROM session ORDER BY id")
    lab.close()
    _write_as_version_1(tmp_path / "network.db")
    Journal(tmp_path / "network.db").close()
    lab.start()
    assert lab.rows("PRAGMA user_version") == [(SCHEMA_VERSION,)]
    assert lab.rows("SELECT id, f_cnt_up, replay_window, n_f_cnt_down FROM session ORDER BY id") == sessions
    assert [lab.session(node).f_cnt_up for node in nodes] == [row[1] for row in sessions]
    found = lab.call("frames").items
    assert [(one.id, one.phy, one.receptions, one.outcome) for one in found] == [
        (one.id, one.phy, one.receptions, one.outcome) for one in frames
    ]
    assert events_of_api(lab) == events
    pack(lab)
    assert lab.frame_log.usage().frames == len(frames) - 1 and lab.call("frames").items == found
    lab.gateways.clear()
    lab.gateway()
    lab.uplink(nodes[0].up(b"on"))
    assert lab.ups()[-1] == (3, b"on")
    lab.close()


def _write_as_version_1(path: Path) -> None:
    """The same content as 0.1.0 wrote it: the old schema, the columns that it had."""
    new = path.with_name("new.db")
    path.rename(new)
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    script = resources.files("lns.store.embedded").joinpath("schema_v1.sql").read_text("utf-8")
    db = sqlite3.connect(path)
    db.executescript(f"{script}; PRAGMA user_version = 1;")
    db.execute("ATTACH ? AS new", (str(new),))
    for (table,) in db.execute("SELECT name FROM main.sqlite_schema WHERE type = 'table'").fetchall():
        names = ", ".join(row[1] for row in db.execute(f"PRAGMA main.table_info({table})"))
        db.execute(f"INSERT INTO main.{table} ({names}) SELECT {names} FROM new.{table}")
    # Channels were frequencies only then, and nothing was kept of ADR.
    db.execute("UPDATE session SET radio = '1 0 0 869100000 ', adr_reason = ''")
    db.commit()
    db.close()


def test_an_empty_log_is_empty(tmp_path: Path) -> None:
    log = FrameLog(tmp_path)
    assert (log.last_frame_id, log.usage().frames, log.events(0, 10), list(log.summaries())) == (0, 0, [], [])
