"""What a house's volume is made of: flats, non-residential and common premises by their meters, those without, the rest."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from appserver.db import Database
from appserver.errors import RegistryError
from appserver.metering.balance import Balance
from appserver.metering.charges import is_month
from appserver.metering.common_needs import CommonNeeds, by_rules
from appserver.metering.explain import Explanation
from appserver.models.columns import neat
from appserver.rules import RuleBook

ZERO = Decimal(0)
MAX_NAMED = 12


@dataclass(frozen=True, slots=True)
class HouseParts:
    """The volume of the common meter by who drew it, as far as that is known; signed, in the resource's unit."""

    house: Decimal | None
    flats: Decimal
    nonresidential: Decimal
    common: Decimal
    """Meters of common rooms: a part of the common needs."""
    unmetered: Decimal | None
    """Premises without a meter, by norm or as others like them draw; None when nothing says."""
    unmetered_premises: tuple[str, ...]
    """Numbers of the first of them."""
    unmetered_count: int
    left: Decimal | None
    """What is left: common needs and losses; negative when the premises counted more than came in."""
    needs: CommonNeeds | None = None
    """Common needs by ПП 354, of a whole month."""
    needs_problem: str = ""
    """Why they cannot be told."""


def parts_of(
    db: Database, balance: Balance, explanation: Explanation | None, book: RuleBook | None = None
) -> HouseParts:
    """The parts of a balance's total; with ``book`` and for a calendar month also the common needs."""
    premises = {
        row[0]: (row[1], row[2])
        for row in db.rows("SELECT id, kind, number FROM premises WHERE building_id = ?", (balance.building_id,))
    }
    sums = {"flat": ZERO, "nonresidential": ZERO, "common": ZERO}
    metered = set()
    for point in balance.points:
        if point.role == "individual":
            metered.add(point.premises_id)
            kind = premises.get(point.premises_id or 0, ("flat", ""))[0]
            sums[kind] += point.volume or ZERO
    without = sorted(number for id_, (kind, number) in premises.items() if id_ not in metered and kind != "common")
    unmetered = ZERO if not without else explanation.row("unmetered").volume if explanation is not None else None
    house = balance.total.house
    left = None
    if house is not None and balance.total.imbalance is not None:
        left = neat(house - sums["flat"] - sums["nonresidential"] - sums["common"] - (unmetered or ZERO))
    needs, problem = None, ""
    if book is not None and is_month(balance.from_date, balance.to_date):
        try:
            needs = by_rules(db, book, balance.building_id, balance.resource, balance.from_date)
        except RegistryError as error:
            problem = error.detail
    return HouseParts(
        house,
        neat(sums["flat"]),
        neat(sums["nonresidential"]),
        neat(sums["common"]),
        unmetered,
        tuple(without[:MAX_NAMED]),
        len(without),
        left,
        needs,
        problem,
    )
