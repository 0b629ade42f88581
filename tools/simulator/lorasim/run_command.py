"""``python -m lorasim [run] SCENARIO``: run it, and judge the server by what happened."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import math
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from lorasim import assertions, outcome, progress, runner, scenario, sink
from lorasim.recording import Observer
from lorasim.scenario import Scenario
from lorasim.summary import Summary
from lorasim.tally import Tally

SETTLE_S = 5.0
"""So long after the end the event sink still listens."""


def main(arguments: Sequence[str]) -> int:
    """Exit code 0: done, and all holds; 1: an assertion or invariant is broken; 2: wrong use, or it could not be run."""
    parser = _parser()
    given = parser.parse_args(arguments)
    host, _, port = given.server.rpartition(":")
    if not port.isdigit() or not 1 <= int(port) <= 65_535:
        parser.error(f"--server {given.server!r} is not HOST:PORT")
    if given.speed == 0:
        parser.error("--speed 0: time would stand still")
    for path in (given.recording, given.junit, given.report):
        if path and not Path(path).absolute().parent.is_dir():  # now, and not when the run is over
            parser.error(f"{path}: there is no such folder")
    if given.check and not given.recording:
        parser.error("--check needs --recording")
    try:
        plan = scenario.load(given.scenario)
        with _recording(given, plan) as recording:
            summary, tally = asyncio.run(_run(given, plan, (host or "127.0.0.1", int(port)), recording))
            for name, value in [*progress.rows(summary), *progress.last_words(tally)]:
                print(f"{name:>14}  {value}")
            if recording is None:
                return 0
            events = sink.read(given.events) if given.events else None
            judged = outcome.judge(recording, plan.assertions, given.check, events)
        return outcome.finish(judged, given.junit, given.report, given.lang)
    except (scenario.ScenarioError, sink.SinkError, OSError, ValueError) as error:
        print(f"lorasim: {error}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    from lorasim.__main__ import COMMANDS

    parser = argparse.ArgumentParser(
        prog="python -m lorasim",
        description="Devices, gateways and the air between them.",
        epilog=f"Other tools, each with its own --help: {', '.join(name for name in COMMANDS if name != 'run')}.",
    )
    parser.add_argument("scenario", help=f"{', '.join(scenario.names())}, or a .toml file")
    parser.add_argument("--server", default="127.0.0.1:1700", metavar="HOST:PORT")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--speed", type=_number, help="seconds of meter time a second")
    parser.add_argument(
        "--duration", type=_number, metavar="SECONDS", help="until the meters have caught up, if not given"
    )
    parser.add_argument("--recording", metavar="FILE.jsonl")
    parser.add_argument("--check", action="store_true", help="judge the server by the recording afterwards")
    parser.add_argument(
        "--sink", metavar="URL", help="listen for the server's events: http://HOST:PORT/ or mqtt://HOST/"
    )
    parser.add_argument("--events", metavar="FILE.jsonl", help="where the sink writes them, or a file that has them")
    parser.add_argument(
        "--settle", type=_number, default=SETTLE_S, metavar="SECONDS", help="the sink listens on so long"
    )
    add_outputs(parser)
    return parser


def _number(text: str) -> float:
    """A number of 0 or more. Raises ArgumentTypeError."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is not a number of 0 or more")
    return value


def add_outputs(parser: argparse.ArgumentParser) -> None:
    """The options that all commands with a verdict have."""
    parser.add_argument("--junit", metavar="FILE.xml", help="the verdicts for a build server")
    parser.add_argument("--report", metavar="FILE.html", help="a page with charts, the assertions and the verdict")
    parser.add_argument("--lang", choices=("en", "ru"), default="en", help="language of the report")


@contextlib.contextmanager
def _recording(given: argparse.Namespace, plan: Scenario) -> Iterator[Path | None]:
    """Where to record: the file that was asked for, one for the time of the run when something must be judged, or nowhere."""
    complaints = assertions.unknown_groups(plan.assertions, scenario.group_names(plan))
    if complaints:
        raise scenario.ScenarioError(complaints[0])
    if given.sink and not given.events:
        given.events = f"{given.recording}.events" if given.recording else None
    if given.recording:
        yield Path(given.recording)
    elif plan.assertions or given.report or given.junit or given.sink:
        with tempfile.TemporaryDirectory(prefix="lorasim-") as folder:
            given.events = given.events or (str(Path(folder) / "events.jsonl") if given.sink else None)
            yield Path(folder) / "run.jsonl"
    else:
        yield None


def _end(stop: asyncio.Event, loop: asyncio.AbstractEventLoop) -> None:
    stop.set()
    loop.remove_signal_handler(signal.SIGINT)  # whoever presses again means it


async def _run(
    given: argparse.Namespace, plan: Scenario, server: tuple[str, int], recording: Path | None
) -> tuple[Summary, Tally]:
    """The run, with the sink around it. The first Ctrl-C ends the run, and what there is is judged."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    with contextlib.suppress(ValueError, NotImplementedError, RuntimeError):  # not in the main thread, not on Windows
        loop.add_signal_handler(signal.SIGINT, _end, stop, loop)
    async with contextlib.AsyncExitStack() as stack:
        if given.sink:
            Path(given.events).write_text("", encoding="utf-8")  # as the recording: of this run alone
            listening = await stack.enter_async_context(sink.listening(given.sink, given.events))
            print(f"events are taken at {listening.address}", file=sys.stderr)
        live = stack.enter_context(progress.live())
        observers: list[Observer] = [live.observe]
        summary = await runner.run(
            plan, server, given.seed, given.speed, given.duration, live.show, recording, observers, stop
        )
        if given.sink:
            await asyncio.sleep(given.settle)
    return summary, live.tally
