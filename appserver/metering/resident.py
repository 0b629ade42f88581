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


def resident_view(db: Database, premises_id: int, month: date) -> list[ResidentPoint]:
    """The meters of a premises in the month that ``month`` lies in. Raises RegistryError ``not_found``."""
    rows = db.rows("SELECT building_id FROM premises WHERE id = ?", (premises_id,))
    if not rows:
        raise RegistryError("not_found", "premises_id", f"There are no premises {premises_id}.")
    building_id = rows[0][0]
    resources = db.rows("SELECT DISTINCT resource FROM point WHERE premises_id = ?", (premises_id,))
    return [
        point
        for resource in REGISTERS
        if (resource,) in resources
        for point in _of_resource(db, building_id, premises_id, resource, month.replace(day=1))
    ]


def _of_resource(db: Database, building_id: int, premises_id: int, resource: str, first: date) -> list[ResidentPoint]:
    counted = counted_balance(db, building_id, resource, first, next_month(first), "month")
    points = [point for point in counted.balance.points if point.role == "individual"]
    if counted.closing is not None:
        summary = summary_of(db, counted.closing.id)
        charged = {one.point_id: (one.volume, one.basis) for one in summary.charges}
        rules = tuple(rule.version for rule in summary.rules)
    else:
        made = charges(db, building_id, resource, first, points, rule_book(db))
        charged = {id_: (one.volume, one.basis) for id_, one in made.by_point.items()}
        rules = tuple(rule.version for rule in made.rules)
    by_flat: dict[int, Decimal] = {}
    for point in points:
        if point.premises_id is not None and point.volume is not None and point.quality in _WHOLE:
            by_flat[point.premises_id] = by_flat.get(point.premises_id, Decimal(0)) + point.volume
    others = [volume for id_, volume in by_flat.items() if id_ != premises_id]
    median = neat(Decimal(statistics.median(others))) if len(others) >= LEAST_NEIGHBOURS else None
    found = []
    for point in points:
        if point.premises_id != premises_id:
            continue
        last = db.rows(
            "SELECT value_micro, measured_at_us FROM last_reading WHERE meter_id = ? AND register = ?",
            (point.meter_id, REGISTERS[resource]),
        )
        until = db.rows("SELECT verification_until FROM meter WHERE id = ?", (point.meter_id,))
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
                verification_until=until[0][0] if until else None,
                incidents=tuple(kind for (kind,) in kinds),
            )
        )
    return found
