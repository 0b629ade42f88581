"""MET-04: a change of the file itself shows, with the day and the row."""

from __future__ import annotations

import asyncio
import hashlib
import json
import sqlite3
import time
from decimal import Decimal
from pathlib import Path

import pytest

from appserver.db import Database, open_database
from appserver.metering.corrections import correct
from appserver.metering.readings import NewReading, store
from appserver.metering.seals import DAY_US, keep_sealing, seal, verify_file
from appserver.metering.timebase import date_of
from tests.support.house import FIRST_DAY, make_house
from tests.support.satka import microseconds

START_US = microseconds(FIRST_DAY) // DAY_US * DAY_US
DAY = START_US // DAY_US


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Three sealed days with two readings each and a correction on the second, and one reading that waits."""
    db = open_database(tmp_path / "application.db")
    make_house(db)
    seal(db, START_US + 40 * DAY_US)
    for day in range(50, 54):
        record(db, day, [(1, 200 + day), (2, 300 + day)] if day < 53 else [(1, 400)])
        if day == 51:
            correct(db, 1, START_US, Decimal(1), author="ivanov", reason="misread", now_us=START_US + 51 * DAY_US + 9)
        assert len(seal(db, START_US + day * DAY_US + 5)) == (day > 50)
    db.close()
    return tmp_path / "application.db"


def record(db: Database, day: int, values: list[tuple[int, int]]) -> None:
    at_us = START_US + day * DAY_US
    readings = [NewReading(m, "volume", at_us - 1, v * 1_000_000, "archive", "lorawan", at_us) for m, v in values]
    with db.transaction() as connection:
        store(connection, readings, at_us)


def broken(path: Path, sql: str) -> list[str]:
    """Change the file past the triggers, as somebody with the file in hand would; what the check says."""
    with sqlite3.connect(path) as connection:
        for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        assert connection.execute(sql).rowcount == 1
    connection.close()
    verdict = verify_file(path)
    assert verdict is not None
    return [str(fault) for fault in verdict.faults]


def day_of(number: int) -> str:
    return date_of(DAY + number).isoformat()


def test_met_04_what_nobody_touched_is_whole(path: Path) -> None:
    verdict = verify_file(path)
    assert verdict is not None
    assert (verdict.seals, verdict.faults, verdict.waiting) == (4, (), 1)
    assert verdict.rows == 18 + 6 + 1


def test_met_04_the_chain_can_be_checked_by_others(path: Path) -> None:
    """The digests and the roots out of the documented rule alone."""
    connection = sqlite3.connect(path)
    root = ""
    for day, digests, stated in connection.execute("SELECT day, digests, root FROM day_seal ORDER BY sequence"):
        root = hashlib.sha256(root.encode() + day.to_bytes(8, "big") + digests).hexdigest()
        assert root == stated
    rows = connection.execute(
        "SELECT meter_id, register, measured_at_us, value_micro, quality, source, received_at_us, recorded_at_us,"
        " device_time_us, uplink_id, codec, author, conflict, clock_error_us FROM reading WHERE recorded_at_us = ?",
        (START_US + 52 * DAY_US,),
    )
    own = b"".join(
        hashlib.sha256(json.dumps(row, separators=(",", ":"), ensure_ascii=False).encode()).digest()[:16]
        for row in rows
    )
    assert own == digests
    connection.close()


@pytest.mark.parametrize(
    ("sql", "day", "what"),
    [
        ("UPDATE reading SET value_micro = value_micro + 1 WHERE value_micro = 251000000", 51, "meter 1, volume"),
        ("UPDATE reading SET quality = 'measured' WHERE value_micro = 352000000", 52, "meter 2, volume"),
        ("UPDATE correction SET value_micro = 2", 51, "correction 1 of meter 1"),
        ("DELETE FROM reading WHERE value_micro = 350000000", 50, "1 of its rows are gone"),
        ("DELETE FROM correction", 51, "1 of its rows are gone"),
        ("UPDATE day_seal SET digests = zeroblob(length(digests)) WHERE sequence = 3", 51, "seal 3 itself was changed"),
        ("DELETE FROM day_seal WHERE sequence = 2", 51, "seal 2 is gone"),
    ],
)
def test_met_04_a_change_names_its_day_and_row(path: Path, sql: str, day: int, what: str) -> None:
    faults = broken(path, sql)
    assert any(fault.startswith(day_of(day)) and what in fault for fault in faults), faults


def test_met_04_a_row_put_in_afterwards_shows(path: Path) -> None:
    copy = "INSERT INTO reading SELECT meter_id, register, measured_at_us, 7, quality, source, received_at_us,"
    rest = (
        " device_time_us, uplink_id, codec, author, conflict, clock_error_us FROM reading WHERE value_micro = 251000000"
    )
    [fault] = broken(path, f"{copy} recorded_at_us, {rest}")
    assert fault.startswith(day_of(51)) and "7 millionths" in fault
    faults = broken(path, f"{copy} recorded_at_us - {20 * DAY_US}, {rest}".replace(" 7,", " 8,"))
    assert any(fault.startswith(day_of(31)) and "no seal" in fault for fault in faults)


def test_met_04_one_flipped_byte_of_the_file(path: Path) -> None:
    """Wherever the codec's letter lies in the file."""
    db = open_database(path)
    at_us = START_US + 60 * DAY_US
    with db.transaction() as connection:
        store(connection, [NewReading(1, "volume", at_us, 1, "archive", "lorawan", at_us, codec="karat@1")], at_us)
    seal(db, at_us + DAY_US)
    db.rows("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
    content = bytearray(path.read_bytes())
    assert content.count(b"karat@1") == 1
    content[content.index(b"karat@1") + 6] ^= 0x02
    path.write_bytes(content)
    verdict = verify_file(path)
    assert verdict is not None
    assert [str(fault).partition(", 20")[0] for fault in verdict.faults] == [
        f"{day_of(60)}: the reading of meter 1, volume"
    ]


def test_met_04_rows_of_a_clock_set_back_get_a_seal_of_their_own(path: Path) -> None:
    db = open_database(path)
    record(db, 50, [(3, 77)])
    seal(db, START_US + 54 * DAY_US)
    assert db.rows("SELECT count(*) FROM day_seal WHERE day = ?", (DAY + 50,)) == [(2,)]
    db.close()
    verdict = verify_file(path)
    assert verdict is not None and verdict.faults == () and verdict.waiting == 0


async def test_met_04_days_are_sealed_in_the_background(tmp_path: Path) -> None:
    db = open_database(tmp_path / "application.db")
    make_house(db)
    stop = asyncio.Event()
    task = asyncio.create_task(keep_sealing(db, stop, lambda: START_US + 90 * DAY_US))
    async with asyncio.timeout(10):
        while not db.rows("SELECT 1 FROM day_seal"):
            await asyncio.sleep(0.01)
        stop.set()
        await task
    assert db.rows("SELECT count(*) FROM unsealed") == [(0,)]
    db.close()


def test_met_04_a_hundred_thousand_rows_in_a_tenth_of_the_time(tmp_path: Path) -> None:
    """A million rows in sixty seconds of processor time: a hundred thousand in six."""
    db = open_database(tmp_path / "application.db")
    make_house(db)
    with db.transaction() as connection:
        connection.execute(
            "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 99999) INSERT INTO reading"
            " (meter_id, register, measured_at_us, value_micro, quality, source, received_at_us, recorded_at_us, codec,"
            " author, conflict) SELECT 1, 'volume', i * 1000000, i, 'archive', 'lorawan', i, i / 10000 * ?, 'karat@1',"
            " '', 0 FROM n",
            (DAY_US,),
        )
    seal(db, START_US)
    db.close()
    started = time.process_time()
    verdict = verify_file(tmp_path / "application.db")
    assert verdict is not None and verdict.faults == () and verdict.rows == 100_000
    assert time.process_time() - started < 6


def test_met_04_a_file_without_seals_is_told_apart(tmp_path: Path) -> None:
    sqlite3.connect(tmp_path / "old.db").execute("CREATE TABLE reading (tag)").connection.commit()
    assert verify_file(tmp_path / "old.db") is None
