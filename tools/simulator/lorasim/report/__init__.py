"""A report of a run: one HTML file with all that it needs in it, for people who were not there."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, select_autoescape
from markupsafe import Markup

from lorasim.assertions import words as value_in_words
from lorasim.checker import Violation
from lorasim.checking import INVARIANTS
from lorasim.metrics import METRICS, Scope
from lorasim.outcome import Outcome, in_words
from lorasim.report.figures import figures
from lorasim.report.words import LANGUAGES, Words

__all__ = ["LANGUAGES", "page", "write"]

MOST_VIOLATIONS = 200
MOST_EVENTS = 500


def write(path: str | Path, outcome: Outcome, language: str = "en") -> None:
    """Write the report of an outcome. Raises OSError; ValueError for a language that there is not."""
    Path(path).write_text(page(outcome, language), encoding="utf-8")


def page(outcome: Outcome, language: str = "en") -> str:
    """The HTML of the report."""
    words, course = Words(language), outcome.course
    environment = Environment(autoescape=select_autoescape(default=True), trim_blocks=True, lstrip_blocks=True)
    environment.globals |= {"_": words, "number": words.number, "Markup": Markup}
    template = environment.from_string((resources.files(__name__) / "page.html").read_text(encoding="utf-8"))
    began = datetime.fromtimestamp(course.start_us / 1e6, UTC)
    return template.render(
        language=language,
        title=course.run.get("plan", {}).get("title") or outcome.name,
        outcome=outcome,
        verdict=_verdict(outcome),
        course=course,
        began=f"{began:%Y-%m-%d %H:%M:%S} UTC",
        lasted=words.duration(course.duration_s),
        tiles=_tiles(outcome, words),
        figures=figures(course, words),
        timeline=[(words.duration((t - course.start_us) / 1e6), what) for t, what in course.timeline[:MOST_EVENTS]],
        metrics=_metrics(outcome, words),
        violations=[_violation(one, outcome, words) for one in (outcome.violations or [])[:MOST_VIOLATIONS]],
        more=max(0, len(outcome.violations or ()) - MOST_VIOLATIONS),
        plan="\n".join(_toml(course.run.get("plan", {}))),
    )


def _verdict(outcome: Outcome) -> tuple[str, bool | None]:
    if outcome.violations:
        return "an invariant is broken", False
    if any(not verdict.holds for verdict in outcome.verdicts):
        return "an assertion is broken", False
    if outcome.verdicts:
        return "all assertions hold", True
    return ("nothing was asserted", None) if outcome.violations is None else ("no invariant is broken", True)


def _tiles(outcome: Outcome, words: Words) -> list[tuple[str, str, str]]:
    """What one looks at first: label, value, and what stands below it."""
    course = outcome.course
    scope = Scope.of(course)

    def measured(name: str) -> str:
        value = METRICS[name].measure(scope)
        return "–" if value is None else words.per_cent(value, 1)

    down = len(scope.radiated)
    return [
        (words("delivered"), measured("delivery"), f"{words('data frames')}: {words.number(len(course.frames))}"),
        (words("joins"), measured("joins.share"), f"{words('devices')}: {words.number(len(course.devices))}"),
        (f"{words('downlinks')}: {words('heard')}", measured("downlinks.heard_share"), words.number(down)),
        (words("gateways"), words.number(len(course.gateways)), ", ".join(filter(None, course.gateways.values()))),
    ]


def _metrics(outcome: Outcome, words: Words) -> list[tuple[str, str, str]]:
    scope, found = Scope.of(outcome.course), []
    for metric in METRICS.values():
        if metric.needs_events and outcome.course.events is None:
            continue
        value = metric.measure(scope)
        meaning, colon, share = metric.meaning.partition(": ")
        text = "–" if value is None else value_in_words(value, metric.unit)
        found.append((metric.name, text, words(meaning) + colon + share))
    return found


def _violation(one: Violation, outcome: Outcome, words: Words) -> dict[str, Any]:
    start_us = outcome.course.start_us
    history = [in_words(line, start_us) for line in outcome.histories.get(one, ())]
    at = words.duration(max(0.0, (one.t - start_us) / 1e6))
    invariant = f" ({INVARIANTS[one.rule]})" if one.rule in INVARIANTS else ""
    return {"rule": words(one.rule) + invariant, "dev_eui": one.dev_eui, "at": at, "text": one.text, "history": history}


def _toml(table: dict[str, Any], name: str = "") -> list[str]:
    """A plan as a scenario file has it; keys without a value are left out."""
    plain = {key: value for key, value in table.items() if not _is_table(value) and value not in (None, "", [], {})}
    lines = [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in plain.items()]
    if name and lines:
        lines.insert(0, f"\n{name}")
    for key, value in table.items():
        key = "assert" if key == "assertions" else key
        inner = f"{name.strip('[]')}.{key}" if name else key
        if isinstance(value, dict) and value:
            lines += _toml(value, f"[{inner}]")
        elif _is_table(value):
            for one in value:
                lines += _toml(one, f"[[{inner}]]")
    return lines


def _is_table(value: Any) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and bool(value) and isinstance(value[0], dict))
