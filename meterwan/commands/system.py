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
    """Run the server: the network process and the application process, watched and restarted."""
    loaded = settings(config, set_)
    if role == "all":
        from meterwan.serve import serve_all

        serve_all(loaded)
        return
    from meterwan.child import ROLES, run_role

    if role not in ROLES:
        raise Failure(f"the role {role} is not in this version: gateways and joins are a part of --role network")
    raise typer.Exit(run_role(role, loaded))


def check(config: Config = None, set_: Set = None, json: Json = False) -> None:
    """Check the settings and print the effective ones with their origin; secrets are masked."""
    loaded = settings(config, set_)
    rows = [{"key": key, "value": value, "origin": origin} for key, value, origin in loaded.rows()]
    print_rows(rows, ("key", "value", "origin"), json)


def health(config: Config = None, set_: Set = None, json: Json = False) -> None:
    """Ask the running server how it is; fails when a part of it does not answer."""
    import asyncio

    from meterwan.health import examine

    rows = asyncio.run(examine(settings(config, set_).settings))
    print_rows(rows, ("part", "state", "detail"), json)
    ill = [row["part"] for row in rows if row["state"] != "ok"]
    if ill:
        raise Failure(f"not well: {', '.join(ill)}")


def migrate(config: Config = None, set_: Set = None) -> None:
    """Bring the databases of a stopped server to this version's schema (``serve`` does it by itself)."""
    from meterwan.datadir import DataDir
    from meterwan.serve import migrate_all

    data = DataDir(settings(config, set_).settings.data_dir)
    with data.lock():
        data.create()
        for name in migrate_all(data):
            say(f"{name}: up to date")
