"""Gateways, stations and what is told of them."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct


class GatewayWrite(Struct):
    gateway_eui: str
    name: str = ""
    latitude: float | None = None
    longitude: float | None = None
    altitude_m: float | None = None
    antenna_gain_dbi: float = 0.0
    tags: dict[str, str] = {}
    private_to: str = ""
    """Serves only devices whose tag ``organisation`` says this; empty: all."""
    class_b: str = "off"
    """Who makes its beacons: ``off`` nobody, ``gateway`` its own forwarder, ``server`` we do (Semtech UDP with GPS)."""
    max_duty_cycle: float | None = None
    """The operator's own limit for all that it sends, as a share of an hour; None is none."""
    forwarder: str = "auto"
    """Generation of its packet forwarder: ``auto`` (learned from its behaviour), ``legacy`` (SX1301) or ``hal`` (SX1302)."""
    tx_ack: str = "auto"
    """Does its forwarder answer downlinks: ``auto`` and ``always`` say yes, ``never`` takes silence for "sent"."""
    allowed_sources: list[str] = []
    """Networks (CIDR) from which it may speak; empty: any."""


class SubBandUse(Struct):
    """Airtime of one duty-cycle sub-band over the last hour."""

    min_hz: int
    max_hz: int
    duty_cycle: float
    used_ms: float
    budget_ms: float


class GatewayClaim(Struct):
    """Another source that speaks in a gateway's name."""

    address: str
    first_seen_us: int
    last_seen_us: int
    datagrams: int


class StationSetup(Struct):
    """What a gateway is told if it is a Basics Station; unset fields: as ``[gateways.basicstation]`` says for all."""

    region: str = ""
    """Name of the region, which decides by whose rules the station sends."""
    max_eirp_dbm: float | None = None
    concentrator: str = ""
    """``sx1301`` or ``sx1302``."""


class StationSetupWrite(StationSetup, kw_only=True):
    gateway_eui: str


class StationState(Struct):
    """A gateway that is connected as a Basics Station."""

    version: str
    package: str
    model: str
    features: list[str]
    connected_at_us: int
    address: str
    tls: str
    """TLS version, empty without."""
    credential: str
    """``token``, ``certificate`` or ``open``."""
    last_timesync_us: int | None
    """When it last asked for the time, which only stations with PPS do."""
    region: str
    """The region's name that it was told."""


class GatewayGps(Struct, frozen=True):
    """GPS time of a gateway: without it no beacon and no downlink of class B goes through it."""

    state: str
    """``none`` (never told), ``locked``, ``stale``, ``lost``, ``wrong``."""
    age_s: float | None
    """How long ago the last believed time was told."""
    off_ms: float | None
    """How far it was ahead of the server's clock, delay included."""


