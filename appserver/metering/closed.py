"""Balances as they count: of a closed period what was frozen at its closing, of the rest what is known now."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal

from appserver.db import Database
from appserver.metering.balance import Balance, PeriodRow, imbalance
from appserver.metering.boundary import MAX_GAP_US
from appserver.metering.frozen import balance_of
from appserver.metering.periods import ClosedPeriod, closed_period
from appserver.metering.queries import BalanceStep, house_balance
from appserver.metering.recalculations import STANDING
from appserver.metering.timebase import moment, zone_of
from appserver.models.columns import neat
from appserver.models.registry import REGISTERS

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Counted:
    """A balance and the closings in it."""

    balance: Balance
    closing: ClosedPeriod | None = None
    """The closing that the balance is, when it is of exactly one closed period."""
    within: tuple[ClosedPeriod, ...] = ()
    """Closings that share days with it, oldest first; their rows are as they were frozen."""


def closings_within(db: Database, building_id: int, resource: str, first: date, last: date) -> list[ClosedPeriod]:
    """The closings that stand and share days with a period (``last`` excluded), oldest first."""
    rows = db.rows(
        "SELECT c.id FROM period_close c WHERE c.building_id = ? AND c.resource = ? AND c.first_day < ?"
        f" AND c.last_day > ? AND {STANDING.format('c')} ORDER BY c.first_day",
        (building_id, resource, last.isoformat(), first.isoformat()),
    )
    return [closed_period(db, id_) for (id_,) in rows]


def closings_of_meter(db: Database, meter_id: int, register_name: str, at_us: int) -> list[ClosedPeriod]:
    """The closings that stand whose volumes a value of a meter at a moment can move."""
    rows = db.rows(
        "SELECT DISTINCT p.building_id, p.resource, b.timezone FROM installation i JOIN point p ON p.id = i.point_id"
        " JOIN building b ON b.id = p.building_id WHERE i.meter_id = ? AND i.installed_at_us <= ?"
        " AND coalesce(i.removed_at_us, ?) >= ?",
        (meter_id, at_us, at_us, at_us),
    )
    found = []
    for building_id, resource, timezone in rows:
        if register_name not in ("", REGISTERS[resource]):
            continue
        zone = zone_of(timezone)
        first, last = (moment(at_us + gap, zone).date() for gap in (-MAX_GAP_US, MAX_GAP_US))
        # A value at the midnight between two periods belongs to both.
        found += closings_within(db, building_id, resource, first, date.fromordinal(last.toordinal() + 1))
    return found


def exact_closing(db: Database, building_id: int, resource: str, first: date, last: date) -> ClosedPeriod | None:
    """The closing that stands for exactly this period."""
    found = closings_within(db, building_id, resource, first, last)
    return next((each for each in found if (each.first_day, each.last_day) == (first, last)), None)


def counted_balance(
    db: Database,
    building_id: int,
    resource: str,
    from_date: date,
    to_date: date,
    step: BalanceStep = "day",
    whole_period: bool = False,
) -> Counted:
    """The balance as it counts; ``whole_period`` is for what is not closed.

    Raises RegistryError as :func:`~appserver.metering.queries.house_balance` does.
    """
    within = tuple(closings_within(db, building_id, resource, from_date, to_date))
    for closing in within:
        if (closing.first_day, closing.last_day) == (from_date, to_date):
            frozen = balance_of(db, closing.id, step)
            if frozen is not None:
                return Counted(frozen, closing, within)
    live = house_balance(db, building_id, resource, from_date, to_date, step, whole_period=whole_period)
    for closing in within:
        frozen = balance_of(db, closing.id, step)
        if frozen is not None:
            live = _with_rows(live, frozen)
    return Counted(live, None, within)


def _with_rows(live: Balance, frozen: Balance) -> Balance:
    """A balance with those periods that a closing has, as it has them; the total moves by as much."""
    known = {(row.start, row.end): row for row in frozen.periods}
    house = individual = ZERO
    rows = []
    for row in live.periods:
        its = known.get((row.start, row.end), row)
        house += (its.house or ZERO) - (row.house or ZERO)
        individual += its.individual - row.individual
        rows.append(its)
    return replace(live, periods=rows, total=_moved(live.total, house, individual))


def _moved(total: PeriodRow, house: Decimal, individual: Decimal) -> PeriodRow:
    if not house and not individual:
        return total
    whole, parts = (total.house or ZERO) + house, total.individual + individual
    if total.house is None:
        return replace(total, individual=neat(parts))
    difference, percent = imbalance(whole, parts)
    known = total.imbalance is not None
    return replace(
        total,
        house=neat(whole),
        individual=neat(parts),
        imbalance=neat(difference) if known else None,
        imbalance_pct=percent if known else None,
    )
