"""``meterwan simulate``: the test lab, over UDP in real time or with this program's own network server in virtual time."""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from meterwan.commands.common import Json, print_json, print_record, print_rows
from meterwan.errors import Failure

if TYPE_CHECKING:
    from lorasim.scenario import Scenario
    from lorasim.summary import Summary


CONFORMANCE = "conformance"
PASSES_ON = {"allow_extra_args": True, "ignore_unknown_options": True}
"""What :func:`simulate` does not know is for ``simulate conformance``."""


def simulate(
    context: typer.Context,
    scenario: Annotated[str, typer.Argument(help="Name of a scenario that comes along, or a .toml file.")] = "",
    server: Annotated[str, typer.Option(metavar="HOST:PORT", help="The network server's UDP port.")] = "127.0.0.1:1700",
    virtual: Annotated[bool, typer.Option("--virtual", help="In virtual time, with a server in this process.")] = False,
    listed: Annotated[bool, typer.Option("--list", help="List the scenarios that come along.")] = False,
    seed: Annotated[int | None, typer.Option(help="Another run of the same scenario.")] = None,
    speed: Annotated[float | None, typer.Option(min=1, help="Seconds of meter time a second.")] = None,
    duration: Annotated[float | None, typer.Option(min=0, help="Seconds; without it, until all is told.")] = None,
    scale: Annotated[float, typer.Option(min=0, help="This share of the devices of each group, e.g. 0.01.")] = 1.0,
    recording: Annotated[Path | None, typer.Option(help="Write all that happens into this JSONL file.")] = None,
    check: Annotated[bool, typer.Option("--check", help="Judge the server by the recording afterwards.")] = False,
    sink_url: Annotated[
        str, typer.Option("--sink", metavar="URL", help="Take events: http://HOST:PORT/, mqtt://…")
    ] = "",
    events_file: Annotated[Path | None, typer.Option("--events", help="Where the sink writes them, or has.")] = None,
    settle_s: Annotated[float, typer.Option("--settle", min=0, help="Seconds that the sink listens on.")] = 5.0,
    report: Annotated[Path | None, typer.Option(help="A page in HTML with charts and the verdict.")] = None,
    junit: Annotated[Path | None, typer.Option(help="The verdicts for a build server, as JUnit XML.")] = None,
    lang: Annotated[str, typer.Option(help="Language of the report: en or ru.")] = "en",
    json: Json = False,
) -> None:
    """Run the test lab: devices, meters, gateways and air.

    `simulate conformance` plays LoRaWAN cases against a server: its options are those of `python -m lorasim conformance`,
    behind the name: --station, --adapter, --url, --token, --short, names of cases and more (docs/conformance.md).
    """
    import msgspec
    from lorasim import assertions, outcome, progress, sink
    from lorasim.report import LANGUAGES
    from lorasim.scenario import ScenarioError, group_names, load, scaled, titles

    if scenario == CONFORMANCE:
        unfit: dict[str, object] = {"--virtual": virtual, "--check": check, "--speed": speed, "--duration": duration}
        unfit |= {"--report": report, "--recording": recording, "--scale": scale != 1, "--lang": lang != "en"}
        unfit |= {"--sink": sink_url, "--events": events_file}
        if given := [name for name, value in unfit.items() if value]:
            raise typer.BadParameter(f"{', '.join(given)}: not of the conformance run")
        raise typer.Exit(_conformance(context.args, server, seed, junit, listed, json))
    if context.args:
        raise typer.BadParameter(f"{' '.join(context.args)}: no such option or argument", param_hint="SCENARIO")
    if listed:
        rows = [{"name": name, "title": title} for name, title in titles().items()]
        print_rows(rows, ("name", "title"), json)
        return
    if not scenario:
        raise typer.BadParameter("name a scenario, or ask for --list", param_hint="SCENARIO")
    if check and recording is None:
        raise typer.BadParameter("--check needs --recording")
    if lang not in LANGUAGES:
        raise typer.BadParameter(f"{lang!r} is none of {', '.join(LANGUAGES)}", param_hint="--lang")
    for file in (recording, report, junit):
        if file is not None and not file.absolute().parent.is_dir():  # now, and not when the run is over
            raise Failure(f"{file}: there is no such folder")
    if virtual and (sink_url or events_file):
        raise typer.BadParameter("--sink and --events are for real time; in virtual time events are known")
    try:
        plan = scaled(load(scenario), scale) if scale != 1 else load(scenario)
        complaints = assertions.unknown_groups(plan.assertions, group_names(plan))
        if complaints:
            raise ScenarioError(complaints[0])
        wanted = bool(recording or report or junit or sink_url or (plan.assertions and not json))
        with _recording(recording, wanted) as path:
            events: list[dict[str, Any]] | None = [] if virtual and path is not None else None
            if virtual:
                summary = run_virtual(plan, seed, speed, duration, path, events)
            else:
                heard = Heard(
                    sink_url, events_file or (path.with_suffix(".events") if sink_url and path else None), settle_s
                )
                summary = run_real(plan, server, seed, speed, duration, path, heard)
                events = sink.read(heard.path) if heard.path else None
            if json:
                print_json(msgspec.to_builtins(summary))
            else:
                print_record(dict(progress.rows(summary)), False)
            if path is None or not (check or report or junit or plan.assertions):
                return
            judged = outcome.judge(path, plan.assertions, check, events)
            code = outcome.finish(judged, str(junit) if junit else None, str(report) if report else None, lang)
    except (ScenarioError, sink.SinkError, OSError) as error:
        raise Failure(f"{scenario}: {error}") from None
    if code:
        raise Failure(f"{scenario}: an assertion or an invariant is broken")


