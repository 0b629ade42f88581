"""The house in Satka through a month, in virtual time: frames through the real engine into the real application.

Sixty flats with a thief, a leak, clocks that are off, a meter replaced, a silent module, losses on the air and a gateway that is
away over the end of the month. What was put in is the simulator's word; what comes out is the server's.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from appserver.db import Database
from tests.support import replay
from tests.trials.satka import FIRST, LAST, Outcome, run


@pytest.fixture(scope="module", params=[2018, 5])
def outcome(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outcome]:
    yield run(tmp_path_factory.mktemp("satka"), request.param)


def test_fr_11_the_imbalance_falls_from_a_hundred_to_thirty(outcome: Outcome) -> None:
    raw, time_base, filled, lost = (stage.imbalance for stage in outcome.explanation.course)
    assert raw is not None and time_base is not None and filled is not None and lost is not None
    assert 80 < raw < 130
    assert filled < time_base - 10 < raw - 20
    assert 25 < filled < 35
    assert abs(float(filled) - outcome.truth["lost"]) < 0.1 * outcome.truth["lost"]
    assert abs(float(lost) - outcome.truth["lost"]) < 0.2 * outcome.truth["lost"]
    assert outcome.balance.total.imbalance == filled == outcome.explanation.imbalance


def test_fr_11_raw_values_are_those_of_the_air(outcome: Outcome) -> None:
    """The first stage by the simulator's own record of what was promised to be kept by the end of the month."""
    raw = outcome.explanation.course[0].imbalance
    assert raw is not None
    assert float(raw) == pytest.approx(outcome.raw, abs=0.5)


@pytest.mark.parametrize("cause", ["theft", "leak", "skew"])
def test_fr_12_causes_come_out_as_they_were_put_in(outcome: Outcome, cause: str) -> None:
    told, truth = float(outcome.explanation.row(cause).volume), outcome.truth[cause]
    assert abs(told - truth) <= 0.15 * abs(truth), (outcome.seed, told, truth)


def test_fr_12_the_evidence_names_them(outcome: Outcome) -> None:
    told = outcome.explanation
    [step] = [e for e in told.row("theft").evidence if e.what == "step"]
    assert step.premises == "17"
    assert step.since is not None and abs((step.since - outcome.theft_day).days) <= 1
    [leak] = told.row("leak").evidence
    assert leak.number is not None and float(leak.number) == pytest.approx(0.026, abs=0.004)
    clocks = {int(e.premises) for e in told.row("skew").evidence if e.what == "clock"}
    assert clocks == outcome.slow_flats
    assert [e.premises for e in told.row("missing").evidence] == ["44"]
    assert sum(row.volume for row in told.rows) == told.imbalance


def test_fr_12_the_step_to_one_time_base_is_the_age_of_the_values(outcome: Outcome) -> None:
    """What the time base and the archives took away, within 15 %: readings older than the edge."""
    raw, _, filled, _ = (stage.imbalance for stage in outcome.explanation.course)
    assert raw is not None and filled is not None
    age = outcome.raw - outcome.truth["lost"]
    assert float(raw - filled) == pytest.approx(age, rel=0.15)


def test_fr_21_gaps_were_asked_for_and_filled(outcome: Outcome) -> None:
    before, after = outcome.known
    assert after > before
    assert outcome.balance.total.coverage_pct is not None and outcome.balance.total.coverage_pct > 98
    assert outcome.balance.total.measured >= 58


def test_fr_04_the_replaced_meter_counts_both(outcome: Outcome) -> None:
    [row] = [row for row in outcome.balance.points if row.premises == "31"]
    assert "replaced" in row.events
    assert row.volume is not None and float(row.volume) == pytest.approx(outcome.replaced, abs=0.02)


def test_fr_01_the_month_in_any_order_twice_gives_the_same_database(outcome: Outcome, tmp_path: Path) -> None:
    """All frames of the month, shuffled, twice; and as the server lived through it, the moments of recording aside."""
    lived = Database(outcome.folder / "application.db")
    straight, turned = (replay.blank(lived.path, tmp_path / name) for name in ("straight.db", "turned.db"))
    now_us = outcome.events[-1].time_us
    replay.take(straight, outcome.events, now_us)
    mixed = list(outcome.events) * 2
    random.Random(outcome.seed).shuffle(mixed)
    replay.take(turned, mixed, now_us, 977)
    told = replay.dump(straight)
    assert replay.differences(told, replay.dump(turned)) == []
    assert replay.differences(replay.timeless(told), replay.timeless(replay.dump(lived))) == []
    assert len(told["uplink"]) > 7000
    for db in (lived, straight, turned):
        db.close()


def test_the_days_are_the_months(outcome: Outcome) -> None:
    assert (outcome.balance.from_date, outcome.balance.to_date) == (FIRST, LAST)
    assert outcome.balance.total.start.date() == FIRST and outcome.balance.total.end.date() == LAST
