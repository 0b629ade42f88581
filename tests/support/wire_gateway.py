"""A gateway that is only a socket: Semtech UDP written out by hand, for tests that must not share our code."""

from __future__ import annotations

import base64
import json
import socket
import time
from typing import Any

WITHIN_S = 20.0
"""What is to come is waited for so long, for machines with other work; what is not to come, as long as a test says."""


class WireGateway:
    """Speaks to a server at ``address`` as the gateway ``eui``."""

    def __init__(self, address: tuple[str, int], eui: str) -> None:
        self.eui = bytes.fromhex(eui)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.connect(address)
        self._token = 0
        self.tmst = 1_000_000

    def close(self) -> None:
        self._socket.close()

    def send(self, identifier: int, body: bytes = b"", token: bytes | None = None) -> bytes:
        """Send one datagram; returns its token."""
        if token is None:
            self._token += 1
            token = self._token.to_bytes(2, "big")
        self._socket.send(b"\x02" + token + bytes([identifier]) + self.eui + body)
        return token

    def pull(self) -> None:
        """PULL_DATA, and wait for its PULL_ACK."""
        token = self.send(2)
        assert self.receive(4)[:3] == b"\x02" + token

    def push(self, phy: str, **fields: Any) -> bytes:
        """PUSH_DATA with one frame in hex, heard now; returns the token. ``fields`` replace or add rxpk fields."""
        self.tmst = time.monotonic_ns() // 1000 % (1 << 32)
        rxpk = {
            "tmst": self.tmst,
            "freq": 868.9,
            "chan": 0,
            "rfch": 0,
            "stat": 1,
            "modu": "LORA",
            "datr": "SF7BW125",
            "codr": "4/5",
            "rssi": -70,
            "lsnr": 8.5,
            "size": len(phy) // 2,
            "data": base64.b64encode(bytes.fromhex(phy)).decode(),
        } | fields
        return self.send(0, json.dumps({"rxpk": [rxpk]}).encode())

    def acknowledged(self, token: bytes, within_s: float = WITHIN_S) -> bool:
        """True when the PUSH_ACK of this token comes in time."""
        try:
            return self.receive(1, within_s)[1:3] == token
        except TimeoutError:
            return False

    def downlink(self, within_s: float = WITHIN_S, answer: bool = True) -> dict[str, Any]:
        """The next PULL_RESP's txpk with ``phy`` in hex beside; answered with an empty TX_ACK."""
        datagram = self.receive(3, within_s)
        txpk: dict[str, Any] = json.loads(datagram[4:])["txpk"]
        if answer:
            self.send(5, token=datagram[1:3])
        return txpk | {"phy": base64.b64decode(txpk["data"]).hex(), "token": datagram[1:3]}

    def receive(self, identifier: int, within_s: float = WITHIN_S) -> bytes:
        """The next datagram of this kind; others are passed over. Raises TimeoutError."""
        deadline = time.monotonic() + within_s
        while True:
            self._socket.settimeout(max(0.001, deadline - time.monotonic()))
            datagram = self._socket.recv(65_536)
            if datagram[3] == identifier:
                return datagram
            if time.monotonic() > deadline:
                raise TimeoutError
