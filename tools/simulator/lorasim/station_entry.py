"""What a scenario says of its gateways beyond a packet forwarder: Basics Stations, and the gateways made from both."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lorasim.gateway import USUAL_HZ, Gateway, GatewayConfig
from lorasim.station import Station, StationConfig
from regional import Plan

if TYPE_CHECKING:
    from lorasim.scenario import GatewayEntry

KINDS = ("udp", "station")
MOST_DBM = 27
"""The most that a concentrator built for another region radiates, where the region allows no more."""
TX_ACK_ERRORS = (
    "TOO_LATE",
    "TOO_EARLY",
    "COLLISION_PACKET",
    "COLLISION_BEACON",
    "TX_FREQ",
    "TX_POWER",
    "GPS_UNLOCKED",
    "UNKNOWN",
)


@dataclass(slots=True)
class StationEntry:
    """Keys of ``[gateways.station]``."""

    url: str = ""
    """``ws://host:port`` or ``wss://host:port``: where the station asks for its server (tc.uri)."""
    token: str = ""
    """Sent as ``Authorization: Bearer …``; with ``Header: value`` as that header."""
    trust: str = ""
    """PEM file with the authority that signed the server's certificate; empty: those of the system."""
    certificate: str = ""
    """PEM file with the client certificate, its key in ``private_key``."""
    private_key: str = ""
    """File with the client's key, PEM."""
    reconnect_s: float = 10.0
    """Pause after the first failed connection; it doubles up to twelve times this."""
    features: str = "rmtsh gps"
    """What it tells in ``version``."""
    duty_cycle: bool = True
    """False: the station keeps no duty cycle of its own where its region has one."""
    dev_build: bool = False
    """A development build: it obeys ``nodc``."""


def check(entry: GatewayEntry) -> None:
    """Raises ValueError for what no gateway can be; the text names the key."""
    if entry.kind not in KINDS:
        raise ValueError(f"kind: {entry.kind!r} is none of {', '.join(KINDS)}")
    url = entry.station.url
    if (url or entry.kind == "station") and not url.startswith(("ws://", "wss://")):
        raise ValueError(f"station.url: {url!r} is not an address like wss://lns.example.com:8887")
    if bool(entry.station.certificate) != bool(entry.station.private_key):
        raise ValueError("station.certificate and station.private_key belong together")
    for name, share in entry.tx_ack_errors.items():
        if name not in TX_ACK_ERRORS:
            raise ValueError(f"tx_ack_errors.{name}: the errors are {', '.join(TX_ACK_ERRORS)}")
        if not 0 <= share <= 1:
            raise ValueError(f"tx_ack_errors.{name}: {share} is no share between 0 and 1")
    for outage in entry.outages:
        if outage.at_s < 0 or outage.for_s <= 0:
            raise ValueError("outages: at_s must not be below 0, for_s must be above")
    if any(at_s <= 0 for at_s in entry.restarts_s):
        raise ValueError("restarts_s: seconds after the start, above 0")


def limits(plan: Plan) -> dict[str, Any]:
    """What a forwarder's radio can do: the usual one is built for 863 to 870 MHz; elsewhere, one built for the region."""
    low_hz, high_hz = plan.frequency_range_hz or (0, 1 << 32)
    if USUAL_HZ[0] <= low_hz and high_hz <= USUAL_HZ[1]:
        return {}
    powers = range(max(MOST_DBM, int(plan.max_eirp_dbm)) + 1)
    return {"tx_min_hz": low_hz, "tx_max_hz": high_hz, "power_table_dbm": powers}


def make(
    entry: GatewayEntry, channels_hz: Sequence[int], plan: Plan, half_duplex: bool, seed: Any
) -> Gateway | Station:
    """A gateway as its entry describes it, in a region."""
    beacon_hz = plan.beacon_frequency_hz(0)
    eui = int(entry.eui, 16)
    rng = random.Random(f"{seed}/gateway/{eui:x}")
    common: dict[str, Any] = {
        "eui": eui,
        "name": entry.name,
        "half_duplex": half_duplex,
        "gps": entry.gps,
        "latitude": entry.latitude,
        "longitude": entry.longitude,
    }
    if entry.kind == "station":
        names = ("url", "reconnect_s", "features", "duty_cycle", "dev_build")
        station = {name: getattr(entry.station, name) for name in names}
        offset = {} if entry.tmst_offset_us is None else {"clock_offset_us": entry.tmst_offset_us}
        return Station(StationConfig(**common, **station, **offset, reports=entry.tx_ack), rng)
    return Gateway(
        GatewayConfig(
            **common,
            **limits(plan),
            channels_hz=channels_hz,
            forwarder=entry.forwarder,
            keepalive_s=entry.keepalive_s,
            stat_s=entry.stat_s,
            tmst_offset_us=entry.tmst_offset_us,
            tx_ack=entry.tx_ack,
            tx_ack_errors=entry.tx_ack_errors,
            beacon_hz=beacon_hz if entry.beacons else 0,
        ),
        rng,
    )
