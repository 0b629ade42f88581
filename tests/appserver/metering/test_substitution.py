"""Substitution by ПП 354, as pure functions over plain values."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from appserver.metering.substitution import Case, recalculate, substitute, verification_counts
from appserver.rules import Norm, Substitution, Verification, load

D = Decimal
VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "metering_calculations.json").read_text())["calculations"]
RULE = load().get(Substitution, date(2026, 1, 1))[1]
NORM = Norm(resource="hot_water", per_person=D("4.745"))
MONTHS = [D(m) for m in ("3.1", "2.9", "3.0", "3.2", "2.8", "3.0")]


def vector(name: str) -> dict[str, Any]:
    return next(v for v in VECTORS if v["id"] == name)


def test_fr_16_average_of_six_months() -> None:
    v = vector("subst-average")
    months = [D(str(m)) for m in v["input"]["months"]]
    charge = substitute(Case(None, months, v["input"]["missing_periods"]), RULE, NORM)
    assert (charge.volume, charge.basis) == (D(str(v["expected"]["volume"])), v["expected"]["basis"])
    assert charge.clause == "п. 59"


def test_fr_16_the_fourth_missing_period_goes_by_the_norm() -> None:
    v = vector("subst-norm")
    norm = Norm(resource="hot_water", per_person=D(str(v["input"]["normative_per_person"])))
    case = Case(None, MONTHS, v["input"]["missing_periods"], persons=v["input"]["persons"])
    charge = substitute(case, RULE.model_copy(update={"norm_factor": D(str(v["input"]["k"]))}), norm)
    assert (charge.volume, charge.basis) == (D(str(v["expected"]["volume"])), v["expected"]["basis"])
    raised = substitute(case, RULE.model_copy(update={"norm_factor": D("1.5")}), norm)
    assert raised.volume == D("14.235")


@pytest.mark.parametrize("period", [date(2020, 7, 1), date(2021, 7, 1)])
def test_fr_16_verification_moratorium_by_date(period: date) -> None:
    v = vector("verification-moratorium")
    until = date.fromisoformat(v["input"]["verified_until"])
    rule = load().get(Verification, period)[1]
    accepted = verification_counts(until, period, rule)
    assert accepted is (v["expected"]["reading_accepted"] if f"{period:%Y-%m}" == v["input"]["period"] else False)
    charge = substitute(Case(D(5), MONTHS, 0 if accepted else 1, reading_counts=accepted), RULE, NORM)
    assert charge.basis == ("measured" if accepted else "average_6m")


@pytest.mark.parametrize(
    ("months", "missing", "heating", "basis", "volume"),
    [
        (MONTHS[:2], 1, False, "normative", "9.490"),
        (MONTHS[:3], 1, False, "average_3m", "3.000"),
        ([D(9), *MONTHS], 3, False, "average_6m", "3.000"),
        (MONTHS, 3, True, "average_6m", "3.000"),
        (MONTHS, 4, True, "normative", "9.490"),
        ([], 1, True, "normative", "9.490"),
    ],
)
def test_fr_16_mean_or_norm(months: list[Decimal], missing: int, heating: bool, basis: str, volume: str) -> None:
    charge = substitute(Case(None, months, missing, heating=heating, persons=2), RULE, NORM)
    assert (charge.basis, charge.volume) == (basis, D(volume))


def test_fr_16_what_is_not_known_is_no_zero() -> None:
    assert substitute(Case(None, [], 1), RULE, None).volume is None
    assert substitute(Case(None, [], 1), RULE, NORM).basis == "unknown"
    per_m2 = Norm(resource="heat", per_m2=D("0.02"))
    assert substitute(Case(None, [], 1, area_m2=D(50)), RULE, per_m2).volume == D("1.000")


def test_fr_16_measured_stands_and_negative_is_not_charged() -> None:
    assert substitute(Case(D("2.5"), MONTHS), RULE, NORM).volume == D("2.5")
    assert substitute(Case(D("-0.002"), MONTHS), RULE, NORM).volume == 0


def test_fr_16_interference_goes_by_the_norm_times_its_factor() -> None:
    charge = substitute(Case(D("2.5"), MONTHS, tampered=True, persons=1), RULE, NORM)
    assert (charge.volume, charge.basis, charge.clause) == (D("47.450"), "tampered", "п. 62")


def test_fr_16_a_control_reading_recalculates() -> None:
    assert recalculate(D("100"), D("112.5"), [D(3), D(3), D("4.745")]) == D("1.755")
    assert recalculate(D("100"), D("105"), [D(3), D(3)]) == D(-1)
