"""FR-25: what the people of one premises may see: readings, volumes, how it compares with neighbours, what needs care.

A comparison names no neighbour: it is the median of at least ten others, else there is none.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from appserver.db import Database
from appserver.errors import RegistryError
from appserver.metering.charges import charges, next_month
from appserver.metering.closed import counted_balance
from appserver.metering.frozen import summary_of
from appserver.metering.timebase import day_number, midnight_us, zone_of
from appserver.models.columns import from_micro, neat
from appserver.models.registry import REGISTERS, UNITS
from appserver.rules.entered import rule_book

LEAST_NEIGHBOURS = 10
HIGH_USE = 2
"""So many times the median is pointed out."""
_WHOLE = ("measured", "interpolated", "server_time")


@dataclass(frozen=True, slots=True)
class ResidentPoint:
    """One meter of the premises in a month."""

    point_id: int
    resource: str
    unit: str
    name: str
    serial: str
    last_value: Decimal | None
    last_at_us: int | None
    volume: Decimal | None
    """Of the month, as far as it is known."""
    quality: str
    charged: Decimal | None
    basis: str
    """Why this is charged: ``measured``, ``average_6m``, ``normative`` …"""
    rules: tuple[str, ...]
    """Versions of the rules behind it."""
    closed: bool
    neighbours_median: Decimal | None
    """Of at least ten other flats of the house; None where there are fewer."""
    neighbours: int
    high_use: bool
    verification_until: str | None
    incidents: tuple[str, ...]
    """Kinds that hold now: leak, burst …"""


@dataclass(frozen=True, slots=True)
class Stay:
    """The days that somebody may see of a flat: of their own time there, no others'."""

    since: date | None = None
    until: date | None = None
    """First day that is not theirs any more."""
    resource: str = ""
    now: bool = True
    """Whether they may see what holds today."""

    def part(self, first: date, last: date) -> tuple[date, date]:
        """The days of theirs from ``first`` to ``last``, both ends as of a range; empty when they have none."""
        return max(first, self.since or first), min(last, self.until or last)


WHOLE = Stay()


def resident_view(db: Database, premises_id: int, month: date, stay: Stay = WHOLE) -> list[ResidentPoint]:
    """The meters of a premises in the month that ``month`` lies in. Raises RegistryError ``not_found``.

    Of a month that is theirs in part only the volume of these days is told, and nothing that counts the whole: charges,
    neighbours.
    """
    rows = db.rows("SELECT building_id FROM premises WHERE id = ?", (premises_id,))
    if not rows:
        raise RegistryError("not_found", "premises_id", f"There are no premises {premises_id}.")
    building_id = rows[0][0]
    resources = db.rows("SELECT DISTINCT resource FROM point WHERE premises_id = ?", (premises_id,))
    return [
        point
        for resource in REGISTERS
        if (resource,) in resources
        if stay.resource in ("", resource)
        for point in _of_resource(db, building_id, premises_id, resource, month.replace(day=1), stay)
    ]


def _of_resource(
    db: Database, building_id: int, premises_id: int, resource: str, first: date, stay: Stay
) -> list[ResidentPoint]:
    since, until = stay.part(first, next_month(first))
    if since >= until:
        return []
    whole = (since, until) == (first, next_month(first))
    counted = counted_balance(db, building_id, resource, since, until, "month" if whole else "day")
    points = [point for point in counted.balance.points if point.role == "individual"]
    charged: dict[int, tuple[Decimal | None, str]] = {}
    rules: tuple[str, ...] = ()
    if counted.closing is not None:
        summary = summary_of(db, counted.closing.id)
        charged = {one.point_id: (one.volume, one.basis) for one in summary.charges}
        rules = tuple(rule.version for rule in summary.rules)
    elif whole:
        made = charges(db, building_id, resource, first, points, rule_book(db))
        charged = {id_: (one.volume, one.basis) for id_, one in made.by_point.items()}
        rules = tuple(rule.version for rule in made.rules)
    by_flat: dict[int, Decimal] = {}
    for point in points:
        if point.premises_id is not None and point.volume is not None and point.quality in _WHOLE:
            by_flat[point.premises_id] = by_flat.get(point.premises_id, Decimal(0)) + point.volume
    others = [volume for id_, volume in by_flat.items() if id_ != premises_id]
    median = neat(Decimal(statistics.median(others))) if whole and len(others) >= LEAST_NEIGHBOURS else None
    found = []
    for point in points:
        if point.premises_id != premises_id:
            continue
        last = _last(db, point.meter_id, resource, building_id, stay)
        verified = db.rows("SELECT verification_until FROM meter WHERE id = ?", (point.meter_id,))
        kinds = db.rows(
            "SELECT DISTINCT kind FROM incident WHERE premises_id = ? AND ended_at_us IS NULL"
            " AND (point_id IS NULL OR point_id = ?) ORDER BY kind",
            (premises_id, point.point_id),
        )
        volume, basis = charged.get(point.point_id, (None, ""))
        found.append(
            ResidentPoint(
                point_id=point.point_id,
                resource=resource,
                unit=UNITS[resource],
                name=point.name,
                serial=point.serial,
                last_value=from_micro(last[0][0]) if last else None,
                last_at_us=last[0][1] if last else None,
                volume=point.volume,
                quality=point.quality,
                charged=volume,
                basis=basis,
                rules=rules,
                closed=counted.closing is not None,
                neighbours_median=median,
                neighbours=len(others),
                high_use=median is not None and by_flat.get(premises_id, Decimal(0)) > HIGH_USE * median > 0,
                verification_until=verified[0][0] if verified and stay.now else None,
                incidents=tuple(kind for (kind,) in kinds) if stay.now else (),
            )
        )
    return found


def _last(db: Database, meter_id: int | None, resource: str, building_id: int, stay: Stay) -> list[tuple[int, int]]:
    """The newest reading of a meter within the days."""
    if stay.now and stay.since is None and stay.until is None:
        return db.rows(
            "SELECT value_micro, measured_at_us FROM last_reading WHERE meter_id = ? AND register = ?",
            (meter_id, REGISTERS[resource]),
        )
    zone = zone_of(db.rows("SELECT timezone FROM building WHERE id = ?", (building_id,))[0][0])
    first = midnight_us(day_number(stay.since), zone) if stay.since else 0
    last = midnight_us(day_number(stay.until), zone) if stay.until else 2**62
    return db.rows(
        "SELECT value_micro, measured_at_us FROM reading WHERE meter_id = ? AND register = ? AND measured_at_us >= ?"
        " AND measured_at_us < ? ORDER BY measured_at_us DESC LIMIT 1",
        (meter_id, REGISTERS[resource], first, last),
    )
