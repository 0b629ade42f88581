"""A proxy between simulated gateways and a server that plants one fault of the server into what passes."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

PUSH_DATA, PUSH_ACK, PULL_RESP = 0, 1, 3
Txpk = dict[str, Any]
Plant = Callable[["Saboteur", Txpk], list[Txpk]]
"""What becomes of a downlink: none, one or several."""


@dataclass
class Saboteur:
    """``plant`` is applied to every PULL_RESP."""

    server: tuple[str, int]
    plant: Plant = lambda _, txpk: [txpk]
    drops_push_ack: bool = False
    answers_replays: bool = False
    first: dict[bytes, str] = field(default_factory=dict)
    """The first data downlink of each DevAddr."""
    last: Txpk | None = None
    seen: set[str] = field(default_factory=set)
    address: tuple[str, int] = ("", 0)
    _front: asyncio.DatagramTransport | None = None
    _ways: dict[Any, asyncio.DatagramTransport] = field(default_factory=dict)
    _pull: dict[bytes, Any] = field(default_factory=dict)
    planted: int = 0
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def open(self) -> None:
        loop = asyncio.get_running_loop()
        self._front, _ = await loop.create_datagram_endpoint(lambda: _Side(self.up), local_addr=("127.0.0.1", 0))
        self.address = self._front.get_extra_info("sockname")

    def close(self) -> None:
        for transport in (self._front, *self._ways.values()):
            if transport is not None:
                transport.close()

    def up(self, data: bytes, peer: Any) -> None:
        task = asyncio.ensure_future(self._up(data, peer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _up(self, data: bytes, peer: Any) -> None:
        if peer not in self._ways:
            loop = asyncio.get_running_loop()
            self._ways[peer], _ = await loop.create_datagram_endpoint(
                lambda: _Side(lambda answer, _: self.down(answer, peer)), remote_addr=self.server
            )
        if data[3] == 2:
            self._pull[data[4:12]] = peer
        if data[3] == PUSH_DATA and self.answers_replays:
            self._answer_replays(data)
        self._ways[peer].sendto(data)

    def _answer_replays(self, data: bytes) -> None:
        for packet in json.loads(data[12:]).get("rxpk", ()):
            key = packet["data"]
            if key in self.seen and self.last is not None and data[4:12] in self._pull:
                self.planted += 1
                txpk = self.last | {"tmst": (packet["tmst"] + 1_000_000) % 2**32}
                self._send(b"\x02\x99\x99\x03", txpk, self._pull[data[4:12]])
            asyncio.get_running_loop().call_later(0.5, self.seen.add, key)

    def down(self, data: bytes, peer: Any) -> None:
        assert self._front is not None
        if data[3] == PUSH_ACK and self.drops_push_ack:
            self.planted += 1
            return
        if data[3] != PULL_RESP:
            self._front.sendto(data, peer)
            return
        txpk = json.loads(data[4:])["txpk"]
        self.last = dict(txpk)
        planted = self.plant(self, dict(txpk))
        self.planted += planted != [txpk]
        for one in planted:
            self._send(data[:4], one, peer)

    def _send(self, head: bytes, txpk: Txpk, peer: Any) -> None:
        assert self._front is not None
        self._front.sendto(head + json.dumps({"txpk": txpk}).encode(), peer)


class _Side(asyncio.DatagramProtocol):
    def __init__(self, received: Callable[[bytes, Any], None]) -> None:
        self._received = received

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self._received(data, addr)


@contextlib.asynccontextmanager
async def sabotage(server: tuple[str, int], **fault: Any) -> AsyncIterator[Saboteur]:
    one = Saboteur(server, **fault)
    await one.open()
    try:
        yield one
    finally:
        one.close()


def later(us: int) -> Plant:
    return lambda _, txpk: [txpk | {"tmst": (txpk["tmst"] + us) % 2**32}]


def with_(**fields: Any) -> Plant:
    return lambda _, txpk: [txpk | fields]


def twice(_: Saboteur, txpk: Txpk) -> list[Txpk]:
    return [txpk, txpk | {"tmst": (txpk["tmst"] + 1_000_000) % 2**32, "freq": 869.1, "datr": "SF12BW125"}]


def reused(saboteur: Saboteur, txpk: Txpk) -> list[Txpk]:
    """Always the first frame of this DevAddr: its FCntDown again."""
    phy = base64.b64decode(txpk["data"])
    first = saboteur.first.setdefault(phy[1:5], txpk["data"])
    return [txpk | {"data": first, "size": len(base64.b64decode(first))}]


def forged(_: Saboteur, txpk: Txpk) -> list[Txpk]:
    phy = bytearray(base64.b64decode(txpk["data"]))
    phy[-1] ^= 1
    return [txpk | {"data": base64.b64encode(phy).decode()}]


def shifted_channel(_: Saboteur, txpk: Txpk) -> list[Txpk]:
    return [txpk | {"freq": round(txpk["freq"] + 0.2, 6)}]


def nothing(_: Saboteur, txpk: Txpk) -> list[Txpk]:
    return []
