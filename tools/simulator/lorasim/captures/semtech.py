"""Semtech UDP in both directions, as it stands in a capture: nothing is refused, what is broken says so."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from lorasim.captures.udp import Captured
from lorasim.gwmp import PULL_ACK, PULL_DATA, PULL_RESP, PUSH_ACK, PUSH_DATA, TX_ACK

NAMES = {
    PUSH_DATA: "PUSH_DATA",
    PUSH_ACK: "PUSH_ACK",
    PULL_DATA: "PULL_DATA",
    PULL_RESP: "PULL_RESP",
    PULL_ACK: "PULL_ACK",
    TX_ACK: "TX_ACK",
}
UPWARD = frozenset({PUSH_DATA, PULL_DATA, TX_ACK})


@dataclass(slots=True, frozen=True)
class Message:
    """One datagram of the protocol."""

    captured: Captured
    kind: int
    version: int
    token: int
    gateway: int | None
    """EUI; downwards it is that of the gateway whose socket it goes to, None when that has not spoken yet."""
    body: dict[str, Any] = field(default_factory=dict)
    fault: str = ""
    """What is wrong with it."""

    @property
    def upward(self) -> bool:
        return self.kind in UPWARD

    @property
    def packets(self) -> list[dict[str, Any]]:
        """Its rxpk or txpk objects."""
        found = self.body.get("rxpk") if self.kind == PUSH_DATA else [self.body.get("txpk")]
        return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def messages(datagrams: Iterable[Captured]) -> Iterator[Message]:
    """What of a capture is Semtech UDP: version 1 or 2, a known kind, and what has to follow it."""
    gateways: dict[tuple[str, int], int] = {}
    for captured in datagrams:
        data = captured.data
        if len(data) < 4 or data[0] not in (1, 2) or data[3] not in NAMES:
            continue
        kind, token = data[3], int.from_bytes(data[1:3], "little")
        if kind in UPWARD and len(data) >= 12:
            gateway: int | None = int.from_bytes(data[4:12], "big")
            gateways[captured.source] = int.from_bytes(data[4:12], "big")
            rest = data[12:]
        elif kind in UPWARD:
            continue
        else:
            gateway, rest = gateways.get(captured.target), data[4:]
        body, fault = _json(rest) if kind in (PUSH_DATA, PULL_RESP, TX_ACK) and rest else ({}, "")
        if not captured.whole:
            fault = "cut short by the capture"
        yield Message(captured, kind, data[0], token, gateway, body, fault)


def _json(text: bytes) -> tuple[dict[str, Any], str]:
    try:
        body = json.loads(text.rstrip(b"\0"))
    except ValueError as error:
        return {}, f"not JSON: {error}"
    return (body, "") if isinstance(body, dict) else ({}, "JSON, but no object")


def phy_of(packet: dict[str, Any]) -> bytes | None:
    """PHYPayload of an rxpk or txpk; None when there is none that can be read."""
    text = packet.get("data")
    if not isinstance(text, str):
        return None
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None
