"""The DrRange of NewChannelReq: MinDR and MaxDR, and since RP002-1.0.5 a way to leap over DR6 to DR11.

With SF6 and SF5 at DR12 and DR13 a channel may carry all LoRa data rates of 125 kHz, which are no range. RP002-1.0.5
writes these sets as MinDR k above MaxDR 0: DR(k-1) to DR5, and DR12 and DR13.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from regional.plan import Plan
from regional.types import PlanError

_LAST_BEFORE_GAP: Final = 5
_BEYOND_GAP: Final = (12, 13)


def to_fields(plan: Plan, data_rates: Collection[int]) -> tuple[int, int]:
    """MinDR and MaxDR for a set of data rates. Raises PlanError for a set that the plan's revision cannot write."""
    wanted = sorted(set(data_rates))
    for dr in wanted:
        plan.data_rate(dr)
    if wanted and wanted == list(range(wanted[0], wanted[-1] + 1)):
        return wanted[0], wanted[-1]
    if _leaps(plan) and wanted and wanted == _over_gap(wanted[0]):
        return wanted[0] + 1, 0
    raise PlanError(f"{plan.name} in {plan.revision}: a channel cannot have just the data rates {wanted}")


def from_fields(plan: Plan, min_dr: int, max_dr: int) -> tuple[int, ...]:
    """The data rates that MinDR and MaxDR mean. Raises PlanError where they mean nothing."""
    if min_dr <= max_dr:
        data_rates = list(range(min_dr, max_dr + 1))
    elif max_dr == 0 and min_dr <= _LAST_BEFORE_GAP + 1 and _leaps(plan):
        data_rates = _over_gap(min_dr - 1)
    else:
        raise PlanError(f"{plan.name} in {plan.revision}: MinDR {min_dr} with MaxDR {max_dr} means nothing")
    for dr in data_rates:
        plan.data_rate(dr)
    return tuple(data_rates)


def _over_gap(first: int) -> list[int]:
    return [*range(first, _LAST_BEFORE_GAP + 1), *_BEYOND_GAP]


def _leaps(plan: Plan) -> bool:
    """Dynamic plans that have DR12 and DR13: EU868, EU433, AS923, KR920, IN865, RU864 of RP002-1.0.5."""
    return not plan.is_fixed and all(plan.data_rates[dr] for dr in _BEYOND_GAP)
