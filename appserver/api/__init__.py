"""The HTTP API: a small typed router, its OpenAPI description, and one module a resource."""

from __future__ import annotations

import json
from importlib.metadata import PackageNotFoundError, version

from aiohttp import web


def mount(app: web.Application) -> None:
    """Add all operations, and their description, to ``app``."""
    from appserver.api.openapi import describe
    from appserver.api.router import PREFIX
    from appserver.api.table import whole_api

    api = whole_api()
    try:
        number = version("meterwan")
    except PackageNotFoundError:
        number = "0"
    description = json.dumps(describe(api, number), ensure_ascii=False).encode()

    async def openapi(_: web.Request) -> web.Response:
        return web.Response(body=description, content_type="application/json")

    app.router.add_get(PREFIX + "/openapi.json", openapi)
    api.mount(app)
