"""One simulated device, one gateway, the real server, and an air that loses what a test tells it to lose.

The device is ``lorasim``'s: its MAC state is the truth that the server's picture is compared with.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from lorasim.device import Device, DeviceConfig
from lorasim.mac import MacState
from lorasim.manners import Manners
from lorasim.outbox import Message
from lorasim.radio import Downlink, Note, Uplink, airtime_us

import regional
from lorawan.commands import Command
from tests.support.fake_gateway import FakeGateway, Sent
from tests.support.lab import SECOND_US, WINDOW_US, Lab


@dataclass
class MacWorld:
    """``loss``: share of frames lost, each way. Uplinks go one by one with :meth:`uplink`."""

    lab: Lab
    device: Device
    dev_eui: str
    gateway: FakeGateway
    rng: random.Random
    loss: float = 0.0
    snr_db: float = 5.0
    notes: list[Note] = field(default_factory=list)
    sent: list[Sent] = field(default_factory=list)
    """Downlinks that answered the last uplink."""

    @property
    def truth(self) -> MacState:
        return self.device.state

    @property
    def session(self) -> Any:
        return self.lab.state.devices[int(self.dev_eui, 16)].session

    def uplink(
        self,
        data: bytes = b"\x01",
        *,
        wishes: Sequence[Command] = (),
        lost: bool | None = None,
        down_lost: bool | None = None,
        gap_us: int = 30 * SECOND_US,
    ) -> list[Sent]:
        """The device sends one frame; its windows pass. Returns what the server sent for it."""
        device, before = self.device, len(self.lab.air)
        device.outbox.wishes.extend(wishes)
        device.send(Message(1, data), self.lab.mono_us)
        self._run(lost, down_lost)
        self.lab.advance(gap_us)
        self.sent = self.lab.air[before:]
        return self.sent

    def _run(self, lost: bool | None, down_lost: bool | None) -> None:
        """Until the device is idle: what it transmits is heard, what the server answers is on the air in its time."""
        coming: list[Downlink] = []
        for _ in range(200):
            for uplink in self._uplinks():
                coming += self._carry(uplink, lost, down_lost)
            timer = self.device.timer()
            downlink = min(coming, key=lambda one: one.start_us, default=None)
            if downlink is not None and (timer is None or downlink.start_us <= timer):
                coming.remove(downlink)
                self._until(downlink.start_us)
                if self.device.detect(downlink, downlink.start_us) is None:
                    self._until(downlink.end_us)
                    self.device.receive(downlink, downlink.end_us, self.snr_db)
            elif timer is not None:
                self._until(timer)
                self.device.handle_timer(self.lab.mono_us)
            else:
                return
        raise AssertionError("the device never comes to rest")

    def _uplinks(self) -> list[Uplink]:
        found = []
        while (effect := self.device.next_effect()) is not None:
            if isinstance(effect, Uplink):
                found.append(effect)
            else:
                self.notes.append(effect)
        return found

    def _carry(self, uplink: Uplink, lost: bool | None, down_lost: bool | None) -> list[Downlink]:
        self._until(uplink.end_us)
        if self.rng.random() < self.loss if lost is None else lost:
            return []
        lab, before = self.lab, len(self.lab.air)
        heard_us, heard_tmst = lab.mono_us, self.gateway.tmst()
        radio = {"freq": uplink.frequency_hz / 1e6, "datr": uplink.datr}
        self.gateway.hear(uplink.phy, lsnr=self.snr_db, **radio)
        lab.advance(WINDOW_US)
        found = []
        for sent in lab.air[before:]:
            if not sent.on_air or (self.rng.random() < self.loss if down_lost is None else down_lost):
                continue
            start_us = heard_us + (sent.txpk["tmst"] - heard_tmst) % (1 << 32)
            datr = sent.txpk["datr"]
            frequency_hz = round(sent.txpk["freq"] * 1e6)
            found.append(
                Downlink(
                    1, 1, sent.phy, frequency_hz, datr, True, 14.0, start_us, airtime_us(len(sent.phy), datr, crc=False)
                )
            )
        return found

    def _until(self, us: int) -> None:
        self.lab.advance(max(0, us - self.lab.mono_us))


def abp_world(
    lab: Lab,
    mac_version: str = "1.0.3",
    *,
    seed: int = 1,
    loss: float = 0.0,
    manners: Manners | None = None,
    device_fields: dict[str, Any] | None = None,
    **profile: Any,
) -> MacWorld:
    """An ABP device with the region's defaults, and a profile that wants this of it."""
    gateway = next(iter(lab.gateways.values()), None) or lab.gateway()
    node = lab.abp(seed % 200 + 1, mac_version, profile=lab.profile(mac_version, **profile))
    config = DeviceConfig(
        int(node.dev_eui, 16),
        mac_version=mac_version,
        confirmed_tries=1,
        adr=False,
        manners=manners or Manners(),
        **(device_fields or {}),
    )
    device = Device(config, regional.plan(lab.settings.region), random.Random(seed))
    device.activate(node.dev_addr, 0, node.keys)
    device.state.lorawan_1_1 = node.keys.lorawan_1_1
    device.session.rekeyed = True
    device.start(lab.mono_us)
    return MacWorld(lab, device, node.dev_eui, gateway, random.Random(seed + 1000), loss)


