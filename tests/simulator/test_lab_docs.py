"""The pages of the lab know every metric, every rule, every option."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from lorasim import scenario
from lorasim.captures import command as captures
from lorasim.checking import INVARIANTS
from lorasim.checking import events as events_rules
from lorasim.metrics import METRICS
from lorasim.run_command import _parser

DOCS = Path(__file__).resolve().parents[2] / "docs" / "lab"


def test_every_metric_and_every_rule_has_its_line() -> None:
    results, checker = ((DOCS / name).read_text("utf-8") for name in ("results.md", "checker.md"))
    assert [name for name in METRICS if f"`{name}`" not in results] == []
    mentioned = set(re.findall(r"^\| ([A-Za-z -]+) \| (INV-\d\d[^|]*) \|", checker, re.M))
    assert mentioned == set(INVARIANTS.items())
    assert set(INVARIANTS) >= events_rules.RULES


def test_the_examples_of_assertions_are_understood() -> None:
    [toml] = re.findall(r"^```toml\n(.*?)^```", (DOCS / "results.md").read_text("utf-8"), re.M | re.S)
    plan = scenario.parse('name = "x"\n' + toml)
    assert len(plan.assertions) == 4


@pytest.mark.parametrize("name", ["results.md", "checker.md", "captures.md"])
def test_every_command_and_option_exists(name: str) -> None:
    text = (DOCS / name).read_text("utf-8")
    parsers = {"captures": captures._parser(), "run": _parser()}
    for line in re.findall(r"python -m lorasim pcap (.*)", text):
        words = re.sub(r"\s(?:\||#).*", "", line).replace("'", "").rstrip("`").split()
        parsers["captures"].parse_args(words)
    for line in re.findall(r"python -m lorasim (satka .*)", text):
        parsers["run"].parse_args(re.sub(r"[`].*|\s#.*", "", line).split())
