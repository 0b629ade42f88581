"""FR-17: common needs of a house (ОДН, КР на СОИ) by ПП РФ № 354 of 6 May 2011, appendix 2, formulas 10 to 15.

Volumes only: who pays them, the resource supplier's customer or the managing company, is an attribute of the contract.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import ROUND_HALF_EVEN, Decimal

from appserver.db import Database
from appserver.errors import RegistryError
from appserver.metering.consumption import ZERO
from appserver.metering.queries import house_balance
from appserver.models.columns import from_micro
from appserver.rules import CommonNorm, Norm, RuleBook

BY_AREA = frozenset({"heat"})
"""Where less than nothing is left, heat goes back by area, everything else by persons (п. 47)."""
_STEP = Decimal("0.001")


@dataclass(frozen=True, slots=True)
class Share:
    """A premises with what its share is computed by."""

    premises_id: int
    premises: str
    area_m2: Decimal
    residents: int


@dataclass(frozen=True, slots=True)
class Part:
    """What falls to one premises; negative where its own volume is diminished."""

    premises_id: int
    premises: str
    volume: Decimal


@dataclass(frozen=True, slots=True)
class CommonNeeds:
    """Common needs of a house in a period."""

    measured: Decimal
    """What is left of the common meter; negative when the premises counted more."""
    by_norm: Decimal | None
    """The most that the norm allows; None when there is none."""
    charged: Decimal
    """What is distributed: ``measured``, cut to the norm; diminishing where negative."""
    capped: bool
    parts: tuple[Part, ...]
    rules: tuple[str, ...] = ()
    """Versions of the rules that were used."""


def left_over(
    house: Decimal, nonresidential: Decimal, by_norm: Decimal, by_meters: Decimal, hot_water_made: Decimal = ZERO
) -> Decimal:
    """The house's volume for common needs: formulas 10 to 12, 15.

    ``hot_water_made`` is the cold water (or heat) that the house turns into hot water itself.
    """
    return house - nonresidential - by_norm - by_meters - hot_water_made


def of_area(volume: Decimal, area_m2: Decimal, total_m2: Decimal) -> Decimal:
    """The share of one premises by its area: ``volume · S_i / S_об``."""
    return volume * area_m2 / total_m2


def norm_share(norm: Decimal, common_m2: Decimal, area_m2: Decimal, total_m2: Decimal) -> Decimal:
    """By norm: ``N_одн · S_ои · S_i / S_об``."""
    return of_area(norm * common_m2, area_m2, total_m2)


def distribute(
    resource: str,
    measured: Decimal,
    shares: Sequence[Share],
    norm: Decimal | None = None,
    common_m2: Decimal = ZERO,
    whole: bool = False,
) -> CommonNeeds:
    """Distribute common needs over the premises.

    Above the norm only when the owners decided so (``whole``). Less than nothing is not charged: it diminishes what the
    premises pay for, by persons or (heat) by area (п. 46, 47).
    """
    by_norm = norm * common_m2 if norm is not None else None
    capped = by_norm is not None and measured > by_norm and not whole
    charged = by_norm if capped and by_norm is not None else measured
    weights = [share.area_m2 for share in shares]
    if measured < 0 and resource not in BY_AREA:
        weights = [Decimal(share.residents) for share in shares]
    total = sum(weights, ZERO)
    if not total:
        return CommonNeeds(measured, by_norm, charged, capped, ())
    parts = _exactly(charged, [charged * weight / total for weight in weights])
    return CommonNeeds(
        measured,
        by_norm,
        charged,
        capped,
        tuple(Part(share.premises_id, share.premises, part) for share, part in zip(shares, parts, strict=True)),
    )


def _exactly(total: Decimal, parts: Sequence[Decimal]) -> list[Decimal]:
    """Parts with three decimals that add up to the total: the largest remainders get the last units."""
    target = total.quantize(_STEP, ROUND_HALF_EVEN)
    rounded = [part.quantize(_STEP, ROUND_HALF_EVEN) + ZERO for part in parts]  # no negative zero
    units = int((target - sum(rounded, ZERO)) / _STEP)
    order = sorted(range(len(parts)), key=lambda i: rounded[i] - parts[i], reverse=units < 0)
    for index in order[: abs(units)]:
        rounded[index] += _STEP if units > 0 else -_STEP
    return rounded


# ------------------------------------------------------------------------------------------------------------ storage


def of_building(
    db: Database,
    building_id: int,
    resource: str,
    month: date,
    norm_a_person: Decimal | None = None,
    norm_a_m2: Decimal | None = None,
    whole: bool = False,
) -> CommonNeeds:
    """Common needs of a building in the month that begins on ``month``.

    Premises without a meter count by ``norm_a_person``; ``norm_a_m2`` of common rooms caps the result unless ``whole``.
    Raises RegistryError ``invalid`` where the month is not known, or premises have no area to distribute by.
    """
    first = month.replace(day=1)
    balance = house_balance(db, building_id, resource, first, (first + timedelta(days=32)).replace(day=1), "month")
    if balance.periods[0].house is None or balance.periods[0].house_quality == "partial":
        raise RegistryError("invalid", "month", "The common meter is not known for the whole month.")
    premises = db.rows(
        "SELECT id, number, kind, area_m2, residents FROM premises WHERE building_id = ?"
        " ORDER BY CAST(number AS INTEGER), number",
        (building_id,),
    )
    kinds = {id_: kind for id_, _, kind, _, _ in premises}
    metered = {point.premises_id for point in balance.points if point.role == "individual"}
    sums = {"flat": ZERO, "nonresidential": ZERO, "common": ZERO}
    for point in balance.points:
        if point.role == "individual" and point.volume is not None:
            sums[kinds.get(point.premises_id, "flat")] += point.volume
    by_norm = sum(
        (
            (norm_a_person or ZERO) * (residents or 0)
            for id_, _, kind, _, residents in premises
            if kind == "flat" and id_ not in metered
        ),
        ZERO,
    )
    # Meters of common rooms count what is common already: it stays within the common needs.
    measured = left_over(balance.periods[0].house, sums["nonresidential"], by_norm, sums["flat"])
    shares = [
        Share(id_, number, from_micro(area or 0), residents or 0)
        for id_, number, kind, area, residents in premises
        if kind != "common"
    ]
    if any(share.area_m2 == 0 for share in shares):
        lacking = next(share.premises for share in shares if share.area_m2 == 0)
        raise RegistryError("invalid", "area_m2", f"Premises {lacking} has no area; common needs go by area.")
    common_m2 = sum((from_micro(area or 0) for _, _, kind, area, _ in premises if kind == "common"), ZERO)
    return distribute(resource, measured, shares, norm_a_m2, common_m2, whole)


def by_rules(
    db: Database,
    book: RuleBook,
    building_id: int,
    resource: str,
    month: date,
    norm_a_m2: Decimal | None = None,
    whole: bool = False,
) -> CommonNeeds:
    """:func:`of_building` with the norms that hold for the building in the month; ``norm_a_m2`` overrides the rule's.

    Raises RegistryError ``not_found`` or ``invalid``.
    """
    rows = db.rows("SELECT address FROM building WHERE id = ?", (building_id,))
    if not rows:
        raise RegistryError("not_found", "building_id", f"There is no building {building_id}.")
    first = month.replace(day=1)
    person = book.find("norm", first, rows[0][0], resource=resource)
    common = book.find("common_norm", first, rows[0][0], resource=resource) if norm_a_m2 is None else None
    a_person = person.values.per_person if person is not None and isinstance(person.values, Norm) else None
    if common is not None and isinstance(common.values, CommonNorm):
        norm_a_m2 = common.values.per_m2
    made = of_building(db, building_id, resource, month, a_person, norm_a_m2, whole)
    return replace(made, rules=tuple(rule.version for rule in (person, common) if rule is not None))
