"""The real server in virtual time: engine, journal and join server on a faulty disk, dying where it is told to.

Like ``tests.support.lab.Lab``, which it is, but nothing is done at once: a commit takes time and further frames come in
meanwhile, the join server answers later, a start takes a while, and a dead process hears nothing.
"""

from __future__ import annotations

import contextlib
import random
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from internalapi import messages as m
from lns.store.batch import Batch
from lns.store.embedded.journal import SealedBatch, StoreError
from lns.store.embedded.packer import pack_settled
from lns.uplink.join import JoinAsked
from lorawan.backend import JoinAns
from tests.faults.disk import Disk
from tests.faults.history import History
from tests.support.lab import Lab

RETRY_US = 500_000
"""``lns.writer.RETRY_S``."""
TEND_EVERY_US = 30_000_000
"""``lns.runtime.STALE_EVERY_S``."""
STEPS = (
    "ask",
    "mid_join",
    "answered",
    "before_commit",
    "after_commit",
    "before_push_ack",
    "after_push_ack",
    "after_sendto",
    "sent",
)
"""Where a process can be told to die. Between them it dies at a write or sync of its disk (:attr:`Death.call`)."""

T = TypeVar("T")
_event = m.decoder(m.Event)


class Killed(BaseException):
    """The process is dead. Not an ``Exception``: nothing in the server may survive it."""


@dataclass
class Death:
    """How the server dies next: at the ``count``-th passage of a step, or at the ``count``-th call of its disk."""

    step: str = ""
    count: int = 0
    power: bool = False
    """The power goes: what was not synced may be lost."""

    @property
    def call(self) -> bool:
        return not self.step


@dataclass
class Backup:
    """What an operator copied: the databases, and how far the application was."""

    files: dict[bytes, bytes]
    cursor: int
    made_us: int


