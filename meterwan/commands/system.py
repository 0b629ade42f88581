"""``serve``, ``check``, ``health``, ``migrate``: the server as a whole."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from meterwan.commands.common import Config, Json, Set, print_rows, say, settings
from meterwan.errors import Failure

ServeRole = Literal["all", "network", "application", "gateway", "join"]


def serve(
    role: Annotated[ServeRole, typer.Option(help="Which part runs here; all of it by default.")] = "all",
    config: Config = None,
    set_: Set = None,
) -> None:
    """Run the server and watch over it.

    The network process and the application process are started, and started again when they die.
    """
    loaded = settings(config, set_)
    if role == "all":
        from meterwan.datadir import DataDir
        from meterwan.demo import mark
        from meterwan.serve import serve_all

        # Whoever serves a demo's folder has begun to use it: the next demo must not empty it.
        mark(DataDir(loaded.settings.data_dir)).unlink(missing_ok=True)
        serve_all(loaded)
        return
    from meterwan.child import ROLES, run_role

    if role not in ROLES:
        raise Failure(f"the role {role} is not in this version: gateways are a part of --role network")
    raise typer.Exit(run_role(role, loaded))


def check(config: Config = None, set_: Set = None, json: Json = False) -> None:
    """Print the effective settings and their origin.

    Secrets are masked; an unknown key or an impossible value is an error that names it.
    """
    loaded = settings(config, set_)
    rows = [{"key": key, "value": value, "origin": origin} for key, value, origin in loaded.rows()]
    print_rows(rows, ("key", "value", "origin"), json)


def health(config: Config = None, set_: Set = None, json: Json = False) -> None:
    """Ask the running server how it is.

    Fails when a part of it does not answer or is not well.
    """
    import asyncio

    from meterwan.health import examine

    rows = asyncio.run(examine(settings(config, set_).settings))
    print_rows(rows, ("part", "state", "detail"), json)
    ill = [row["part"] for row in rows if row["state"] != "ok"]
    if ill:
        raise Failure(f"not well: {', '.join(ill)}")


def migrate(config: Config = None, set_: Set = None) -> None:
    """Update the databases of a stopped server.

    `serve` does it by itself when it starts.
    """
    from meterwan.datadir import DataDir
    from meterwan.serve import migrate_all

    its = settings(config, set_).settings
    data = DataDir(its.data_dir)
    with data.lock():
        data.create()
        for name in migrate_all(data, its.database.url):
            say(f"{name}: up to date")


def demo(
    listen: Annotated[str, typer.Option(metavar="HOST:PORT", help="Where the console listens.")] = "127.0.0.1:8080",
    udp: Annotated[str, typer.Option(metavar="HOST:PORT", help="Where gateways send to.")] = "127.0.0.1:1700",
    scenario: Annotated[str, typer.Option(help="What is simulated.")] = "satka",
    speed: Annotated[float | None, typer.Option(min=1, help="Seconds of meter time a second.")] = None,
    feed: Annotated[bool, typer.Option("--feed", hidden=True)] = False,
    config: Config = None,
    set_: Set = None,
) -> None:
    """Run a server with a simulated house.

    Sixty flats with their meters, two gateways; a month of readings in about four minutes.
    """
    from meterwan import demo as house
    from meterwan import ports
    from meterwan.child import run_child

    defaults = [
        f"http.listen={listen}",
        f"gateways.udp.listen={udp}",
        "network.http.listen=",
        "network.channels=864",
        "log.level=warning",
    ]
    loaded = settings(config, [*defaults, *(set_ or ())])
    if feed:
        raise typer.Exit(run_child("simulator", loaded, lambda: house.feed(loaded, scenario, speed)))
    try:
        house.run(loaded, scenario, speed)
    except ports.PortTaken as taken:
        option = {"http.listen": "--listen", "gateways.udp.listen": "--udp"}.get(
            taken.setting, f"--set {taken.setting}"
        )
        raise Failure(f'{taken.what}; choose another: make demo DEMO="{option} {taken.next_address}"') from None
