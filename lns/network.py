"""The running network server: the engine, its journal and its questions to the join server, without sockets.

Everything here runs in one asyncio loop; the journal's thread and the join server only hand results back to it.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import structlog

from internalapi.messages import FrameLogStatus
from lns.clock import Now, system_now
from lns.engine import Engine
from lns.gateways.gateway import Address
from lns.keys import KeyRing
from lns.ports import JoinServerPort, KeyStorePort
from lns.settings import NetworkSettings
from lns.store.batch import Batch
from lns.store.embedded.framelog import FrameLog
from lns.store.embedded.journal import Journal
from lns.store.embedded.load import load
from lns.store.embedded.packer import pack_settled
from lns.uplink.join import JoinAsked
from lns.writer import Writer
from lorawan.backend import JoinAns, ResultCode

COMMIT_EVERY_S = 0.008
"""Under load commits begin no more often than this, so that one carries many frames; an idle server commits at once."""
ANSWER_EVERY_S = 0.004
"""The same where a downlink waits for the commit: its window does not."""
WAKE_EVERY_S = 0.002
"""Under load the engine's timer fires no more often than this: windows that end together are closed together."""
DAY_US = 86_400_000_000
PACK_EVERY_S = 5.0
CALM_FRAMES = 5_000
"""As many frames between two looks are load: settled frames then wait in the journal."""
MAX_BACKLOG = 2_000_000
"""Frames that may wait there."""

DURABLE_WITHIN_S = 5.0

log = structlog.get_logger("network")
T = TypeVar("T")


class NotDurable(Exception):
    """A change waits for a store that is stuck."""


