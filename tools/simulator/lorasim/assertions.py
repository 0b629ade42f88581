"""Assertions of a scenario: ``[[assert]]`` tables that a run must keep, such as ``that = "delivery >= 0.98"``."""

from __future__ import annotations

import difflib
import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lorasim.course import Course
from lorasim.metrics import METRICS, Scope, Unit

COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
}
_THAT = re.compile(r"\s*([a-z0-9_.]+)\s*(>=|<=|==|!=|>|<)\s*(-?\d+(?:\.\d+)?)\s*(%?)\s*", re.ASCII)
_DEV_EUI = re.compile(r"[0-9a-f]{16}")


@dataclass(slots=True)
class Assertion:
    """One ``[[assert]]`` table."""

    that: str
    """A metric, a comparison and a number: ``joins.p95_s <= 60``. ``%`` behind the number divides it by a hundred."""
    of: str = ""
    """Which devices: the name of a ``[[devices]]`` table, ``house``, or a DevEUI; all when empty."""
    from_s: float = 0.0
    """Seconds since the start from which things count."""
    until_s: float | None = None
    """… and before which; the end when it is left out."""
    note: str = ""
    """Why it matters; stands in the report."""

    def __str__(self) -> str:
        when = f" from {self.from_s:g} s" if self.from_s else ""
        when += f" until {self.until_s:g} s" if self.until_s is not None else ""
        return " ".join(self.that.split()) + (f" of {self.of}" if self.of else "") + when


@dataclass(slots=True, frozen=True)
class Verdict:
    """What became of an assertion."""

    assertion: Assertion
    value: float | None
    """What the run gave; None when there was nothing to measure."""
    holds: bool
    text: str
    """The value in words, or what is missing."""


@dataclass(slots=True, frozen=True)
class _Claim:
    metric: str
    comparison: str
    bound: float


def _read(that: str) -> _Claim:
    found = _THAT.fullmatch(that)
    if found is None:
        known = " ".join(COMPARISONS)
        raise ValueError(f"{that!r} is not a metric, a comparison ({known}) and a number, such as 'delivery >= 0.98'")
    metric, comparison, number, per_cent = found.groups()
    if metric not in METRICS:
        near = difflib.get_close_matches(metric, METRICS, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else f"known are {', '.join(METRICS)}"
        raise ValueError(f"there is no metric {metric!r}: {hint}")
    return _Claim(metric, comparison, float(number) / (100 if per_cent else 1))


def check(assertion: Assertion) -> None:
    """Raises ValueError, with what to do, when an assertion cannot be understood."""
    claim = _read(assertion.that)
    metric = METRICS[claim.metric]
    if assertion.of and not metric.by_device:
        raise ValueError(f"{claim.metric} is not of devices: leave out of")
    if (assertion.from_s or assertion.until_s is not None) and not metric.by_time:
        raise ValueError(f"{claim.metric} is of the whole run: leave out from_s and until_s")
    if assertion.until_s is not None and assertion.until_s <= assertion.from_s:
        raise ValueError(f"until_s = {assertion.until_s:g} is not after from_s = {assertion.from_s:g}")


def unknown_groups(assertions: Sequence[Assertion], groups: Sequence[str]) -> list[str]:
    """Complaints about groups that the scenario does not have; ``of`` may also be a DevEUI."""
    complaints = []
    for assertion in assertions:
        if assertion.of and assertion.of not in groups and not _DEV_EUI.fullmatch(assertion.of):
            near = difflib.get_close_matches(assertion.of, groups, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(map(repr, groups)) or 'none'}"
            complaints.append(f"{assertion.that!r} is of {assertion.of!r}, which the scenario does not have: {hint}")
    return complaints


def judge(assertions: Sequence[Assertion], course: Course) -> list[Verdict]:
    """Measure each assertion. One that has nothing to measure does not hold."""
    return [_judge(assertion, course) for assertion in assertions]


def _judge(assertion: Assertion, course: Course) -> Verdict:
    claim = _read(assertion.that)
    metric = METRICS[claim.metric]
    scope = Scope.of(course, assertion.of, assertion.from_s, assertion.until_s)
    if metric.needs_events and course.events is None:
        return Verdict(assertion, None, False, "no events: give --sink or --events")
    value = metric.measure(scope)
    if value is None:
        return Verdict(assertion, None, False, "nothing to measure")
    holds = COMPARISONS[claim.comparison](value, claim.bound)
    return Verdict(assertion, value, holds, words(value, metric.unit))


def words(value: float, unit: Unit) -> str:
    """A value as people write it."""
    if unit is Unit.SHARE:
        return f"{100 * value:.2f} %"
    return f"{value:.0f}" if unit is Unit.COUNT else f"{value:.6g} {unit.value}".strip()
