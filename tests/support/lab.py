"""The network server on a table: the real engine, journal and join server, and nothing that runs by itself.

The clock moves when a test moves it, commits happen when a batch is there, gateways are fakes that speak real datagrams,
and the whole thing can be killed between any two steps and started again from its files.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import sqlite3
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar
from unittest.mock import patch

import pytest

import lns.clock
from internalapi import messages as m
from joinserver.server import JoinServer
from joinserver.store import JoinStore
from joinserver.values import DeviceKeys
from lns.api.table import HANDLERS
from lns.clock import Now
from lns.engine import Engine
from lns.keys import KeyRing
from lns.ports import RootKeys
from lns.settings import NetworkSettings
from lns.state import NetworkState
from lns.store.embedded.framelog import FrameLog
from lns.store.embedded.journal import Journal, SealedBatch, StoreError
from lns.store.embedded.load import load
from lorawan.backend import JoinAns, JoinReq
from lorawan.identifiers import EUI64
from tests.support.fake_gateway import FakeGateway, Sent
from tests.support.node import Node, keys_1_0, keys_1_1

KEK = bytes(range(32))
WINDOW_US = 200_000
SECOND_US = 1_000_000
T = TypeVar("T")


class Killed(Exception):
    """The process died at the step that the test named."""


class Keys:
    """``lns.ports.KeyStorePort`` on the join server."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab

    def holds_keys_of(self, join_eui: int) -> bool:
        return True

    async def put_keys(self, devices: Sequence[RootKeys], dry_run: bool = False) -> Sequence[str]:
        keys = [DeviceKeys(EUI64(one.dev_eui), EUI64(one.join_eui), one.app_key, one.nwk_key) for one in devices]
        return self._lab.join_server.put_devices(keys, self._lab.wall_us, dry_run=dry_run).warnings

    async def delete_keys(self, dev_eui: int) -> None:
        self._lab.join_server.delete_device(EUI64(dev_eui), who="test", why="asked for", now_us=self._lab.wall_us)

    async def forget_nonces(self, dev_euis: Sequence[int], who: str) -> int:
        euis = [EUI64(dev_eui) for dev_eui in dev_euis]
        return self._lab.join_server.forget_nonces(euis, who=who, why="asked for", now_us=self._lab.wall_us)


