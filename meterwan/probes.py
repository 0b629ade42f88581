"""Are the processes well? One small HTTP request each, without a client library: the supervisor stays light."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from internalapi.messages import Empty, encode

PROBE_TIMEOUT_S = 3.0

Connecting = Coroutine[Any, Any, tuple[asyncio.StreamReader, asyncio.StreamWriter]]


async def network_answers(socket: Path, token: str) -> bool:
    """Whether the network process answers on its Unix socket."""
    body = encode(Empty())
    head = (
        "POST /internal/v1/status HTTP/1.1\r\nHost: network\r\nConnection: close\r\n"
        f"Authorization: Bearer {token}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return await _answers_200(asyncio.open_unix_connection(str(socket)), head.encode() + body)


async def console_answers(host: str, port: int) -> bool:
    """Whether the application process answers on its console address."""
    if host in ("0.0.0.0", "::", ""):
        host = "::1" if host == "::" else "127.0.0.1"
    shown = f"[{host}]" if ":" in host else host
    head = f"GET /healthz HTTP/1.1\r\nHost: {shown}:{port}\r\nConnection: close\r\n\r\n"
    return await _answers_200(asyncio.open_connection(host, port), head.encode())


async def _answers_200(connecting: Connecting, request: bytes) -> bool:
    writer: asyncio.StreamWriter | None = None
    try:
        async with asyncio.timeout(PROBE_TIMEOUT_S):
            reader, writer = await connecting
            writer.write(request)
            await writer.drain()
            status = await reader.readline()
    except (OSError, TimeoutError):
        return False
    finally:
        if writer is not None:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
    return status.split(b" ")[1:2] == [b"200"]
