"""The application process: database, ingest, integrations, HTTP server; started and stopped in order."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import traceback
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import structlog
from aiohttp import web

from appserver import ingest, integrations
from appserver.auth.passwords import Passwords, one_time_password
from appserver.auth.roles import Role
from appserver.auth.store import AuthStore, SessionLimits
from appserver.auth.throttle import Throttle
from appserver.backfill import runner as backfill
from appserver.clocks import runner as clocks
from appserver.codecs.library import Library, watch
from appserver.db import TEMPORARY_ERRORS, Database, open_database
from appserver.incidents import notices
from appserver.incidents import runner as incidents
from appserver.integrations import commands
from appserver.integrations.addresses import AllowList
from appserver.jobs import Jobs
from appserver.live import Live
from appserver.metering import seals
from appserver.metering.hours import keep_settling
from appserver.models import User
from appserver.rules import book_of
from appserver.server import make_app
from appserver.services import Services, now_us
from appserver.settings import ApplicationSettings
from appserver.sources import files
from appserver.sources import mqtt as sources
from appserver.web.overview import Overviews
from internalapi.client import NetworkClient

log = structlog.get_logger("application")

FIRST_LOGIN = "admin"
RESTART_S = 5.0
STOP_S = 8.0
DATABASE_WAIT_S, DATABASE_RETRY_S = 30.0, 2.0
GC_THRESHOLDS = (50_000, 20, 20)
"""A batch of the ingest makes ten thousand objects that live as long as it does: looking for cycles among them after every
700, as usual, is a quarter of its time."""


@dataclass(frozen=True, slots=True)
class Started:
    """What the caller prints when the process is ready."""

    url: str
    port: int
    first_login: str = ""
    """Login of the administrator made by this start; empty at later starts."""
    one_time_password: str = ""
    """Shown once; it must be changed at the first sign-in."""


async def run(
    settings: ApplicationSettings, network: NetworkClient, ready: Callable[[Started], None] | None = None
) -> None:
    """Serve until cancelled or until SIGTERM or SIGINT comes. ``ready`` is called once, when requests are answered."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    with contextlib.suppress(ValueError, NotImplementedError, RuntimeError):
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
    async with application(settings, network) as (_, started):
        calm_collector()
        if ready is not None:
            ready(started)
        await stop.wait()
        log.info("stopping")


