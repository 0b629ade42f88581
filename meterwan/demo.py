"""``meterwan demo``: a server of its own with a simulated house that fills a month of balances while one watches."""

from __future__ import annotations

import asyncio
import csv
import io
import shutil
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from meterwan import ports, probes
from meterwan.application import now_us, opened
from meterwan.datadir import DATABASES, DataDir
from meterwan.errors import Failure
from meterwan.serve import child_command, serve_all
from meterwan.settings import Loaded
from meterwan.supervisor import BackOff, Role

if TYPE_CHECKING:
    from lorasim.scenario import Scenario

FOREVER_S = 10 * 365 * 86400.0
READY_WITHIN_S = 120.0


def run(loaded: Loaded, scenario: str, speed: float | None) -> None:
    """Run the demo until Ctrl-C. An earlier demo's data are removed; a real server's are never touched."""
    data = DataDir(loaded.settings.data_dir)
    with data.lock():
        start_afresh(data)
        data.create()
        mark(data).touch()

    def house(addresses: Mapping[str, str]) -> list[Role]:
        command = child_command(("demo", "--feed", "--scenario", scenario), loaded, data.path, addresses)
        if speed is not None:
            command += ["--speed", str(speed)]

        async def told() -> bool:
            return fed(data).exists()

        return [Role("simulator", command, told, BackOff())]

    print("Starting the server and building the house …", flush=True)
    serve_all(loaded, house)
    print("\nStopped.", flush=True)


def mark(data: DataDir) -> Path:
    """Present in a folder that a demo made."""
    return data.path / "demo"


def fed(data: DataDir) -> Path:
    """Present once the house is in the registry."""
    return data.run / "demo.ready"


def start_afresh(data: DataDir) -> None:
    """Empty a demo's folder. Raises Failure when the folder holds a real server's data."""
    if any((data.path / name).exists() for name in DATABASES) and not mark(data).exists():
        raise Failure(
            f"{data.path} holds the data of a real server, which the demo does not touch; "
            "give it another folder: --set data_dir=./demo-data"
        )
    for path in data.path.iterdir():
        if path == data.run:
            fed(data).unlink(missing_ok=True)
        elif path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path != mark(data):
            path.unlink()


def feed(loaded: Loaded, name: str, speed: float | None) -> None:
    """The demo's third process: registers gateways and house, then is the house. Raises Failure."""
    from lorasim import progress, runner
    from lorasim.house import gateway_rows, import_rows
    from lorasim.scenario import ScenarioError, load

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # unwinds, so that the terminal gets its cursor back
    data = DataDir(loaded.settings.data_dir)
    try:
        scenario: Scenario = load(name)
        rows, gateways = import_rows(scenario), gateway_rows(scenario)
    except ScenarioError as error:
        raise Failure(str(error)) from None
    asyncio.run(_register(loaded, data, rows, gateways))
    fed(data).touch()
    host, port = ports.split(loaded.settings.gateways.udp.listen)
    server = ("127.0.0.1" if host == "0.0.0.0" else host, port)
    if not sys.stderr.isatty():
        asyncio.run(runner.run(scenario, server, speed=speed, duration_s=FOREVER_S))
        return
    with progress.reporter() as report:
        asyncio.run(runner.run(scenario, server, speed=speed, duration_s=FOREVER_S, progress=report))


async def _register(
    loaded: Loaded, data: DataDir, rows: Sequence[Mapping[str, str]], gateways: Sequence[Mapping[str, object]]
) -> None:
    """Wait for both processes, then bring gateways and house into the server as an import does."""
    from internalapi.client import NetworkClient, socket_path
    from meterwan.metertable import import_table

    token = data.read_token()
    host, port = ports.split(loaded.settings.http.listen)
    try:
        async with asyncio.timeout(READY_WITHIN_S):
            while not (
                await probes.network_answers(socket_path(data.path), token) and await probes.console_answers(host, port)
            ):
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise Failure(f"the server did not become ready within {READY_WITHIN_S:.0f} s") from None
    async with NetworkClient(socket_path(data.path), token) as network:
        for gateway in gateways:
            await network.gateway_put(**gateway)
        with opened(loaded) as database:
            await import_table(database, network, as_csv(rows), "demo.csv", dry_run=False, now_us=now_us())


def as_csv(rows: Sequence[Mapping[str, str]]) -> bytes:
    """Rows as the bytes of a CSV file."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, columns)
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode()