@dataclass
class Server(Lab):
    """Times are those of the world: microseconds of UTC, always right. The server's own clocks follow from them."""

    folder: Path
    disk: Disk
    history: History
    rng: random.Random
    deliver: Callable[[bytes, tuple[Any, ...], int], None]
    """Takes what the server sends: (datagram, address, time)."""
    now_us: int
    death: Death | None = None
    alive: bool = False
    start_at_us: int | None = None
    doubts: int = 0
    """So many commits succeed and say that they failed."""
    _flight: SealedBatch | None = None
    _commit_us: int | None = None
    _questions: list[tuple[int, Callable[[], None]]] = field(default_factory=list)
    _cursor: int = 0
    _reader: sqlite3.Connection | None = None
    _restored: int = 0
    _tend_us: int = 0
    offset_us: int = 0
    """How far the wall clock is off."""

    def __post_init__(self) -> None:
        self._begin_us = self.now_us
        super().__init__(self.folder)
        self.wall_us = self.now_us
        self.alive = True
        self.settle()

    # --------------------------------------------------------------------------------------------- life and death

    def at(self, now_us: int) -> None:
        """Let the clocks show this moment."""
        self.now_us = now_us
        self.mono_us = 50_000_000_000 + now_us - self._begin_us
        self.wall_us = now_us + self.offset_us

    def guarded(self, action: Callable[..., T], *arguments: Any) -> T | None:
        """Call into the server; its death ends the call and begins the wait for the next start."""
        if not self.alive:
            return None
        try:
            result = action(*arguments)
            self._notice()
            return result
        except Killed:
            self._die()
        except StoreError as error:
            if not error.fatal:
                raise
            self._fault(f"the process ends: {error}")
            self._die()
        except sqlite3.Error as error:
            if self.disk.wreck is None and action != self.start:
                raise
            self._fault(f"the start fails: {error}")
            self._die()
        return None

    def kill_now(self, power: bool) -> None:
        if self.alive:
            self._fault("power loss" if power else "kill -9")
            self.death = Death(power=power)
            self._die()

    def _die(self) -> None:
        power = self.death is not None and self.death.power
        files = self.disk.crash(self.rng if power else None)
        self.death = None
        self._close()
        self.disk.put_back(files)
        self.alive = False
        self.start_at_us = self.now_us + self.rng.randrange(100_000, 2_000_000)

    def _close(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None
        self.journal.close()
        self.join_server._store._db.close()

    def restart(self) -> None:
        """The supervisor starts it again."""
        self.start_at_us = None
        self._flight = self._commit_us = None
        self._questions.clear()
        self._tend_us = self.now_us + TEND_EVERY_US
        self.disk.make_room()
        self.alive = True
        restored, self._restored = self._restored, 0
        self._fault(f"start{' after a restore' if restored else ''}")
        self.guarded(self.start, restored)

    def _fault(self, text: str) -> None:
        self.history.write(self.now_us, "fault", {"what": text})

    def _step(self, name: str) -> None:
        self._notice()
        death = self.death
        if death is not None and death.step == name and self.alive:
            death.count -= 1
            if death.count < 0:
                self._fault(f"{'power loss' if death.power else 'kill -9'} at {name}")
                raise Killed(name)

    def _notice(self) -> None:
        """The disk stopped in the middle of a call: so did the process."""
        if self.alive and self.disk.wreck is not None:
            self._fault("power loss or kill -9 inside a write")
            raise Killed("disk")

    def arm(self, death: Death) -> None:
        """Arm a death."""
        self.death = death
        if death.call:
            self.disk.on_crash = lambda: self.rng if death.power else None
            self.disk.crash_after = death.count

    def disarm(self) -> None:
        self.death = None
        self.disk.crash_after = None
        self.doubts = 0

    # ------------------------------------------------------------------------------------------- backup and restore

    def back_up(self) -> Backup:
        return Backup(self.disk.copy(), self._cursor, self.now_us)

    def put_back(self, backup: Backup, number: int, replaced_epoch: int) -> None:
        """Stop, restore, start: what ``meterwan restore`` does to both files."""
        self._fault("restore from a backup")
        self._close()
        self.disk.put_back(backup.files)
        self.alive = False
        from joinserver.store import JoinStore
        from tests.support.lab import KEK

        store = JoinStore(self.folder / "join.db", KEK)
        store.mark_restored(who="test", why="restore", now_us=self.wall_us, replaced_epoch=replaced_epoch)
        store.close()
        self._cursor = backup.cursor
        self._restored = number
        self.history.write(self.now_us, "restored", {"backup_us": backup.made_us})
        # The application is as it was then, too: its readings since are gone, and it may be told them again.
        for line in self.history.lines:
            if line["type"] == "event" and line["t"] >= backup.made_us and line["id"] > backup.cursor:
                line["type"] = "event_before_restore"
        self.restart()

    # --------------------------------------------------------------------------------------------------- the pump

    def pump(self) -> None:
        asked = self.engine.take_joins()
        if asked:
            self._step("ask")
            self._later(self.rng.randrange(500, 30_000), lambda: self._ask(asked))
        while self._flight is None:
            batch = self.engine.take_batch()
            if batch is None:
                return
            if batch.writes_nothing:
                self._carry_out(batch)
            else:
                self._flight = SealedBatch(batch)
                self._commit_us = self.now_us + self.rng.randrange(300, 9_000)

    def timer(self) -> int | None:
        """When :meth:`tick` is due, in the world's time."""
        if not self.alive:
            return self.start_at_us
        engine = self.engine.timer()
        times = [None if engine is None else max(self.now_us, engine - self.mono_us + self.now_us), self._commit_us]
        times += [self._tend_us, *(at for at, _ in self._questions)]
        return min((at for at in times if at is not None), default=None)

    def tick(self) -> None:
        """Whatever is due."""
        if not self.alive:
            if self.start_at_us is not None and self.start_at_us <= self.now_us:
                self.restart()
            return
        self.guarded(self._tick)

    def _tick(self) -> None:
        if self._commit_us is not None and self._commit_us <= self.now_us:
            self._try_commit()
        due = [one for one in self._questions if one[0] <= self.now_us]
        for one in due:
            self._questions.remove(one)
            one[1]()
        timer = self.engine.timer()
        if timer is not None and timer <= self.mono_us:
            self.engine.handle_timer(self.now)
        if self._tend_us <= self.now_us:
            self._tend_us = self.now_us + TEND_EVERY_US
            for gateway in self.state.gateways:
                self.engine.gwmp.forget_stale(gateway, self.now)
            self.engine.keeper.tend(self.now)
            self._pack()
        self.pump()

    def _pack(self) -> None:
        """``Network.pack``: old frames move into a file of their own, and leave the journal with the next commit."""
        log = self.journal.log
        try:
            with contextlib.closing(self.journal.reader()) as db:
                packed = pack_settled(db, log, self.state.handed_over_id, self.wall_us)
        except sqlite3.Error:
            self._notice()
            return  # they stay in the journal for now
        self._notice()
        if packed:
            self._fault(f"frames up to {log.last_frame_id} are packed")
            self.state.batch.operations.append(("frames_packed", (log.last_frame_id,)))
            self.state.batch.operations.append(("events_packed", (log.last_event_id,)))

    def _later(self, us: int, action: Callable[[], None]) -> None:
        self._questions.append((self.now_us + us, action))

    def _ask(self, asked: Sequence[JoinAsked]) -> None:
        answers: list[JoinAns] = self.answer_joins([one.request for one in asked])
        self._step("mid_join")
        self._later(self.rng.randrange(300, 5_000), lambda: self._answered(asked, answers))

    def _answered(self, asked: Sequence[JoinAsked], answers: Sequence[JoinAns]) -> None:
        self._step("answered")
        for question, answer in zip(asked, answers, strict=True):
            self.engine.join_answered(question, answer, self.now)

    def _try_commit(self) -> None:
        sealed = self._flight
        assert sealed is not None
        self._step("before_commit")
        try:
            self.journal.commit(sealed)
            if self.doubts:
                self.doubts -= 1
                self._fault("a commit succeeded and says that it failed")
                raise StoreError("nobody knows", fatal=False)
        except StoreError as error:
            self._notice()
            if error.fatal:
                raise
            self._commit_us = self.now_us + RETRY_US
            return
        self._notice()
        self._flight = self._commit_us = None
        self._step("after_commit")
        self._carry_out(sealed.batch)
        self.poll()

    def _carry_out(self, batch: Batch) -> None:
        writes = not batch.writes_nothing
        if writes:
            self._step("before_push_ack")
        for datagram, address in batch.acks:
            self._send(datagram, address)
        if writes:
            self._step("after_push_ack")
        for effect in batch.after:
            effect(self.now)
        if writes:
            self._step("sent")

    def settle(self) -> None:
        """Commit all there is, at once: for what an operator asks, who waits until it is durable."""
        for _ in range(20):
            self.pump()
            if self._flight is None:
                return
            self._try_commit()
        raise StoreError("the store is stuck", fatal=False)

    async def durable(self) -> None:
        self.settle()

    async def read(self, query: Callable[[sqlite3.Connection], T]) -> T:
        if self._reader is None:
            self._reader = self.journal.reader()
        return query(self._reader)

    def _send(self, datagram: bytes, address: tuple[Any, ...]) -> None:
        self.deliver(datagram, address, self.now_us)
        if datagram[3] == 3:
            self._step("after_sendto")

    # ----------------------------------------------------------------------------------------------- the application

    def poll(self) -> None:
        """The application takes what there is, by its cursor: what it has taken, it has taken."""
        for body in self.call("events", after=self._cursor, limit=500)["events"]:
            event = _event.decode(body)
            self._cursor = event.id
            if event.type == "up":
                fields = {"dev_eui": event.dev_eui, "dev_addr": event.dev_addr, "f_cnt": event.f_cnt}
                fields |= {"id": event.id, "data": event.data.hex(), "late": event.late}
                self.history.write(self.now_us, "event", fields)

    def finish(self) -> None:
        with contextlib.suppress(sqlite3.Error):
            self._close()
