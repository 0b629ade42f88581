"""The network process on real sockets, with a gateway that a test plays datagram by datagram."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from internalapi import messages as m
from internalapi.client import NetworkClient
from lns.network import Network
from tests.support.live_network import server

DATR = {0: "SF12BW125", 1: "SF11BW125", 2: "SF10BW125", 3: "SF9BW125", 4: "SF8BW125", 5: "SF7BW125"}
QUIET_S = 0.35
"""Longer than the deduplication window: what has not come by then does not come."""


@dataclass(frozen=True)
class Down:
    """A PULL_RESP."""

    txpk: dict[str, Any]
    token: bytes

    @property
    def phy(self) -> bytes:
        return base64.b64decode(self.txpk["data"])


class UdpGateway:
    """A forwarder with one socket for both directions."""

    def __init__(self, eui: str, address: tuple[str, int]) -> None:
        self.eui = bytes.fromhex(eui)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.connect(address)
        self._token = 0

    def close(self) -> None:
        self._socket.close()

    def _send(self, identifier: int, body: bytes = b"", token: bytes | None = None) -> None:
        self._token += 1
        token = self._token.to_bytes(2, "big") if token is None else token
        self._socket.send(b"\x02" + token + bytes((identifier,)) + self.eui + body)

    async def _receive(self, timeout_s: float) -> bytes | None:
        with contextlib.suppress(TimeoutError):
            return await asyncio.wait_for(asyncio.get_running_loop().sock_recv(self._socket, 65_536), timeout_s)
        return None

    async def pull(self) -> None:
        """PULL_DATA, and the PULL_ACK for it."""
        self._send(2)
        answer = await self._receive(5)
        assert answer is not None and answer[3] == 4, "a PULL_ACK"

    async def hear(self, phy: bytes, tmst: int, **rxpk: Any) -> None:
        """PUSH_DATA with one frame, and the PUSH_ACK for it."""
        fields = {"tmst": tmst, "modu": "LORA", "codr": "4/5", "stat": 1, "chan": 0, "rfch": 0, "size": len(phy)}
        entry = fields | rxpk | {"data": base64.b64encode(phy).decode()}
        self._send(0, json.dumps({"rxpk": [entry]}).encode())
        answer = await self._receive(5)
        assert answer is not None and answer[3] == 1, "a PUSH_ACK"

    async def downlink(self, timeout_s: float = QUIET_S) -> Down | None:
        """The next PULL_RESP, None when there is none within ``timeout_s``."""
        datagram = await self._receive(timeout_s)
        if datagram is None:
            return None
        assert datagram[3] == 3, "a PULL_RESP"
        return Down(json.loads(datagram[4:])["txpk"], datagram[1:3])

    def tx_ack(self, down: Down, error: str = "") -> None:
        self._send(5, json.dumps({"txpk_ack": {"error": error}}).encode() if error else b"", down.token)

    async def downlinks(self, refuse: bool, expect: int = 0) -> list[Down]:
        """All PULL_RESPs. ``refuse``: each is answered with COLLISION_PACKET, so that the next window is tried.

        ``expect``: how many must come; only beyond them silence is waited for.
        """
        found: list[Down] = []
        while (down := await self.downlink(QUIET_S if len(found) >= expect else 5)) is not None:
            found.append(down)
            self.tx_ack(down, "COLLISION_PACKET" if refuse else "")
        return found


@dataclass
class World:
    """A server, the client of its internal API, and one gateway."""

    network: Network
    client: NetworkClient
    gateway: UdpGateway

    async def events(self, type: str = "up") -> list[m.Event]:
        result = await self.client.events(limit=1000)
        return [event for event in result.events if event.type == type]

    async def events_when(self, count: int, type: str = "up", timeout_s: float = 5.0) -> list[m.Event]:
        """The events, as soon as there are ``count`` of them."""
        async with asyncio.timeout(timeout_s):
            while len(found := await self.events(type)) < count:
                await asyncio.sleep(0.01)
        return found

    def session(self, dev_eui: str) -> Any:
        device = self.network.state.devices[int(dev_eui, 16)]
        return device.session or device.pending


@contextlib.asynccontextmanager
async def world(folder: Path, eui: str, gateway: dict[str, Any] | None = None, **settings: Any) -> AsyncIterator[World]:
    """A server with a registered gateway that has pulled."""
    async with server(folder, **settings) as (network, client, _):
        await client.gateway_put(gateway_eui=eui, **(gateway or {}))
        host, _, port = network.settings.gateways.udp.listen.rpartition(":")
        played = UdpGateway(eui, (host, int(port)))
        try:
            await played.pull()
            yield World(network, client, played)
        finally:
            played.close()
