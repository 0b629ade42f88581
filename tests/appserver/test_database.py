"""Calls of the database from the event loop."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from appserver.db import open_database


async def test_a_call_that_has_begun_ends_before_its_cancellation(tmp_path: Path) -> None:
    """Closing the database under a running thread would end the process."""
    db = open_database(tmp_path / "application.db")
    begun, go, done = threading.Event(), threading.Event(), []

    def slow() -> None:
        begun.set()
        go.wait(10)
        done.append(db.rows("SELECT 1"))

    task = asyncio.create_task(db.run(slow))
    await asyncio.to_thread(begun.wait, 10)
    task.cancel()
    await asyncio.sleep(0.05)
    assert not task.done()
    go.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert done == [[(1,)]]
    db.close()
