"""``python -m lorasim SCENARIO``: run a scenario against a network server."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
from collections.abc import Sequence

from lorasim import checker, progress, runner, scenario


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0: done (with ``--check``: and no rule broken), 1: it failed, 2: wrong use."""
    parser = argparse.ArgumentParser(
        prog="python -m lorasim", description="Devices, gateways and the air between them."
    )
    parser.add_argument("scenario", help=f"{', '.join(scenario.names())}, or a .toml file")
    parser.add_argument("--server", default="127.0.0.1:1700", metavar="HOST:PORT")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--speed", type=float, help="seconds of meter time a second")
    parser.add_argument(
        "--duration", type=float, metavar="SECONDS", help="until the meters have caught up, if not given"
    )
    parser.add_argument("--recording", metavar="FILE.jsonl")
    parser.add_argument("--check", action="store_true", help="judge the server by the recording afterwards")
    given = parser.parse_args(arguments)
    host, _, port = given.server.rpartition(":")
    if not port.isdigit():
        parser.error(f"--server {given.server!r} is not HOST:PORT")
    if given.check and not given.recording:
        parser.error("--check needs --recording")
    try:
        plan = scenario.load(given.scenario)
        with progress.reporter() as report:
            run = runner.run(
                plan, (host or "127.0.0.1", int(port)), given.seed, given.speed, given.duration, report, given.recording
            )
            summary = asyncio.run(run)
    except (scenario.ScenarioError, OSError) as error:
        print(f"lorasim: {error}", file=sys.stderr)
        return 1
    for name, value in progress.rows(summary):
        print(f"{name:>14}  {value}")
    violations = checker.check(checker.read(given.recording)) if given.check else []
    for violation in violations:
        print(f"{violation.rule}: {violation.dev_eui} {violation.text}", file=sys.stderr)
    return 1 if violations else 0


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main())