class Network:
    """Owns the engine. Call :meth:`start` first and :meth:`stop` last, from the loop's thread."""

    def __init__(
        self,
        settings: NetworkSettings,
        kek: bytes,
        join_server: JoinServerPort,
        key_store: KeyStorePort,
        restored: int = 0,
    ) -> None:
        self.settings = settings
        self.join_server = join_server
        self.key_store = key_store
        self._restored = restored
        self.send: Callable[[bytes, Address], None] = lambda datagram, address: None
        """Puts a datagram on the wire; the UDP server sets it."""
        self.engine = Engine(settings, KeyRing(kek), lambda datagram, address: self.send(datagram, address))
        self.state = self.engine.state
        self.storage = "ok"
        """``ok``, or why frames are not acknowledged at the moment."""
        self.started_us = 0
        self.failed: asyncio.Future[None]
        """Set when the server must not go on; the process then ends and is started anew."""
        self._journal: Journal
        self._writer: Writer
        self._loop: asyncio.AbstractEventLoop
        self._readers = ThreadPoolExecutor(1, "reader")
        self._reader: sqlite3.Connection | None = None
        self._in_flight = False
        self._last_submit_s = 0.0
        self._last_timer_s = 0.0
        self._pump_handle: asyncio.TimerHandle | None = None
        self._timer_handle: asyncio.TimerHandle | None = None
        self._timer_us: int | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.events_arrived = asyncio.Event()
        self.frames_arrived = asyncio.Event()
        self.queue_lock = asyncio.Lock()
        """One queue item is added at a time: an Idempotency-Key is looked up and used in one step."""
        self._frames_before = 0
        self.frame_log_status: tuple[int, FrameLogStatus] | None = None
        """The last measurement of the frame log and when it was made, monotonic."""
        self.consumed_event_id = 0
        """The application has taken events up to this one."""

    @property
    def path(self) -> Path:
        return Path(self.settings.data_dir) / "network.db"

    async def start(self) -> None:
        """Open the journal, load it, and hand over what the last stop left."""
        self._loop = asyncio.get_running_loop()
        self.failed = self._loop.create_future()
        self._journal = Journal(self.path)
        now = system_now()
        self.started_us = now.wall_us
        reader = self._journal.reader()
        waiting = load(self.state, reader, now, self._restored, self._journal.log)
        reader.close()
        for gathered in waiting:
            self.guarded(self.engine.recover, gathered, now)
        self.state.batch.operations.append(("prune_sessions", (self.state.handed_over_id,)))
        self._writer = Writer(
            self._journal,
            lambda batch: self._from_writer(self._committed, batch),
            lambda text: self._from_writer(self._stuck, text),
            lambda error: self._from_writer(self._fail, error),
        )
        with contextlib.suppress(NotDurable):  # a full disk at the start: told already, and mended by room
            await self.durable()
        if waiting:
            log.info("frames accepted before the last stop are handed over", frames=len(waiting))

    async def stop(self) -> None:
        """Commit what is there (unless the store is stuck) and close."""
        for task in self._tasks:
            task.cancel()
        if self._timer_handle is not None:
            self._timer_handle.cancel()
        self.guarded(self.engine.keeper.record, system_now())
        if not self.failed.done():
            try:
                await self.durable()
            except NotDurable:
                log.warning("stopped with frames that could not be written; they were not acknowledged")
        if self._pump_handle is not None:
            self._pump_handle.cancel()
        await self._loop.run_in_executor(None, self._writer.stop)
        await self._loop.run_in_executor(self._readers, self._close_reader)
        self._readers.shutdown()
        if self.state.devices.source is not None:
            self.state.devices.source.close()
        self._journal.close()

    # ------------------------------------------------------------------------------------------------- the pump

    def pump(self) -> None:
        """After any input: ask the join server, commit, set the timer."""
        asked = self.engine.take_joins()
        if asked:
            self.spawn(self._ask(asked))
        if not self._in_flight:
            self._plan_commit()
        timer_us = self.engine.timer()
        if timer_us != self._timer_us:
            self._timer_us = timer_us
            if self._timer_handle is not None:
                self._timer_handle.cancel()
            self._timer_handle = None
            if timer_us is not None:
                when_s = max(timer_us / 1e6, self._last_timer_s + WAKE_EVERY_S)
                self._timer_handle = self._loop.call_at(when_s, self._on_timer)

    def _plan_commit(self) -> None:
        """Commit now, or when the time of the last commit is over."""
        batch, handle = self.state.batch, self._pump_handle
        when_s = self._last_submit_s + (ANSWER_EVERY_S if batch.after else COMMIT_EVERY_S)
        if handle is not None:
            if handle.when() <= when_s:
                return
            handle.cancel()
            self._pump_handle = None
        if when_s <= self._loop.time():
            self._submit()
        elif not batch.is_empty:
            self._pump_handle = self._loop.call_at(when_s, self._submit)

    def _submit(self) -> None:
        self._pump_handle = None
        if self._in_flight:
            return
        batch = self.engine.take_batch()
        if batch is None:
            return
        self._last_submit_s = self._loop.time()
        if batch.writes_nothing:
            self._carry_out(batch)
        else:
            self._in_flight = True
            self._writer.submit(batch)

    def _from_writer(self, function: Callable[[T], None], argument: T) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has been closed: nobody is left to be told
            self._loop.call_soon_threadsafe(function, argument)

    def _committed(self, batch: Batch) -> None:
        self._in_flight = False
        if self.storage != "ok":
            log.warning("the store takes frames again", before=self.storage)
            self.storage = "ok"
        self._carry_out(batch)

    def _carry_out(self, batch: Batch) -> None:
        now = system_now()
        batch.durable_us = now.mono_us
        send = self.send
        for datagram, address in batch.acks:
            send(datagram, address)
        if batch.after:
            for effect in batch.after:
                self.guarded(effect, now)
        if batch.events:
            self.events_arrived.set()
            self.events_arrived = asyncio.Event()
        if batch.frames:
            self.frames_arrived.set()
            self.frames_arrived = asyncio.Event()
        self.pump()

    def _stuck(self, text: str) -> None:
        if self.storage == "ok":
            log.error("frames are not acknowledged until the store works again", why=text)
        self.storage = text

    def _fail(self, error: Exception) -> None:
        log.critical("the store is not to be trusted; this process ends", why=str(error))
        if not self.failed.done():
            self.failed.set_exception(error)

    def _on_timer(self) -> None:
        self._timer_us = self._timer_handle = None
        self._last_timer_s = self._loop.time()
        self.guarded(self.engine.handle_timer, system_now())
        self.pump()

    def guarded(self, function: Callable[..., None], *arguments: Any) -> None:
        """Call into the engine; an error of ours in one frame must not stop the frames behind it."""
        try:
            function(*arguments)
        except Exception:
            self.engine.counters["internal_errors"] += 1
            log.exception("internal error; the frame at hand may be lost")

    # ------------------------------------------------------------------------------------------------ questions

    async def _ask(self, asked: list[JoinAsked]) -> None:
        try:
            answers = list(await self.join_server.join([one.request for one in asked]))
        except Exception as error:
            log.exception("the join server failed")
            answers = [JoinAns(ResultCode.OTHER, f"the join server failed: {error}") for _ in asked]
        now = system_now()
        for question, answer in zip(asked, answers, strict=True):
            self.guarded(self.engine.join_answered, question, answer, now)
        self.pump()

    async def durable(self, within_s: float = DURABLE_WITHIN_S) -> None:
        """Wait until everything that the engine has taken so far is on the disk.

        Raises NotDurable when the store is stuck; what was taken waits then, and is written when it works again.
        """
        waiter = self._loop.create_future()

        def done(now: Now) -> None:
            if not waiter.done():
                waiter.set_result(None)

        self.state.batch.after.append(done)
        self.pump()
        while not waiter.done():
            await asyncio.wait({waiter}, timeout=within_s)
            if not waiter.done() and (self.storage != "ok" or self.failed.done()):
                raise NotDurable(f"not on the disk yet: {self.storage}; it is written as soon as that is mended")

    @property
    def frame_log(self) -> FrameLog:
        return self._journal.log

    async def read(self, query: Callable[[sqlite3.Connection], T]) -> T:
        """Run a query on the journal in the reader's thread."""

        def run() -> T:
            if self._reader is None:
                self._reader = self._journal.reader()
            return query(self._reader)

        return await self._loop.run_in_executor(self._readers, run)

    def _close_reader(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def spawn(self, work: Awaitable[None]) -> None:
        """Run ``work`` beside everything else; it is cancelled at the stop."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def pack(self, now: Now) -> None:
        """Move settled frames into the frame log, while that holds nobody up."""
        frames, self._frames_before = (
            self.engine.counters["frames"] - self._frames_before,
            self.engine.counters["frames"],
        )
        backlog = self.state.last_frame_id - self.frame_log.last_frame_id
        if frames > CALM_FRAMES and backlog < MAX_BACKLOG:
            return
        while self.storage == "ok" and await self.read(
            lambda db: pack_settled(db, self.frame_log, self.state.handed_over_id, now.wall_us)
        ):
            self.state.batch.operations.append(("frames_packed", (self.frame_log.last_frame_id,)))
            self.state.batch.operations.append(("events_packed", (self.frame_log.last_event_id,)))
            await self.durable()

    async def prune(self, now: Now) -> int:
        """Drop what is older than the frame log's term or beyond its size. Events that nobody has taken stay."""
        before_us = now.wall_us - self.settings.frame_log_days * DAY_US
        max_bytes = self.settings.frame_log_max_mb * 1_000_000 or None
        consumed = self.consumed_event_id
        return await self.read(lambda db: self.frame_log.purge(before_us, consumed, max_bytes, now.wall_us))