def otaa_world(
    lab: Lab,
    mac_version: str = "1.0.3",
    *,
    seed: int = 1,
    loss: float = 0.0,
    manners: Manners | None = None,
    device_fields: dict[str, Any] | None = None,
    **profile: Any,
) -> MacWorld:
    """A device that has joined (without loss)."""
    gateway = next(iter(lab.gateways.values()), None) or lab.gateway()
    key, other = bytes([seed % 250 + 1]) * 15 + b"\x0a", bytes([seed % 250 + 1]) * 15 + b"\x0b"
    dev_eui = 0xB0_0000 + seed
    keys = {"app_key": key.hex()} | ({"nwk_key": other.hex()} if mac_version.startswith("1.1") else {})
    lab.device(dev_eui, profile=lab.profile(mac_version, **profile), join_eui=f"{0:016x}", **keys)
    config = DeviceConfig(
        dev_eui,
        0,
        key,
        other,
        mac_version=mac_version,
        confirmed_tries=1,
        adr=False,
        manners=manners or Manners(),
        **(device_fields or {}),
    )
    device = Device(config, regional.plan(lab.settings.region), random.Random(seed))
    world = MacWorld(lab, device, f"{dev_eui:016x}", gateway, random.Random(seed + 1000), 0.0)
    device.start(lab.mono_us)
    device.handle_timer(lab.mono_us)
    world._run(False, False)
    assert device.joined
    lab.advance(10 * SECOND_US)
    world.uplink()
    world.loss = loss
    return world


def differences(world: MacWorld) -> dict[str, tuple[Any, Any]]:
    """Where the server's picture and the device's truth differ: name → (server, device)."""
    radio, truth, plan = world.session.radio, world.truth, world.lab.state.plan
    first = len(plan.default_channels)
    found = {
        "rx1_delay_s": (radio.rx1_delay_s, truth.rx1_delay_s),
        "rx1_dr_offset": (radio.rx1_dr_offset, truth.rx1_dr_offset),
        "rx2": ((radio.rx2_dr, radio.rx2_frequency_hz), (truth.rx2_dr, truth.rx2_frequency_hz)),
        "duty": (radio.max_duty_cycle, truth.max_duty_cycle),
        "dwell": ((radio.uplink_dwell, radio.downlink_dwell), (truth.uplink_dwell, truth.downlink_dwell)),
        "eirp": (plan.max_eirp_dbm if radio.max_eirp_dbm is None else radio.max_eirp_dbm, truth.max_eirp_dbm),
        "adr_ack": ((1 << radio.adr_ack_limit_exp, 1 << radio.adr_ack_delay_exp), (truth.adr_ack_limit, truth.adr_ack_delay)),
        "rejoin": ((radio.rejoin_time_n, radio.rejoin_count_n), (truth.rejoin_time_n, truth.rejoin_count_n)),
        "ping_slot": ((radio.ping_slot_frequency_hz, radio.ping_slot_dr), (truth.ping_slot_frequency_hz, truth.ping_slot_dr)),
        "beacon": (radio.beacon_frequency_hz, truth.beacon_frequency_hz),
        "channels": (
            {first + n: one for n, one in enumerate(radio.channels) if one.frequency_hz},
            {i: (c.frequency_hz, c.min_dr, c.max_dr) for i, c in truth.channels.items() if i >= first},
        ),
        "dl_channels": (
            dict(radio.dl_channels),
            {i: c.rx1_hz for i, c in truth.channels.items() if c.rx1_hz != plan.rx1_frequency_hz(c.frequency_hz)},
        ),
        "enabled": (
            {i for i in truth.channels if not radio.disabled >> i & 1},
            truth.enabled,
        ),
    }  # fmt: skip
    return {name: pair for name, pair in found.items() if pair[0] != pair[1]}
