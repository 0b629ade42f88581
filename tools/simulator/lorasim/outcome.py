"""The outcome of a run, judged by its recording: assertions, invariants, and what is made of both."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from lorasim import assertions, checker, checking, course, junit
from lorasim.assertions import Assertion, Verdict
from lorasim.checker import Line, Violation
from lorasim.checking.history import shortest
from lorasim.course import Course

TRACED = 5
"""Histories are sought for so many violations."""
_KEYS = frozenset({"app_key", "nwk_key", "app_s_key", "nwk_s_key", "s_nwk_s_int_key", "nwk_s_enc_key"})
_UNSAID = _KEYS | {"t", "type", "way", "form", "at_us", "plan"}
"""Fields that no history shows to people; keys stay in the recording."""
SHOWN = 20
"""So many violations are printed; a report has all."""


@dataclass(slots=True)
class Outcome:
    """What a run came to."""

    course: Course
    verdicts: list[Verdict] = field(default_factory=list)
    violations: list[Violation] | None = None
    """None: the checker was not asked."""
    histories: dict[Violation, list[Line]] = field(default_factory=dict)
    """The shortest history of each of the first violations."""

    @property
    def good(self) -> bool:
        return all(verdict.holds for verdict in self.verdicts) and not self.violations

    @property
    def name(self) -> str:
        return str(self.course.run.get("scenario", ""))

    def write_junit(self, path: str | Path) -> None:
        """Raises OSError."""
        start_us = self.course.start_us
        histories = {one: [in_words(line, start_us) for line in lines] for one, lines in self.histories.items()}
        told = self.name, self.course.seed, self.course.duration_s
        Path(path).write_text(junit.text(*told, self.verdicts, self.violations, histories), encoding="utf-8")


def judge(
    recording: str | Path, asserted: Sequence[Assertion], check: bool, events: Sequence[dict[str, Any]] | None = None
) -> Outcome:
    """Judge a recording; ``events``: what the application was given, None when nobody listened. Raises OSError, ValueError."""
    told = course.follow(course.lines_of(recording), events)
    verdicts = assertions.judge(asserted, told)
    if not check:
        return Outcome(told, verdicts)
    lines = checker.read(recording)
    violations = checking.check(lines, events)
    histories = {violation: shortest(lines, events, violation) for violation in violations[:TRACED]}
    return Outcome(told, verdicts, violations, histories)


def asserted_in(run: dict[str, Any]) -> list[Assertion]:
    """The assertions that the line ``run`` of a recording carries. Raises ValueError for those of another version."""
    try:
        found = [Assertion(**one) for one in run.get("plan", {}).get("assertions", ())]
    except TypeError as error:
        raise ValueError(f"the recording's assertions cannot be read: {error}") from error
    for assertion in found:
        assertions.check(assertion)
    return found


def finish(outcome: Outcome, junit_path: str | None, report_path: str | None, language: str) -> int:
    """Print the verdict, write the files that were asked for; the exit code. Raises OSError."""
    show(outcome)
    if junit_path:
        outcome.write_junit(junit_path)
    if report_path:
        from lorasim import report

        report.write(report_path, outcome, language)
    return 0 if outcome.good else 1


def show(outcome: Outcome) -> None:
    """Print the verdicts, and on standard error the invariants that are broken."""
    console, complaints = Console(), Console(stderr=True)
    if outcome.verdicts:
        table = Table(box=None, pad_edge=False)
        table.add_column("")
        table.add_column("assertion", overflow="fold")
        table.add_column("measured", justify="right", overflow="fold")
        for verdict in outcome.verdicts:
            mark = Text("holds", "green") if verdict.holds else Text("BROKEN", "bold red")
            table.add_row(mark, str(verdict.assertion), verdict.text)
        console.print(table)
    if outcome.violations is None:
        return
    if not outcome.violations:
        console.print(Text("checker: no invariant is broken", "green"))
        return
    complaints.print(Text(f"checker: {len(outcome.violations)} broken, seed {outcome.course.seed}", "bold red"))
    for one in outcome.violations[:SHOWN]:
        complaints.print(Text(f"{one.rule}: {one.dev_eui} {one.text}"), soft_wrap=True)
    if len(outcome.violations) > SHOWN:
        complaints.print(f"… and {len(outcome.violations) - SHOWN} more")
    for violation, history in outcome.histories.items():
        invariant = checking.INVARIANTS.get(violation.rule, "")
        name = f"{violation.rule} ({invariant})" if invariant else violation.rule
        print(f"\n{name} seed {outcome.course.seed}, {len(history)} lines are enough:")
        for line in history:
            print(f"  {in_words(line, outcome.course.start_us)}")


def in_words(line: Line, start_us: int) -> str:
    """A line of a history for people: when, what, and all that it says."""
    fields = " ".join(f"{key}={_value(value)}" for key, value in line.items() if key not in _UNSAID)
    return f"{(line['t'] - start_us) / 1e6:12.6f} s  {line['type']:<14} {fields}"


def _value(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
