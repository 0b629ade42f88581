"""A network process that serves Basics Stations, on free ports."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from internalapi.client import NetworkClient
from lns.network import Network
from tests.support import live_network
from tests.support.certificates import Authority
from tests.support.ports import free_port


@contextlib.asynccontextmanager
async def server(
    folder: Path, tls: bool = False, **basicstation: Any
) -> AsyncIterator[tuple[Network, NetworkClient, str]]:
    """A network process with a station listener; its address as ``ws://host:port``."""
    port = free_port(socket.SOCK_STREAM)
    gateways = {
        "udp": {"listen": f"127.0.0.1:{free_port(socket.SOCK_DGRAM)}"},
        "basicstation": {"listen": f"127.0.0.1:{port}"} | basicstation,
    }
    folder.mkdir(exist_ok=True)
    async with live_network.server(folder, gateways=gateways) as (network, client, _):
        yield network, client, f"{'wss' if tls else 'ws'}://127.0.0.1:{port}"


def tls_settings(authority: Authority, folder: Path) -> dict[str, Any]:
    pem = authority.issue("lns.example.com")
    return {
        "certificate": str(pem.certificate),
        "private_key": str(pem.private_key),
        "client_ca": str(authority.certificate),
        "trust": str(authority.certificate),
    }


def client_tls(authority: Authority, name: str = "") -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(authority.certificate))
    if name:
        pem = authority.issue(name)
        context.load_cert_chain(pem.certificate, pem.private_key)
    return context
