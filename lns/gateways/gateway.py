"""One gateway as the server knows it, and the registry of them."""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from lns.clock import Now
from lns.gateways import forwarder
from lns.gateways.clock import ConcentratorClock
from lns.gateways.front import Front
from lns.gateways.gps import GpsClock
from lns.gateways.ledger import DutyLedger, SubBandLike
from lns.gateways.roundtrip import RoundTrip
from lns.gateways.schedule import TransmitSchedule
from lns.gateways.sources import Binding, Bucket

Address = tuple[Any, ...]
"""A socket address as the operating system gives it: (host, port) or (host, port, flow, scope)."""

OFFLINE_AFTER_US = 90_000_000
"""Forwarders send PULL_DATA every 5–10 s and stat every 30 s; three missed stats are a silence."""
UNKNOWN_LIMIT = 1000
SILENCES = 3
"""A gateway that owes so many TX_ACKs in a row comes after the others that heard a device: it may swallow what it is given."""
LEAST_POWER_DBM = 0


class Position(NamedTuple):
    """WGS 84; altitude in metres where it is known."""

    latitude: float
    longitude: float
    altitude_m: float | None


class Pending(NamedTuple):
    """A PULL_RESP that has no TX_ACK yet."""

    transmission: Any
    sent_us: int
    """Monotonic."""
    host: str
    """Where it went: its TX_ACK comes from there."""
    power_dbm: int


