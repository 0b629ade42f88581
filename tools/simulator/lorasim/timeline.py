"""``[[events]]`` of a scenario: what happens at which moment. Any scenario may have them.

Each kind of event is one function, in :data:`KINDS`. Devices and gateways are named by their EUI, or taken by number or share.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lorasim.backhaul import Backhaul
from lorasim.gateway import Gateway
from lorasim.radio import Reception, airtime_us
from lorawan import frames
from lorawan.identifiers import EUI64

if TYPE_CHECKING:
    from lorasim.device import Device
    from lorasim.world import World

CAPTURED = 200
"""So many of the last frames an attacker remembers."""


@dataclass(slots=True)
class Event:
    """One entry of the timeline."""

    at_s: float
    """Seconds after the start of the run."""
    do: str
    """What: see ``docs/simulator.md``."""
    gateway: str = ""
    """EUI; empty: all, or the first where one is meant."""
    devices: list[str] = field(default_factory=list)
    """EUIs; empty: all of ``group``."""
    group: str = ""
    """Name of a group of devices or meters; empty: all."""
    share: float = 1.0
    """Only this share of them, drawn by the seed."""
    spread_s: float = 0.0
    """Each at its own moment within so long."""
    for_s: float = 0.0
    """How long it lasts; 0: for good."""
    every_s: float = 0.0
    """Again and again, so far apart; 0: once."""
    count: int = 1
    """How often, or how many frames."""
    keep: str = "session"
    """``restart``: what the device still has: ``session``, ``keys`` (counters at 0) or ``nothing`` (it joins)."""
    loss: float = 0.0
    """``radio``, ``backhaul``: share of lost frames or datagrams."""
    downlink_loss: float = 0.0
    """``radio``: share of lost downlinks."""
    delay_ms: float = 15.0
    """``backhaul``: one way."""
    jitter_ms: float = 10.0
    """``backhaul``: up to so much more."""
    error: str = "TOO_LATE"
    """``refuse``: what TX_ACK says."""
    f_port: int = 5
    """``downlink``: of the application."""
    data: str = ""
    """``downlink``: payload in hex."""
    confirmed: bool = False
    """``downlink``: it is a confirmed one."""


class Timeline:
    """Carries a scenario's events out in a world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._heard: list[Reception] = []
        """What an attacker with a receiver has."""
        self._is_attacked = any(event.do == "replay" for event in world.scenario.events)

    def start(self) -> None:
        for event in self.world.scenario.events:
            self._plan(event, self.world.start_us + round(event.at_s * 1e6))

    def _plan(self, event: Event, at_us: int) -> None:
        self.world.at(at_us, self._happen, event)

    def _happen(self, event: Event) -> None:
        world = self.world
        world.record("event", {"do": event.do, "gateway": event.gateway, "group": event.group})
        KINDS[event.do](self, event)
        if event.every_s:
            self._plan(event, world.now_us + round(event.every_s * 1e6))

    def overhear(self, reception: Reception) -> None:
        """A frame was on the air: an attacker may keep it."""
        if self._is_attacked and (not self._heard or self._heard[-1].phy != reception.phy):
            self._heard.append(reception)
            del self._heard[:-CAPTURED]

    # ------------------------------------------------------------------------------------------------- who

    def devices(self, event: Event) -> list[Device]:
        """The devices that an event is about."""
        world = self.world
        if event.devices:
            chosen = [world.devices[int(eui, 16)] for eui in event.devices if int(eui, 16) in world.devices]
        else:
            chosen = [
                one
                for eui, one in world.devices.items()
                if not event.group or world.population.group_of(eui) == event.group
            ]
        return chosen if event.share >= 1 else [one for one in chosen if world.rng.random() < event.share]

    def gateways(self, event: Event) -> list[int]:
        return [int(event.gateway, 16)] if event.gateway else list(self.world.gateways)

    def each(self, event: Event, action: Callable[[Device, int], None]) -> None:
        """Do something to each device, at its own moment."""
        world = self.world
        for device in self.devices(event):
            wait_us = round(world.rng.uniform(0, event.spread_s) * 1e6) if event.spread_s else 0
            world.at(world.now_us + wait_us, self._act, device, action)

    def _act(self, device: Device, action: Callable[[Device, int], None]) -> None:
        if not device.transmitter.had_power:
            return  # it comes as new when its moment within join_spread_s is there
        self.world.act(device, lambda now: action(device, now))

    # ------------------------------------------------------------------------------------------------- what

    def restart(self, event: Event) -> None:
        keeps = event.keep != "nothing"
        self.each(event, lambda device, now: device.restart(now, keeps, event.keep == "session"))

    def power_off(self, event: Event) -> None:
        keeps, off_us = event.keep != "nothing", round(event.for_s * 1e6)

        def off(device: Device, now: int) -> None:
            device.stop()
            if off_us:  # those that went off come back, each after its own time
                self.world.at(now + off_us, self._act, device, on)

        def on(device: Device, now: int) -> None:
            device.restart(now, keeps, event.keep == "session")

        self.each(event, off)

    def rejoin(self, event: Event) -> None:
        self.each(event, lambda device, now: device.rejoin(0, now))

    def move(self, event: Event) -> None:
        eui = self.gateways(event)[0]
        for device in self.devices(event):
            self.world.air.move(device.config.dev_eui, eui)

    def replay(self, event: Event) -> None:
        """Frames of earlier reach the gateways again, as they were."""
        world = self.world
        for reception in self._heard[-event.count :]:
            long_us = airtime_us(len(reception.phy), reception.datr, crc=True)
            now = world.now_us
            again = Reception(
                reception.phy,
                reception.frequency_hz,
                reception.datr,
                reception.rssi_dbm,
                reception.snr_db,
                now - long_us,
                now,
            )
            for eui in self.gateways(event):
                gateway = world.gateways[eui]
                world.act(gateway, lambda now, gateway=gateway, again=again: gateway.hear(again, now))  # type: ignore[misc]
            world.record("replayed", {"phy": reception.phy.hex()})

    def forge_joins(self, event: Event) -> None:
        """Join-requests with a MIC that fits no key."""
        world = self.world
        for device in self.devices(event)[: event.count]:
            config = device.config
            nonce = world.rng.randrange(1 << 16)
            request = frames.JoinRequest(EUI64(config.join_eui), EUI64(config.dev_eui), nonce)
            phy = request.encode_without_mic() + world.rng.randbytes(4)
            forged = Reception(phy, world.plan.default_channels[0].frequency_hz, "SF9BW125", -90, 5.0, 0, world.now_us)
            for eui in self.gateways(event):
                gateway = world.gateways[eui]
                world.act(gateway, lambda now, gateway=gateway, forged=forged: gateway.hear(forged, now))  # type: ignore[misc]

    def gateway_restart(self, event: Event) -> None:
        for eui in self.gateways(event):
            gateway = self.world.gateways[eui]
            self.world.act(gateway, gateway.restart)

    def gateway_off(self, event: Event) -> None:
        for eui in self.gateways(event):
            gateway = self.world.gateways[eui]
            self.world.act(gateway, lambda now, gateway=gateway: gateway.stop())  # type: ignore[misc]
            if event.for_s:
                self.world.at(self.world.now_us + round(event.for_s * 1e6), self.world.act, gateway, gateway.restart)

    def refuse(self, event: Event) -> None:
        for eui in self.gateways(event):
            gateway = self.world.gateways[eui]
            if isinstance(gateway, Gateway):  # a Basics Station says nothing of what it does not send
                gateway.refuse.extend([event.error] * event.count)

    def radio(self, event: Event) -> None:
        radio = self.world.scenario.radio
        before = radio.loss, radio.downlink_loss
        radio.loss, radio.downlink_loss = event.loss, event.downlink_loss
        if event.for_s:
            self.world.at(self.world.now_us + round(event.for_s * 1e6), self._radio_again, *before)

    def _radio_again(self, loss: float, downlink_loss: float) -> None:
        self.world.scenario.radio.loss, self.world.scenario.radio.downlink_loss = loss, downlink_loss

    def backhaul(self, event: Event) -> None:
        for eui in self.gateways(event):
            before = self.world.set_backhaul(eui, Backhaul(event.delay_ms, event.jitter_ms, event.loss))
            if event.for_s:
                self.world.at(self.world.now_us + round(event.for_s * 1e6), self.world.set_backhaul, eui, before)

    def downlink(self, event: Event) -> None:
        queue = self.world.queue_downlink
        if queue is None:
            return  # only in virtual time the lab has a way to the server's queue
        for device in self.devices(event):
            queue(device.config.dev_eui, event.f_port, bytes.fromhex(event.data), event.confirmed)


KINDS: dict[str, Callable[[Timeline, Event], None]] = {
    "restart": Timeline.restart,
    "power_off": Timeline.power_off,
    "rejoin": Timeline.rejoin,
    "move": Timeline.move,
    "replay": Timeline.replay,
    "forge_joins": Timeline.forge_joins,
    "gateway_restart": Timeline.gateway_restart,
    "gateway_off": Timeline.gateway_off,
    "refuse": Timeline.refuse,
    "radio": Timeline.radio,
    "backhaul": Timeline.backhaul,
    "downlink": Timeline.downlink,
}
KEEPS = ("session", "keys", "nothing")


def check(event: Event) -> None:
    """Raises ValueError that names the key."""
    if event.do not in KINDS:
        raise ValueError(f"do: {event.do!r} is none of {', '.join(KINDS)}")
    if event.keep not in KEEPS:
        raise ValueError(f"keep: {event.keep!r} is none of {', '.join(KEEPS)}")
    if event.at_s < 0 or event.count < 1:
        raise ValueError("at_s must not be below 0, nor count below 1")
    try:
        bytes.fromhex(event.data)
    except ValueError:
        raise ValueError(f"data: {event.data!r} is not bytes in hex, such as '01ff'") from None
