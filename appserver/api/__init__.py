"""The HTTP API: a small typed router, its OpenAPI description, and one module a resource."""

from __future__ import annotations

from aiohttp import web


def mount(app: web.Application) -> None:
    """Add all operations, and their description, to ``app``."""
    from appserver.api.description import described_bytes
    from appserver.api.router import PREFIX
    from appserver.api.table import whole_api

    async def openapi(_: web.Request) -> web.Response:
        return web.Response(body=described_bytes(), content_type="application/json")

    app.router.add_get(PREFIX + "/openapi.json", openapi)
    whole_api().mount(app)
