"""What is charged for a month whose reading is missing or does not count: volume, basis and reference, never money.

ПП 354, п. 59-62: a reading that counts is taken as it is; else the mean of the months before, for so many periods in a
row as the rule says; else the norm. All numbers of this come from the rule; see ``appserver/rules``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_EVEN, Decimal

from appserver.rules.kinds import Norm, Substitution, Verification

_STEP = Decimal("0.001")
CLAUSES = {
    "measured": "",
    "average": "п. 59",
    "normative": "п. 60",
    "tampered": "п. 62",
    "unknown": "",
}


@dataclass(frozen=True, slots=True)
class Case:
    """What is known of a point in one period."""

    measured: Decimal | None
    """What the meter counted, None when its reading is missing."""
    months: Sequence[Decimal]
    """Known volumes of the months before, oldest first."""
    missing_periods: int = 0
    """Which period in a row it is without a reading that counts, this one included; 0 when there is one."""
    heating: bool = False
    reading_counts: bool = True
    """Whether the meter is in order: verified, sealed, not failed."""
    tampered: bool = False
    persons: int | None = None
    area_m2: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Charge:
    """A volume with its reason."""

    volume: Decimal | None
    """None when neither a mean nor a norm is known."""
    basis: str
    """``measured``, ``average_6m`` (of so many months), ``normative``, ``tampered`` or ``unknown``."""
    clause: str = ""


def verification_counts(verified_until: date | None, period_start: date, rule: Verification) -> bool:
    """Whether a reading of the period may be charged as far as the meter's verification goes."""
    return rule.expired_accepted or verified_until is None or verified_until >= period_start


def substitute(case: Case, rule: Substitution, norm: Norm | None = None) -> Charge:
    """The volume of the period."""
    if case.tampered:
        by_norm = normative(norm, case, rule.tamper_factor)
        return Charge(by_norm, "tampered" if by_norm is not None else "unknown", CLAUSES["tampered"])
    if case.measured is not None and case.reading_counts:
        return Charge(max(case.measured, Decimal(0)), "measured")
    least = rule.min_months_heat if case.heating else rule.min_months
    known = list(case.months[-rule.average_months :])
    if case.missing_periods <= rule.average_periods and len(known) >= least:
        mean = (sum(known, Decimal(0)) / len(known)).quantize(_STEP, ROUND_HALF_EVEN)
        return Charge(max(mean, Decimal(0)), f"average_{len(known)}m", CLAUSES["average"])
    by_norm = normative(norm, case, rule.norm_factor)
    return Charge(by_norm, "normative" if by_norm is not None else "unknown", CLAUSES["normative"])


def normative(norm: Norm | None, case: Case, factor: Decimal) -> Decimal | None:
    """The norm's volume of a month, None when the norm, the persons or the area are not known."""
    if norm is None:
        return None
    if norm.per_person is not None:
        base = None if case.persons is None else norm.per_person * case.persons
    else:
        base = None if case.area_m2 is None or norm.per_m2 is None else norm.per_m2 * case.area_m2
    return None if base is None else (base * factor).quantize(_STEP, ROUND_HALF_EVEN)


def recalculate(start: Decimal, control: Decimal, charged: Sequence[Decimal]) -> Decimal:
    """What a control reading adds (negative: gives back) after periods that were charged without one (п. 61).

    ``start`` is the register at the start of the first of these periods. It belongs to the period of the check.
    """
    return control - start - sum(charged, Decimal(0))
