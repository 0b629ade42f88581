"""What packet forwarders of the two generations do differently, and how one is told from the other.

``legacy`` is Lora-net/packet_forwarder (SX1301) and its relatives, ``hal`` the forwarder of Lora-net/sx1302_hal. Figures
from their jitqueue.c and from runs of both programs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

Setting = Literal["auto", "legacy", "hal"]
TxAckSetting = Literal["auto", "always", "never"]


class ForwarderKind(NamedTuple):
    """One generation."""

    name: str
    too_late_us: int
    """A frame that comes so shortly before its time, or later, is refused: TX_START_DELAY + TX_JIT_DELAY + TX_MARGIN_DELAY."""
    soonest_us: int
    """An ``imme`` frame is on the air so long after it came,"""
    immediate_us: int
    """… and at the latest so long, if the transmitter is free."""


KINDS: dict[str, ForwarderKind] = {
    "legacy": ForwarderKind("legacy", 32_500, 1_000_000, 1_000_000),
    "hal": ForwarderKind("hal", 42_500, 80_000, 80_000),
}
UNKNOWN = ForwarderKind("", 42_500, 80_000, 1_000_000)
"""Not known yet: the later of both, whatever is asked."""

STATION = ForwarderKind("station", 60_000, 20_000, 60_000)
"""LoRa Basics Station 2.0.6 (s2conf.h): TX_AIM_GAP is 60 ms on Linux and 20 ms elsewhere."""

_STAT_SIGNS = {"temp": "hal", "fpga": "legacy", "dsp": "legacy"}
"""Fields of ``stat`` that only one generation writes (sx1302_hal PROTOCOL.md 1.6; SX1301 gateways with an FPGA and a DSP)."""


def kind_by_stat(stat: Mapping[str, Any]) -> str:
    """The generation that a ``stat`` object shows, empty when it shows none."""
    found = {kind for field, kind in _STAT_SIGNS.items() if field in stat}
    return found.pop() if len(found) == 1 else ""


def kind_by_answer(error: str, warning: str) -> str:
    """The generation that a TX_ACK shows: power outside the table is an error of the one and a warning of the other."""
    if warning.upper() == "TX_POWER":
        return "hal"
    return "legacy" if error == "TX_POWER" else ""