def calm_collector() -> None:
    """Have Python look for cycles less often, and never again among what the start has made."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)


@asynccontextmanager
async def application(
    settings: ApplicationSettings,
    network: NetworkClient,
    clock: Callable[[], int] = now_us,
    background: bool = True,
) -> AsyncIterator[tuple[Services, Started]]:
    """The running application: its services and its address. ``background`` also runs ingest and integrations."""
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    book_of(settings.data_dir)  # a rule file that cannot be used is refused now, not at the first statement
    database = await open_patiently(settings)
    services = make_services(settings, network, database, clock)
    await asyncio.to_thread(services.codecs.load)
    password = await make_first_administrator(services)
    runner = web.AppRunner(make_app(services), access_log=None, shutdown_timeout=STOP_S / 4, handle_signals=False)
    tasks: list[asyncio.Task[None]] = []
    stop = asyncio.Event()
    try:
        if background:
            for name, work in background_work(services, stop).items():
                task = asyncio.create_task(_keep_running(name, work), name=name)
                services.tasks[name] = lambda task=task: not task.done()  # type: ignore[misc]
                tasks.append(task)
        await runner.setup()
        site = web.TCPSite(runner, settings.http.host, settings.http.port, reuse_address=True)
        await site.start()
        port = runner.addresses[0][1]
        url = settings.http.public_url or f"http://{_shown_host(settings.http.host)}:{port}"
        yield services, Started(url, port, FIRST_LOGIN if password else "", password)
    finally:
        await _stop(services, runner, tasks, stop)
        services.codecs.close()
        database.close()


async def open_patiently(settings: ApplicationSettings) -> Database:
    """The database; a PostgreSQL server that starts together with us may take its time."""
    path, url = settings.data_dir / "application.db", settings.database_url
    for _ in range(round(DATABASE_WAIT_S / DATABASE_RETRY_S) if url else 0):
        try:
            return await asyncio.to_thread(open_database, path, url)
        except TEMPORARY_ERRORS as error:
            log.warning("the database does not answer; trying again", error=str(error))
            await asyncio.sleep(DATABASE_RETRY_S)
    return await asyncio.to_thread(open_database, path, url)


def make_services(
    settings: ApplicationSettings, network: NetworkClient, database: Database, clock: Callable[[], int]
) -> Services:
    """All parts that requests need."""
    limits = SessionLimits(
        idle_us=settings.http.session_idle_minutes * 60_000_000,
        absolute_us=settings.http.session_absolute_hours * 3_600_000_000,
    )
    return Services(
        settings=settings,
        network=network,
        database=database,
        auth=AuthStore(database, limits, clock),
        passwords=Passwords(settings.password_memory_kib),
        throttle=Throttle(),
        live=Live(network),
        jobs=Jobs(settings.data_dir / "jobs", clock),
        overviews=Overviews(database, settings.timezone),
        codecs=Library(settings.data_dir / "codecs"),
        clock=clock,
    )


async def make_first_administrator(services: Services) -> str:
    """On a fresh database add the administrator; returns the one-time password, or an empty text later on."""
    if await services.auth.any_user():
        return ""
    password = one_time_password()
    user = User(
        login=FIRST_LOGIN,
        password_hash=await services.passwords.hash(password),
        role=Role.admin.value,
        must_change_password=True,
        created_at_us=0,
    )
    await services.auth.create_user(user)
    await services.auth.audit("system", "", "user.create", f"user/{user.id}", {"login": FIRST_LOGIN, "role": "admin"})
    return password


def background_work(services: Services, stop: asyncio.Event) -> dict[str, Callable[[], Coroutine[Any, Any, None]]]:
    """Tasks that run beside the server until ``stop``, by name."""
    database, clock = services.database, services.clock
    return {
        "ingest": lambda: ingest.consume(services.network, database, stop, clock),
        "hours": lambda: keep_settling(database, stop, clock),
        "seals": lambda: seals.keep_sealing(database, stop, clock),
        "file drop": lambda: files.watch(database, services.settings.data_dir / "drop", stop, clock),
        "sources": lambda: sources.watch(database, stop, services.settings.webhook_allow, clock),
        "backfill": lambda: backfill.watch(database, services.network, services.settings.data_dir, stop, clock),
        "clocks": lambda: clocks.watch(database, services.network, services.settings.data_dir, stop, clock),
        "incidents": lambda: incidents.watch(database, services.settings.data_dir, stop, clock),
        "notices": lambda: notices.deliver(
            database,
            services.settings.notifications,
            stop,
            services.settings.webhook_allow,
            clock,
            services.settings.timezone,
            services.settings.http.public_url,
        ),
        "integrations": lambda: integrations.deliver(database, stop, services.settings.webhook_allow, clock),
        "commands": lambda: commands.listen(
            database, services.network, stop, AllowList(services.settings.webhook_allow)
        ),
        "codecs": lambda: watch(services.codecs, stop),
    }


async def _keep_running(name: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run ``work`` for ever: after a fault it starts again, so that one bad moment does not end the readings."""
    while True:
        try:
            await work()
            return
        except Exception:
            log.error("task failed and starts again", task=name, trace=traceback.format_exc())
            await asyncio.sleep(RESTART_S)


async def _stop(
    services: Services, runner: web.AppRunner, tasks: list[asyncio.Task[None]], stop: asyncio.Event
) -> None:
    """Let what is at work finish its transaction; what takes too long is cancelled."""
    stop.set()
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(_stop_serving(services, runner), STOP_S / 2)
    if tasks:
        await asyncio.wait(tasks, timeout=STOP_S / 2)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    services.passwords.close()
    await services.network.close()


async def _stop_serving(services: Services, runner: web.AppRunner) -> None:
    await services.live.close()
    await runner.cleanup()
    await services.jobs.close()


def _shown_host(host: str) -> str:
    if host in ("0.0.0.0", "::", ""):
        return os.uname().nodename if host == "" else "127.0.0.1"
    return f"[{host}]" if ":" in host else host
