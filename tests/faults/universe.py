"""One seed: a small world of devices and gateways, the server in it, and everything that can go wrong, mixed.

``Universe(seed, folder).run()`` plays some virtual minutes of faults and one of peace and returns the violations. The same
seed plays the same history.
"""

from __future__ import annotations

import heapq
import json
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

from lorasim import crypto
from lorasim.checker import Violation
from lorasim.device import Device, DeviceConfig
from lorasim.outbox import Message
from lorasim.radio import Reception
from lorasim.scenario import Backhaul, GatewayEntry, Radio, Scenario
from lorasim.world import Outgoing, World

from internalapi import messages as m
from lns.store.embedded import packer
from lns.store.embedded.journal import StoreError
from tests.faults import checks
from tests.faults.disk import Disk
from tests.faults.history import History, Line
from tests.faults.virtual import STEPS, Backup, Death, Server

SECOND_US = 1_000_000
BEGIN_US = 1_790_000_000_000_000
CONVERGE_US = 60 * SECOND_US
CALM = Backhaul(delay_ms=12, jitter_ms=8)
JOIN_EUI = checks.JOIN_EUI
DEV_EUI = 0x70B3D5FFFE000001
GATEWAY = 0x0016C001FF1E5A01
ERRORS = (
    "TOO_LATE",
    "TOO_EARLY",
    "COLLISION_PACKET",
    "COLLISION_BEACON",
    "TX_FREQ",
    "TX_POWER",
    "GPS_UNLOCKED",
    "UNKNOWN",
    "?",
)
VERSIONS = ("1.0.2", "1.0.3", "1.0.4", "1.1")


