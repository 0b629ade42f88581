"""JUnit XML: the form in which build servers read the outcome of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from xml.etree import ElementTree

from lorasim.assertions import Verdict
from lorasim.checker import Violation

_CONTROL = {code: "\ufffd" for code in range(32) if chr(code) not in "\t\n\r"}


def text(
    scenario: str,
    seed: int | None,
    seconds: float,
    verdicts: Sequence[Verdict],
    violations: Sequence[Violation] | None,
    histories: Mapping[Violation, Sequence[str]] | None = None,
) -> str:
    """One suite, a case an assertion and one for the checker. ``violations``: None when it was not asked.

    ``histories``: lines that show how a violation came about.
    """
    checked = violations is not None
    failures = sum(not verdict.holds for verdict in verdicts) + bool(violations)
    counts = {"tests": str(len(verdicts) + checked), "failures": str(failures), "errors": "0", "time": f"{seconds:.3f}"}
    suites = ElementTree.Element("testsuites", {"name": "lorasim", **counts})
    suite = ElementTree.SubElement(suites, "testsuite", {"name": _clean(scenario), **counts})
    properties = ElementTree.SubElement(suite, "properties")
    ElementTree.SubElement(properties, "property", {"name": "seed", "value": str(seed)})
    class_name = f"lorasim.{_clean(scenario)}"
    for verdict in verdicts:
        case = ElementTree.SubElement(
            suite, "testcase", {"classname": class_name, "name": _clean(str(verdict.assertion))}
        )
        if not verdict.holds:
            message = _clean(f"{verdict.assertion}: {verdict.text}")
            fault = ElementTree.SubElement(case, "failure", {"type": "assertion", "message": message})
            fault.text = _clean(f"{message}\n{verdict.assertion.note}\nseed {seed}".replace("\n\n", "\n"))
    if violations is not None:
        case = ElementTree.SubElement(suite, "testcase", {"classname": class_name, "name": "no invariant is broken"})
        if violations:
            message = _clean(f"{len(violations)} broken, the first: {violations[0].rule}")
            fault = ElementTree.SubElement(case, "failure", {"type": "invariant", "message": message})
            lines = [f"seed {seed}"]
            for one in violations:
                lines += [f"{one.rule}: {one.dev_eui} {one.text}", *(histories or {}).get(one, ())]
            fault.text = _clean("\n".join(lines))
    ElementTree.indent(suites)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(suites, encoding="unicode") + "\n"


def _clean(value: str) -> str:
    """Without the control characters that XML cannot carry."""
    return value.translate(_CONTROL)