class GatewayRecord(Struct):
    gateway_eui: str
    name: str
    latitude: float | None
    longitude: float | None
    altitude_m: float | None
    antenna_gain_dbi: float
    tags: dict[str, str]
    created_at_us: int
    online: bool
    last_seen_us: int | None
    address: str
    """Source ``ip:port`` of the last PULL_DATA, empty when there was none since the start."""
    rtt_ms: float | None
    uplinks: int
    """Frames received since the server's start (copies counted)."""
    downlinks: int
    tx_outcomes: dict[str, int]
    """TX_ACK outcome → count since the server's start; ``NONE`` is success, ``SILENT`` means no TX_ACK came."""
    sub_bands: list[SubBandUse]
    stat: dict[str, Any] = {}
    """The last ``stat`` object of the gateway, as it came."""
    max_duty_cycle: float | None = None
    airtime_ms: float = 0.0
    """Airtime of the last hour on all frequencies; so long it heard nothing, too."""
    forwarder: str = "auto"
    forwarder_seen: str = ""
    """The generation that its behaviour shows: ``legacy``, ``hal``, empty while nothing does."""
    tx_ack: str = "auto"
    silent_in_row: int = 0
    """Downlinks without TX_ACK since the last one with."""
    private_to: str = ""
    allowed_sources: list[str] = []
    location_source: str = ""
    """Which location counts: the ``operator``'s, else its own ``gps``; empty when there is none."""
    protocol: str = ""
    """How it is connected now: ``udp``, ``basicstation``, ``mqtt``; empty while no downlink can reach it."""
    lead_ms: float | None = None
    """A message must leave the server so long before its transmission."""
    bad_crc: int = 0
    """Frames with a wrong checksum since the start."""
    disputed: int = 0
    """Datagrams in its name from another source since the start."""
    claim: GatewayClaim | None = None
    """Who else speaks in its name."""
    clock_restarts: int = 0
    """How often its counter began anew since the server's start."""
    class_b: str = "off"
    gps: GatewayGps = GatewayGps("none", None, None)
    beacons: dict[str, int] = {}
    """Beacons made by the server, by outcome, since its start; ``NONE`` is success."""
    station_setup: StationSetup = msgspec.field(default_factory=StationSetup)
    station: StationState | None = None
    """None while it is not connected as a Basics Station."""
    station_tokens: int = 0
    """How many tokens it may show."""


class GatewayStatisticsRequest(Struct):
    key: str
    from_us: int
    to_us: int


class GatewayHour(Struct):
    """What a gateway did in one hour of the wall clock."""

    hour_us: int
    """When it began."""
    uplinks: int
    bad_crc: int
    online_s: int
    rtt_least_ms: float | None
    rtt_mean_ms: float | None
    rtt_most_ms: float | None
    ackr_percent: float | None
    """Mean of what it told: the share of its datagrams that were answered."""
    outcomes: dict[str, int]
    """TX_ACK outcome → count, as in :class:`GatewayRecord`."""
    airtime_ms: dict[str, float]
    """Lower edge of the sub-band in Hz (``0``: none) → airtime."""


class GatewayStatistics(Struct):
    items: list[GatewayHour]


class UnknownGateway(Struct):
    gateway_eui: str
    address: str
    first_seen_us: int
    last_seen_us: int
    datagrams: int
    protocol: str = "udp"


class StationCredentialsRequest(Struct):
    """New tokens for a Basics Station."""

    gateway_eui: str
    uri: str = ""
    """``wss://host:port`` by which the station reaches this server; empty: ``[gateways.basicstation] uri``."""


class StationCredentials(Struct):
    """What goes into the files of a Basics Station. The tokens are shown this one time."""

    lns_uri: str
    """``tc.uri``"""
    cups_uri: str
    """``cups.uri``"""
    trust: str
    """``tc.trust`` and ``cups.trust``: PEM; empty without TLS."""
    lns_token: str
    """``tc.key`` is ``Authorization: Bearer `` and this."""
    cups_token: str


class Revoked(Struct):
    tokens: int


class FirmwareWrite(Struct):
    """An update that CUPS hands out; its file lies in the folder ``firmware`` of the data folder."""

    name: str
    package: str
    """What a station calls its version once it has run the update: who has it gets nothing."""
    file: str
    size: int
    sha512: str
    model: str = ""
    """Only for stations that call themselves so; empty: any."""
    gateways: list[str] = []
    """Only for these; empty: all of the model."""
    signature: str = ""
    """Hex: ECDSA over P-256 of the file's SHA-512, in DER; empty: for stations that have no key."""
    key_crc: int = 0
    """CRC32 of the public key (64 bytes) that the signature belongs to."""


class FirmwareRecord(FirmwareWrite):
    created_at_us: int = 0


class FirmwarePage(Struct):
    items: list[FirmwareRecord]


class GatewayPage(Struct):
    items: list[GatewayRecord]
    next_cursor: str | None = None


class UnknownGateways(Struct):
    items: list[UnknownGateway]
