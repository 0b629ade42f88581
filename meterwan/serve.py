"""``meterwan serve``: prepare the data folder, start the processes, say where the console is, wait for the end."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from internalapi.client import socket_path
from meterwan import log, ports, probes
from meterwan.application import take_first_password
from meterwan.datadir import DataDir
from meterwan.processes import set_name
from meterwan.settings import Loaded
from meterwan.supervisor import BackOff, Probe, Role, Supervisor


def serve_all(loaded: Loaded, more: Callable[[dict[str, str]], list[Role]] = lambda addresses: []) -> None:
    """Run the whole server until SIGTERM or SIGINT. Raises Failure when it cannot start.

    ``more`` gives further processes to keep alive, for the addresses that the server listens on.
    """
    settings = loaded.settings
    set_name("meterwan")
    log.configure("supervisor", settings.log.level, settings.log.format)
    data = DataDir(settings.data_dir)
    with data.lock():
        data.create()
        addresses = claim_addresses(loaded)
        os.umask(0o077)
        data.pid_file("server").write_text(f"{os.getpid()}\n")
        (data.run / "addresses.json").write_text(json.dumps(addresses) + "\n")

        def ready() -> None:
            greet(settings.http.public_url or console_url(addresses["http.listen"]), take_first_password(data))

        roles = [*server_roles(loaded, data, addresses), *more(addresses)]
        try:
            asyncio.run(Supervisor(data, roles, ready).run())
        finally:
            data.pid_file("server").unlink(missing_ok=True)


def server_roles(loaded: Loaded, data: DataDir, addresses: Mapping[str, str]) -> list[Role]:
    """The two processes of a server."""
    host, port = ports.split(addresses["http.listen"])
    found: dict[str, Probe] = {
        "network": partial(probes.network_answers, socket_path(data.path), data.read_token()),
        "application": partial(probes.console_answers, host, port),
    }
    back_off = loaded.settings.supervision.model_dump()
    return [
        Role(name, child_command(("serve", "--role", name), loaded, data.path, addresses), probe, BackOff(**back_off))
        for name, probe in found.items()
    ]


def claim_addresses(loaded: Loaded) -> dict[str, str]:
    """Every address the server will listen on, by its setting's name, with real ports. Raises Failure."""
    settings = loaded.settings
    network = settings.for_network()
    addresses = {"http.listen": ports.claim("http.listen", settings.http.listen)}
    if network.gateways.udp.listen:
        listen = network.gateways.udp.listen
        addresses["gateways.udp.listen"] = ports.claim("gateways.udp.listen", listen, udp=True)
    if network.gateways.basicstation.listen:
        listen = network.gateways.basicstation.listen
        addresses["gateways.basicstation.listen"] = ports.claim("gateways.basicstation.listen", listen)
    if settings.joinserver.http.listen:
        addresses["joinserver.http.listen"] = ports.claim("joinserver.http.listen", settings.joinserver.http.listen)
    if network.http.listen:
        addresses["network.http.listen"] = ports.claim("network.http.listen", network.http.listen)
    return addresses


def child_command(words: Sequence[str], loaded: Loaded, data_dir: Path, addresses: Mapping[str, str]) -> list[str]:
    """The command line of a process of this server. Data folder and addresses stay what they were at the start."""
    line = [sys.executable, "-P", "-m", "meterwan", *words]
    if loaded.file:
        line += ["--config", str(loaded.file)]
    fixed = {"data_dir": str(data_dir), **addresses}
    for item in (*loaded.overrides, *(f"{name}={value}" for name, value in fixed.items())):
        line += ["--set", item]
    return line


def migrate_all(data: DataDir, database_url: str = "") -> list[str]:
    """Bring every database of a stopped server up to date; returns their names."""
    from appserver.db import migrate
    from meterwan.network import migrate_network

    migrate(data.path / "application.db", url=database_url)
    return [*migrate_network(data), "the application's PostgreSQL" if database_url else "application.db"]


def console_url(listen: str) -> str:
    """The address to type into a browser on this machine."""
    host, port = ports.split(listen)
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://{ports.join(host, port)}/"


def greet(url: str, first: tuple[str, str] | None) -> None:
    """Say where the console is and, once, how to sign in."""
    print(f"MeterWAN is ready: {url}", flush=True)
    if first:
        print(f"First sign-in: user {first[0]}, one-time password {first[1]} (shown only now)", flush=True)
