"""One gateway as the server knows it, and the registry of them."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from lns.clock import Now
from lns.gateways.clock import ConcentratorClock
from lns.gateways.front import Front
from lns.gateways.gps import GpsClock
from lns.gateways.ledger import DutyLedger, SubBandLike
from lns.gateways.schedule import TransmitSchedule

Address = tuple[Any, ...]
"""A socket address as the operating system gives it: (host, port) or (host, port, flow, scope)."""

OFFLINE_AFTER_US = 90_000_000
"""Forwarders send PULL_DATA every 5–10 s and stat every 30 s; three missed stats are a silence."""
DEFAULT_RTT_US = 100_000
"""Assumed until measured: an LTE backhaul on a fair day."""
UNKNOWN_LIMIT = 1000


class Gateway:
    """A registered gateway: what the operator wrote, and what the server has seen since its start."""

    __slots__ = (
        "altitude_m",
        "antenna_gain_dbi",
        "beacons",
        "class_b",
        "clock",
        "created_at_us",
        "downlinks",
        "eui",
        "eui_text",
        "front",
        "gps",
        "last_seen_mono_us",
        "last_seen_us",
        "latitude",
        "ledger",
        "longitude",
        "name",
        "pending",
        "pull_address",
        "rtt_us",
        "schedule",
        "stat",
        "tags",
        "tx_outcomes",
        "uplinks",
    )

    def __init__(self, eui: int, sub_bands: Iterable[SubBandLike]) -> None:
        self.eui = int(eui)
        self.eui_text = f"{eui:016x}"
        self.name = ""
        self.latitude: float | None = None
        self.longitude: float | None = None
        self.altitude_m: float | None = None
        self.antenna_gain_dbi = 0.0
        self.tags: dict[str, str] = {}
        self.created_at_us = 0
        self.front: Front | None = None
        """The protocol that has a path to this gateway now; None: no downlink can reach it."""
        self.pull_address: Address | None = None
        """Source of the last PULL_DATA: where PULL_RESP goes."""
        self.last_seen_mono_us: int | None = None
        self.last_seen_us: int | None = None
        self.rtt_us: int | None = None
        self.clock = ConcentratorClock()
        self.gps = GpsClock()
        self.class_b = "off"
        """Who makes its beacons: ``off`` nobody, ``gateway`` its own forwarder, ``server`` we do, at GPS times."""
        self.beacons: Counter[str] = Counter()
        """What became of the beacons that the server made: ``NONE`` is success, as with TX_ACK."""
        self.schedule = TransmitSchedule()
        self.ledger = DutyLedger(sub_bands)
        self.pending: dict[bytes, tuple[Any, int]] = {}
        """PULL_RESP token → (what waits for its TX_ACK, when it was sent, monotonic)."""
        self.uplinks = 0
        self.downlinks = 0
        self.tx_outcomes: Counter[str] = Counter()
        self.stat: dict[str, Any] = {}

    def seen(self, now: Now) -> None:
        self.last_seen_mono_us = now.mono_us
        self.last_seen_us = now.wall_us

    def is_online(self, now: Now) -> bool:
        return self.last_seen_mono_us is not None and now.mono_us - self.last_seen_mono_us < OFFLINE_AFTER_US

    def measure_rtt(self, rtt_us: int) -> None:
        """Take one PULL_RESP → TX_ACK time; a smoothed value as in RFC 6298 §2 (alpha = 1/8)."""
        self.rtt_us = rtt_us if self.rtt_us is None else self.rtt_us + (rtt_us - self.rtt_us) // 8

    @property
    def expected_rtt_us(self) -> int:
        return DEFAULT_RTT_US if self.rtt_us is None else self.rtt_us


class Unknown:
    """A gateway that speaks to us and is not registered."""

    __slots__ = ("address", "datagrams", "eui", "first_seen_us", "last_seen_us")

    def __init__(self, eui: int, now: Now) -> None:
        self.eui = eui
        self.address = ""
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

    def stranger(self, eui: int, address: Address, now: Now) -> None:
        """Note a datagram of an unregistered gateway; the longest silent one is forgotten beyond the limit."""
        unknown = self._unknown.get(eui)
        if unknown is None:
            unknown = self._unknown[eui] = Unknown(eui, now)
            if len(self._unknown) > UNKNOWN_LIMIT:
                self._unknown.popitem(last=False)
        else:
            self._unknown.move_to_end(eui)
        unknown.address = f"{address[0]}:{address[1]}"
        unknown.last_seen_us = now.wall_us
        unknown.datagrams += 1

    def strangers(self) -> list[Unknown]:
        """Most recently heard first."""
        return list(reversed(self._unknown.values()))
