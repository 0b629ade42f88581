"""MeterWAN's network server in virtual time, for the test lab: the real engine, journal and join server, the lab's clock.

What the server promises it keeps here as well: nothing is acknowledged or sent before its batch is committed. Only the disk is
forgotten afterwards.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import shutil
import sqlite3
import tempfile
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, TypeVar

from lorasim.device import Device
from lorasim.gateway import Gateway
from lorasim.world import World

from internalapi import messages as m
from joinserver.server import JoinServer
from joinserver.store import JoinStore
from joinserver.values import DeviceKeys
from lns.api.table import HANDLERS
from lns.clock import Now
from lns.engine import Engine
from lns.gateways.gateway import Address
from lns.keys import KeyRing
from lns.ports import RootKeys
from lns.settings import NetworkSettings
from lns.store.embedded.framelog import FrameLog
from lns.store.embedded.journal import Journal, SealedBatch
from lns.store.embedded.load import load
from lns.store.embedded.packer import pack_settled
from lorawan.identifiers import EUI64

T = TypeVar("T")
BOOT_US = 1_000_000_000
"""The monotonic clock's value when the run begins."""
TEND_EVERY_US = 21_600_000_000
CHUNK = 1000
COMMIT_EVERY = 500
"""Batches in one transaction of the journal."""


class VirtualKeys:
    """``lns.ports.KeyStorePort`` on the join server."""

    def __init__(self, joins: JoinServer, wall_us: Callable[[], int]) -> None:
        self._joins, self._wall_us = joins, wall_us

    def holds_keys_of(self, join_eui: int) -> bool:
        return True

    async def put_keys(self, devices: Sequence[RootKeys], dry_run: bool = False) -> Sequence[str]:
        keys = [DeviceKeys(EUI64(one.dev_eui), EUI64(one.join_eui), one.app_key, one.nwk_key) for one in devices]
        return self._joins.put_devices(keys, self._wall_us(), dry_run=dry_run).warnings

    async def delete_keys(self, dev_eui: int) -> None:
        self._joins.delete_device(EUI64(dev_eui), who="lab", why="asked for", now_us=self._wall_us())

    async def forget_nonces(self, dev_euis: Sequence[int], who: str) -> int:
        euis = [EUI64(dev_eui) for dev_eui in dev_euis]
        return self._joins.forget_nonces(euis, who=who, why="asked for", now_us=self._wall_us())