@dataclass
class Universe:
    """See the module. ``only``: names of the faults that happen (None: all); for planted bugs and for finding a cause."""

    seed: int
    folder: Path
    only: frozenset[str] | None = None
    minutes: float | None = None
    history: History = field(default_factory=History)
    world: World = field(init=False)
    server: Server = field(init=False)
    now: int = BEGIN_US
    faults_end_us: int = 0
    _actions: list[tuple[int, int, Callable[..., None], tuple[Any, ...]]] = field(default_factory=list)
    _order: int = 0
    _captured: deque[tuple[int, Outgoing]] = field(default_factory=lambda: deque(maxlen=60))
    _heard: deque[Reception] = field(default_factory=lambda: deque(maxlen=60))
    _held_until: dict[int, int] = field(default_factory=dict)
    _backup: Backup | None = None
    _restores: int = 0
    _tx_ack_loss: float = 0.0
    _tx_ack_forged: float = 0.0
    _item: int = 0
    _number: int = 0

    def __post_init__(self) -> None:
        self.rng = random.Random(f"{self.seed}/universe")
        rng = self.rng
        gateways = self._gateways()
        radio = Radio(
            snr_db=8.0, spread_db=2.0, loss=rng.choice((0.0, 0.05, 0.2)), downlink_loss=rng.choice((0.0, 0.05, 0.2))
        )
        scenario = Scenario(
            f"seed {self.seed}", preset="", seed=self.seed, radio=radio, backhaul=CALM, gateways=gateways
        )
        self.world = World(scenario, BEGIN_US, recorder=self.history)
        self.devices = self._devices()
        self.disk = Disk(self.folder)

    def _gateways(self) -> list[GatewayEntry]:
        rng = self.rng
        return [
            GatewayEntry(
                f"{GATEWAY + n:016x}",
                forwarder=rng.choice(("1301", "1302")),
                # some counters wrap in the first minutes
                tmst_offset_us=(1 << 32) - rng.randrange(240 * SECOND_US) if rng.random() < 0.5 else None,
                keepalive_s=15.0,
                stat_s=240.0,
            )
            for n in range(rng.choice((1, 2, 2, 3)))
        ]

    def _devices(self) -> list[Device]:
        rng = self.rng
        for n in range(rng.randrange(3, 7)):
            config = DeviceConfig(
                DEV_EUI + n,
                JOIN_EUI,
                rng.randbytes(16),
                rng.randbytes(16),
                mac_version=rng.choice(VERSIONS),
                join_backoff_s=(4.0, 8.0),
                join_backoff_max_s=12.0,
            )
            device = self.world.add_device(config)
            if not config.lorawan_1_1 and rng.random() < 0.3:
                keys = crypto.SessionKeys.of_1_0(rng.randbytes(16), rng.randbytes(16))
                device.activate(0x0100_0000 + n, 0, keys)
                assert device.session is not None
                device.session.f_cnt_up = rng.choice((0, 65_530, 131_066))
        return list(self.world.devices.values())

    # ------------------------------------------------------------------------------------------------- the run

    def run(self) -> list[Violation]:
        """Play it. Raises what the server raises."""
        rng = self.rng
        # A day's frames make a block; here half a minute's do, so that packing gets its share of the faults.
        with self.disk, mock.patch.object(packer, "FLUSH_AFTER_US", 30 * SECOND_US):
            self.server = Server(
                self.folder, self.disk, self.history, random.Random(f"{self.seed}/server"), self._from_server, self.now
            )
            try:
                self._register()
                self.world.devices.clear()
                self.world.start(self.now)
                for device in self.devices:
                    self.at(self.now + self.rng.randrange(100_000, 8 * SECOND_US), self._switch_on, device)
                minutes = self.minutes or rng.uniform(2.0, 6.0)
                self.faults_end_us = self.now + round(minutes * 60 * SECOND_US)
                self._plan()
                self._until(self.faults_end_us)
                self._calm()
                self._until(self.now + CONVERGE_US)
                # Even the last frames are kept: a start hands over what was accepted and not yet handed over.
                self.server.kill_now(power=False)
                self.server.restart()
                self.server.settle()
                self.server.poll()
            finally:
                self.server.finish()
        return checks.check_all(self.history.lines, self.faults_end_us)

    def _register(self) -> None:
        server = self.server
        for eui in self.world.gateways:
            beacons = "gateway" if self.world.gateways[eui].config.beacon_hz else "off"
            server.call("gateway_put", gateway_eui=f"{eui:016x}", class_b=beacons)
        for device in self.devices:
            config, session = device.config, device.session
            profile = self._profile(config)
            dev_eui = f"{config.dev_eui:016x}"
            if session is None:
                keys = {"app_key": config.app_key.hex(), "join_eui": f"{JOIN_EUI:016x}"}
                keys |= {"nwk_key": config.nwk_key.hex()} if config.lorawan_1_1 else {}
                server.call("devices_put", items=[m.DeviceWrite(dev_eui, profile=profile, **keys)])
                continue
            server.call("devices_put", items=[m.DeviceWrite(dev_eui, profile=profile, activation="ABP")])
            server.call(
                "session_put",
                dev_eui=dev_eui,
                dev_addr=f"{session.dev_addr:08x}",
                nwk_s_key=session.keys.f_nwk_s_int_key.hex(),
                app_s_key=session.keys.app_s_key.hex(),
                f_cnt_up=session.f_cnt_up,
            )

    def _profile(self, config: DeviceConfig) -> str:
        """The name of the device's profile; built-in ones are of class A."""
        return f"lorawan-{config.mac_version}"

    def _switch_on(self, device: Device) -> None:
        self.world.devices[device.config.dev_eui] = device
        self.world.switch_on(device.config.dev_eui)

    def _until(self, end_us: int) -> None:
        world, server = self.world, self.server
        while True:
            due = (world.timer(), server.timer(), self._actions[0][0] if self._actions else None)
            at = min((one for one in due if one is not None), default=end_us)
            if at >= end_us:
                self._move(end_us)
                return
            self._move(max(at, self.now))
            world.handle_timer(self.now)
            while (outgoing := world.next_datagram()) is not None:
                self._to_server(outgoing)
            server.tick()
            while self._actions and self._actions[0][0] <= self.now:
                _, _, action, arguments = heapq.heappop(self._actions)
                action(*arguments)

    def _move(self, now: int) -> None:
        self.now = now
        self.server.at(now)

    def at(self, t: int, action: Callable[..., None], *arguments: Any) -> None:
        self._order += 1
        heapq.heappush(self._actions, (t, self._order, action, arguments))

    # ------------------------------------------------------------------------------------------------- the wire

    @staticmethod
    def _address(eui: int, pull: bool) -> tuple[str, int]:
        number = eui - GATEWAY
        return (f"10.0.0.{number + 1}", 20_000 + 2 * number + pull)

    def _to_server(self, outgoing: Outgoing) -> None:
        eui, data = outgoing.gateway_eui, outgoing.data
        if data[3] == 0 and b"rxpk" in data:
            self._captured.append((self.now, outgoing))
        if data[3] == 5 and self.rng.random() < self._tx_ack_loss:
            return
        held = self._held_until.get(eui, 0)
        if held > self.now:
            if data[3] == 0:  # what waits in a modem comes all at once; keepalives are not kept
                self.at(held + self.rng.randrange(200_000), self._arrive, outgoing)
            return
        self._arrive(outgoing)

    def _arrive(self, outgoing: Outgoing) -> None:
        eui, data = outgoing.gateway_eui, outgoing.data
        if self.server.alive:
            self.history.arrived(self.now, data, f"{eui:016x}")
            self.server.guarded(self._receive, data, self._address(eui, outgoing.pull))

    def _receive(self, datagram: bytes, address: tuple[str, int]) -> None:
        self.server.engine.receive(datagram, address, self.server.now)
        self.server.pump()

    def _from_server(self, datagram: bytes, address: tuple[Any, ...], now_us: int) -> None:
        eui = GATEWAY + (address[1] - 20_000) // 2
        if eui not in self.world.gateways:
            return
        self.history.sent(now_us, datagram, f"{eui:016x}")
        if datagram[3] == 3 and self.rng.random() < self._tx_ack_forged:
            self._forge_tx_ack(eui, datagram[1:3])
        self.world.receive(eui, datagram, now_us)

    def _forge_tx_ack(self, eui: int, token: bytes) -> None:
        """Somebody else answers at once: another gateway with this token, or this one with a token of its own making."""
        error = json.dumps({"txpk_ack": {"error": self.rng.choice(ERRORS)}}).encode()
        others = [other for other in self.world.gateways if other != eui]
        if others and self.rng.random() < 0.7:
            forger, forged = self.rng.choice(others), token
        else:
            forger, forged = eui, bytes((token[0] ^ 0x55, token[1]))
        datagram = b"\x02" + forged + b"\x05" + forger.to_bytes(8, "big") + error
        self.at(self.now + 1, self._arrive, Outgoing(forger, True, datagram))

    # ------------------------------------------------------------------------------------------------- the plan

    def _plan(self) -> None:
        """Draw what happens and when."""
        rng, begin, end = self.rng, self.now, self.faults_end_us
        for dev_eui in (device.config.dev_eui for device in self.devices):
            at = begin + rng.randrange(9 * SECOND_US, 18 * SECOND_US)
            interval_us = rng.randrange(6, 25) * SECOND_US
            share = rng.choice((0.0, 0.3, 1.0))
            while at < end:
                self.at(at, self._uplink, dev_eui, rng.random() < share)
                at += round(interval_us * rng.uniform(0.5, 1.5))
        for _ in range(rng.randrange(2, 9)):
            self.at(rng.randrange(begin, end), self._queue, rng.choice(self.devices).config.dev_eui)
        for name, action, most in FAULTS:
            if self.only is None or name in self.only:
                # The last seconds before the peace are not the quiet ones.
                for _ in range(rng.randrange(most + 1) if self.only is None else most):
                    self.at(rng.randrange(begin + 9 * SECOND_US, end), self._do, name, action)

    def _do(self, name: str, action: Callable[[Universe], None]) -> None:
        self.history.write(self.now, "fault", {"what": name})
        action(self)

    def _uplink(self, dev_eui: int, confirmed: bool) -> None:
        self._number += 1
        data = self._number.to_bytes(2, "big") + self.rng.randbytes(self.rng.randrange(1, 9))
        self.world.send(dev_eui, Message(10, data, confirmed))

    def _queue(self, dev_eui: int) -> None:
        self._item += 1
        data = b"item" + self._item.to_bytes(2, "big")
        confirmed = self.rng.random() < 0.5
        text = f"{dev_eui:016x}"
        try:
            item = self.server.guarded(
                lambda: self.server.call("queue_put", dev_eui=text, f_port=20, data=data, confirmed=confirmed)
            )
        except StoreError:
            return  # the operator sees the error; whether the item is there, nobody has promised
        if item is not None:
            self.history.write(
                self.now, "item", {"dev_eui": text, "data": data.hex(), "confirmed": confirmed, "id": item.id}
            )

    def _calm(self) -> None:
        """The last fault is over: whatever was broken works, and everybody has something to say."""
        server = self.server
        server.disarm()
        server.disk.full_after, server.disk.full, server.disk.fail_sync = None, False, False
        server.offset_us = 0
        self._tx_ack_loss = self._tx_ack_forged = 0.0
        self._held_until.clear()
        self.world.air._radio.loss = self.world.air._radio.downlink_loss = 0.0
        for eui, gateway in self.world.gateways.items():
            gateway.refuse.clear()
            gateway.config.half_duplex = (
                False  # six devices that all want an answer at once would deafen a lonely gateway
            )
            self.world._backhaul[eui] = CALM
        for dev_eui, device in self.world.devices.items():
            device.outbox.queue.clear()  # what has piled up would keep a slow device busy for longer than the peace
            for n in range(4):
                at = self.now + n * 14 * SECOND_US + self.rng.randrange(SECOND_US, 12 * SECOND_US)
                self.at(at, self._uplink, dev_eui, True)

    # ------------------------------------------------------------------------------------------------- the faults

    def kill_at_step(self) -> None:
        self.server.arm(Death(self.rng.choice(STEPS), self.rng.randrange(3), self.rng.random() < 0.3))

    def kill_in_a_write(self) -> None:
        self.server.arm(Death("", self.rng.randrange(60), False))

    def power_loss(self) -> None:
        self.server.arm(Death("", self.rng.randrange(60), True))

    def kill(self) -> None:
        self.server.kill_now(self.rng.random() < 0.5)

    def clock_step(self) -> None:
        hour = 3600 * SECOND_US
        self.server.offset_us = self.rng.choice((hour, -hour, 24 * hour, -24 * hour, -87_660 * hour, 0))
        self.server.at(self.now)

    def disk_full(self) -> None:
        self.server.disk.full_after = self.rng.randrange(12)
        self.at(self.now + self.rng.randrange(SECOND_US, 8 * SECOND_US), self.server.disk.make_room)

    def sync_error(self) -> None:
        self.server.disk.fail_sync = True

    def doubtful_commit(self) -> None:
        self.server.doubts = 1

    def gateway_restart(self) -> None:
        gateway = self.rng.choice(list(self.world.gateways.values()))
        gateway.config.tmst_offset_us = self.rng.choice((0, None, (1 << 32) - 30 * SECOND_US))
        self.world.act(gateway, gateway.restart)

    def bad_backhaul(self) -> None:
        eui = self.rng.choice(list(self.world.gateways))
        self.world._backhaul[eui] = Backhaul(
            self.rng.choice((5, 80, 300)),
            self.rng.choice((20, 200, 900)),
            self.rng.choice((0, 0.05, 0.3)),
            self.rng.choice((0, 0.1, 0.4)),
        )
        self.at(self.now + self.rng.randrange(10, 60) * SECOND_US, self._mend_backhaul, eui)

    def _mend_backhaul(self, eui: int) -> None:
        self.world._backhaul[eui] = CALM

    def late_buffer(self) -> None:
        self._held_until[self.rng.choice(list(self.world.gateways))] = (
            self.now + self.rng.choice((5, 20, 50)) * SECOND_US
        )

    def refusals(self) -> None:
        gateway = self.rng.choice(list(self.world.gateways.values()))
        gateway.refuse.extend(self.rng.choices(ERRORS, k=self.rng.randrange(1, 6)))

    def tx_ack_faults(self) -> None:
        self._tx_ack_loss = self.rng.choice((0.0, 0.3, 1.0))
        self._tx_ack_forged = self.rng.choice((0.0, 0.3, 1.0))

    def replay_datagrams(self) -> None:
        for _, outgoing in (
            self.rng.choices(list(self._captured), k=self.rng.randrange(1, 12)) if self._captured else ()
        ):
            self.at(self.now + self.rng.randrange(SECOND_US), self._arrive, outgoing)

    def replay_on_air(self) -> None:
        """Somebody with a radio: frames of before are heard again, at any gateway."""
        for _, outgoing in self.rng.choices(list(self._captured), k=self.rng.randrange(1, 8)) if self._captured else ():
            for rxpk in json.loads(outgoing.data[12:])["rxpk"]:
                self.at(self.now + self.rng.randrange(5 * SECOND_US), self._hear_again, rxpk)

    def _hear_again(self, rxpk: Line) -> None:
        import base64

        gateway = self.rng.choice(list(self.world.gateways.values()))
        reception = Reception(
            base64.b64decode(rxpk["data"]),
            round(rxpk["freq"] * 1e6),
            rxpk["datr"],
            -50.0,
            10.0,
            self.now - 60_000,
            self.now,
        )
        self.world.act(gateway, lambda now: gateway.hear(reception, now))

    def forged_joins(self) -> None:
        """Join-requests of our devices that nobody with their key has signed, with nonces that they will need."""
        device = self.rng.choice(self.devices)
        gateway = self.rng.choice(list(self.world.gateways.values()))
        following = device.joiner.dev_nonce
        for nonce in (following, following + 1, 65_535):
            head = b"\x00" + JOIN_EUI.to_bytes(8, "little") + device.config.dev_eui.to_bytes(8, "little")
            phy = head + (nonce & 0xFFFF).to_bytes(2, "little") + self.rng.randbytes(4)
            reception = Reception(phy, 868_900_000, "SF7BW125", -60.0, 9.0, self.now - 60_000, self.now)
            self.world.act(gateway, lambda now, reception=reception: gateway.hear(reception, now))  # type: ignore[misc]

    def garbage(self) -> None:
        for _ in range(self.rng.randrange(1, 6)):
            eui = self.rng.choice(list(self.world.gateways))
            body = self.rng.randbytes(self.rng.randrange(0, 60))
            head = b"\x02" + self.rng.randbytes(2) + bytes((self.rng.randrange(8),)) + eui.to_bytes(8, "big")
            datagram = head + body if self.rng.random() < 0.7 else body
            if self.server.alive:
                self.server.guarded(self._receive, datagram, self._address(eui, False))

    def rejoin_storm(self) -> None:
        for device in self.devices:
            if self._is_otaa(device) and self.rng.random() < 0.8:
                self.world.act(device, lambda now, device=device: device.restart(now, keep_session=False))  # type: ignore[misc]

    def rejoin(self) -> None:
        for device in self.devices:
            if device.config.lorawan_1_1 and device.session is not None:
                kind = self.rng.randrange(3)
                self.world.act(device, lambda now, device=device, kind=kind: device.rejoin(kind, now))  # type: ignore[misc]

    def crowd(self) -> None:
        """Everybody has something to say at one moment."""
        for dev_eui in self.world.devices:
            self._uplink(dev_eui, True)

    def device_restart(self) -> None:
        device = self.rng.choice(self.devices)
        keeps = device.config.counts_nonces or not self._is_otaa(device) or self.rng.random() < 0.5
        self.world.act(device, lambda now: device.restart(now, keep_session=keeps))

    def back_up(self) -> None:
        if self.server.alive and self._backup is None:
            self._backup = self.server.back_up()

    def restore(self) -> None:
        if self._backup is None or not self.server.alive:
            return
        self._restores += 1
        self.server.disarm()
        epoch = self.server.join_server._store.epoch + 1
        self.server.put_back(self._backup, self._restores, epoch)
        for device in self.devices:
            # The sessions made since the backup are unknown now; an operator has such devices join again.
            if self._is_otaa(device):
                self.world.act(device, lambda now, device=device: device.restart(now, keep_session=False))  # type: ignore[misc]

    @staticmethod
    def _is_otaa(device: Device) -> bool:
        return device.session is None or device.session.dev_addr >> 8 != 0x010000


