"""The command line: every command of ``meterwan`` and how a command ends (0 done, 1 failed, 2 wrong use)."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from meterwan.commands import (
    codec,
    device,
    gar,
    gateway,
    lab,
    metering,
    multicast,
    people,
    profile,
    registrybook,
    simulate,
    station,
    storage,
    system,
)
from meterwan.errors import Failure

app = typer.Typer(
    name="meterwan",
    help="A LoRaWAN network server with a metering application in it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"meterwan {version('meterwan')}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


for command in (
    system.serve,
    system.demo,
    system.check,
    system.health,
    system.migrate,
    storage.backup,
    storage.restore,
    storage.verify,
    metering.report,
):
    app.command()(command)

app.command(context_settings=simulate.PASSES_ON)(simulate.simulate)

gateway.app.command()(station.credentials)
gateway.app.command()(station.station)
gateway.app.add_typer(station.firmware, name="firmware")

for name, commands in (
    ("gateway", gateway.app),
    ("multicast", multicast.app),
    ("device", device.app),
    ("profile", profile.app),
    ("meter", metering.meter),
    ("codec", codec.codec),
    ("gar", gar.gar),
    ("registry", registrybook.book),
    ("region", lab.region),
    ("kek", storage.kek),
    ("user", people.user),
    ("token", people.token),
):
    app.add_typer(commands, name=name)


def main() -> None:
    """Run the command line; every failure becomes one clear line and exit status 1."""
    try:
        app(prog_name="meterwan")
    except Failure as failure:
        for line in str(failure).splitlines():
            print(f"meterwan: {line}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:
        if os.environ.get("METERWAN_TRACEBACK"):
            raise
        print(
            f"meterwan: unexpected {type(error).__name__}: {error} (METERWAN_TRACEBACK=1 shows where)", file=sys.stderr
        )
        sys.exit(1)
