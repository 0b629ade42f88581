"""LoRaWAN versions as sets, so that the table of commands can say where each of them is known."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import regional
from regional import REVISION_OF_LORAWAN, Plan

if TYPE_CHECKING:
    from lns.session import Session

VERSIONS = ("1.0.0", "1.0.1", "1.0.2", "1.0.3", "1.0.4", "1.1.0")
ALL = frozenset(VERSIONS)
ONLY_1_1 = frozenset(("1.1.0",))
KEEPS_15 = frozenset(("1.0.4", "1.1.0"))
"""DataRate or TXPower 15 in LinkADRReq leaves it as it is (TS001-1.0.4 §5.2, LoRaWAN 1.1 §5.3)."""
STICKY = frozenset(("1.0.2", "1.0.3", "1.0.4", "1.1.0"))
"""Answers about receive windows are repeated until a class A downlink comes (LoRaWAN 1.0.2 §5.4)."""
FALLBACK = "1.0.3"
"""What a 1.1 device follows in a session without OptNeg: LoRaWAN 1.0.2 or later (1.1 §6.2.3)."""


def since(version: str) -> frozenset[str]:
    """This version and all later ones."""
    return frozenset(VERSIONS[VERSIONS.index(version) :])


def until(version: str) -> frozenset[str]:
    """This version and all earlier ones."""
    return frozenset(VERSIONS[: VERSIONS.index(version) + 1])


def version_of(session: Session) -> str:
    """The version that device and server speak in this session."""
    if session.lorawan_1_1:
        return "1.1.0"
    version = session.device.profile.mac_version
    return FALLBACK if version.startswith("1.1") else version


@lru_cache(maxsize=64)
def plan_of(plan: Plan, version: str) -> Plan:
    """The region's plan as devices of a version know it: what channel masks and CFLists mean differs."""
    return regional.plan(plan.name, REVISION_OF_LORAWAN["1.1" if version.startswith("1.1") else version])
