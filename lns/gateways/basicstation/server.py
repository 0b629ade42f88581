"""The socket of the LNS protocol: WebSockets with TLS, thin around the front. CUPS is answered on the same port."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import structlog
from aiohttp import WSMsgType, web

from lns.clock import system_now
from lns.gateways.basicstation import codec
from lns.gateways.basicstation.access import Access, Refused, Shown
from lns.gateways.basicstation.cups import Cups, read_image
from lns.gateways.basicstation.eui import parse_eui
from lns.gateways.basicstation.front import BasicStationFront
from lns.gateways.basicstation.link import Link, Peer
from lns.gateways.basicstation.router_config import Options, radio_setup
from lns.gateways.basicstation.tls import Certificates
from lns.gateways.gateway import Gateway
from lns.gateways.sources import Bucket
from lns.network import Network
from lns.settings import BasicStationSettings, parse_listen
from lorawan.errors import FrameError

PATH = "/router"
HEADERS_WITHIN_S = 10.0
"""A connection that has sent no request by then is closed."""
FRESH_LIMIT = 1000
"""Connections without a request at one time; beyond it the oldest is closed."""
QUESTION_WITHIN_S = 10.0
CLOSE_WITHIN_S = 2.0
TICK_S = 2.0
WAITING_LIMIT = 500
"""Messages to a station that does not read them; beyond it the connection is closed."""
OVERLOAD_WAIT_S = 0.05
BURST = 4
_HOST = re.compile(r"[A-Za-z0-9._-]+(:\d{1,5})?|\[[0-9A-Fa-f:.]+\](:\d{1,5})?")

log = structlog.get_logger("basicstation")


class StationServer:
    """The listening server. :meth:`start`, then :attr:`address`, in the end :meth:`stop`."""

    def __init__(self, network: Network, settings: BasicStationSettings) -> None:
        """Raises UnfitPlan when no station can listen to the region's channels, OSError for files of TLS."""
        self._network = network
        self._settings = settings
        state = network.state
        options = Options(settings.region, settings.max_eirp_dbm, settings.concentrator)
        radio_setup(state.plan, state.extra_channels_hz, options)
        self._certificates = Certificates(settings)
        self.front = BasicStationFront(
            network.engine, state.plan, state.extra_channels_hz, options, system_now().wall_us
        )
        self._access = Access(state, settings)
        self._cups = Cups(state, settings)
        self._fresh: dict[Any, asyncio.TimerHandle] = {}
        self._from: Counter[str] = Counter()
        self._server: asyncio.Server | None = None
        self._runner: web.AppRunner | None = None
        self._ticking: asyncio.Task[None] | None = None
        self.address: tuple[str, int] = ("", 0)

    async def start(self) -> None:
        """Listen. Raises OSError with the setting in its text."""
        application = web.Application(client_max_size=codec.MAX_MESSAGE, middlewares=[self._arrived])
        application.router.add_get("/router-info", self._router_info)
        application.router.add_get(PATH + "/{eui}", self._muxs)
        application.router.add_post("/update-info", self._update_info)
        self._runner = web.AppRunner(application, access_log=None, handle_signals=False, shutdown_timeout=1.0)
        await self._runner.setup()
        try:
            self._server = await self._listen(*parse_listen(self._settings.listen))
        except OSError as error:
            await self._runner.cleanup()
            raise OSError(
                error.errno,
                f"cannot listen for stations on {self._settings.listen}: {error.strerror}; stop the other program or choose "
                "another port in [gateways.basicstation] listen",
            ) from error
        self.address = self._server.sockets[0].getsockname()[:2]
        self._ticking = asyncio.get_running_loop().create_task(self._tick())

    async def _listen(self, host: str, port: int) -> asyncio.Server:
        context = self._certificates.context
        return await asyncio.get_running_loop().create_server(
            self._accept, host, port, ssl=context, ssl_handshake_timeout=HEADERS_WITHIN_S if context else None
        )

    async def _renew(self) -> None:
        """Listen with the certificates as they are now, if their files have changed; connections go on as they are."""
        try:
            if not self._certificates.reload() and self._server is not None:
                return
            if self._server is not None:
                self._server.close()
                self._server = None
            self._server = await self._listen(*self.address)
            log.info("the certificate was read again", file=str(self._settings.certificate))
        except OSError as error:
            log.error("the changed certificate is not used yet", why=str(error))

    async def stop(self) -> None:
        """Close all connections; stations come again by themselves."""
        if self._ticking is not None:
            self._ticking.cancel()
        if self._server is not None:
            self._server.close()
        for link in list(self.front.links.values()):
            link.wire.close("the server stops")
        for timer in self._fresh.values():
            timer.cancel()
        if self._runner is not None:
            await self._runner.cleanup()

    # ------------------------------------------------------------------------------------------------ connections

    def _accept(self) -> Any:
        """A protocol for a new connection, which has some seconds for its first request."""
        assert self._runner is not None and self._runner.server is not None
        handler = self._runner.server()
        if len(self._fresh) >= FRESH_LIMIT:
            oldest = next(iter(self._fresh))
            self._fresh[oldest].cancel()
            self._hurry(oldest)
        self._fresh[handler] = asyncio.get_running_loop().call_later(HEADERS_WITHIN_S, self._hurry, handler)
        return handler

    def _hurry(self, handler: Any) -> None:
        self._fresh.pop(handler, None)
        if handler.transport is not None:
            self._network.engine.counters["station_slow_requests"] += 1
            handler.transport.abort()

    @web.middleware
    async def _arrived(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        timer = self._fresh.pop(request.protocol, None)
        if timer is not None:
            timer.cancel()
        try:
            self._access.listen_to(_shown(request).host, system_now().mono_us)
            return await handler(request)
        except Refused as refused:
            self._network.engine.counters["station_refused"] += 1
            headers = {"WWW-Authenticate": "Bearer"} if refused.status == 401 else {}
            # The body of a refused request is not worth reading, nor is the next one on this connection.
            response = web.Response(status=refused.status, text=f"{refused}\n", headers=headers)
            response.force_close()
            return response

    async def _tick(self) -> None:
        settings = self._settings
        pause_s = min(TICK_S, settings.ping_interval_s / 2)
        while True:
            await asyncio.sleep(pause_s)
            now = system_now()
            if not self._network.engine.is_overloaded:  # what is not read cannot be heard
                self.front.tick(now, round(settings.ping_interval_s * 1e6), round(settings.silent_after_s * 1e6))
            for link in list(self.front.links.values()):
                if self._network.state.gateways.get(link.gateway.eui) is not link.gateway:
                    self.front.disconnected(link, now)
                    link.wire.close("this gateway is registered no more")
            await self._renew()

    # --------------------------------------------------------------------------------------------------- requests

    def _admit(self, eui: int, request: web.Request, purpose: Any) -> tuple[Gateway, Peer]:
        """The gateway and its proof. Raises Refused."""
        shown, now = _shown(request), system_now()
        gateway = self._network.state.gateways.get(eui)
        if gateway is None:
            peername = request.transport.get_extra_info("peername") if request.transport is not None else None
            self._network.state.gateways.stranger(eui, peername or (shown.host, 0), now, "basicstation")
            self._network.engine.counters["unknown_gateway"] += 1
        credential = self._access.admit(eui, purpose, shown, now.mono_us)
        self._network.pump()
        assert gateway is not None
        return gateway, Peer(_address(request), credential, _tls(request))

    async def _router_info(self, request: web.Request) -> web.StreamResponse:
        """Discovery: one question, one answer."""
        socket = web.WebSocketResponse(timeout=CLOSE_WITHIN_S, compress=False, max_msg_size=1024)
        with self._one_more(_shown(request).host), contextlib.suppress(TimeoutError, TypeError, ConnectionError):
            await socket.prepare(request)
            text = await socket.receive_str(timeout=QUESTION_WITHIN_S)
            eui = 0
            try:
                eui = codec.discovery(text)
                self._admit(eui, request, "lns")
                answer = codec.router_info(eui, self._uri(request, eui))
            except FrameError as error:
                self._network.engine.counters["bad_messages"] += 1
                answer = codec.router_info(eui, "", str(error))
            except Refused as refused:
                self._network.engine.counters["station_refused"] += 1
                answer = codec.router_info(eui, "", str(refused))
            await socket.send_frame(answer, WSMsgType.TEXT)
            await socket.close()
        return socket

    @contextlib.contextmanager
    def _one_more(self, host: str) -> Iterator[None]:
        """Count a WebSocket of an address. Raises Refused for one too many."""
        settings = self._settings
        everything = settings.max_connections + FRESH_LIMIT
        if self._from[host] >= settings.max_connections_per_source or self._from.total() >= everything:
            raise Refused(503, "too many connections")
        self._from[host] += 1
        try:
            yield
        finally:
            self._from[host] -= 1
            if not self._from[host]:
                del self._from[host]

    def _uri(self, request: web.Request, eui: int) -> str:
        """Where a station shall connect. Stations want the port to stand in it."""
        base = self._settings.uri
        if not base:
            host = request.headers.get("Host", "")
            if not _HOST.fullmatch(host):
                raise FrameError("a request without a sound Host header")
            if not re.search(r":\d+$", host):
                host = f"{host}:{self.address[1]}"
            base = f"{'wss' if self._certificates.context is not None else 'ws'}://{host}"
        return f"{base}{PATH}/{eui:016x}"

    async def _muxs(self, request: web.Request) -> web.StreamResponse:
        """A station's connection, from its version to its end."""
        try:
            eui = parse_eui(request.match_info["eui"])
        except FrameError as error:
            raise Refused(404, str(error)) from None
        gateway, peer = self._admit(eui, request, "lns")
        front, now, host = self.front, system_now(), _shown(request).host
        if not front.may_connect(gateway, peer, now, round(self._settings.silent_after_s * 1e6)):
            raise Refused(409, "a connection of this gateway with other credentials is alive")
        if len(front.links) - (gateway.eui in front.links) >= self._settings.max_connections:
            raise Refused(503, "too many connections")
        websocket = web.WebSocketResponse(
            timeout=CLOSE_WITHIN_S, autoping=False, compress=False, max_msg_size=codec.MAX_MESSAGE
        )
        with self._one_more(host):
            await websocket.prepare(request)
            socket = _Socket(websocket, request)
            link = front.connected(gateway, peer, socket, system_now())
            try:
                await self._read(websocket, socket, link)
            finally:
                front.disconnected(link, system_now())
                await socket.stop()
        return websocket

    async def _read(self, websocket: web.WebSocketResponse, socket: _Socket, link: Link) -> None:
        network, receive = self._network, self.front.receive
        per_s = self._settings.messages_per_s
        budget = Bucket(per_s * BURST, system_now().mono_us)
        async for message in websocket:
            now = system_now()
            if message.type is WSMsgType.TEXT:
                while network.engine.is_overloaded:
                    await asyncio.sleep(OVERLOAD_WAIT_S)
                    now = system_now()
                network.guarded(receive, link, message.data, now)
                network.pump()
                if not budget.take(per_s, per_s * BURST, now.mono_us):
                    network.engine.counters["station_paced"] += 1
                    await asyncio.sleep(1 / per_s)
            elif message.type is WSMsgType.PING:
                socket.pong(message.data)
            elif message.type is WSMsgType.PONG:
                self.front.pong(link, bytes(message.data), now)
            else:
                network.engine.counters["bad_messages"] += 1

    async def _update_info(self, request: web.Request) -> web.StreamResponse:
        """CUPS: what a station has, compared with what it should have."""
        body = await request.read()
        try:
            asked = self._cups.read(body)
        except FrameError as error:
            raise Refused(400, str(error)) from None
        self._admit(asked.eui, request, "cups")
        update, image = self._cups.update(asked), b""
        if update is not None:
            folder = self._network.settings.data_dir
            image = await asyncio.get_running_loop().run_in_executor(None, read_image, update, folder)
        try:
            answer = self._cups.answer(asked, self._uri(request, asked.eui).partition(PATH)[0], update, image)
        except FrameError as error:
            raise Refused(400, str(error)) from None
        self._network.engine.counters["cups_requests"] += 1
        return web.Response(body=answer, content_type="application/octet-stream")


class _Socket:
    """One WebSocket as the front sees it; what is sent waits for its turn in a task."""

    def __init__(self, websocket: web.WebSocketResponse, request: web.Request) -> None:
        self._websocket = websocket
        self._request = request
        self._waiting: asyncio.Queue[tuple[WSMsgType, bytes]] = asyncio.Queue(WAITING_LIMIT)
        self._task = asyncio.get_running_loop().create_task(self._run())

    def send(self, message: bytes) -> None:
        self._put(WSMsgType.TEXT, message)

    def ping(self, payload: bytes) -> None:
        self._put(WSMsgType.PING, payload)

    def pong(self, payload: bytes) -> None:
        self._put(WSMsgType.PONG, bytes(payload))

    def close(self, why: str) -> None:
        self._put(WSMsgType.CLOSE, why.encode()[:120])

    def _put(self, kind: WSMsgType, payload: bytes) -> None:
        try:
            self._waiting.put_nowait((kind, payload))
        except asyncio.QueueFull:
            self._abort()

    async def _run(self) -> None:
        with contextlib.suppress(ConnectionError, RuntimeError):
            while True:
                kind, payload = await self._waiting.get()
                if kind is WSMsgType.CLOSE:
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(CLOSE_WITHIN_S):
                            await self._websocket.close(code=1001, message=payload)
                    self._abort()
                    return
                await self._websocket.send_frame(payload, kind)

    def _abort(self) -> None:
        if self._request.transport is not None:
            self._request.transport.abort()

    async def stop(self) -> None:
        """The connection is over."""
        if not self._task.done() and self._waiting.empty():
            self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError, TimeoutError):
            await asyncio.wait_for(self._task, CLOSE_WITHIN_S)


def _shown(request: web.Request) -> Shown:
    transport = request.transport
    host = request.remote or ""
    certificate = transport.get_extra_info("peercert") if transport is not None else None
    if not certificate:
        return Shown(host, request.headers.get("Authorization", ""))
    tls = transport.get_extra_info("ssl_object") if transport is not None else None
    raw = tls.getpeercert(binary_form=True) if tls is not None else b""
    names = {value for kind, value in certificate.get("subjectAltName", ()) if kind == "DNS"}
    names |= {value for parts in certificate.get("subject", ()) for kind, value in parts if kind == "commonName"}
    return Shown(host, request.headers.get("Authorization", ""), frozenset(names), hashlib.sha256(raw).hexdigest())


def _address(request: web.Request) -> str:
    peername = request.transport.get_extra_info("peername") if request.transport is not None else None
    return f"{peername[0]}:{peername[1]}" if peername else ""


def _tls(request: web.Request) -> str:
    tls = request.transport.get_extra_info("ssl_object") if request.transport is not None else None
    return str(tls.version() or "") if tls is not None else ""
