"""The socket of the join server: HTTPS with client certificates or tokens, one POST for one message."""

from __future__ import annotations

import logging
import ssl
from typing import Any

from aiohttp import web

from joinserver.backend.service import Caller, JoinService
from joinserver.local import LocalJoinServer
from joinserver.settings import HttpSettings, JoinServerSettings, parse_listen
from lorawan.identifiers import NetID

MAX_BODY = 64 * 1024
"""Bytes of a request; the longest message is under two thousand."""

log = logging.getLogger("joinserver.http")


class JoinHttpServer:
    """The listening server. :meth:`start`, then :attr:`address`, in the end :meth:`close`."""

    def __init__(self, local: LocalJoinServer, settings: JoinServerSettings, net_id: NetID | None = None) -> None:
        self._service = JoinService(local, settings, net_id)
        self._settings = settings.http
        self._runner: web.AppRunner | None = None
        self.address: tuple[str, int] = ("", 0)
        """Host and port, once started."""

    async def start(self) -> None:
        """Listen. Raises ``OSError`` (address in use, no such certificate file) or ``ssl.SSLError``."""
        application = web.Application(client_max_size=MAX_BODY)
        application.router.add_post("/{path:.*}", self._post)
        runner = web.AppRunner(application, access_log=None, handle_signals=False)
        await runner.setup()
        host, port = parse_listen(self._settings.listen)
        try:
            await web.TCPSite(runner, host, port, ssl_context=server_context(self._settings)).start()
        except BaseException:
            await runner.cleanup()
            raise
        self._runner = runner
        self.address = runner.addresses[0][:2]

    async def close(self) -> None:
        """Stop listening; requests that are being answered get their answer."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _post(self, request: web.Request) -> web.Response:
        body = await request.read()
        reply = await self._service.answer(body, _caller(request))
        result = "no message" if reply.result is None else reply.result.value
        log.info("%s: %s", request.remote, result)
        kind = "text/plain" if reply.result is None else "application/json"
        return web.Response(status=reply.status, body=reply.body, content_type=kind)


def server_context(settings: HttpSettings) -> ssl.SSLContext | None:
    """TLS 1.2 or newer; with ``client_ca`` clients show a certificate, which only those with a token may leave out."""
    if settings.certificate is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(settings.certificate, settings.private_key)
    if settings.client_ca is not None:
        context.load_verify_locations(settings.client_ca)
        all_show_one = all(peer.certificate_names for peer in settings.peers)
        context.verify_mode = ssl.CERT_REQUIRED if all_show_one else ssl.CERT_OPTIONAL
    return context


def _caller(request: web.Request) -> Caller:
    transport = request.transport
    certificate = transport.get_extra_info("peercert") if transport is not None else None
    return Caller(_names(certificate or {}), request.headers.get("Authorization", ""))


def _names(certificate: dict[str, Any]) -> set[str]:
    """DNS names of a verified certificate, and its CN."""
    names = {value for kind, value in certificate.get("subjectAltName", ()) if kind == "DNS"}
    return names | {value for parts in certificate.get("subject", ()) for kind, value in parts if kind == "commonName"}
