"""``meterwan simulate`` and ``region``: what needs no server's data."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from meterwan.commands.common import Config, Json, Set, group, print_json, print_record, settings
from meterwan.errors import Failure

if TYPE_CHECKING:
    from lorasim.summary import Summary

region = group("Region plans: list, show.")


def simulate(
    scenario: Annotated[str, typer.Argument(help="Name of a scenario that comes along, or a .toml file.")],
    server: Annotated[str, typer.Option(metavar="HOST:PORT", help="The network server's UDP port.")] = "127.0.0.1:1700",
    seed: Annotated[int | None, typer.Option(help="Another run of the same scenario.")] = None,
    speed: Annotated[float | None, typer.Option(min=1, help="Seconds of meter time a second.")] = None,
    duration: Annotated[float | None, typer.Option(min=0, help="Seconds; without it, until all is told.")] = None,
    recording: Annotated[Path | None, typer.Option(help="Write all that happens into this JSONL file.")] = None,
    check: Annotated[bool, typer.Option("--check", help="Judge the server by the recording afterwards.")] = False,
    json: Json = False,
) -> None:
    """Run the test lab: devices, gateways and air."""
    import msgspec
    from lorasim import checker, progress

    if check and recording is None:
        raise typer.BadParameter("--check needs --recording")
    summary = run_scenario(scenario, server, seed, speed, duration, recording)
    if json:
        print_json(msgspec.to_builtins(summary))
    else:
        print_record(dict(progress.rows(summary)), False)
    violations = checker.check(checker.read(recording)) if check and recording else []
    if violations:
        lines = [f"{violation.rule}: {violation.dev_eui} {violation.text}" for violation in violations]
        raise Failure("\n".join(lines))


def run_scenario(
    scenario: str,
    server: str,
    seed: int | None = None,
    speed: float | None = None,
    duration_s: float | None = None,
    recording: Path | None = None,
) -> Summary:
    """Run a scenario with progress on a terminal. Raises Failure."""
    import asyncio

    from lorasim import progress, runner
    from lorasim.scenario import ScenarioError, load

    from meterwan import ports

    try:
        address = ports.split(server)
    except ValueError:
        raise Failure(f"--server {server}: write it as host:port") from None
    with progress.reporter() if sys.stderr.isatty() else nullcontext() as report:
        try:
            return asyncio.run(runner.run(load(scenario), address, seed, speed, duration_s, report, recording))
        except (ScenarioError, OSError) as error:
            raise Failure(f"{scenario}: {error}") from None


@region.command("list")
def region_list(config: Config = None, set_: Set = None, json: Json = False) -> None:
    """List the region plans."""
    import regional
    from regional.show import list_text

    settings(config, set_)
    if not json:
        print(list_text(), end="")
        return
    plans = [regional.plan(name) for name in regional.names()]
    print_json(
        [
            {
                "name": plan.name,
                "revision": plan.revision,
                "default_channels": len(plan.default_channels),
                "presets": list(plan.presets),
                "rx2_frequency_hz": plan.rx2_frequency_hz,
                "rx2_dr": plan.rx2_dr,
                "max_eirp_dbm": plan.max_eirp_dbm,
            }
            for plan in plans
        ]
    )


@region.command("show")
def region_show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="E.g. RU864.")],
    config: Config = None,
    set_: Set = None,
) -> None:
    """Print one plan as tables."""
    import regional
    from regional.show import plan_text

    settings(config, set_)
    try:
        print(plan_text(regional.plan(name)), end="")
    except regional.PlanError as error:
        raise Failure(str(error)) from None
