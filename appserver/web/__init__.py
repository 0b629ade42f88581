"""The console: server-rendered pages in Russian and English."""

from __future__ import annotations

from aiohttp import web


def mount(app: web.Application) -> None:
    """Add all pages and static files to ``app``."""
    from appserver.web.table import add_routes

    add_routes(app)
