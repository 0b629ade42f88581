"""The WebSocket of one simulated Basics Station."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Callable
from typing import Protocol

import aiohttp

from lorasim.station_entry import StationEntry

CONNECT_S = 20.0
ALIVE_S = 30.0
"""A station pings so often; without an answer within half of it the connection is over."""


class Listener(Protocol):
    """Whom a link tells what happens."""

    def station_connected(self, gateway_eui: int) -> None: ...

    def station_disconnected(self, gateway_eui: int, why: str) -> None: ...

    def received(self, gateway_eui: int, data: bytes) -> None: ...


def headers_of(token: str) -> dict[str, str]:
    """A token as the station's key file gives it: ``Header: value``, or the bare one."""
    name, colon, value = token.partition(":")
    if colon:
        return {name.strip(): value.strip()}
    return {"Authorization": f"Bearer {token}"} if token else {}


def tls_of(entry: StationEntry) -> ssl.SSLContext | None:
    """Raises OSError or ssl.SSLError when a file cannot be read."""
    if not entry.trust and not entry.certificate:
        return None
    context = ssl.create_default_context(cafile=entry.trust or None)
    if entry.certificate:
        context.load_cert_chain(entry.certificate, entry.private_key)
    return context


class StationLink:
    """Connects when told to, passes messages both ways, and says how it ended."""

    def __init__(self, gateway_eui: int, entry: StationEntry, listener: Listener) -> None:
        self._eui = gateway_eui
        self._headers = headers_of(entry.token)
        self._tls = tls_of(entry)
        self._listener = listener
        self._wishes: asyncio.Queue[bytes] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    def dial(self, uri: str) -> None:
        """Connect to ``uri`` in place of what there is; empty: hang up."""
        self._hang_up()
        if uri:
            self._wishes = asyncio.Queue()
            self._task = asyncio.create_task(self._run(uri, self._wishes))

    def send(self, data: bytes) -> None:
        """A message for the server; without a connection it is lost."""
        self._wishes.put_nowait(data)

    async def close(self) -> None:
        task = self._task
        self._hang_up()
        if task is not None:
            with contextlib.suppress(asyncio.CancelledError):
                await task

    def _hang_up(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _run(self, uri: str, wishes: asyncio.Queue[bytes]) -> None:
        why = "closed by the server"
        try:
            timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S)
            async with (
                aiohttp.ClientSession(timeout=timeout) as http,
                http.ws_connect(uri, headers=self._headers, ssl=self._tls or True, heartbeat=ALIVE_S) as socket,
            ):
                self._tell(lambda: self._listener.station_connected(self._eui))
                writer = asyncio.create_task(self._write(socket, wishes))
                try:
                    async for message in socket:
                        if message.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
                            data = message.data.encode() if isinstance(message.data, str) else message.data
                            self._tell(lambda data=data: self._listener.received(self._eui, data))  # type: ignore[misc]
                finally:
                    writer.cancel()
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            why = f"{type(error).__name__}: {error}"
        self._tell(lambda: self._listener.station_disconnected(self._eui, why))

    def _tell(self, what: Callable[[], None]) -> None:
        """Unless the link was hung up meanwhile: then nobody wants to know."""
        if self._task is asyncio.current_task():
            what()

    async def _write(self, socket: aiohttp.ClientWebSocketResponse, wishes: asyncio.Queue[bytes]) -> None:
        with contextlib.suppress(aiohttp.ClientError, ConnectionError):
            while True:
                await socket.send_str((await wishes.get()).decode())
