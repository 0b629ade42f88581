"""What the individual points of a building are charged for in a month, with the basis of each volume.

Volumes of the months before come from the boundary values; what is missing is substituted by the rules of the month.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from appserver.db import Database
from appserver.metering.balance import PointRow
from appserver.metering.substitution import Case, Charge, substitute, verification_counts
from appserver.metering.timebase import day_number
from appserver.models.columns import from_micro
from appserver.rules import Norm, Rule, RuleBook, Substitution, Verification

_NO_VOLUME = ("missing", "partial", "disputed")


@dataclass(frozen=True, slots=True)
class Charges:
    """Charges by point, and the rules that made them."""

    by_point: dict[int, Charge]
    rules: tuple[Rule, ...]


def next_month(day: date) -> date:
    """The first of the month after."""
    return (day.replace(day=1) + timedelta(days=32)).replace(day=1)


def months_before(month: date, count: int) -> list[date]:
    """The firsts of ``count`` months up to ``month`` (included), oldest first."""
    found = [month.replace(day=1)]
    while len(found) <= count:
        found.append((found[-1] - timedelta(days=1)).replace(day=1))
    return found[::-1]


def is_month(from_date: date, to_date: date) -> bool:
    """Whether the days (``to_date`` excluded) are one calendar month."""
    return from_date.day == 1 and to_date == next_month(from_date)


def charges(
    db: Database, building_id: int, resource: str, month: date, points: Sequence[PointRow], book: RuleBook
) -> Charges:
    """Charges of a month that begins on ``month`` for the individual ones of ``points``.

    Raises RegistryError ``invalid`` when no rule of substitution or verification holds then.
    """
    address = db.rows("SELECT address FROM building WHERE id = ?", (building_id,))[0][0]
    rule, values = book.get(Substitution, month, address)
    verification_rule, verification = book.get(Verification, month, address)
    norm_rule = book.find("norm", month, address, resource=resource)
    norm = norm_rule.values if norm_rule is not None and isinstance(norm_rule.values, Norm) else None
    history = _history(db, building_id, resource, months_before(month, values.average_months + values.average_periods))
    about = {
        point_id: (None if until is None else date.fromisoformat(until), persons, area)
        for point_id, until, persons, area in db.rows(
            "SELECT p.id, m.verification_until, pr.residents, pr.area_m2 FROM point p"
            " LEFT JOIN premises pr ON pr.id = p.premises_id"
            " LEFT JOIN installation i ON i.point_id = p.id AND i.removed_at_us IS NULL"
            " LEFT JOIN meter m ON m.id = i.meter_id WHERE p.building_id = ? AND p.resource = ?",
            (building_id, resource),
        )
    }
    found = {}
    for point in points:
        if point.role != "individual":
            continue
        until, persons, area = about.get(point.point_id, (None, None, None))
        volumes = history.get(point.point_id, [])
        counts = verification_counts(until, month, verification)
        measured = None if point.quality in _NO_VOLUME else point.volume
        known = measured is not None and counts
        case = Case(
            measured=measured,
            months=[volume for volume in volumes if volume is not None],
            missing_periods=0 if known else 1 + _missing_run(volumes),
            heating=resource == "heat",
            reading_counts=counts,
            persons=persons,
            area_m2=None if area is None else from_micro(area),
        )
        found[point.point_id] = substitute(case, values, norm)
    used = [rule, verification_rule, *([norm_rule] if norm_rule is not None else [])]
    return Charges(found, tuple(used))


def _missing_run(volumes: Sequence[Decimal | None]) -> int:
    """Unknown months right before, counted back to the last known one; none when nothing was ever known."""
    run = 0
    for volume in reversed(volumes):
        if volume is not None:
            return run
        run += 1
    return run if any(volume is not None for volume in volumes) else 0


def _history(db: Database, building_id: int, resource: str, firsts: Sequence[date]) -> dict[int, list[Decimal | None]]:
    """Volumes of each point in the months between ``firsts``, oldest first, None where they are not known."""
    days = [day_number(first) for first in firsts]
    marks: dict[int, dict[int, tuple[int, int]]] = {}
    for point_id, day, total, breaks in db.rows(
        "SELECT b.point_id, b.day, b.total_micro, b.breaks FROM boundary b JOIN point p ON p.id = b.point_id"
        " WHERE p.building_id = ? AND p.resource = ? AND p.role = 'individual' AND b.quality <> 'disputed'"
        f" AND b.day IN ({', '.join('?' * len(days))})",
        (building_id, resource, *days),
    ):
        marks.setdefault(point_id, {})[day] = (total, breaks)
    history: dict[int, list[Decimal | None]] = {}
    for point_id, known in marks.items():
        volumes: list[Decimal | None] = []
        for first, last in itertools.pairwise(days):
            start, end = known.get(first), known.get(last)
            told = start is not None and end is not None and start[1] == end[1]
            volumes.append(from_micro(end[0] - start[0]) if told and start and end else None)
        history[point_id] = volumes
    return history
