"""The report of a run: one file that needs nothing else, says what happened, and lets nobody write into it."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from lorasim import assertions, report
from lorasim.__main__ import main
from lorasim.assertions import Assertion
from lorasim.checker import Violation
from lorasim.checking import INVARIANTS
from lorasim.course import follow
from lorasim.metrics import METRICS
from lorasim.outcome import Outcome, judge
from lorasim.report import charts
from lorasim.report.charts import ticks
from lorasim.report.figures import figures
from lorasim.report.words import Words

from tests.simulator.conftest import Lab, MakeLab

VOID = {"meta", "link", "img", "br", "input"}


class Page(HTMLParser):
    """Texts of a page, and whether every element that opens also closes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.texts: list[str] = []
        self.tags: list[str] = []
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attributes if name in ("src", "href", "srcset", "action")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


def lively(make_lab: MakeLab) -> Lab:
    """Six devices with downlinks, some of which come 30 ms too late."""
    lab = make_lab('name = "meters"\ncount = 6\nconfirmed = true\ndr = 3', interval_s=12)
    lab.run(60)
    lab.network.delay_shift_us = 30_000
    lab.run(20)
    lab.network.delay_shift_us = 0
    lab.run(60)
    return lab


def outcome_of(lab: Lab, *that: str, violations: list[Violation] | None = None) -> Outcome:
    course = follow(lab.lines())
    return Outcome(course, assertions.judge([Assertion(one) for one in that], course), violations)


def test_it_says_what_happened(make_lab: MakeLab) -> None:
    outcome = outcome_of(lively(make_lab), "delivery >= 98 %", "joins == 7", violations=[])
    page = Page(report.page(outcome))
    assert page.open == []
    assert "an assertion is broken" in page.text and "joins == 7 6 BROKEN" in page.text
    assert "delivery >= 98 % 100.00 % holds" in page.text and "no invariant is broken" in page.text
    assert "seed 1" in page.text and 'name = "meters"' in page.text and "[[devices]]" in page.text
    for name, metric in METRICS.items():
        assert (name in page.text) == (not metric.needs_events), name


def test_it_needs_nothing_else(make_lab: MakeLab) -> None:
    for language in report.LANGUAGES:
        text = report.page(outcome_of(lively(make_lab)), language)
        page = Page(text)
        assert page.links == [] and {"script", "link", "iframe", "img"}.isdisjoint(page.tags)
        assert not re.search(r"url\(|@import|https?:", text)


def test_nobody_writes_into_it(make_lab: MakeLab) -> None:
    evil = "</pre><script>alert(1)</script>"
    lab = make_lab(f'name = "{evil}"', gateway=f'name = "{evil}"', interval_s=5)
    lab.run(40)
    violations = [Violation(evil, lab.now, evil, evil)]
    page = Page(report.page(outcome_of(lab, "delivery >= 2", violations=violations)))
    assert "script" not in page.tags and page.open == [] and evil in "".join(page.texts)


def test_russian_is_whole(make_lab: MakeLab) -> None:
    page = Page(report.page(outcome_of(lively(make_lab), "joins == 7", violations=[]), "ru"))
    assert "утверждение нарушено" in page.text and "ни один инвариант не нарушен" in page.text
    english = set(Page(report.page(outcome_of(lively(make_lab), "joins == 7", violations=[]))).texts)
    both = {one.strip() for one in english & set(page.texts) if re.search("[a-z]{4}", one)}
    names = {*METRICS, "lab", "joins == 7", "meters"}
    left = {one for one in both if one not in names and not re.search(r"= |[0-9a-f]{16}|stroke|^SF|MHz", one)}
    assert left == set()
    assert [rule for rule in INVARIANTS if Words("ru")(rule) == rule] == []
    assert [one.meaning for one in METRICS.values() if Words("ru")(one.meaning.partition(": ")[0]).isascii()] == []
    with pytest.raises(ValueError, match="no report in 'tt': there are en, ru"):
        report.page(outcome_of(lively(make_lab)), "tt")