FAULTS: tuple[tuple[str, Callable[[Universe], None], int], ...] = (
    ("kill_at_step", Universe.kill_at_step, 3),
    ("kill_in_a_write", Universe.kill_in_a_write, 2),
    ("power_loss", Universe.power_loss, 2),
    ("kill", Universe.kill, 1),
    ("clock_step", Universe.clock_step, 2),
    ("disk_full", Universe.disk_full, 1),
    ("sync_error", Universe.sync_error, 1),
    ("doubtful_commit", Universe.doubtful_commit, 1),
    ("gateway_restart", Universe.gateway_restart, 2),
    ("bad_backhaul", Universe.bad_backhaul, 3),
    ("late_buffer", Universe.late_buffer, 2),
    ("refusals", Universe.refusals, 2),
    ("tx_ack_faults", Universe.tx_ack_faults, 2),
    ("replay_datagrams", Universe.replay_datagrams, 2),
    ("replay_on_air", Universe.replay_on_air, 3),
    ("forged_joins", Universe.forged_joins, 1),
    ("garbage", Universe.garbage, 1),
    ("rejoin_storm", Universe.rejoin_storm, 1),
    ("rejoin", Universe.rejoin, 1),
    ("device_restart", Universe.device_restart, 2),
    ("crowd", Universe.crowd, 2),
    ("back_up", Universe.back_up, 1),
    ("restore", Universe.restore, 1),
)
"""Name, what it does, and how often at most within one seed."""
