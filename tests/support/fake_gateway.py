"""A packet forwarder on the table: real datagrams, no socket, the clock of its laboratory."""

from __future__ import annotations

import base64
import json
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.support.lab import Lab

WRAP_US = 1 << 32


@dataclass(frozen=True)
class Sent:
    """A PULL_RESP as its gateway took it off the wire."""

    gateway: str
    txpk: dict[str, Any]
    token: bytes
    at_us: int
    outcome: str | None

    @property
    def phy(self) -> bytes:
        return base64.b64decode(self.txpk["data"])

    @property
    def on_air(self) -> bool:
        """True when the gateway will send it, as far as the outside can know."""
        return not self.outcome


@dataclass
class FakeGateway:
    """A packet forwarder: PUSH_DATA and PULL_DATA up, and a TX_ACK for each PULL_RESP.

    ``outcomes``: what it answers next; empty text is success, None is silence. Without any it succeeds.
    """

    lab: Lab
    eui: str
    port: int
    boot_us: int = 0
    outcomes: deque[str | None] = field(default_factory=deque)
    push_acks: list[bytes] = field(default_factory=list)
    pull_acks: list[bytes] = field(default_factory=list)
    tokens: int = 0

    @property
    def up_address(self) -> tuple[str, int]:
        return ("10.0.0.1", self.port)

    @property
    def down_address(self) -> tuple[str, int]:
        return ("10.0.0.1", self.port + 1)

    def tmst(self, at_us: int | None = None) -> int:
        """The concentrator's counter at a moment of the lab's monotonic clock, now by default."""
        return ((self.lab.mono_us if at_us is None else at_us) - self.boot_us) % WRAP_US

    def token(self) -> bytes:
        self.tokens += 1
        return self.tokens.to_bytes(2, "big")

    def pull(self) -> bytes:
        """PULL_DATA: from now on downlinks have a way. Returns its token."""
        token = self.token()
        self.lab.receive(b"\x02" + token + b"\x02" + bytes.fromhex(self.eui), self.down_address)
        return token

    def rxpk(self, phy: bytes, at_us: int | None = None, **fields: Any) -> dict[str, Any]:
        """A frame as it stands in PUSH_DATA; ``at_us``: when its reception ended. A field of None is left out."""
        values = {
            "tmst": self.tmst(at_us),
            "freq": 868.9,
            "chan": 0,
            "rfch": 1,
            "stat": 1,
            "modu": "LORA",
            "datr": "SF9BW125",
            "codr": "4/5",
            "rssi": -90,
            "lsnr": 5.0,
            "size": len(phy),
            "data": base64.b64encode(phy).decode(),
        }
        return {key: value for key, value in (values | fields).items() if value is not None}

    def push(self, body: Any) -> bytes:
        """PUSH_DATA with this JSON (or these bytes). Returns its token."""
        token = self.token()
        text = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.lab.receive(b"\x02" + token + b"\x00" + bytes.fromhex(self.eui) + text, self.up_address)
        return token

    def hear(self, phy: bytes, at_us: int | None = None, **fields: Any) -> bytes:
        return self.push({"rxpk": [self.rxpk(phy, at_us, **fields)]})

    def acknowledged(self, token: bytes) -> bool:
        return token in self.push_acks

    def take(self, datagram: bytes) -> None:
        """A datagram of the server."""
        identifier, token = datagram[3], datagram[1:3]
        if identifier == 3:
            outcome = self.outcomes.popleft() if self.outcomes else ""
            txpk = json.loads(datagram[4:])["txpk"]
            self.lab.air.append(Sent(self.eui, txpk, token, self.lab.mono_us, outcome))
            if outcome is not None:
                body = b"" if not outcome else json.dumps({"txpk_ack": {"error": outcome}}).encode()
                self.answer(token, body)
        else:
            {1: self.push_acks, 4: self.pull_acks}[identifier].append(token)

    def answer(self, token: bytes, body: bytes = b"") -> None:
        """TX_ACK; it arrives once the server is done with what it does now."""
        self.lab.inbox.append((b"\x02" + token + b"\x05" + bytes.fromhex(self.eui) + body, self.down_address))
