"""A Basics Station on a real WebSocket, in real time."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
import time
from collections.abc import AsyncIterator
from typing import Any

import aiohttp

from tests.support.station import Aired, StationState


class LiveStation(StationState):
    """Discovers, connects, tells its version, hears frames, sends what it is told and reports it."""

    def __init__(
        self, base: str, eui: str, token: str = "", tls: ssl.SSLContext | None = None, session: int = 0x17, **state: Any
    ) -> None:
        super().__init__(eui, session, **state)
        self.base = base
        self.headers = {"Authorization": f"Bearer {token}"} if token else {}
        self.tls = tls
        self.boot_us = time.monotonic_ns() // 1000 - 1_000_000
        self.uri = ""
        self.socket: aiohttp.ClientWebSocketResponse
        self.closed = asyncio.Event()
        self.configured = asyncio.Event()
        self._http = aiohttp.ClientSession()
        self._reader: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def us(self) -> int:
        return time.monotonic_ns() // 1000 - self.boot_us

    @property
    def air(self) -> list[Aired]:
        return self.radio.air if self.radio is not None else []

    async def ask(self, router: Any = None) -> dict[str, Any]:
        """Discovery; the whole answer."""
        question = self.eui if router is None else router
        async with self._http.ws_connect(
            f"{self.base}/router-info", headers=self.headers, ssl=self.tls or True
        ) as socket:
            await socket.send_str(json.dumps({"router": question}))
            return dict(json.loads(await socket.receive_str(timeout=5)))

    async def connect(self, uri: str = "") -> None:
        """As a station does after its discovery. Raises aiohttp.WSServerHandshakeError when it is refused."""
        self.uri = uri or (await self.ask())["uri"]
        self.socket = await self._http.ws_connect(self.uri, headers=self.headers, ssl=self.tls or True)
        self.closed.clear()
        self.configured.clear()
        self._reader = asyncio.create_task(self._read())
        await self.socket.send_str(self.version())
        await asyncio.wait_for(self.configured.wait(), 5)

    async def hear(self, phy: bytes, **fields: Any) -> None:
        await self.socket.send_str(self.uplink(phy, self.us, self.us, **fields))

    async def sent(self, number: int, within_s: float = 4.0) -> Aired:
        """The downlink number ``number``, once it is reported."""
        async with asyncio.timeout(within_s):
            while len(self.air) < number or not self.air[number - 1].reported:
                await asyncio.sleep(0.01)
        return self.air[number - 1]

    async def close(self) -> None:
        await self.drop()
        await self._http.close()

    async def drop(self) -> None:
        if self._reader is not None:
            await self.socket.close()
            self._reader.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._reader
            self._reader = None

    async def _read(self) -> None:
        async for message in self.socket:
            if message.type is aiohttp.WSMsgType.TEXT:
                read = json.loads(message.data)
                aired = self.take(read, self.us)
                if read["msgtype"] == "router_config":
                    self.configured.set()
                if aired is not None:
                    task = asyncio.create_task(self._report(aired))
                    self._tasks.add(task)
                    task.add_done_callback(self._tasks.discard)
        self.closed.set()

    async def _report(self, aired: Aired) -> None:
        await asyncio.sleep(max(0.0, (aired.start_us - self.us) / 1e6 + 0.01))
        await self.socket.send_str(self.dntxed(aired))


@contextlib.asynccontextmanager
async def station(base: str, eui: str, token: str = "", **state: Any) -> AsyncIterator[LiveStation]:
    """A station that is closed at the end; it has yet to connect."""
    one = LiveStation(base, eui, token, **state)
    try:
        yield one
    finally:
        await one.close()
