"""The results as a table, as JSON and as JUnit XML."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any
from xml.etree import ElementTree

from lorasim.conformance.verdicts import Result, Verdict

MARKS = {Verdict.PASS: "pass", Verdict.FAIL: "FAIL", Verdict.NOT_SUPPORTED: "n/s", Verdict.NOT_PROVOKED: "n/p"}
COLOURS = {Verdict.PASS: "32", Verdict.FAIL: "1;31", Verdict.NOT_SUPPORTED: "33", Verdict.NOT_PROVOKED: "36"}


def table(results: Sequence[Result], coloured: bool = False) -> Iterable[str]:
    """Line by line: verdict, name, title with its clause, and the reason of what did not pass."""
    width = max((len(result.name) for result in results), default=0)
    group = ""
    for result in results:
        if result.group != group:
            group = result.group
            yield f"\n{group.upper()}"
        mark = f"{MARKS[result.verdict]:4}"
        if coloured:
            mark = f"\x1b[{COLOURS[result.verdict]}m{mark}\x1b[0m"
        yield f"{mark}  {result.name:{width}}  {result.title} [{result.clause}] {result.seconds:.1f} s"
        if result.reason:
            yield f"{'':4}  {'':{width}}  → {result.reason}"
    yield ""
    yield summary(results)


def summary(results: Sequence[Result]) -> str:
    """``70 cases: 66 pass, 1 fail, 3 not provoked``."""
    counts = Counter(result.verdict for result in results)
    parts = ", ".join(f"{counts[verdict]} {verdict.value}" for verdict in Verdict if counts[verdict])
    return f"{len(results)} cases: {parts or 'none'}"


def as_json(results: Sequence[Result], server: str, seed: int) -> str:
    """One object with all results."""
    cases: list[dict[str, Any]] = [
        {
            "name": one.name,
            "group": one.group,
            "title": one.title,
            "clause": one.clause,
            "verdict": one.verdict.value,
            "reason": one.reason,
            "seconds": round(one.seconds, 3),
        }
        for one in results
    ]
    counts = Counter(one.verdict.value for one in results)
    return json.dumps({"server": server, "seed": seed, "counts": counts, "cases": cases}, ensure_ascii=False, indent=2)


def as_junit(results: Sequence[Result], server: str, seed: int) -> str:
    """A suite a group. What is not supported or not provoked counts as skipped."""
    suites = ElementTree.Element("testsuites", {"name": f"LoRaWAN conformance of {server}"})
    groups: dict[str, list[Result]] = {}
    for result in results:
        groups.setdefault(result.group, []).append(result)
    for name, members in groups.items():
        failures = sum(one.verdict is Verdict.FAIL for one in members)
        skipped = sum(one.verdict in (Verdict.NOT_SUPPORTED, Verdict.NOT_PROVOKED) for one in members)
        seconds = sum(one.seconds for one in members)
        counts = {"tests": str(len(members)), "failures": str(failures), "skipped": str(skipped), "errors": "0"}
        suite = ElementTree.SubElement(suites, "testsuite", {"name": name, "time": f"{seconds:.3f}", **counts})
        properties = ElementTree.SubElement(suite, "properties")
        ElementTree.SubElement(properties, "property", {"name": "seed", "value": str(seed)})
        for one in members:
            attributes = {"classname": f"conformance.{name}", "name": f"{one.name}: {one.title}"}
            case = ElementTree.SubElement(suite, "testcase", {**attributes, "time": f"{one.seconds:.3f}"})
            if one.verdict is Verdict.FAIL:
                fault = ElementTree.SubElement(case, "failure", {"type": one.clause, "message": one.reason})
                fault.text = f"{one.reason}\n{one.clause}\nseed {seed}"
            elif one.verdict is not Verdict.PASS:
                ElementTree.SubElement(case, "skipped", {"message": f"{one.verdict.value}: {one.reason}"})
    ElementTree.indent(suites)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(suites, encoding="unicode") + "\n"