def _conformance(
    rest: list[str], server: str, seed: int | None, junit: Path | None, listed: bool, as_json: bool
) -> int:
    """The conformance run with all its options, those that a scenario has too and the others; its exit code."""
    from lorasim.conformance import command

    words = ["--server", server]
    words += ["--seed", str(seed)] if seed is not None else []
    words += ["--junit", str(junit)] if junit is not None else []
    words += ["--list"] if listed else []
    words += ["--json"] if as_json else []
    return command.main([*words, *rest])


@contextlib.contextmanager
def _recording(given: Path | None, wanted: bool) -> Iterator[Path | None]:
    """Where to record: the file that was asked for, one for the time of the run, or nowhere."""
    if given is not None or not wanted:
        yield given
        return
    with tempfile.TemporaryDirectory(prefix="meterwan-") as folder:
        yield Path(folder) / "run.jsonl"


@contextlib.contextmanager
def _view() -> Iterator[Any]:
    """The live view on a terminal; None in a pipe."""
    from lorasim import progress

    if not sys.stderr.isatty():
        yield None
        return
    with progress.live() as view:
        yield view


@dataclass(slots=True, frozen=True)
class Heard:
    """The event sink of a run in real time: what the server gives to its application."""

    url: str = ""
    """Empty: nobody listens, and ``path`` is what somebody else wrote down."""
    path: Path | None = None
    settle_s: float = 5.0


def run_real(
    plan: Scenario,
    server: str,
    seed: int | None,
    speed: float | None,
    duration_s: float | None,
    path: Path | None,
    heard: Heard = Heard(),
) -> Summary:
    """Over UDP against any server. Raises Failure, OSError, SinkError."""
    import asyncio

    from lorasim import runner, sink

    from meterwan import ports

    try:
        address = ports.split(server)
    except ValueError:
        raise Failure(f"--server {server}: write it as host:port") from None
    with _view() as view:
        show, observers = (view.show, [view.observe]) if view is not None else (None, [])

        async def run() -> Summary:
            async with contextlib.AsyncExitStack() as stack:
                if heard.url and heard.path is not None:
                    heard.path.write_text("", encoding="utf-8")  # as the recording: of this run alone
                    listening = await stack.enter_async_context(sink.listening(heard.url, heard.path))
                    print(f"events are taken at {listening.address}", file=sys.stderr)
                summary = await runner.run(plan, address, seed, speed, duration_s, show, path, observers)
                if heard.url:
                    await asyncio.sleep(heard.settle_s)
                return summary

        return asyncio.run(run())


def run_virtual(
    plan: Scenario,
    seed: int | None,
    speed: float | None,
    duration_s: float | None,
    path: Path | None,
    events: list[dict[str, Any]] | None = None,
) -> Summary:
    """In virtual time, with a network server of its own that knows all gateways and devices. Raises ScenarioError.

    ``events`` is filled with what the server gives to its application.
    """
    from lorasim import virtual
    from lorasim.recording import Recorder
    from lorasim.world import World

    from meterwan import log, virtual_events
    from meterwan.virtual import VirtualNetwork

    log.configure("lab", "error")
    with contextlib.ExitStack() as stack:
        recorder = stack.enter_context(Recorder(path))
        view = stack.enter_context(_view())
        if view is not None:
            recorder.observers.append(view.observe)

        servers: list[VirtualNetwork] = []

        def server_of(world: World) -> VirtualNetwork:
            servers.append(stack.enter_context(VirtualNetwork(world)))
            return servers[0]

        show = view.show if view is not None else None
        summary = virtual.run(plan, server_of, seed, speed, duration_s, show, recorder)
        if events is not None:
            virtual_events.settle(servers[0])
            events += virtual_events.lines(servers[0])
        return summary
