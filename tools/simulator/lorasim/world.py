"""Everything that is simulated, in one sans-I/O machine: devices, meters, gateways, the air and the backhaul.

Feed it the server's datagrams with the time, ask :meth:`World.timer`, call :meth:`World.handle_timer`, send what
:meth:`World.next_datagram` gives. Events are handled in the order of their own times, so a late call changes nothing on
the air: time may be a real clock's or a counted one.
"""

from __future__ import annotations

import heapq
import random
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from lorasim.air import Air
from lorasim.backhaul import Way
from lorasim.clock import MeterClock
from lorasim.consumption import to_us
from lorasim.device import Device, DeviceConfig
from lorasim.dice import Dice
from lorasim.gateway import Gateway
from lorasim.house import Module, Report, SimulatedHouse, key_of, start_of
from lorasim.link import OnAir
from lorasim.outbox import Message
from lorasim.radio import Datagram, Downlink, Note, Reception, Uplink, airtime_us
from lorasim.recording import Recorder
from lorasim.scenario import Backhaul, DeviceGroup, Scenario, ScenarioError
from lorasim.station import Dial, Station, Text
from lorasim.station_entry import make as make_gateway
from lorasim.summary import Summary
from lorawan import commands
from regional import Plan, PlanError
from regional import plan as region_plan

Actor = Device | Gateway | Station

ANSWER_S = 2.0, 8.0
"""So long after a command a meter's module answers."""

LINGER_US = 20_000_000
"""A run ends so long after the meters caught up, whatever a device that hears badly still has to say."""


@dataclass(slots=True, frozen=True)
class Outgoing:
    """A datagram for the server, from one of a gateway's two sockets."""

    gateway_eui: int
    pull: bool
    data: bytes


@dataclass(slots=True, frozen=True)
class Dialling:
    """A station wants a connection to this address; an empty one ends what it has."""

    gateway_eui: int
    uri: str


@dataclass(slots=True)
class _Group:
    """A device that sends a running number."""

    config: DeviceGroup
    sent: int = 0


