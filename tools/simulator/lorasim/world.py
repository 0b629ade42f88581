"""Everything that is simulated, in one sans-I/O machine: devices, meters, gateways, the air and the backhaul.

Feed it the server's datagrams with the time, ask :meth:`World.timer`, call :meth:`World.handle_timer`, send what
:meth:`World.next_datagram` gives. Events are handled in the order of their own times, so a late call changes nothing on
the air: time may be a real clock's or a counted one.
"""

from __future__ import annotations

import heapq
import random
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import asdict, dataclass, field

from lorasim.air import Air
from lorasim.backhaul import Way
from lorasim.clock import MeterClock
from lorasim.device import Device, DeviceConfig
from lorasim.dice import Dice
from lorasim.gateway import Gateway
from lorasim.house import SimulatedHouse
from lorasim.ledger import Ledger
from lorasim.link import OnAir
from lorasim.outbox import Message
from lorasim.population import Population
from lorasim.radio import Datagram, Downlink, Note, Reception, Uplink, airtime_us
from lorasim.recording import Recorder
from lorasim.scenario import Backhaul, Scenario, ScenarioError, without_secrets
from lorasim.station import Dial, Station, Text
from lorasim.station_entry import make as make_gateway
from lorasim.summary import Summary
from lorasim.timeline import Timeline
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
class World:
    """See the module. ``start_us`` is about when it will be switched on: :meth:`start` says exactly."""

    scenario: Scenario
    start_us: int
    seed: int | None = None
    speed: float | None = None
    recorder: Recorder = field(default_factory=lambda: Recorder(None))
    devices: dict[int, Device] = field(default_factory=dict)
    gateways: dict[int, Gateway | Station] = field(default_factory=dict)
    summary: Summary = field(default_factory=Summary)
    queue_downlink: Callable[[int, int, bytes, bool], None] | None = None
    """The way to the application's queue (DevEUI, FPort, data, confirmed), where the lab has one: in virtual time."""
    plan: Plan = field(init=False)
    air: Air = field(init=False)
    population: Population = field(init=False)
    timeline: Timeline = field(init=False)
    ledger: Ledger = field(init=False)
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

    def __post_init__(self) -> None:
        scenario = self.scenario
        self.seed = scenario.seed if self.seed is None else self.seed
        self.speed = scenario.clock.speed if self.speed is None else self.speed
        self.rng = random.Random(f"{self.seed}/world")
        try:
            self.plan = region_plan(scenario.region)
        except PlanError as error:
            raise ScenarioError(f"region {scenario.region!r}: {error}") from error
        if scenario.preset and scenario.preset not in self.plan.presets:
            known = ", ".join(map(repr, self.plan.presets)) or "none"
            raise ScenarioError(f"preset {scenario.preset!r}: {scenario.region} has {known}; '' is no extra channels")
        extra = self.plan.presets[scenario.preset] if scenario.preset else ()
        channels = [c.frequency_hz for c in self.plan.default_channels] + list(extra)
        self._channels_hz, self._foreign_rng = channels, Dice(f"{self.seed}/foreign")
        self._add_gateways(channels)
        collisions = scenario.radio.collisions
        if collisions is None:
            collisions = scenario.house is None or self.speed <= 1
        self.air = Air(scenario.radio, scenario.gateways, self.seed, collisions)
        self.population = Population(self)
        self.timeline = Timeline(self)
        self.summary = Summary(scenario.name, self.seed, days=scenario.clock.days, devices=len(self.devices))
        self.ledger = Ledger(self.summary)

    # ------------------------------------------------------------------------------------------------- building

    def _add_gateways(self, channels: list[int]) -> None:
        scenario = self.scenario
        for entry in scenario.gateways:
            eui = int(entry.eui, 16)
            self.gateways[eui] = make_gateway(entry, channels, self.plan, scenario.radio.half_duplex, self.seed)
            self._backhaul[eui] = backhaul = entry.backhaul or scenario.backhaul
            self._way[eui] = Way(backhaul, self.rng, entry.outages)

    def add_device(self, config: DeviceConfig) -> Device:
        """Put a device into the world; :meth:`start` or :meth:`switch_on` starts it."""
        device = Device(config, self.plan, Dice(f"{self.seed}/device/{config.dev_eui:x}"))
        if config.firmware.deaf:
            self.air.deaf[config.dev_eui] = config.firmware.deaf
        self.devices[config.dev_eui] = device
        return device

    # ------------------------------------------------------------------------------------------------- life

    def start(self, now: int) -> None:
        """Switch everything on: gateways at once, devices within their spread."""
        self._now = self.start_us = now
        plan = {"region": self.scenario.region, "plan": without_secrets(asdict(self.scenario))}
        self._record("run", {"scenario": self.scenario.name, "seed": self.seed, "speed": self.speed, **plan})
        for eui, gateway in self.gateways.items():
            front = "basicstation" if isinstance(gateway, Station) else "semtech-udp"
            self._record("gateway", {"gateway": f"{eui:016x}", "name": gateway.config.name, "front": front})
            gateway.start(now)
            self._pump(gateway, now)
        self._gateway_life()
        self.population.start()
        for dev_eui in self.devices:
            spread_s = self.population.join_spread_s(dev_eui)
            at = now + round(self.rng.uniform(0.1, max(0.1, spread_s)) * 1e6)
            self.at(at, self.switch_on, dev_eui)
        self.timeline.start()
        if self.scenario.radio.foreign_per_h:
            self._foreign()

    def switch_on(self, dev_eui: int) -> None:
        """Start a device now."""
        device, config = self.devices[dev_eui], self.devices[dev_eui].config
        fields: dict[str, object] = {
            "dev_eui": f"{dev_eui:016x}",
            "join_eui": f"{config.join_eui:016x}",
            "mac_version": config.mac_version,
            "class": config.device_class,
            "group": self.population.group_of(dev_eui),
            "app_key": config.app_key.hex(),
            "nwk_key": config.nwk_key.hex() if config.lorawan_1_1 else "",
        }
        if device.session is not None:
            keys = device.session.keys
            fields |= {"dev_addr": str(device.session.dev_addr), "app_s_key": keys.app_s_key.hex()}
            fields |= {"nwk_s_key": keys.f_nwk_s_int_key.hex()}
            if keys.lorawan_1_1:
                others = {"s_nwk_s_int_key": keys.s_nwk_s_int_key.hex(), "nwk_s_enc_key": keys.nwk_s_enc_key.hex()}
                fields |= others
            self._address.setdefault(str(device.session.dev_addr), set()).add(dev_eui)
        self._record("device", fields)
        device.start(self._now)
        self._pump(device, self._now)
        self.population.switched_on(dev_eui, self._now)

    def send(self, dev_eui: int, message: Message) -> None:
        """Give a device a payload now."""
        device = self.devices[dev_eui]
        device.send(message, self._now)
        self._pump(device, self._now)

    @property
    def now_us(self) -> int:
        return self._now

    @property
    def house(self) -> SimulatedHouse | None:
        return self.population.house

    @property
    def clock(self) -> MeterClock | None:
        return self.population.clock

    @property
    def cflist(self) -> bytes:
        """The gateways' extra channels as a join-accept would give them."""
        return self.plan.cflist(self._channels_hz[len(self.plan.default_channels) :])

    def set_backhaul(self, gateway_eui: int, backhaul: Backhaul) -> Backhaul:
        """Another way to the server from now on; the one before."""
        before, self._backhaul[gateway_eui] = self._backhaul[gateway_eui], backhaul
        return before

    def act(self, actor: Actor, action: Callable[[int], None]) -> None:
        """Do something to a device or gateway now, such as ``lambda now: gateway.restart(now)``."""
        action(self._now)
        self._pump(actor, self._now)

    def finished(self) -> bool:
        """The meters have caught up with the present, and nothing waits to be sent or has waited for too long."""
        if self.clock is None or not self.clock.caught_up(self._now):
            return False
        return self.clock.caught_up(self._now - LINGER_US) or not any(d.outbox.queue for d in self.devices.values())

    # ------------------------------------------------------------------------------------------------- events

    def at(self, t: int, action: Callable[..., None], *arguments: object) -> None:
        """Do something at a moment."""
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
            self.at(arrives_us, self._arrive, self.gateways[gateway_eui], data)

    def connected(self, gateway_eui: int, now: int) -> None:
        """The connection that a station dialled stands."""
        self.handle_timer(now)
        self._tell(gateway_eui, lambda station: station.connected(self._now))

    def disconnected(self, gateway_eui: int, why: str, now: int) -> None:
        """A station's connection ended or did not come about."""
        self.handle_timer(now)
        for arrives_us in self._ways(gateway_eui, "down", now):  # behind the messages that came before
            self.at(arrives_us, self._broken, gateway_eui, self._dials[gateway_eui], why)

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
                self.at(effect.end_us, self._uplink_ends, effect, self.air.begin(effect))
            elif isinstance(effect, Downlink):
                self._downlink_starts(effect)
            elif isinstance(effect, Datagram) and isinstance(actor, Gateway):
                for leaves_us in self._ways(actor.config.eui, "up", now, keep=not effect.pull):
                    self.at(leaves_us, self._leave, Outgoing(actor.config.eui, effect.pull, effect.data))
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
            self.at(due, self._timer_of, actor, due)

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
                self.at(leaves_us, self._leave, Outgoing(eui, False, effect.data))
        elif effect.uri and (outage := self._way[eui].outage(now)) is not None and not outage.buffered:
            self.at(now, self._tell, eui, lambda one: one.disconnected("no backhaul", self._now))
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
                self.at(self.start_us + round(at_s * 1e6), self._restart, gateway)
            for outage in entry.outages:
                if isinstance(gateway, Station) and not outage.buffered:
                    self.at(self.start_us + round(outage.at_s * 1e6), self._outage_begins, gateway)

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
            reception = Reception(
                uplink.phy,
                uplink.frequency_hz,
                uplink.datr,
                signal.rssi_dbm,
                signal.snr_db,
                uplink.start_us,
                uplink.end_us,
            )
            gateway.hear(reception, self._now)
            self._pump(gateway, self._now)
            self.timeline.overhear(reception)
        self.summary.receptions += len(heard)
        if not heard:
            self.summary.unheard += 1
            if self.recorder.listens and uplink.dev_eui:  # strangers have none
                why = self.air.why_lost(frame)
                self._record("unheard", {"dev_eui": f"{uplink.dev_eui:016x}", "phy": uplink.phy.hex(), "why": why})

    def _foreign(self) -> None:
        """A frame of another network, and when the next one comes."""
        radio, rng = self.scenario.radio, self._foreign_rng
        self.at(self._now + round(rng.expovariate(radio.foreign_per_h / 3600) * 1e6), self._foreign)
        sf, frequency_hz = rng.choice((7, 7, 7, 8, 8, 9, 10, 11, 12)), rng.choice(self._channels_hz)
        dev_addr = (0x26_00_00_00 + rng.randrange(1 << 24)).to_bytes(4, "little")
        phy = b"\x40" + dev_addr + rng.randrange(1 << 64).to_bytes(16, "little")[:14]
        datr = f"SF{sf}BW125"
        long_us = airtime_us(len(phy), datr, crc=True)
        level = rng.uniform(*radio.foreign_dbm)
        frame = self.air.begin_foreign(frequency_hz, sf, self._now / 1e6, long_us / 1e6, level)
        uplink = Uplink(0, phy, frequency_hz, datr, 12 - sf, self._now, long_us, 0.0)
        self.at(uplink.end_us, self._foreign_ends, uplink, frame)

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
                self.at(downlink.end_us, self._downlink_ends, device, downlink, signal.snr_db)
            elif dev_eui in meant:
                self.summary.downlinks_missed += 1
                if signal is not None and why is not None:
                    self.summary.faults[f"missed: {why}"] += 1
                self._record("downlink_missed", {"dev_eui": f"{dev_eui:016x}", "why": why, "phy": phy.hex()})

    def _downlink_ends(self, device: Device, downlink: Downlink, snr_db: float) -> None:
        device.receive(downlink, self._now, snr_db)
        self._pump(device, self._now)

    # ------------------------------------------------------------------------------------------------- notes

    def record(self, kind: str, fields: dict[str, object]) -> None:
        """A line of the recording."""
        self.recorder.write(self._now, kind, fields)

    def _record(self, kind: str, fields: dict[str, object]) -> None:
        self.recorder.write(self._now, kind, fields)

    def _noted(self, actor: Actor, note: Note) -> None:
        listens = self.recorder.listens
        if isinstance(actor, Device):
            self.ledger.device(note)
            if note.kind == "joined":
                self._address.setdefault(note.fields["dev_addr"], set()).add(actor.config.dev_eui)
            elif note.kind == "downlink":
                self.population.told(actor, note.fields, self._now)
            if listens:
                self._record(note.kind, {"dev_eui": f"{actor.config.dev_eui:016x}", **note.fields})
        else:
            self.ledger.gateway(actor, note)
            if listens:
                self._record(note.kind, {"gateway": f"{actor.config.eui:016x}", **note.fields})
