"""The writer: one thread that commits batches, so that a slow disk delays no frame.

A batch that cannot be written (the disk is full) is tried again and again: nothing of it is acknowledged meanwhile, and
nothing of it is lost when there is room again.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

from lns.store.batch import Batch
from lns.store.embedded.journal import Journal, SealedBatch, StoreError
from lorawan.errors import StateError

RETRY_S = 0.5
CHECKPOINT_EVERY = 32
"""Commits. Often and little (a few ms), told after the batch and only while no other waits: left to itself, SQLite does
all of it inside one COMMIT in a while, and the batch of that moment comes 30 ms later."""


class Writer:
    """Commits one batch at a time. The callbacks are called in the writer's thread."""

    def __init__(
        self,
        journal: Journal,
        on_durable: Callable[[Batch], None],
        on_stuck: Callable[[str], None],
        on_fatal: Callable[[Exception], None],
    ) -> None:
        self._journal = journal
        self._on_durable = on_durable
        self._on_stuck = on_stuck
        self._on_fatal = on_fatal
        self._inbox: queue.SimpleQueue[SealedBatch | None] = queue.SimpleQueue()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()

    def submit(self, batch: Batch) -> None:
        """Hand over a batch; its rows are read now, so the engine may go on changing its sessions."""
        self._inbox.put(SealedBatch(batch))

    def stop(self) -> None:
        """Finish the batch at hand, or give it up when it is stuck, and end the thread."""
        self._stopping.set()
        self._inbox.put(None)
        self._thread.join()

    def _run(self) -> None:
        commits = 0
        while (sealed := self._inbox.get()) is not None:
            if not self._commit(sealed):
                return
            self._on_durable(sealed.batch)
            commits += 1
            if commits >= CHECKPOINT_EVERY and self._inbox.empty():
                commits = 0
                if not self._checkpoint():
                    return

    def _checkpoint(self) -> bool:
        try:
            self._journal.checkpoint()
        except StoreError as error:
            # A full disk is told at the next batch that does not fit; nothing waits for a checkpoint.
            if error.fatal:
                self._on_fatal(error)
                return False
        return True

    def _commit(self, sealed: SealedBatch) -> bool:
        while True:
            try:
                self._journal.commit(sealed)
                return True
            except StoreError as error:
                if error.fatal:
                    self._on_fatal(error)
                    return False
                self._on_stuck(str(error))
            except StateError as error:
                self._on_fatal(error)
                return False
            if self._stopping.wait(RETRY_S):
                return False
