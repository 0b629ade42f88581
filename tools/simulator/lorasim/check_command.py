"""``python -m lorasim check RECORDING``: judge a server by a recording, and by the events that it gave to applications."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from lorasim import course, outcome, sink
from lorasim.checker import Line
from lorasim.run_command import add_outputs


def main(arguments: Sequence[str]) -> int:
    """Exit code 0: no invariant is broken and all assertions hold, 1: one is, 2: wrong use."""
    parser = argparse.ArgumentParser(prog="python -m lorasim check", description="Judge a server by a recording.")
    parser.add_argument("recording", metavar="RECORDING.jsonl")
    parser.add_argument("--events", metavar="FILE.jsonl", help="what the application was given (lorasim sink)")
    parser.add_argument("--history", metavar="FILE.jsonl", help="write the shortest history of the first violation")
    add_outputs(parser)
    given = parser.parse_args(arguments)
    try:
        events = sink.read(given.events) if given.events else None
        run = next((line for line in course.lines_of(given.recording) if line["type"] == "run"), {})
        judged = outcome.judge(given.recording, outcome.asserted_in(run), True, events)
        code = outcome.finish(judged, given.junit, given.report, given.lang)
        if given.history and judged.histories:
            _write(given.history, run, next(iter(judged.histories.values())))
    except (OSError, ValueError, KeyError) as error:
        reason = f"a line has no {error}" if isinstance(error, KeyError) else str(error)
        print(f"lorasim: {reason}", file=sys.stderr)
        return 2
    return code


def _write(path: str, run: Line, history: Sequence[Line]) -> None:
    """A recording of its own: to look at, and to check again."""
    lines = history if run in history else [run, *history]
    Path(path).write_text(
        "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines if line), encoding="utf-8"
    )
