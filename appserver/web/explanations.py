"""An explained imbalance in words of people, and as a waterfall."""

from __future__ import annotations

from dataclasses import dataclass

from appserver.metering.explain import CauseRow, Evidence, Explanation, Stage
from appserver.web.formats import day, number
from appserver.web.i18n import N_, gettext

CAUSES = {
    "skew": N_("Readings at other times"),
    "missing": N_("Missing and estimated"),
    "unmetered": N_("Flats without meters"),
    "start_flow": N_("Flow too small to be counted"),
    "reverse": N_("Reverse flow"),
    "leak": N_("Leak"),
    "theft": N_("Suspected theft"),
    "rest": N_("Not explained"),
}
CONFIDENCES = {"high": N_("well founded"), "medium": N_("estimate"), "low": N_("rough guess")}
BADGES = {"high": "good", "medium": "warn", "low": ""}
STAGES = {
    "raw": N_("Last values received by the edges"),
    "time_base": N_("On one time base"),
    "gaps_filled": N_("With gaps filled from the archives"),
    "lost": N_("Without what was only not counted: lost"),
}
_FLAG = N_("the module reported: %(flag)s")
FLAGS = {
    "magnetic_tamper": N_("a magnet at the meter"),
    "head_detached": N_("the module taken off"),
    "case_opened": N_("the case opened"),
    "indicator_blocked": N_("the indicator blocked"),
    "tamper_a": N_("tampering"),
    "tamper_b": N_("tampering"),
}
SENTENCES = {
    "clock": N_("the clock is off by %(n)s min"),
    "clock_main": N_("common meter: the clock is off by %(n)s min"),
    "read_start": N_("first value %(n)s days after the start"),
    "read_end": N_("last value %(n)s days before the end"),
    "missing_start": N_("silent until %(until)s"),
    "missing_end": N_("silent since %(since)s"),
    "missing_break": N_("unknown from %(since)s to %(until)s: a jump of the register, or no meter"),
    "missing_all": N_("silent all the time"),
    "no_meter_flat": N_("no meter; as much as others like it"),
    "no_meter_norm": N_("no meter; by the norm for %(n)s persons"),
    "no_meter_nonresidential": N_("no meter, and nothing to estimate by"),
    "starting_flow": N_("meters stand still below %(n)s %(unit)s an hour; as much as may hide there"),
    "reverse": N_("counted backwards"),
    "night_flow": N_("%(n)s %(unit)s an hour that do not stop at night, from %(since)s to %(until)s"),
    "nights_unknown": N_("the common meter does not tell the nights: a leak cannot be seen"),
    "step": N_("takes %(n)s %(unit)s a day less since %(since)s, and as much more is missing in the house"),
    "zero_use": N_("hardly any consumption, though %(n)s persons are registered"),
    "rise": N_("%(n)s %(unit)s a day more missing since %(since)s; no flat took less that day"),
}
_DIGITS = {"read_start": 1, "read_end": 1, "night_flow": 3, "step": 3, "rise": 3, "starting_flow": 3}


def cause(name: str) -> str:
    """What a cause is called."""
    return gettext(CAUSES[name])


def confidence(name: str) -> str:
    """How sure a row is."""
    return gettext(CONFIDENCES[name])


def sentence(evidence: Evidence, unit: str) -> str:
    """Evidence as a sentence, without the place and the volume."""
    if evidence.what.startswith("flag_"):
        flag = evidence.what.removeprefix("flag_")
        return gettext(_FLAG) % {"flag": gettext(FLAGS[flag]) if flag in FLAGS else flag}
    return gettext(SENTENCES[evidence.what]) % {
        "n": number(evidence.number, _DIGITS.get(evidence.what, 0)),
        "unit": unit,
        "since": day(evidence.since),
        "until": day(evidence.until),
    }


@dataclass(frozen=True, slots=True)
class Step:
    """A stage of the imbalance with the length of its bar, per cent of the longest."""

    stage: Stage
    name: str
    width: float


def course(explanation: Explanation) -> list[Step]:
    """The stages that are known; none when they differ by nothing."""
    known = [stage for stage in explanation.course if stage.imbalance is not None]
    longest = max((abs(stage.imbalance or 0) for stage in known), default=0)
    if len(known) < 2 or not longest:
        return []
    return [
        Step(stage, gettext(STAGES[stage.name]), round(float(abs(stage.imbalance or 0) * 100 / longest), 2))
        for stage in known
    ]


@dataclass(frozen=True, slots=True)
class Bar:
    """A row of the waterfall: places in per cent of its width."""

    row: CauseRow
    x: float
    width: float
    zero: float
    """Where nothing is explained yet."""
    end: float
    """Where the row ends and the next begins."""

    @property
    def badge(self) -> str:
        return BADGES[self.row.confidence]


def waterfall(explanation: Explanation) -> list[Bar]:
    """The rows one after another, from nothing to the whole imbalance."""
    edges = [0.0]
    for row in explanation.rows:
        edges.append(edges[-1] + float(row.volume))
    low, high = min(edges), max(edges)
    scale = 100 / (high - low) if high > low else 0.0
    bars = []
    for row, before, after in zip(explanation.rows, edges, edges[1:], strict=False):
        start, end = sorted(((before - low) * scale, (after - low) * scale))
        bars.append(
            Bar(
                row,
                round(start, 2),
                round(max(end - start, 0.4), 2),
                round(-low * scale, 2),
                round((after - low) * scale, 2),
            )
        )
    return bars