@dataclass(slots=True)
class World:
    """See the module. ``start_us`` is about when it will be switched on: :meth:`start` says exactly."""

    scenario: Scenario
    start_us: int
    seed: int | None = None
    speed: float | None = None
    recorder: Recorder = field(default_factory=lambda: Recorder(None))
    devices: dict[int, Device] = field(default_factory=dict)
    gateways: dict[int, Gateway | Station] = field(default_factory=dict)
    house: SimulatedHouse | None = None
    clock: MeterClock | None = None
    summary: Summary = field(default_factory=Summary)
    queue_downlink: Callable[[int, int, bytes, bool], None] | None = None
    """The way to the application's queue (DevEUI, FPort, data, confirmed), where the lab has one: in virtual time."""
    plan: Plan = field(init=False)
    air: Air = field(init=False)
    rng: random.Random = field(init=False)
    _now: int = 0
    _backhaul: dict[int, Backhaul] = field(default_factory=dict)
    _way: dict[int, Way] = field(default_factory=dict)
    _dials: Counter[int] = field(default_factory=Counter)
    """Connections that stations have asked for: what becomes of an older one does not matter."""
    _events: list[tuple[int, int, Callable[..., None], tuple[object, ...]]] = field(default_factory=list)
    _sequence: int = 0
    _armed: dict[int, int] = field(default_factory=dict)
    """The time for which an actor's timer stands in the heap, by id of the actor."""
    _out: deque[Outgoing | Dialling] = field(default_factory=deque)
    _address: dict[str, set[int]] = field(default_factory=dict)
    """DevEUIs by DevAddr."""
    _listening: set[int] = field(default_factory=set)
    """DevEUIs of the devices that may have a window open."""
    _channels_hz: list[int] = field(default_factory=list)
    _foreign_rng: Dice = field(init=False)
    _groups: dict[int, _Group] = field(default_factory=dict)
    _modules: dict[int, Module] = field(default_factory=dict)
    """Radio modules of the house's meters, by DevEUI."""
    _unacknowledged: dict[str, object] = field(default_factory=dict)
    """Frames with a reading for which no PUSH_ACK has come, by their bytes."""
    _pushed: dict[tuple[int, int], list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        scenario = self.scenario
        self.seed = scenario.seed if self.seed is None else self.seed
        self.speed = scenario.clock.speed if self.speed is None else self.speed
        self.rng = random.Random(f"{self.seed}/world")
        try:
            self.plan = region_plan(scenario.region)
            extra = self.plan.presets[scenario.preset] if scenario.preset else ()
        except (PlanError, KeyError) as error:
            raise ScenarioError(f"region {scenario.region!r}, preset {scenario.preset!r}: {error}") from error
        channels = [c.frequency_hz for c in self.plan.default_channels] + list(extra)
        self._channels_hz, self._foreign_rng = channels, Dice(f"{self.seed}/foreign")
        self._add_gateways(channels)
        collisions = scenario.radio.collisions
        if collisions is None:
            collisions = scenario.house is None or self.speed <= 1
        self.air = Air(scenario.radio, scenario.gateways, self.seed, collisions)
        self._add_groups()
        self._add_house()
        self.summary = Summary(scenario.name, self.seed, days=scenario.clock.days, devices=len(self.devices))

    # ------------------------------------------------------------------------------------------------- building

    def _add_gateways(self, channels: list[int]) -> None:
        scenario = self.scenario
        for entry in scenario.gateways:
            eui, beacon_hz = int(entry.eui, 16), self.plan.beacon_frequency_hz(0)
            self.gateways[eui] = make_gateway(entry, channels, beacon_hz, scenario.radio.half_duplex, self.seed)
            self._backhaul[eui] = backhaul = entry.backhaul or scenario.backhaul
            self._way[eui] = Way(backhaul, self.rng, entry.outages)

    def add_device(self, config: DeviceConfig) -> Device:
        """Put a device into the world; :meth:`start` or :meth:`switch_on` starts it."""
        device = Device(config, self.plan, Dice(f"{self.seed}/device/{config.dev_eui:x}"))
        if config.firmware.deaf:
            self.air.deaf[config.dev_eui] = config.firmware.deaf
        self.devices[config.dev_eui] = device
        return device

    def _add_groups(self) -> None:
        for group in self.scenario.devices:
            for index in range(group.count):
                dev_eui = int(group.dev_eui, 16) + index
                self.add_device(
                    DeviceConfig(
                        dev_eui=dev_eui,
                        join_eui=int(group.join_eui, 16),
                        app_key=key_of(self.seed or 0, dev_eui),
                        nwk_key=key_of(self.seed or 0, dev_eui, "nwk_key"),
                        mac_version=group.mac_version,
                        dr=group.dr,
                        adr=group.adr,
                        class_c=group.class_c,
                        ping_periodicity=None if group.ping_periodicity < 0 else group.ping_periodicity,
                        ppm=group.ppm,
                    )
                )
                self._groups[dev_eui] = _Group(group)

    def _add_house(self) -> None:
        scenario = self.scenario
        if scenario.house is None:
            return
        start = start_of(scenario, self.start_us)
        self.house = SimulatedHouse(scenario.house, self.seed or 0, start)
        self.clock = self._clock(start)
        for module in self.house.modules:
            self._modules[module.dev_eui] = module
            self.add_device(
                DeviceConfig(
                    dev_eui=module.dev_eui,
                    join_eui=module.join_eui,
                    app_key=module.app_key,
                    nwk_key=key_of(self.seed or 0, module.dev_eui, "nwk_key"),
                    mac_version=module.mac_version,
                    dr=scenario.house.dr,
                    battery=scenario.house.battery,
                    join_backoff_max_s=scenario.house.join_backoff_max_s,
                )
            )
            if module.deaf:
                self.air.deaf[module.dev_eui] = 0.5
            if not module.meter.flat and scenario.house.common_gateway:
                self.air.move(module.dev_eui, int(scenario.house.common_gateway, 16))

    def _clock(self, meter_start: datetime) -> MeterClock:
        lead_in_us = round(self.scenario.clock.lead_in_s * 1e6)
        return MeterClock(self.start_us + lead_in_us, to_us(meter_start), self.speed or 1.0)

    # ------------------------------------------------------------------------------------------------- life

    def start(self, now: int) -> None:
        """Switch everything on: gateways at once, devices within their spread."""
        self._now = self.start_us = now
        if self.house is not None:
            self.clock = self._clock(self.house.start)
        plan = {"region": self.scenario.region, "plan": asdict(self.scenario)}
        self._record("run", {"scenario": self.scenario.name, "seed": self.seed, "speed": self.speed, **plan})
        for eui, gateway in self.gateways.items():
            front = "basicstation" if isinstance(gateway, Station) else "semtech-udp"
            self._record("gateway", {"gateway": f"{eui:016x}", "name": gateway.config.name, "front": front})
            gateway.start(now)
            self._pump(gateway, now)
        self._gateway_life()
        for dev_eui in self.devices:
            group = self._groups.get(dev_eui)
            house = self.scenario.house
            spread_s = group.config.join_spread_s if group else house.join_spread_s if house else 0.0
            at = now + round(self.rng.uniform(0.1, max(0.1, spread_s)) * 1e6)
            self._at(at, self.switch_on, dev_eui)
        if self.scenario.radio.foreign_per_h:
            self._foreign()
        if self.house is not None:
            for module in self.house.modules:
                self._next_report(module, self.house.reports(module))

    def switch_on(self, dev_eui: int) -> None:
        """Start a device now."""
        device, config = self.devices[dev_eui], self.devices[dev_eui].config
        fields: dict[str, object] = {
            "dev_eui": f"{dev_eui:016x}",
            "join_eui": f"{config.join_eui:016x}",
            "mac_version": config.mac_version,
            "class": config.device_class,
            "group": self._group_of(dev_eui),
            "app_key": config.app_key.hex(),
            "nwk_key": config.nwk_key.hex() if config.lorawan_1_1 else "",
        }
        if device.session is not None:
            keys = device.session.keys
            fields |= {"dev_addr": str(device.session.dev_addr), "app_s_key": keys.app_s_key.hex()}
            fields |= {"nwk_s_key": keys.f_nwk_s_int_key.hex()}
            self._address.setdefault(str(device.session.dev_addr), set()).add(dev_eui)
        self._record("device", fields)
        device.start(self._now)
        self._pump(device, self._now)
        group = self._groups.get(dev_eui)
        if group is not None:
            first_s = self.rng.uniform(0, group.config.interval_s)
            self._at(self._now + round(first_s * 1e6), self._send_number, device, group)

    def _group_of(self, dev_eui: int) -> str:
        """What assertions and reports call the devices that this one belongs to."""
        group = self._groups.get(dev_eui)
        return (group.config.name or "devices") if group else "house" if self.house is not None else ""

    def send(self, dev_eui: int, message: Message) -> None:
        """Give a device a payload now."""
        device = self.devices[dev_eui]
        device.send(message, self._now)
        self._pump(device, self._now)

    def act(self, actor: Actor, action: Callable[[int], None]) -> None:
        """Do something to a device or gateway now, such as ``lambda now: gateway.restart(now)``."""
        action(self._now)
        self._pump(actor, self._now)

    def finished(self) -> bool:
        """The meters have caught up with the present, and nothing waits to be sent or has waited for too long."""
        if self.clock is None or not self.clock.caught_up(self._now):
            return False
        return self.clock.caught_up(self._now - LINGER_US) or not any(d.outbox.queue for d in self.devices.values())

    # ------------------------------------------------------------------------------------------------- meters

    def _next_report(self, module: Module, reports: Iterator[Report]) -> None:
        assert self.clock is not None
        report = next(reports, None)
        if report is None:
            return
        due = self.clock.send_us(report.measured_us, report.send_us)
        self._at(due, self._report, module, report, reports)

    def _report(self, module: Module, report: Report, reports: Iterator[Report]) -> None:
        meter = module.meter
        tag = {
            "serial": meter.serial,
            "resource": meter.resource,
            "measured_us": report.measured_us,
            "units": report.units,
        }
        if self.house is not None and self.house.asks_time(module, report.measured_us):
            self.devices[module.dev_eui].outbox.wishes.append(commands.DeviceTimeReq())
        self.send(module.dev_eui, Message(report.f_port, report.payload, module.confirmed, tag))
        self._next_report(module, reports)

    def _module_told(self, device: Device, fields: dict[str, Any]) -> None:
        """A module does what a downlink asks for: it answers, or sets its clock."""
        module = self._modules.get(device.config.dev_eui)
        if module is None or self.house is None or self.clock is None:
            return
        now_us = self.clock.meter_us(self._now)
        if fields["device_time"] is not None:
            module.set_clock(now_us, 0)
        if not fields["f_port"] or not fields["data"]:
            return
        answer = self.house.answer(module, fields["f_port"], bytes.fromhex(fields["data"]), now_us)
        if answer is not None:
            self._at(self._now + round(self.rng.uniform(*ANSWER_S) * 1e6), self.send, device.config.dev_eui, answer)

    def _send_number(self, device: Device, group: _Group) -> None:
        config = group.config
        group.sent += 1
        if config.link_check and group.sent % config.link_check == 0:
            device.outbox.wishes.append(commands.LinkCheckReq())
        if config.device_time and group.sent % config.device_time == 0:
            device.outbox.wishes.append(commands.DeviceTimeReq())
        data = group.sent.to_bytes(config.payload_bytes, "big")
        self.send(device.config.dev_eui, Message(config.f_port, data, config.confirmed, {"number": group.sent}))
        self._at(self._now + round(config.interval_s * 1e6), self._send_number, device, group)

    # ------------------------------------------------------------------------------------------------- events

    def _at(self, t: int, action: Callable[..., None], *arguments: object) -> None:
        self._sequence += 1
        heapq.heappush(self._events, (t, self._sequence, action, arguments))

    def timer(self) -> int | None:
        """When :meth:`handle_timer` is due."""
        return self._events[0][0] if self._events else None

    def handle_timer(self, now: int) -> None:
        """Everything that is due, in the order of its own time."""
        while self._events and self._events[0][0] <= now:
            self._now, _, action, arguments = heapq.heappop(self._events)
            action(*arguments)
        self._now = max(self._now, now)

    def receive(self, gateway_eui: int, data: bytes, now: int) -> None:
        """A datagram of the server enters the backhaul of a gateway."""
        self.handle_timer(now)
        for arrives_us in self._ways(gateway_eui, "down", now):
            self._at(arrives_us, self._arrive, self.gateways[gateway_eui], data)

    def connected(self, gateway_eui: int, now: int) -> None:
        """The connection that a station dialled stands."""
        self.handle_timer(now)
        self._tell(gateway_eui, lambda station: station.connected(self._now))

    def disconnected(self, gateway_eui: int, why: str, now: int) -> None:
        """A station's connection ended or did not come about."""
        self.handle_timer(now)
        for arrives_us in self._ways(gateway_eui, "down", now):  # behind the messages that came before
            self._at(arrives_us, self._broken, gateway_eui, self._dials[gateway_eui], why)

    def _broken(self, gateway_eui: int, dial: int, why: str) -> None:
        if self._dials[gateway_eui] == dial:
            self._tell(gateway_eui, lambda station: station.disconnected(why, self._now))

    def _tell(self, gateway_eui: int, what: Callable[[Station], None]) -> None:
        station = self.gateways[gateway_eui]
        if isinstance(station, Station):
            what(station)
            self._pump(station, self._now)

    def next_datagram(self) -> Outgoing | Dialling | None:
        """The next datagram for the server, message of a station, or connection that one wants."""
        return self._out.popleft() if self._out else None

    def snapshot(self) -> Summary:
        """The summary as of now."""
        summary = self.summary
        summary.elapsed_s = (self._now - self.start_us) / 1e6
        summary.joined = sum(device.joined for device in self.devices.values())
        if self.clock is not None and self.house is not None:
            summary.meter_time_us = self.clock.meter_us(self._now)
            summary.day = max(0, summary.meter_time_us - self.house.start_us) // 86_400_000_000
        return summary

    # ------------------------------------------------------------------------------------------------- actors

    def _pump(self, actor: Actor, now: int) -> None:
        """Carry out what an actor wants and note when it wants to be called."""
        while (effect := actor.next_effect()) is not None:
            if isinstance(effect, Note):
                self._noted(actor, effect)
            elif isinstance(effect, Uplink):
                self._at(effect.end_us, self._uplink_ends, effect, self.air.begin(effect))
            elif isinstance(effect, Downlink):
                self._downlink_starts(effect)
            elif isinstance(effect, Datagram) and isinstance(actor, Gateway):
                for leaves_us in self._ways(actor.config.eui, "up", now, keep=not effect.pull):
                    self._at(leaves_us, self._leave, Outgoing(actor.config.eui, effect.pull, effect.data))
            elif isinstance(effect, Text | Dial) and isinstance(actor, Station):
                self._station_wants(actor, effect, now)
        if isinstance(actor, Device):
            if actor.listening:
                self._listening.add(actor.config.dev_eui)
            else:
                self._listening.discard(actor.config.dev_eui)
        due = actor.timer()
        if due is not None and self._armed.get(id(actor)) != due:
            self._armed[id(actor)] = due
            self._at(due, self._timer_of, actor, due)

    def _timer_of(self, actor: Actor, due: int) -> None:
        if self._armed.get(id(actor)) == due:
            del self._armed[id(actor)]
            actor.handle_timer(self._now)
            self._pump(actor, self._now)

    def _ways(self, gateway_eui: int, direction: str, now: int, keep: bool = False) -> list[int]:
        """When the copies that come through the backhaul arrive: usually one."""
        way = self._way[gateway_eui]
        way.config, way.start_us = self._backhaul[gateway_eui], self.start_us
        if isinstance(self.gateways[gateway_eui], Station):
            arrives_us = way.message(now, direction)
            arrivals = [] if arrives_us is None else [arrives_us]
        else:
            arrivals = way.datagram(now, keep)
        if not arrivals:
            self._record("backhaul_loss", {"gateway": f"{gateway_eui:016x}", "direction": direction})
        return arrivals

    def _station_wants(self, station: Station, effect: Text | Dial, now: int) -> None:
        eui = station.config.eui
        if isinstance(effect, Dial):
            self._dials[eui] += 1
        if isinstance(effect, Text):
            for leaves_us in self._ways(eui, "up", now):
                self._at(leaves_us, self._leave, Outgoing(eui, False, effect.data))
        elif effect.uri and (outage := self._way[eui].outage(now)) is not None and not outage.buffered:
            self._at(now, self._tell, eui, lambda one: one.disconnected("no backhaul", self._now))
        else:
            self._leave(Dialling(eui, effect.uri))

    def _outage_begins(self, station: Station) -> None:
        """A connection without a backhaul is broken."""
        self._leave(Dialling(station.config.eui, ""))
        station.disconnected("no backhaul", self._now)
        self._pump(station, self._now)

    def _gateway_life(self) -> None:
        """Restarts and outages that the scenario plans."""
        for entry in self.scenario.gateways:
            gateway = self.gateways[int(entry.eui, 16)]
            for at_s in entry.restarts_s:
                self._at(self.start_us + round(at_s * 1e6), self._restart, gateway)
            for outage in entry.outages:
                if isinstance(gateway, Station) and not outage.buffered:
                    self._at(self.start_us + round(outage.at_s * 1e6), self._outage_begins, gateway)

    def _restart(self, gateway: Gateway | Station) -> None:
        gateway.restart(self._now)
        self._pump(gateway, self._now)

    def _leave(self, outgoing: Outgoing | Dialling) -> None:
        self._out.append(outgoing)

    def _arrive(self, gateway: Gateway | Station, data: bytes) -> None:
        gateway.receive(data, self._now)
        self._pump(gateway, self._now)

    # ------------------------------------------------------------------------------------------------- air

    def _uplink_ends(self, uplink: Uplink, frame: OnAir) -> None:
        gateways = self.gateways

        def deafness(eui: int) -> str:
            gateway = gateways[eui]
            if not gateway.hears(uplink.frequency_hz):
                return "off or on another channel"
            return "half duplex" if gateway.busy(uplink.start_us, uplink.end_us) else ""

        heard = self.air.decode(frame, deafness)
        for eui, signal in heard:
            gateway = gateways[eui]
            gateway.hear(
                Reception(
                    uplink.phy,
                    uplink.frequency_hz,
                    uplink.datr,
                    signal.rssi_dbm,
                    signal.snr_db,
                    uplink.start_us,
                    uplink.end_us,
                ),
                self._now,
            )
            self._pump(gateway, self._now)
        self.summary.receptions += len(heard)
        if not heard:
            self.summary.unheard += 1
            if self.recorder.listens:
                why = self.air.why_lost(frame)
                self._record("unheard", {"dev_eui": f"{uplink.dev_eui:016x}", "phy": uplink.phy.hex(), "why": why})

    def _foreign(self) -> None:
        """A frame of another network, and when the next one comes."""
        radio, rng = self.scenario.radio, self._foreign_rng
        self._at(self._now + round(rng.expovariate(radio.foreign_per_h / 3600) * 1e6), self._foreign)
        sf, frequency_hz = rng.choice((7, 7, 7, 8, 8, 9, 10, 11, 12)), rng.choice(self._channels_hz)
        dev_addr = (0x26_00_00_00 + rng.randrange(1 << 24)).to_bytes(4, "little")
        phy = b"\x40" + dev_addr + rng.randrange(1 << 64).to_bytes(16, "little")[:14]
        datr = f"SF{sf}BW125"
        long_us = airtime_us(len(phy), datr, crc=True)
        level = rng.uniform(*radio.foreign_dbm)
        frame = self.air.begin_foreign(frequency_hz, sf, self._now / 1e6, long_us / 1e6, level)
        uplink = Uplink(0, phy, frequency_hz, datr, 12 - sf, self._now, long_us, 0.0)
        self._at(uplink.end_us, self._foreign_ends, uplink, frame)

    def _foreign_ends(self, uplink: Uplink, frame: OnAir) -> None:
        before = self.summary.receptions, self.summary.unheard
        self._uplink_ends(uplink, frame)
        self.summary.receptions, self.summary.unheard = before
        self.summary.foreign += 1

    def _downlink_starts(self, downlink: Downlink) -> None:
        """A frame is on the air: who has a window open for it?"""
        phy = downlink.phy
        is_data = len(phy) >= 12 and phy[0] >> 5 in (3, 5)
        meant = self._address.get(phy[4:0:-1].hex(), set()) if is_data else set()
        fields = {
            "gateway": f"{downlink.gateway_eui:016x}",
            "token": downlink.token,
            "phy": phy.hex(),
            "frequency_hz": downlink.frequency_hz,
            "datr": downlink.datr,
            "power_dbm": downlink.power_dbm,
            "airtime_us": downlink.airtime_us,
        }
        self._record("on_air", fields)
        for dev_eui in sorted(self._listening | meant):
            device = self.devices.get(dev_eui)
            if device is None:
                continue
            signal = self.air.downlink(dev_eui, downlink.gateway_eui, downlink.datr, downlink.power_dbm, self._now)
            why = "not heard: signal" if signal is None else device.detect(downlink, self._now)
            if why is None and signal is not None:
                self._at(downlink.end_us, self._downlink_ends, device, downlink, signal.snr_db)
            elif dev_eui in meant:
                self.summary.downlinks_missed += 1
                if signal is not None and why is not None:
                    self.summary.faults[f"missed: {why}"] += 1
                self._record("downlink_missed", {"dev_eui": f"{dev_eui:016x}", "why": why, "phy": phy.hex()})

    def _downlink_ends(self, device: Device, downlink: Downlink, snr_db: float) -> None:
        device.receive(downlink, self._now, snr_db)
        self._pump(device, self._now)

    # ------------------------------------------------------------------------------------------------- notes

    def _record(self, kind: str, fields: dict[str, object]) -> None:
        self.recorder.write(self._now, kind, fields)

    def _noted(self, actor: Actor, note: Note) -> None:
        if isinstance(actor, Gateway | Station):
            self._gateway_noted(actor, note)
            self._record(note.kind, {"gateway": f"{actor.config.eui:016x}", **note.fields})
        else:
            self._device_noted(actor, note)
            self._record(note.kind, {"dev_eui": f"{actor.config.dev_eui:016x}", **note.fields})

    def _gateway_noted(self, gateway: Gateway | Station, note: Note) -> None:
        summary, fields = self.summary, note.fields
        if note.kind == "push_data":
            summary.push_data += 1
            self._pushed[gateway.config.eui, fields["token"]] = fields["phys"]
        elif note.kind == "push_ack":
            summary.push_ack += 1
            for phy in self._pushed.pop((gateway.config.eui, fields["token"]), ()):
                summary.readings_acknowledged += self._unacknowledged.pop(phy, None) is not None
        elif note.kind == "pull_resp":
            summary.pull_resp += 1
            if "fault" in fields:
                summary.faults[f"PULL_RESP: {fields['fault']}"] += 1
        elif note.kind == "tx_ack":
            outcome = fields["outcome"]
            summary.tx_ack[outcome.get("error") or f"warn {outcome['warn']}"] += 1
        elif note.kind == "bad_datagram":
            summary.faults[f"datagram: {fields['why']}"] += 1

    def _device_noted(self, device: Device, note: Note) -> None:
        summary, fields = self.summary, note.fields
        if note.kind == "uplink":
            summary.uplinks += 1
            summary.repeated += fields["transmission"] > 1
            if fields["tag"] is not None:
                summary.readings += fields["transmission"] == 1
                if fields["transmission"] == 1:
                    self._unacknowledged[fields["phy"]] = fields["tag"]
        elif note.kind == "join_request":
            summary.join_requests += 1
        elif note.kind == "joined":
            summary.downlinks_heard += 1
            self._address.setdefault(fields["dev_addr"], set()).add(device.config.dev_eui)
        elif note.kind == "downlink":
            summary.downlinks_heard += 1
            self._module_told(device, fields)
        elif note.kind == "downlink_refused":
            summary.downlinks_refused += 1
            summary.faults[fields["why"]] += 1
