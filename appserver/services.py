"""What every request handler can reach, in one value made at the start."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aiohttp import web

from internalapi.client import NetworkClient

if TYPE_CHECKING:
    from appserver.auth.passwords import Passwords
    from appserver.auth.store import AuthStore
    from appserver.auth.throttle import Throttle
    from appserver.codecs.library import Library
    from appserver.db import Database
    from appserver.jobs import Jobs
    from appserver.live import Live
    from appserver.settings import ApplicationSettings
    from appserver.web.overview import Overviews


def now_us() -> int:
    """The clock of the application: microseconds since 1970 UTC."""
    return time.time_ns() // 1000


@dataclass(slots=True)
class Services:
    """The parts of the running application."""

    settings: ApplicationSettings
    network: NetworkClient
    database: Database
    auth: AuthStore
    passwords: Passwords
    throttle: Throttle
    live: Live
    jobs: Jobs
    overviews: Overviews
    codecs: Library
    reports: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(2))
    """Statements made at the same time."""
    clock: Callable[[], int] = now_us
    tasks: dict[str, Callable[[], bool]] = field(default_factory=dict)
    """Background tasks by name, and whether each still runs."""


SERVICES = web.AppKey("services", Services)
