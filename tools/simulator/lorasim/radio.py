"""What travels between devices and gateways, and what a state machine asks of the world around it.

Times are microseconds of UTC since 1970, taken as if the simulator's radio clock were exact.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from lorawan.airtime import lora_airtime_us

CHANNEL_TOLERANCE_HZ = 5_000
"""Further off than this and a receiver set to a 125 kHz channel is on another one (crystal errors stay below)."""

REQUIRED_SNR_DB = {5: -2.5, 6: -5.0, 7: -7.5, 8: -10.0, 9: -12.5, 10: -15.0, 11: -17.5, 12: -20.0}
"""Demodulation floor by spreading factor (SX1276/SX1302 data sheets)."""

_DATR = re.compile(r"SF(\d{1,2})BW(\d{2,4})")


@dataclass(slots=True, frozen=True)
class Uplink:
    """A frame leaving a device's antenna."""

    dev_eui: int
    phy: bytes
    frequency_hz: int
    datr: str
    dr: int
    start_us: int
    airtime_us: int
    power_dbm: float

    @property
    def end_us(self) -> int:
        return self.start_us + self.airtime_us


@dataclass(slots=True, frozen=True)
class Downlink:
    """A frame leaving a gateway's antenna."""

    gateway_eui: int
    token: int
    """Of the PULL_RESP that asked for it."""
    phy: bytes
    frequency_hz: int
    datr: str
    inverted: bool
    power_dbm: float
    start_us: int
    airtime_us: int
    implicit: bool = False
    """Without a header, as beacons are."""

    @property
    def end_us(self) -> int:
        return self.start_us + self.airtime_us


@dataclass(slots=True, frozen=True)
class Reception:
    """A frame at a gateway's antenna, complete."""

    phy: bytes
    frequency_hz: int
    datr: str
    rssi_dbm: float
    snr_db: float
    start_us: int
    end_us: int


@dataclass(slots=True, frozen=True)
class Datagram:
    """A gateway wants this sent to the server from one of its two sockets."""

    pull: bool
    """From the socket of PULL_DATA and TX_ACK; False: from that of PUSH_DATA."""
    data: bytes


@dataclass(slots=True, frozen=True)
class Note:
    """Something worth recording; not an effect on anybody."""

    kind: str
    fields: dict[str, Any] = field(default_factory=dict)


@lru_cache(256)
def parse_datr(datr: str | int) -> tuple[int, int] | None:
    """Spreading factor and bandwidth in Hz of ``SF7BW125``; None for anything else (FSK, LR-FHSS, nonsense)."""
    found = _DATR.fullmatch(datr) if isinstance(datr, str) else None
    return (int(found[1]), int(found[2]) * 1000) if found and 5 <= int(found[1]) <= 12 else None


@lru_cache(4096)
def airtime_us(length: int, datr: str, crc: bool, implicit: bool = False, preamble: int = 8) -> int:
    """Time on air of a LoRa frame; ``crc`` is on for uplinks and off for downlinks, beacons have no header."""
    shape = parse_datr(datr)
    if shape is None:
        raise ValueError(f"{datr!r} is no LoRa data rate")
    return int(lora_airtime_us(length, *shape, crc=crc, implicit=implicit, preamble=preamble))


@lru_cache(256)
def preamble_us(datr: str) -> int:
    """Eight preamble symbols."""
    shape = parse_datr(datr)
    return 0 if shape is None else 8 * 2 ** shape[0] * 1_000_000 // shape[1]


def same_channel(a_hz: int, b_hz: int) -> bool:
    return abs(a_hz - b_hz) <= CHANNEL_TOLERANCE_HZ