def test_figures_have_the_numbers_of_the_run(make_lab: MakeLab) -> None:
    lab = lively(make_lab)
    course = follow(lab.lines())
    made = {figure.title: figure for figure in figures(course, Words("en"))}
    [sf] = made["Delivery by spreading factor"].rows
    assert list(sf) == ["SF9", str(len(course.frames)), "100.0\u00a0%", "100.0\u00a0%"]
    downlinks = dict(made["Downlinks"].rows)
    heard = sum(line["type"] in ("downlink", "joined") for line in lab.lines())
    assert downlinks["heard in RX1"] == str(heard)
    late = sum("ms away" in (line["why"] or "") for line in lab.lines("downlink_missed"))
    assert downlinks["missed: wrong time"] == str(late) and late > 0
    assert made["Joins"].rows[-1][2] == "6"
    frames = [int(row[1]) for row in made["Delivery over time"].rows]
    assert sum(frames) == len(course.frames)
    on_air = sum(line["airtime_us"] for line in lab.lines("on_air"))
    gateways = made["Airtime of gateways by sub-band"].rows
    assert sum(float(row[3]) for row in gateways) == pytest.approx(on_air / 1e6, abs=0.06 * len(gateways))


def test_ticks_are_round() -> None:
    assert ticks(0, 1) == [0, 0.2, 0.4, 0.6, 0.8, 1.0]
    assert ticks(0, 7, whole=True) == [0, 2, 4, 6]
    assert ticks(0, 3600, time=True) == [0, 900, 1800, 2700, 3600]
    assert ticks(0, 10 * 86_400, time=True) == [0, 172_800, 345_600, 518_400, 691_200, 864_000]
    assert ticks(3, 3) == [3]


def test_the_last_word_below_an_axis_is_whole() -> None:
    series = [charts.Series("one", [(0.0, 1.0), (86_400.0, 2.0)])]
    picture = charts.lines("t", series, charts.Axis(time=True, text=lambda s: f"day {s / 86_400:.2f}"), charts.Axis())
    words = re.findall(r'<text x="([\d.]+)" y="[\d.]+" text-anchor="(middle|end)" class="dim">(day [^<]*)<', picture)
    assert len(words) >= 3 and words[-1] == (f"{charts.WIDTH}", "end", "day 1.00")
    assert {anchor for _, anchor, _ in words[:-1]} == {"middle"}


def test_from_the_command_line(make_lab: MakeLab, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lab = make_lab(interval_s=5)
    lab.run(30)
    lab.lines()
    out = tmp_path / "report.html"
    assert main(["report", str(lab.path), "--out", str(out), "--lang", "ru"]) == 0
    assert '<html lang="ru">' in out.read_text("utf-8")
    assert main(["report", str(out), "--out", str(out)]) == 2
    assert "line 1: not a line of a recording" in capsys.readouterr().err
    assert main(["report", str(tmp_path / "none"), "--out", str(out)]) == 2


def test_an_empty_run_has_a_report(make_lab: MakeLab) -> None:
    page = Page(report.page(outcome_of(make_lab(), "delivery >= 0.5")))
    assert page.open == [] and "nothing to measure" in page.text


def test_no_key_stands_in_it(make_lab: MakeLab) -> None:
    lab = make_lab("confirmed = true", interval_s=5)
    lab.run(20)
    lab.network.delay_shift_us = 30_000
    lab.run(30)
    lab.lines()
    judged = judge(lab.path, [], True)
    [device] = lab.lines("device")
    kinds = {line["type"] for history in judged.histories.values() for line in history}
    assert judged.violations and "device" in kinds
    assert device["app_key"] not in report.page(judged) and "shortest history" in report.page(judged)


def test_the_timeline_of_a_scenario_is_no_event_of_an_application(make_lab: MakeLab) -> None:
    lab = make_lab(interval_s=5)
    lab.run(30)
    lines = lab.lines()
    done = {"type": "event", "do": "gateway_off", "gateway": "0016c001ff1e5a01", "group": ""}
    lines.append(done | {"t": lines[-1]["t"] - 10_000_000})
    course = follow(lines)
    assert course.events is None
    page = Page(report.page(Outcome(course)))
    assert "given to the application" not in page.text
    assert page.text.count("gateway_off 0016c001ff1e5a01") > 2 and "What the scenario did" in page.text
    assert follow(lines, []).events == 0
