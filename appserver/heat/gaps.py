"""Heat of days on which the meter did not work, by методика 99/пр (ПП 1034, п. 115-118). Pure.

Up to so many missing days of a period (15) the mean of the days of normal work stands in, re-based on the outdoor
temperature; beyond that the load of the contract, re-based alike: ``Q = Qb (tin - tout) / (tin - tdesign)``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal

from appserver.rules.kinds import HeatSubstitution

_STEP = Decimal("0.0001")


@dataclass(frozen=True, slots=True)
class HeatDay:
    """A day of a period: what the meter counted in normal work (None: it did not), and how cold it was."""

    measured_gcal: Decimal | None
    outdoor_c: Decimal | None
    hours: Decimal = Decimal(24)


@dataclass(frozen=True, slots=True)
class FilledDay:
    """A day's heat with its basis: ``measured``, ``mean`` (п. 118), ``contract`` (п. 115-117) or ``unknown``."""

    gcal: Decimal | None
    basis: str


def rebased(base_gcal: Decimal, outdoor_c: Decimal, base_outdoor_c: Decimal, indoor_c: Decimal) -> Decimal:
    """A load at one outdoor temperature made that at another. Nothing is heated when it is as warm outside as inside."""
    if base_outdoor_c >= indoor_c:
        raise ValueError("the temperature of the base load must be below that indoors")
    return base_gcal * max(indoor_c - outdoor_c, Decimal(0)) / (indoor_c - base_outdoor_c)


def fill(days: Sequence[HeatDay], rule: HeatSubstitution, contract_gcal_h: Decimal | None = None) -> list[FilledDay]:
    """Every day of a period with a basis. ``contract_gcal_h``: load of the contract at the design temperature."""
    normal = [day for day in days if day.measured_gcal is not None]
    missing = len(days) - len(normal)
    by_contract = missing > rule.max_missing_days
    known = [day.outdoor_c for day in normal if day.outdoor_c is not None]
    mean = (
        sum((d.measured_gcal for d in normal if d.measured_gcal is not None), Decimal(0)) / len(normal)
        if normal
        else None
    )
    outdoor = sum(known, Decimal(0)) / len(known) if known and len(known) == len(normal) else None

    def filled(day: HeatDay) -> FilledDay:
        if day.measured_gcal is not None:
            return FilledDay(day.measured_gcal, "measured")
        if by_contract or mean is None:
            if contract_gcal_h is None or day.outdoor_c is None:
                return FilledDay(None, "unknown")
            load = rebased(contract_gcal_h * day.hours, day.outdoor_c, rule.design_outdoor_c, rule.indoor_c)
            return FilledDay(load.quantize(_STEP, ROUND_HALF_EVEN), "contract")
        if outdoor is None or day.outdoor_c is None or outdoor >= rule.indoor_c:
            return FilledDay(mean.quantize(_STEP, ROUND_HALF_EVEN), "mean")
        value = rebased(mean, day.outdoor_c, outdoor, rule.indoor_c)
        return FilledDay(value.quantize(_STEP, ROUND_HALF_EVEN), "mean")

    return [filled(day) for day in days]
