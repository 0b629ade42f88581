"""``python -m lorasim report RECORDING``: the report of a run that is over."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from lorasim import course, outcome, report, sink


def main(arguments: Sequence[str]) -> int:
    """Exit code 0: written, and all holds; 1: written, but something is broken; 2: wrong use."""
    parser = argparse.ArgumentParser(prog="python -m lorasim report", description="Write the report of a recording.")
    parser.add_argument("recording", metavar="RECORDING.jsonl")
    parser.add_argument("--out", required=True, metavar="FILE.html")
    parser.add_argument("--events", metavar="FILE.jsonl", help="what the application was given (lorasim sink)")
    parser.add_argument("--lang", choices=report.LANGUAGES, default="en")
    parser.add_argument(
        "--no-check", action="store_true", help="leave the checker out; it needs the whole recording in memory"
    )
    given = parser.parse_args(arguments)
    try:
        run = next((line for line in course.lines_of(given.recording) if line["type"] == "run"), {})
        events = sink.read(given.events) if given.events else None
        judged = outcome.judge(given.recording, outcome.asserted_in(run), not given.no_check, events)
        report.write(given.out, judged, given.lang)
    except (OSError, ValueError) as error:
        print(f"lorasim: {error}", file=sys.stderr)
        return 2
    return 0 if judged.good else 1
