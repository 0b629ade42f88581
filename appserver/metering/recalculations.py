"""What closed periods turned out to differ by: charged by the next period, never by changing them (ПП 354, п. 61).

A closing that stands is compared with what is known now: per point the charge of then, with what later periods charged
for it already, against the charge of now. Points whose readings tell what they told then are left alone, whatever became
of the rules since.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal

from appserver.db import Database
from appserver.metering.balance import Balance, PointRow
from appserver.metering.charges import charges, is_month
from appserver.metering.frozen import Recalculation, balance_of, summary_of
from appserver.metering.queries import house_balance
from appserver.metering.timebase import day_number, midnight_us, zone_of
from appserver.models.columns import from_micro
from appserver.models.registry import REGISTERS
from appserver.rules.entered import rule_book

ZERO = Decimal(0)
MAX_PERIODS = 36
"""So many closed periods back are looked at: three years, the term of limitation."""

STANDING = (
    "NOT EXISTS (SELECT 1 FROM period_reopen o WHERE o.close_id = {0}.id) AND NOT EXISTS (SELECT 1 FROM period_close n"
    " WHERE n.building_id = {0}.building_id AND n.resource = {0}.resource AND n.first_day = {0}.first_day"
    " AND n.revision > {0}.revision)"
)
"""Whether a row of ``period_close`` is what counts for its period."""


def pending(db: Database, building_id: int, resource: str, before: date) -> list[Recalculation]:
    """What a period that begins on ``before`` has to charge for the closed ones that end until then."""
    found: list[Recalculation] = []
    for close_id, first, last, closed_at_us in db.rows(
        "SELECT c.id, c.first_day, c.last_day, c.closed_at_us FROM period_close c WHERE c.building_id = ?"
        f" AND c.resource = ? AND c.last_day <= ? AND {STANDING.format('c')} ORDER BY c.first_day DESC LIMIT ?",
        (building_id, resource, before.isoformat(), MAX_PERIODS),
    ):
        span = (date.fromisoformat(first), date.fromisoformat(last))
        found += _of_closing(db, building_id, resource, close_id, *span, closed_at_us)
    return found


def _of_closing(
    db: Database, building_id: int, resource: str, close_id: int, first: date, last: date, closed_at_us: int
) -> list[Recalculation]:
    frozen = balance_of(db, close_id, "month")
    if frozen is None:
        return []
    now = house_balance(db, building_id, resource, first, last, "month", whole_period=True)
    settled = dict(
        db.rows(
            "SELECT r.point_id, sum(r.volume_micro) FROM period_recalculation r JOIN period_close c ON c.id = r.close_id"
            " JOIN period_close o ON o.id = r.of_close_id WHERE o.building_id = ? AND o.resource = ?"
            f" AND o.first_day = ? AND {STANDING.format('c')} GROUP BY r.point_id",
            (building_id, resource, first.isoformat()),
        )
    )
    was_points = {point.point_id: point for point in frozen.points}
    moved = [
        point
        for point in now.points
        if point.point_id in was_points
        and (_told(point) != _told(was_points[point.point_id]) or settled.get(point.point_id))
    ]
    if not moved:
        return []
    was = {one.point_id: one.volume for one in summary_of(db, close_id).charges}
    charged = _charges_now(db, building_id, resource, first, last, now) if was else {}
    reasons = _reasons(db, now, resource, first, last, closed_at_us)
    found = []
    for point in moved:
        old = was_points[point.point_id]
        before = was.get(point.point_id) if point.point_id in was else old.volume
        after = charged.get(point.point_id) if point.point_id in was else point.volume
        if _told(point) == _told(old):
            after = before  # it is again what it was: only what was charged since is given back
        already = from_micro(int(settled.get(point.point_id, 0)))
        volume = (after or ZERO) - (before or ZERO) - already
        if volume and after is not None:
            total = None if before is None and not already else (before or ZERO) + already
            found.append(
                Recalculation(
                    close_id,
                    first,
                    last,
                    point.point_id,
                    point.premises,
                    point.account_number,
                    total,
                    after,
                    volume,
                    reasons.get(point.point_id, ""),
                )
            )
    return found


def _told(point: PointRow) -> tuple[object, ...]:
    return point.volume, point.start, point.end, point.quality


def _charges_now(
    db: Database, building_id: int, resource: str, first: date, last: date, now: Balance
) -> Mapping[int, Decimal | None]:
    if not is_month(first, last):
        return {}
    made = charges(db, building_id, resource, first, now.points, rule_book(db))
    return {point_id: charge.volume for point_id, charge in made.by_point.items()}


def _reasons(
    db: Database, balance: Balance, resource: str, first: date, last: date, closed_at_us: int
) -> dict[int, str]:
    """Reasons of the corrections that came after the closing, by point."""
    zone = zone_of(balance.timezone)
    said: dict[int, list[str]] = {}
    for point_id, reason, author in db.rows(
        "SELECT i.point_id, c.reason, c.author FROM correction c JOIN installation i ON i.meter_id = c.meter_id"
        " JOIN point p ON p.id = i.point_id WHERE p.building_id = ? AND p.resource = ? AND c.register = ?"
        " AND c.recorded_at_us > ? AND c.measured_at_us BETWEEN ? AND ? ORDER BY c.id",
        (
            balance.building_id,
            resource,
            REGISTERS[resource],
            closed_at_us,
            midnight_us(day_number(first), zone),
            midnight_us(day_number(last), zone),
        ),
    ):
        words = f"{reason} ({author})"
        if words not in said.setdefault(point_id, []):
            said[point_id].append(words)
    return {point_id: "; ".join(words) for point_id, words in said.items()}
