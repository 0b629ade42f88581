"""The writer's thread: tells a batch as soon as it is durable, and brings the log into the file while nothing waits."""

from __future__ import annotations

import queue
import sqlite3
import threading
from pathlib import Path

import pytest

from lns.store.batch import Batch
from lns.store.embedded.journal import Journal, StoreError
from lns.writer import CHECKPOINT_EVERY, Writer

WAIT_S = 30


class Told:
    """What the writer has said, in order."""

    def __init__(self) -> None:
        self.what: queue.SimpleQueue[object] = queue.SimpleQueue()

    def __call__(self, what: object) -> None:
        self.what.put(what)

    def next(self) -> object:
        return self.what.get(timeout=WAIT_S)


def batch_of(id: int) -> Batch:
    batch = Batch()
    batch.frames.append((id, "up", 0, 1, 1, 0, 0, 1, False, 868_900_000, "SF7BW125", b"\x01", b"", b"", 0, ""))
    return batch


def alone(path: Path) -> int:
    """Frames in the file itself: the log is left aside."""
    db = sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)
    try:
        return int(db.execute("SELECT count(*) FROM frame").fetchone()[0])
    finally:
        db.close()


def test_log_is_brought_into_the_file_while_nothing_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done, orders = threading.Event(), []
    journal, told = Journal(tmp_path / "network.db"), Told()
    checkpoint = journal.checkpoint

    def watched() -> None:
        orders.append(told.what.qsize())
        checkpoint()
        done.set()

    monkeypatch.setattr(journal, "checkpoint", watched)
    writer = Writer(journal, told, told, told)
    for number in range(CHECKPOINT_EVERY):
        writer.submit(batch_of(number + 1))
    assert done.wait(WAIT_S)
    assert alone(journal.path) == CHECKPOINT_EVERY
    assert orders == [CHECKPOINT_EVERY], "every batch was told before the file was tidied"
    writer.stop()
    journal.close()


@pytest.mark.parametrize("fatal", [False, True])
def test_a_checkpoint_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fatal: bool) -> None:
    """Nothing waits for one: a full disk is told at the next batch. A failed sync ends the process."""
    journal, durable, said = Journal(tmp_path / "network.db"), Told(), Told()
    failed = StoreError("no room" if not fatal else "sync failed", fatal=fatal)

    def fails() -> None:
        raise failed

    monkeypatch.setattr(journal, "checkpoint", fails)
    writer = Writer(journal, durable, said, said)
    for number in range(CHECKPOINT_EVERY):
        writer.submit(batch_of(number + 1))
    for _ in range(CHECKPOINT_EVERY):
        durable.next()
    if fatal:
        assert said.next() is failed
    else:
        writer.submit(batch_of(CHECKPOINT_EVERY + 1))
        durable.next()
        assert said.what.empty()
    writer.stop()
    journal.close()
