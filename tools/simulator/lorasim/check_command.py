"""``python -m lorasim check RECORDING``: judge a server by a recording, and by the events that it gave to applications."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from lorasim import checker, checking, course, outcome, sink
from lorasim.checker import Line, Violation
from lorasim.checking.history import shortest
from lorasim.run_command import add_outputs

SHOWN = 5
"""Histories are sought for so many violations."""
_LONG = frozenset({"t", "type", "way", "form", "at_us", "plan"})


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
        lines = checker.read(given.recording)
        run = next((line for line in lines if line["type"] == "run"), {})
        judged = outcome.judge(given.recording, outcome.asserted_in(run), True, events)
        code = outcome.finish(judged, given.junit, given.report, given.lang)
        for number, violation in enumerate((judged.violations or [])[:SHOWN]):
            history = shortest(lines, events, violation)
            _show(violation, history, judged.course)
            if given.history and number == 0:
                _write(given.history, run, history)
    except (OSError, ValueError, KeyError) as error:
        reason = f"a line has no {error}" if isinstance(error, KeyError) else str(error)
        print(f"lorasim: {reason}", file=sys.stderr)
        return 2
    return code


def _show(violation: Violation, history: Sequence[Line], told: course.Course) -> None:
    invariant = checking.INVARIANTS.get(violation.rule, "")
    print(
        f"\n{violation.rule} {f'({invariant}) ' if invariant else ''}seed {told.seed}, {len(history)} lines are enough:"
    )
    for line in history:
        fields = " ".join(f"{key}={_value(value)}" for key, value in line.items() if key not in _LONG)
        print(f"  {(line['t'] - told.start_us) / 1e6:12.6f} s  {line['type']:<14} {fields}")


def _value(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _write(path: str, run: Line, history: Sequence[Line]) -> None:
    """A recording of its own: to look at, and to check again."""
    lines = history if run in history else [run, *history]
    Path(path).write_text(
        "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines if line), encoding="utf-8"
    )