class Gateway:
    """A registered gateway: what the operator wrote, and what the server has seen since its start."""

    __slots__ = (
        "_max_duty_cycle",
        "ackr_percent",
        "altitude_m",
        "antenna_gain_dbi",
        "bad_crc",
        "beacons",
        "budget",
        "class_b",
        "clock",
        "created_at_us",
        "dark_since_us",
        "disputed",
        "downlinks",
        "eui",
        "eui_text",
        "forwarder",
        "forwarder_seen",
        "front",
        "gps",
        "gps_position",
        "last_seen_mono_us",
        "last_seen_us",
        "latitude",
        "ledger",
        "link",
        "longitude",
        "name",
        "outages",
        "pending",
        "private_to",
        "protocol_version",
        "proven",
        "pull_address",
        "refused_power_dbm",
        "roundtrip",
        "schedule",
        "silent_in_row",
        "source",
        "stat",
        "station",
        "tags",
        "tx_ack",
        "tx_outcomes",
        "uplinks",
    )

    def __init__(self, eui: int, sub_bands: Iterable[SubBandLike]) -> None:
        self.eui = int(eui)
        self.eui_text = f"{eui:016x}"
        self.name = ""
        self.latitude: float | None = None
        """Where the operator says that it stands; None: its own GPS is believed (see :attr:`position`)."""
        self.longitude: float | None = None
        self.altitude_m: float | None = None
        self.gps_position: Position | None = None
        self.antenna_gain_dbi = 0.0
        """For people and for coverage. Downlink power is EIRP everywhere in the server: the forwarder takes its antenna's gain
        off (``antenna_gain`` of its own configuration), and doing it here as well would take it off twice."""
        self.tags: dict[str, str] = {}
        self.private_to = ""
        """It serves only devices whose tag ``organisation`` says this; empty: all."""
        self.created_at_us = 0
        self.front: Front | None = None
        """The protocol that has a path to this gateway now; None: no downlink can reach it."""
        self.pull_address: Address | None = None
        """Source of the last PULL_DATA: where PULL_RESP goes."""
        self.protocol_version = 2
        """Of the Semtech protocol; version 1 has neither tokens in PULL_RESP nor a TX_ACK."""
        self.source = Binding()
        self.disputed = 0
        """Datagrams in its name from elsewhere, since the start."""
        self.budget: Bucket | None = None
        self.last_seen_mono_us: int | None = None
        self.last_seen_us: int | None = None
        self.dark_since_us: int | None = None
        """Since when nothing of it is known, also from before the server's start; None: there was no before."""
        self.outages: deque[tuple[int, int]] = deque(maxlen=8)
        """From when to when it was silent, µs of UTC: what it missed then is no fault of a device."""
        self.roundtrip = RoundTrip()
        self.forwarder: forwarder.Setting = "auto"
        self.forwarder_seen = ""
        """Its generation as it showed by its behaviour, empty until it did."""
        self.tx_ack: forwarder.TxAckSetting = "auto"
        """``never``: the operator knows that this forwarder never sends TX_ACK, so its silence means that it sent."""
        self.silent_in_row = 0
        """Downlinks without TX_ACK since the last one with."""
        self.refused_power_dbm: int | None = None
        """It answered TX_POWER to this, and is asked for less from then on."""
        self.clock = ConcentratorClock()
        self.gps = GpsClock()
        self.class_b = "off"
        """Who makes its beacons: ``off`` nobody, ``gateway`` its own forwarder, ``server`` we do, at GPS times."""
        self.beacons: Counter[str] = Counter()
        """What became of the beacons that the server made: ``NONE`` is success, as with TX_ACK."""
        self.schedule = TransmitSchedule()
        self.ledger = DutyLedger(sub_bands)
        self._max_duty_cycle: float | None = None
        self.pending: dict[bytes, Pending] = {}
        """PULL_RESP token → what waits for its TX_ACK."""
        self.uplinks = 0
        self.bad_crc = 0
        self.downlinks = 0
        self.tx_outcomes: Counter[str] = Counter()
        self.stat: dict[str, Any] = {}
        """The last ``stat`` that it told of itself."""
        self.ackr_percent: list[float] = []
        """Each ``stat`` tells which share of its datagrams was answered; those since the last statistics."""
        self.station: dict[str, Any] = {"region": "", "max_eirp_dbm": None, "concentrator": ""}
        """What the operator set for it as a Basics Station; fields of internalapi StationSetup."""
        self.proven = False
        """It has shown a token or a certificate since the start: who comes with neither, over UDP, is not it."""
        self.link: Any = None
        """Its connection as a Basics Station (``basicstation.link.Link``), None while there is none."""

    # ----------------------------------------------------------------------------------- what the operator says

    @property
    def max_duty_cycle(self) -> float | None:
        """The operator's own limit for everything that the gateway sends, as a share of an hour; None is none."""
        return self._max_duty_cycle

    @max_duty_cycle.setter
    def max_duty_cycle(self, duty_cycle: float | None) -> None:
        self._max_duty_cycle = duty_cycle
        self.ledger.limit_all(duty_cycle)

    @property
    def allowed_sources(self) -> list[str]:
        """Networks that may speak in its name, as CIDR texts; empty: any. Setting it raises ValueError for what is none."""
        return [str(network) for network in self.source.allowed]

    @allowed_sources.setter
    def allowed_sources(self, networks: Sequence[str]) -> None:
        self.source.limit(networks)
        if not self.source.host:
            self.pull_address = None

    @property
    def position(self) -> Position | None:
        """Where it stands: what the operator wrote, else what its GPS tells."""
        if self.latitude is not None and self.longitude is not None:
            return Position(self.latitude, self.longitude, self.altitude_m)
        return self.gps_position

    def told_position(self, latitude: float, longitude: float, altitude_m: float | None) -> None:
        """Its GPS tells where it stands. (0, 0) and what is on no globe is what receivers without a fix tell."""
        if -90 <= latitude <= 90 and -180 <= longitude <= 180 and (latitude, longitude) != (0, 0):
            self.gps_position = Position(latitude, longitude, altitude_m)

    # ------------------------------------------------------------------------------------- what the server sees

    def serves(self, tags: dict[str, str] | None) -> bool:
        """Is a device with these tags among those that this gateway is for?"""
        return not self.private_to or (tags is not None and tags.get("organisation") == self.private_to)

    def seen(self, now: Now) -> None:
        if not self.is_online(now) and self.dark_since_us is not None:
            self.outages.append((self.dark_since_us, now.wall_us))
        self.dark_since_us = now.wall_us
        self.last_seen_mono_us = now.mono_us
        self.last_seen_us = now.wall_us

    def is_online(self, now: Now) -> bool:
        return self.last_seen_mono_us is not None and now.mono_us - self.last_seen_mono_us < OFFLINE_AFTER_US

    def measure_rtt(self, rtt_us: int) -> None:
        """Take one time from handing a message over to its answer, which came just now."""
        self.roundtrip.measure(rtt_us, self.last_seen_mono_us or 0)

    @property
    def rtt_us(self) -> int | None:
        """The smoothed round trip, None until measured."""
        return self.roundtrip.smoothed_us

    @property
    def expected_rtt_us(self) -> int:
        """A round trip that the next one hardly exceeds."""
        return self.roundtrip.expected_us

    @property
    def kind(self) -> forwarder.ForwarderKind:
        """The generation of its forwarder: as set, else as seen; a Basics Station while it is connected as one."""
        if self.link is not None:
            return forwarder.STATION
        name = self.forwarder_seen if self.forwarder == "auto" else self.forwarder
        return forwarder.KINDS.get(name, forwarder.UNKNOWN)

    @property
    def lead_us(self) -> int:
        """How long before its transmission a message must leave the server: the round trip that is to be reckoned with, and
        what the forwarder wants before it."""
        return self.roundtrip.lead_us + self.kind.too_late_us

    def immediate_us(self, now_us: int) -> int:
        """When a frame that is to go at once has begun at the latest, if the transmitter is free; monotonic."""
        return now_us + self.expected_rtt_us + self.kind.immediate_us

    @property
    def is_mute(self) -> bool:
        """True when it owes several answers in a row although it should give them."""
        return self.silent_in_row >= SILENCES and self.gives_tx_ack

    @property
    def gives_tx_ack(self) -> bool:
        """False when its silence is what it always answers."""
        if self.tx_ack == "always":
            return True
        return self.tx_ack != "never" and self.protocol_version > 1

    def answered(self, error: str, warning: str) -> None:
        """It took a frame (empty ``error``) or refused it: what that tells of the gateway itself."""
        self.silent_in_row = 0
        self.forwarder_seen = forwarder.kind_by_answer(error, warning) or self.forwarder_seen
        if error == "TOO_LATE":
            self.roundtrip.too_late()
        elif not error:
            self.roundtrip.in_time()

    def was_silent(self) -> None:
        """It owes an answer that no longer comes."""
        self.tx_outcomes["SILENT"] += 1
        self.silent_in_row += 1

    def power_dbm(self, eirp_dbm: float) -> int:
        """The power to ask for: whole dBm, and less than what it has refused. Its table of powers is not ours to know."""
        power = int(eirp_dbm)
        refused = self.refused_power_dbm
        return power if refused is None else max(LEAST_POWER_DBM, min(power, refused - 1))

    def was_deaf(self, at_us: int, airtime_us: int = 0) -> bool:
        """True when it was transmitting at ``at_us`` (monotonic) or in the ``airtime_us`` before: then it heard nothing."""
        return self.schedule.was_deaf(at_us - airtime_us, at_us + 1)