class Lab:
    """One server on a folder. Also what the methods of the internal API need of ``lns.network.Network``."""

    engine: Engine
    journal: Journal
    join_server: JoinServer

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.settings = NetworkSettings(data_dir=folder, **settings)
        self.mono_us = 50_000 * SECOND_US
        self.wall_us = time.time_ns() // 1000
        self.air: list[Sent] = []
        """Every PULL_RESP ever, also of the lives before."""
        self.gateways: dict[str, FakeGateway] = {}
        self.inbox: deque[tuple[bytes, tuple[str, int]]] = deque()
        self.lives = 0
        self.die_at: str | None = None
        self.disk_full = False
        self.answer_joins: Callable[[Sequence[JoinReq]], list[JoinAns]] = self._ask_join_server
        self.key_store = Keys(self)
        self.queue_lock = asyncio.Lock()
        self.events_arrived, self.frames_arrived = asyncio.Event(), asyncio.Event()
        self.consumed_event_id = self.started_us = 0
        self.frame_log_status = None
        self._stuck: SealedBatch | None = None
        self.start()

    # ------------------------------------------------------------------------------------------------- the server

    def start(self, restored: int = 0) -> None:
        """Start from the files, as ``Network.start`` does."""
        self.lives += 1
        self.inbox.clear()
        self._stuck = None
        self.join_server = JoinServer(JoinStore(Path(self.settings.data_dir) / "join.db", KEK))
        self.journal = Journal(Path(self.settings.data_dir) / "network.db")
        self.engine = Engine(self.settings, KeyRing(KEK), self._send, random.Random(self.lives))
        with contextlib.closing(self.journal.reader()) as reader:
            waiting = load(self.state, reader, self.now, restored, self.journal.log)
        for gathered in waiting:
            self.engine.recover(gathered, self.now)
        self.state.batch.operations.append(("prune_sessions", (self.state.handed_over_id,)))
        self.pump()

    def kill(self, restored: int = 0) -> None:
        """``kill -9``: what is not committed is gone. Then start again; gateways come back with their PULL_DATA."""
        self.close()
        self.start(restored)
        for gateway in self.gateways.values():
            gateway.pull()

    def close(self) -> None:
        if self.state.devices.source is not None:
            self.state.devices.source.close()
        self.journal.close()
        self.join_server._store._db.close()

    @contextlib.contextmanager
    def dying(self, step: str) -> Iterator[None]:
        """Within, the server dies at ``step`` (see :meth:`pump`); afterwards it has been started again."""
        self.die_at = step
        with pytest.raises(Killed):
            yield
        self.die_at = None
        self.kill()

    @property
    def now(self) -> Now:
        return Now(self.mono_us, self.wall_us)

    @property
    def state(self) -> NetworkState:
        return self.engine.state

    @property
    def path(self) -> Path:
        return Path(self.settings.data_dir) / "network.db"

    @property
    def frame_log(self) -> FrameLog:
        return self.journal.log

    @property
    def storage(self) -> str:
        return "disk full" if self._stuck else "ok"

    def pump(self) -> None:
        """Everything that is to be done now. Steps: ``ask``, ``answered``, ``commit``, ``committed``, ``acked``, ``sent``."""
        while True:
            asked = self.engine.take_joins()
            if asked:
                self._step("ask")
                answers = self.answer_joins([one.request for one in asked])
                self._step("answered")
                for question, answer in zip(asked, answers, strict=True):
                    self.engine.join_answered(question, answer, self.now)
            if self._stuck is None:
                batch = self.engine.take_batch()
                if batch is not None:
                    self._stuck = SealedBatch(batch)
            if self._stuck is not None and not self._commit(self._stuck):
                return
            if not self.inbox and self.engine.state.batch.is_empty:
                return
            while self.inbox:
                self.engine.receive(*self.inbox.popleft(), self.now)

    def _commit(self, sealed: SealedBatch) -> bool:
        batch = sealed.batch
        if not batch.writes_nothing:
            self._step("commit")
            try:
                if self.disk_full:
                    raise StoreError("disk full", fatal=False)
                self.journal.commit(sealed)
            except StoreError as error:
                if error.fatal:
                    raise
                return False
            self._step("committed")
        self._stuck = None
        batch.durable_us = self.mono_us
        for datagram, address in batch.acks:
            self._send(datagram, address)
        if not batch.writes_nothing:
            self._step("acked")
        for effect in batch.after:
            effect(self.now)
        if not batch.writes_nothing:
            self._step("sent")
        return True

    def _step(self, name: str) -> None:
        if self.die_at == name:
            raise Killed(name)

    def _send(self, datagram: bytes, address: tuple[Any, ...]) -> None:
        for gateway in self.gateways.values():
            if address in (gateway.up_address, gateway.down_address):
                gateway.take(datagram)

    def _ask_join_server(self, requests: Sequence[JoinReq]) -> list[JoinAns]:
        return self.join_server.join_many(requests, self.wall_us)

    # ---------------------------------------------------------------------------------------------- input and time

    def receive(self, datagram: bytes, address: tuple[str, int]) -> None:
        self.engine.receive(datagram, address, self.now)
        self.pump()

    def advance(self, us: int) -> None:
        """Let time go by; timers fire at their moments."""
        until = self.mono_us + us
        while (timer := self.engine.timer()) is not None and timer <= until:
            self._move(max(timer, self.mono_us))
            self.engine.handle_timer(self.now)
            self.pump()
        self._move(until)

    def _move(self, mono_us: int) -> None:
        self.wall_us += mono_us - self.mono_us
        self.mono_us = mono_us

    def uplink(self, phy: bytes, *gateways: FakeGateway, **fields: Any) -> list[Sent]:
        """All gateways hear a frame now and the window closes. Returns what the server sends for it."""
        before = len(self.air)
        for gateway in gateways or self.gateways.values():
            gateway.hear(phy, **fields)
        self.advance(WINDOW_US)
        return self.air[before:]

    # ------------------------------------------------------------------------------------------------ the operator

    def gateway(self, number: int = 1, pulls: bool = True) -> FakeGateway:
        """A registered gateway that is switched on."""
        eui = f"{0x70B3D50000000000 + number:016x}"
        self.call("gateway_put", gateway_eui=eui)
        gateway = FakeGateway(self, eui, 20_000 + 2 * number, boot_us=self.mono_us - number * 7_000_000)
        self.gateways[eui] = gateway
        if pulls:
            gateway.pull()
        return gateway

    def profile(self, mac_version: str = "1.0.3", **fields: Any) -> str:
        """A profile of a device that is asked nothing by itself."""
        name = f"quiet-{mac_version}"
        values = {"region": self.settings.region, "dev_status_interval_s": 0, "adr": "off"} | fields
        self.call("profile_put", name=name, mac_version=mac_version, **values)
        return name

    def device(self, dev_eui: int | str = 0x0202030405060708, mac_version: str = "1.0.3", **fields: Any) -> str:
        """Register a device. Returns its DevEUI as text."""
        text = dev_eui if isinstance(dev_eui, str) else f"{dev_eui:016x}"
        fields.setdefault("profile", None)
        profile = fields.pop("profile") or self.profile(mac_version)
        self.call("devices_put", items=[m.DeviceWrite(text, profile=profile, **fields)])
        return text

    def abp(self, number: int = 1, mac_version: str = "1.0.3", profile: str = "", **fields: Any) -> Node:
        """A device with a session from the start. ``fields`` of SessionWrite, e.g. ``f_cnt_up`` (the next expected)."""
        dev_eui = self.device(0xA0_0000 + number, mac_version, activation="ABP", profile=profile)
        lorawan_1_1 = mac_version.startswith("1.1")
        keys = keys_1_1(number) if lorawan_1_1 else keys_1_0(number)
        given = (
            {
                "f_nwk_s_int_key": keys.f_nwk_s_int_key.hex(),
                "s_nwk_s_int_key": keys.s_nwk_s_int_key.hex(),
                "nwk_s_enc_key": keys.nwk_s_enc_key.hex(),
            }
            if lorawan_1_1
            else {"nwk_s_key": keys.nwk_s_enc_key.hex()}
        )
        dev_addr = int(fields.pop("dev_addr", 0x0100_0000 + number))
        self.call(
            "session_put",
            dev_eui=dev_eui,
            dev_addr=f"{dev_addr:08x}",
            app_s_key=keys.app_s_key.hex(),
            **given,
            **fields,
        )
        return Node(dev_addr, keys, fields.get("f_cnt_up", 0), dev_eui)

    def queue(self, dev_eui: str, data: bytes = b"\x01", f_port: int = 10, **fields: Any) -> str:
        """Queue an application item. Returns its id."""
        item = self.call("queue_put", dev_eui=dev_eui, f_port=f_port, data=data, **fields)
        return str(item.id)

    def item(self, id: str) -> Any:
        """One queue item as the API shows it."""
        for device in self.state.devices.values():
            for item in self.call("queue", key=device.dev_eui_text).items:
                if item.id == id:
                    return item
        raise AssertionError(f"there is no queue item {id}")

    def call(self, method: str, **fields: Any) -> Any:
        """A method of the internal API, by its request's fields; the machine's clocks are the lab's meanwhile."""
        now = self.now
        clocks = SimpleNamespace(monotonic_ns=lambda: now.mono_us * 1000, time_ns=lambda: now.wall_us * 1000)
        with patch.object(lns.clock, "time", clocks):
            return finish(HANDLERS[method](self, m.METHODS[method][0](**fields)))  # type: ignore[arg-type]

    async def durable(self) -> None:
        self.pump()

    async def read(self, query: Callable[[sqlite3.Connection], T]) -> T:
        with contextlib.closing(self.journal.reader()) as db:
            return query(db)

    # ------------------------------------------------------------------------------------------------ what is kept

    def events(self, type: str = "") -> list[m.Event]:
        """Events that are durable."""
        with contextlib.closing(self.journal.reader()) as db:
            bodies = db.execute("SELECT body FROM event ORDER BY id").fetchall()
        decoded = [m.decoder(m.Event).decode(body) for (body,) in bodies]
        return [event for event in decoded if type in ("", event.type)]

    def ups(self) -> list[tuple[int, bytes]]:
        """(FCntUp, payload) of every uplink handed over."""
        return [(event.f_cnt, event.data) for event in self.events("up")]

    def rows(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        with contextlib.closing(self.journal.reader()) as db:
            return db.execute(sql, parameters).fetchall()

    def session(self, node: Node) -> Any:
        """The session in memory that the node uses."""
        return self.state.devices[int(node.dev_eui, 16)].session

    @property
    def counters(self) -> dict[str, int]:
        return self.engine.counters


def finish(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that never really waits."""
    try:
        work.send(None)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]
    raise AssertionError("it waits for something that never comes")