class VirtualNetwork:
    """``lorasim.virtual.Server``, and what the methods of the internal API need of ``lns.network.Network``.

    A context manager: its files live in a folder of their own until it is closed.
    """

    def __init__(self, world: World, **settings: Any) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="meterwan-lab-"))
        scenario = world.scenario
        given = {"region": scenario.region, "channels": scenario.preset or "default"} | settings
        self.settings = NetworkSettings(data_dir=self._folder, **given)
        self._offset_us = world.start_us - BOOT_US
        self._wall_us = world.start_us
        self._timer_us: int | None = None
        kek = bytes(range(32))
        self.join_server = JoinServer(JoinStore(self._folder / "join.db", kek))
        self.journal = Journal(self._folder / "network.db")
        for db in (self.journal._db, self.join_server._store._db):
            db.execute("PRAGMA synchronous = OFF")  # nobody pulls the plug of a counted clock
        self.engine = Engine(self.settings, KeyRing(kek), self._send, random.Random(f"{world.seed}/server"))
        self.state = self.engine.state
        self.key_store = VirtualKeys(self.join_server, lambda: self._wall_us)
        self.queue_lock = asyncio.Lock()
        self.events_arrived, self.frames_arrived = asyncio.Event(), asyncio.Event()
        self.consumed_event_id = 0
        self.started_us = world.start_us
        self.frame_log_status = None
        self.storage = "ok"
        self._reader = self.journal.reader()
        load(self.state, self._reader, self._now(self._wall_us), 0, self.journal.log)
        self._out: deque[tuple[int, bytes]] = deque()
        self._addresses: dict[tuple[int, bool], Address] = {}
        self._euis: dict[Address, int] = {}
        for number, eui in enumerate(world.gateways):
            for pull in (False, True):
                address = (f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", 20_000 + pull)
                self._addresses[eui, pull], self._euis[address] = address, eui
        self._uncommitted = 0
        self._tend_us = self._wall_us + TEND_EVERY_US
        self._profiles: set[str] = set()
        self._register(world)

    def __enter__(self) -> VirtualNetwork:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the files and throw them away."""
        self._commit()
        self._reader.close()
        if self.state.devices.source is not None:
            self.state.devices.source.close()
        self.journal.close()
        self.join_server._store._db.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    # ------------------------------------------------------------------------------------------------- lorasim's side

    def receive(self, gateway_eui: int, pull: bool, datagram: bytes, now_us: int) -> None:
        now = self._now(now_us)
        self.engine.receive(datagram, self._addresses[gateway_eui, pull], now)
        self._pump(now)

    def timer(self) -> int | None:
        if self._timer_us is None:  # only what is done to the engine changes it
            timer = self.engine.timer()
            self._timer_us = self._tend_us if timer is None else min(timer + self._offset_us, self._tend_us)
        return self._timer_us

    def handle_timer(self, now_us: int) -> None:
        now = self._now(now_us)
        self.engine.handle_timer(now)
        self._pump(now)
        if now_us >= self._tend_us:
            self._tend_us = now_us + TEND_EVERY_US
            self._pack(now)

    def next_datagram(self) -> tuple[int, bytes] | None:
        return self._out.popleft() if self._out else None

    def queue(self, dev_eui: int, f_port: int, data: bytes, confirmed: bool) -> None:
        self.call("queue_put", dev_eui=f"{dev_eui:016x}", f_port=f_port, data=data, confirmed=confirmed)

    # ------------------------------------------------------------------------------------------------- the server

    def _now(self, wall_us: int) -> Now:
        self._wall_us, self._timer_us = wall_us, None
        return Now(wall_us - self._offset_us, wall_us)

    def _send(self, datagram: bytes, address: Address) -> None:
        self._out.append((self._euis[address], datagram))

    def _pump(self, now: Now) -> None:
        """Everything that is to be done now: questions to the join server, commits, and what they promise."""
        engine = self.engine
        while True:
            asked = engine.take_joins()
            if asked:
                answers = self.join_server.join_many([one.request for one in asked], now.wall_us)
                for question, answer in zip(asked, answers, strict=True):
                    engine.join_answered(question, answer, now)
            batch = engine.take_batch()
            if batch is None:
                return
            if not batch.writes_nothing:
                self._write(SealedBatch(batch))
            batch.durable_us = now.mono_us
            for datagram, address in batch.acks:
                self._send(datagram, address)
            for effect in batch.after:
                effect(now)

    def _write(self, sealed: SealedBatch) -> None:
        """A batch goes into an open transaction: nothing can die between two of them here."""
        db = self.journal._db
        if not self._uncommitted:
            db.execute("BEGIN IMMEDIATE")
        self.journal._write(db, sealed)
        self._uncommitted += 1
        if self._uncommitted >= COMMIT_EVERY:
            self._commit()

    def _commit(self) -> None:
        """What has been written is there for the journal's readers."""
        if self._uncommitted:
            self.journal._db.execute("COMMIT")
            self._uncommitted = 0

    def _pack(self, now: Now) -> None:
        """Settled frames leave the journal, as they do in a running server."""
        log = self.journal.log
        self._commit()
        while pack_settled(self._reader, log, self.state.handed_over_id, now.wall_us):
            operations = self.state.batch.operations
            operations.append(("frames_packed", (log.last_frame_id,)))
            operations.append(("events_packed", (log.last_event_id,)))
            self._pump(now)
            self._commit()

    # ------------------------------------------------------------------------------------------------- the operator

    @property
    def frame_log(self) -> FrameLog:
        return self.journal.log

    async def durable(self) -> None:
        self._pump(self._now(self._wall_us))
        self._commit()

    async def read(self, query: Callable[[sqlite3.Connection], T]) -> T:
        self._commit()
        return query(self._reader)

    def call(self, method: str, **fields: Any) -> Any:
        """A method of the internal API, by its request's fields."""
        return _finish(HANDLERS[method](self, m.METHODS[method][0](**fields)))  # type: ignore[arg-type]

    def _register(self, world: World) -> None:
        """All gateways and devices of the world become known, with a profile for each kind of device."""
        rogues = {int(entry.eui, 16) for entry in world.scenario.gateways if entry.rogue}
        for eui, gateway in world.gateways.items():
            if eui in rogues:
                continue
            beacons = isinstance(gateway, Gateway) and gateway.config.beacon_hz
            self.call("gateway_put", gateway_eui=f"{eui:016x}", class_b="gateway" if beacons else "off")
        devices = list(world.devices.values())
        for device in devices:
            self._profile(device, world.scenario.region)
        for at in range(0, len(devices), CHUNK):
            self.call("devices_put", items=[self._row(one) for one in devices[at : at + CHUNK]])
        for device in devices:
            if device.session is not None:
                keys = device.session.keys
                network = (
                    {
                        "f_nwk_s_int_key": keys.f_nwk_s_int_key.hex(),
                        "s_nwk_s_int_key": keys.s_nwk_s_int_key.hex(),
                        "nwk_s_enc_key": keys.nwk_s_enc_key.hex(),
                    }
                    if keys.lorawan_1_1
                    else {"nwk_s_key": keys.nwk_s_enc_key.hex()}
                )
                self.call(
                    "session_put",
                    dev_eui=f"{device.config.dev_eui:016x}",
                    dev_addr=f"{device.session.dev_addr:08x}",
                    app_s_key=keys.app_s_key.hex(),
                    f_cnt_up=device.session.f_cnt_up,
                    **network,
                )

    def _profile(self, device: Device, region: str) -> str:
        config = device.config
        # whose data rate nobody steers and whose channels are its own, as a maker has set them
        fixed = device.session is not None and not config.adr
        name = f"lab-{config.mac_version}-{config.device_class.lower()}{'-fixed' if fixed else ''}"
        if name not in self._profiles:
            periodicity = {} if config.ping_periodicity is None else {"ping_slot_periodicity": config.ping_periodicity}
            self.call(
                "profile_put",
                name=name,
                mac_version="1.1.0" if config.lorawan_1_1 else config.mac_version,
                region=region,
                device_class=config.device_class,
                **periodicity,
                **({"channels": [], "adr": "off"} if fixed else {}),
            )
            self._profiles.add(name)
        return name

    def _row(self, device: Device) -> m.DeviceWrite:
        config = device.config
        fields: dict[str, Any] = {"profile": self._profile(device, self.settings.region)}
        if device.session is not None:
            return m.DeviceWrite(f"{config.dev_eui:016x}", activation="ABP", **fields)
        fields |= {"join_eui": f"{config.join_eui:016x}", "app_key": config.app_key.hex()}
        fields |= {"nwk_key": config.nwk_key.hex()} if config.lorawan_1_1 else {}
        return m.DeviceWrite(f"{config.dev_eui:016x}", **fields)


def _finish(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that never really waits."""
    with contextlib.closing(work):
        try:
            work.send(None)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]
    raise RuntimeError("a method of the internal API waits for something that never comes in counted time")
