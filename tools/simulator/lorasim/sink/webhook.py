"""A webhook receiver: takes every POST, answers 204 once it is written down."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable

from aiohttp import web

MAX_BODY = 16 << 20
THINGS_PATHS = frozenset({"up", "uplink", "join", "ack", "nack", "sent", "failed", "queued", "location", "service"})
"""Last words of the paths that The Things Stack's webhooks are given."""


@contextlib.asynccontextmanager
async def serve(host: str, port: int, path: str, take: Callable[[bytes, str, str], None]) -> AsyncIterator[str]:
    """Listen at ``host:port`` for POSTs to ``path`` and below it; yields the URL. Raises SinkError when the port is taken."""
    from lorasim.sink import SinkError

    async def post(request: web.Request) -> web.Response:
        body = await request.read()
        last = request.path.rstrip("/").rsplit("/", 1)[-1]
        take(body, request.query.get("event", last if last in THINGS_PATHS else ""), "webhook")
        return web.Response(status=204)

    application = web.Application(client_max_size=MAX_BODY)
    prefix = path.rstrip("/")
    application.router.add_post(prefix or "/", post)
    application.router.add_post(prefix + "/{rest:.*}", post)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        try:
            await site.start()
        except OSError as error:
            raise SinkError(f"the sink cannot listen at {host}:{port}: {error.strerror or error}") from error
        bound = runner.addresses[0][1]
        yield f"http://{f'[{host}]' if ':' in host else host}:{bound}{prefix}/"
    finally:
        await runner.cleanup()