class Unknown:
    """A gateway that speaks to us and is not registered."""

    __slots__ = ("address", "datagrams", "eui", "first_seen_us", "last_seen_us", "protocol")

    def __init__(self, eui: int, now: Now) -> None:
        self.eui = eui
        self.address = ""
        self.protocol = "udp"
        self.first_seen_us = now.wall_us
        self.last_seen_us = now.wall_us
        self.datagrams = 0


class GatewayRegistry:
    """Registered gateways by EUI, and a bounded list of strangers."""

    def __init__(self, sub_bands: Callable[[], Iterable[SubBandLike]]) -> None:
        self._sub_bands = sub_bands
        self._gateways: dict[int, Gateway] = {}
        self._unknown: OrderedDict[int, Unknown] = OrderedDict()

    def __iter__(self) -> Iterator[Gateway]:
        return iter(self._gateways.values())

    def __len__(self) -> int:
        return len(self._gateways)

    def get(self, eui: int) -> Gateway | None:
        return self._gateways.get(eui)

    def add(self, eui: int) -> Gateway:
        """Register ``eui`` (or return it when it is); a stranger of that EUI leaves the list of strangers."""
        gateway = self._gateways.get(eui)
        if gateway is None:
            gateway = self._gateways[eui] = Gateway(eui, self._sub_bands())
            self._unknown.pop(eui, None)
        return gateway

    def remove(self, eui: int) -> None:
        self._gateways.pop(eui, None)

    def stranger(self, eui: int, address: Address, now: Now, protocol: str = "udp") -> None:
        """Note that an unregistered gateway has spoken; the longest silent one is forgotten beyond the limit."""
        unknown = self._unknown.get(eui)
        if unknown is None:
            unknown = self._unknown[eui] = Unknown(eui, now)
            if len(self._unknown) > UNKNOWN_LIMIT:
                self._unknown.popitem(last=False)
        else:
            self._unknown.move_to_end(eui)
        unknown.address = f"{address[0]}:{address[1]}"
        unknown.protocol = protocol
        unknown.last_seen_us = now.wall_us
        unknown.datagrams += 1

    def strangers(self) -> list[Unknown]:
        """Most recently heard first."""
        return list(reversed(self._unknown.values()))
