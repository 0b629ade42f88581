"""The journal: all of a batch or nothing, a full disk, another writer, files of other versions."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import pytest

from lns.store.batch import Batch
from lns.store.embedded.journal import Journal, SealedBatch, StoreError
from lorawan.errors import StateError
from tests.support.lab import SECOND_US, Lab


def frame_row(id: int, phy: bytes = b"\x01") -> tuple[object, ...]:
    return (id, "up", 0, 1, 1, 0, 0, 1, False, 868_900_000, "SF7BW125", phy, b"", "", 0, "")


def batch_of(*rows: tuple[object, ...]) -> SealedBatch:
    batch = Batch()
    batch.frames.extend(rows)
    return SealedBatch(batch)


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "network.db")


def count(journal: Journal) -> int:
    db = journal.reader()
    try:
        return int(db.execute("SELECT count(*) FROM frame").fetchone()[0])
    finally:
        db.close()


def test_inv_37_settings_that_make_it_durable(journal: Journal) -> None:
    """INV-37."""
    assert journal._db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert journal._db.execute("PRAGMA synchronous").fetchone() == (2,)


def test_batch_is_all_or_nothing(journal: Journal) -> None:
    with pytest.raises(StoreError) as caught:
        journal.commit(batch_of(frame_row(1), frame_row(2), frame_row(1)))
    assert caught.value.fatal
    assert count(journal) == 0
    journal.commit(batch_of(frame_row(1), frame_row(2)))
    assert count(journal) == 2


def test_inv_40_full_disk_is_a_passing_thing(journal: Journal) -> None:
    """A real SQLITE_FULL: the same batch goes in once there is room again."""
    journal.commit(batch_of(frame_row(1)))
    journal._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    (pages,) = journal._db.execute("PRAGMA page_count").fetchone()
    journal._db.execute(f"PRAGMA max_page_count = {pages}")
    sealed = batch_of(*(frame_row(id, bytes(200)) for id in range(2, 2000)))
    for _ in range(3):
        with pytest.raises(StoreError, match=r"disk full.*free some space") as caught:
            journal.commit(sealed)
        assert not caught.value.fatal
        assert count(journal) == 1
    journal._db.execute("PRAGMA max_page_count = 100000")
    journal.commit(sealed)
    assert count(journal) == 1999


def test_locked_file_is_a_passing_thing(journal: Journal) -> None:
    journal._db.execute("PRAGMA busy_timeout = 10")
    other = sqlite3.connect(journal.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError) as caught:
        journal.commit(batch_of(frame_row(1)))
    assert not caught.value.fatal
    other.execute("ROLLBACK")
    journal.commit(batch_of(frame_row(1)))


def test_reader_sees_whole_batches_and_cannot_write(journal: Journal) -> None:
    reader = journal.reader()
    journal.commit(batch_of(frame_row(1)))
    assert reader.execute("SELECT id FROM frame").fetchall() == [(1,)]
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        reader.execute("DELETE FROM frame")


def test_file_with_a_space_and_a_percent_sign_in_its_path(tmp_path: Path) -> None:
    folder = tmp_path / "data 100%?#"
    folder.mkdir()
    journal = Journal(folder / "network.db")
    journal.commit(batch_of(frame_row(1)))
    assert count(journal) == 1


def test_newer_file_is_refused_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "network.db"
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(StoreError, match=r"schema 99.*install that version, or restore"):
        Journal(path)


def test_file_that_is_no_database(tmp_path: Path) -> None:
    path = tmp_path / "network.db"
    path.write_bytes(b"this is a text" * 100)
    with pytest.raises(StoreError, match=r"network\.db") as caught:
        Journal(path)
    assert caught.value.fatal


def test_another_server_on_the_same_file_is_noticed(lab: Lab, tmp_path: Path) -> None:
    """Whoever writes second finds counters ahead of its own, and stops before a counter is used twice."""
    gateway, node = lab.gateway(), lab.abp()
    other = Lab(tmp_path)
    other.gateways[gateway.eui] = gateway
    lab.uplink(node.up(b"\x01", confirmed=True))
    gateway.lab = other
    with pytest.raises((StateError, StoreError)) as caught:
        other.uplink(node.up(b"\x02", confirmed=True))
    assert "another server has written" in str(caught.value) or "UNIQUE" in str(caught.value)
    assert len(lab.air) == 1 and other.air == []


def test_inv_05_counter_guard_of_sessions(lab: Lab) -> None:
    """Only the session row differs: the compare-and-set itself."""
    lab.gateway()
    node = lab.abp()
    lab.uplink(node.up())
    session = lab.session(node)
    db = sqlite3.connect(lab.journal.path, isolation_level=None)
    for column in ("f_cnt_up", "n_f_cnt_down", "a_f_cnt_down"):
        db.execute(f"UPDATE session SET {column} = {column} + 5")
        lab.state.dirty(session)
        sealed = SealedBatch(lab.state.take_batch())
        with pytest.raises(StateError, match="another server has written"):
            lab.journal.commit(sealed)
        db.execute(f"UPDATE session SET {column} = {column} - 5")
    lab.state.dirty(session)
    lab.pump()
    db.close()


def test_marks_move_with_their_batch(lab: Lab) -> None:
    lab.gateway()
    node = lab.abp()
    for _ in range(3):
        lab.uplink(node.up())
    marks = dict(lab.rows("SELECT name, value FROM mark"))
    assert marks == {"last_frame_id": 3, "last_event_id": 3, "last_session_id": 1, "handed_over_id": 3}


def test_integrity_after_a_life_of_kills(lab: Lab) -> None:
    gateway = lab.gateway()
    nodes = [lab.abp(number) for number in range(1, 5)]
    for turn in range(10):
        for node in nodes:
            gateway.hear(node.up(bytes(50), confirmed=turn % 2 == 0))
        lab.advance(turn * SECOND_US)
        lab.kill()
    assert lab.rows("PRAGMA integrity_check") == [("ok",)]
    lab.journal.close()
    assert sqlite3.connect(lab.journal.path).execute("PRAGMA foreign_key_check").fetchall() == []
    lab.start()


def test_inv_18_a_months_file_in_whose_making_the_process_died(lab: Lab) -> None:
    """Killed between the file and its tables: the next start goes on, and the next block makes them."""
    for month, content in (("2026-01", b""), ("2026-02", None)):
        path = lab.settings.data_dir / f"frames-{month}.db"
        if content is None:
            with contextlib.closing(sqlite3.connect(path)) as db:
                db.execute("PRAGMA journal_mode = WAL")
                db.execute("PRAGMA application_id = 1")
        else:
            path.write_bytes(content)
    lab.kill()
    lab.gateway()
    node = lab.abp()
    lab.uplink(node.up(b"\x01"))
    assert lab.ups() == [(0, b"\x01")]
    assert lab.journal.log.months() == []
