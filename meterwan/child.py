"""One process of the server, from its first instruction to its last: what every role has in common, and the roles."""

from __future__ import annotations

import asyncio
import errno
import os
import sys
from collections.abc import Callable, Coroutine
from typing import Any

from meterwan import log
from meterwan.datadir import DataDir
from meterwan.errors import Failure
from meterwan.processes import EXIT_CANNOT_START, LIFELINE, follow_parent, set_name
from meterwan.settings import Loaded

LOCK_WAIT_S = 15.0
"""An orphan of a killed supervisor ends within seconds; its successor waits that long for its lock."""

_CANNOT_LISTEN = (errno.EADDRINUSE, errno.EADDRNOTAVAIL, errno.EACCES)


async def _network(loaded: Loaded, data: DataDir) -> None:
    from meterwan.network import run

    await run(loaded.settings.for_network(), loaded.settings.joinserver, data)


async def _join(loaded: Loaded, data: DataDir) -> None:
    """A join server alone: the network process without gateways, so that devices are added to it as to any other."""
    from lns.settings import GatewaysSettings, UdpSettings
    from meterwan.network import run

    settings = loaded.settings
    if not settings.joinserver.http.listen:
        raise Failure("nobody could ask this join server: give [joinserver.http] listen")
    silent = GatewaysSettings(udp=UdpSettings(listen=""))
    await run(settings.for_network().model_copy(update={"gateways": silent}), settings.joinserver, data)


async def _application(loaded: Loaded, data: DataDir) -> None:
    from alembic.util import CommandError
    from sqlalchemy.exc import DatabaseError

    from appserver.db import ERRORS
    from appserver.main import Started, run
    from internalapi.client import NetworkClient, socket_path
    from meterwan.application import keep_first_password, url_without_password

    def ready(started: Started) -> None:
        if started.one_time_password:
            keep_first_password(data, started.first_login, started.one_time_password)

    unusable: tuple[type[Exception], ...] = (DatabaseError, CommandError, *ERRORS)
    async with NetworkClient(socket_path(data.path), data.read_token()) as network:
        try:
            await run(loaded.settings.for_application(), network, ready)
        except unusable as error:
            why = getattr(error, "orig", None) or error
            place = url_without_password(loaded.settings.database.url) or data.path / "application.db"
            raise Failure(f"{place} cannot be used: {why}") from None


Entry = Callable[[Loaded, DataDir], Coroutine[Any, Any, None]]

ROLES: dict[str, Entry] = {"network": _network, "application": _application, "join": _join}
_LOCKS = {"join": "network"}
"""Roles that keep the same files share a lock."""


def run_role(role: str, loaded: Loaded) -> int:
    """Run one role until it is told to end; returns the exit status. Raises Failure when nobody watches it."""
    data = DataDir(loaded.settings.data_dir)
    wait_s = LOCK_WAIT_S if LIFELINE in os.environ else 0.0

    def work() -> None:
        data.create()
        with data.role_lock(_LOCKS.get(role, role)).acquire(wait_s):
            asyncio.run(ROLES[role](loaded, data))

    return run_child(role, loaded, work)


def run_child(name: str, loaded: Loaded, work: Callable[[], None]) -> int:
    """What every process of the server has in common: name, parent, logs, and how it says that it cannot start.

    A supervisor is told by the exit status that another try is useless; without one, Failure is raised.
    """
    watched = LIFELINE in os.environ
    follow_parent()
    set_name(f"meterwan-{name[:3]}")
    os.umask(0o077)
    log.configure(name, loaded.settings.log.level, loaded.settings.log.format)
    try:
        work()
    except OSError as error:
        if error.errno not in _CANNOT_LISTEN:
            raise
        failure = Failure(f"the {name} process cannot listen: {error}")
    except Failure as error:
        failure = error
    else:
        return 0
    if not watched:
        raise failure
    for line in str(failure).splitlines():
        print(f"meterwan: {line}", file=sys.stderr, flush=True)
    return EXIT_CANNOT_START
