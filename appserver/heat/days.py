"""The heat of a building day by day: what its calculators told, reckoned again, against the graph, with gaps filled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import msgspec

from appserver.db import Database
from appserver.errors import RegistryError
from appserver.heat.gaps import FilledDay, HeatDay, fill
from appserver.heat.graph import Breach, Deviation, GraphDay, breaches, deviation
from appserver.heat.outdoor import outdoor
from appserver.heat.quantity import Times, energy_gcal, plausible, times
from appserver.metering.timebase import HOUR_US, day_number, midnight_us, zone_of
from appserver.models.columns import from_micro
from appserver.rules import (
    HeatContract,
    HeatQuality,
    HeatSubstitution,
    Rule,
    RuleBook,
    TemperatureGraph,
)

MAX_DAYS = 400
_TOTALS = frozenset({"t", "m3", "gcal", "h"})
"""Units of what adds up over time; the others are means or states."""
_HEAT_POINTS = (
    "SELECT p.id, p.name, m.id, m.serial, m.model, c.dev_eui, c.channel FROM point p"
    " JOIN installation i ON i.point_id = p.id AND i.removed_at_us IS NULL JOIN meter m ON m.id = i.meter_id"
    " LEFT JOIN module_channel c ON c.meter_id = m.id AND c.valid_until_us IS NULL AND c.register = 'heat'"
    " WHERE p.building_id = ? AND p.resource = 'heat' AND p.role <> 'individual' ORDER BY p.id"
)

NO_METER: tuple[Any, ...] = (0, "", 0, "", "", None, None)
"""A building without a heat meter: nothing is known of its days."""

Fields = Mapping[str, Decimal]


@dataclass(frozen=True, slots=True)
class HeatRow:
    """A day of a heat meter."""

    day: date
    fields: Fields
    """What the calculator told, by field with its unit; empty when nothing."""
    reckoned_gcal: Decimal | None
    """The energy by masses and temperatures."""
    plausible: bool | None
    times: Times
    outdoor_c: Decimal | None
    deviation: Deviation | None
    filled: FilledDay


@dataclass(frozen=True, slots=True)
class HeatReport:
    """A heat meter over days."""

    point_id: int
    meter_id: int
    serial: str
    model: str
    system: str
    rows: list[HeatRow]
    breaches: list[Breach]
    outdoor_source: str
    rules: list[Rule]


def heat_points(db: Database, building_id: int) -> list[tuple[Any, ...]]:
    """Heat meters of a building with the channels they are read by."""
    seen: dict[int, tuple[Any, ...]] = {}
    for row in db.rows(_HEAT_POINTS, (building_id,)):
        seen.setdefault(row[0], row)
    return list(seen.values())


def report(
    db: Database, book: RuleBook, building_id: int, first: date, last: date, point_id: int | None = None
) -> HeatReport:
    """The days of a building's (first) heat meter, ``last`` excluded. Raises RegistryError ``not_found`` or ``invalid``."""
    building = db.rows("SELECT address, timezone FROM building WHERE id = ?", (building_id,))
    if not building:
        raise RegistryError("not_found", "building_id", f"There is no building {building_id}.")
    if not first < last or (last - first).days > MAX_DAYS:
        raise RegistryError("invalid", "to", f"The period must have 1 to {MAX_DAYS} days; `to` is excluded.")
    address, timezone = building[0]
    points = [row for row in heat_points(db, building_id) if point_id in (None, row[0])]
    if not points and point_id is not None:
        raise RegistryError("not_found", "point_id", f"Building {building_id} has no heat meter at point {point_id}.")
    point, _, meter_id, serial, model, dev_eui, channel = points[0] if points else NO_METER
    quality_rule, quality = book.get(HeatQuality, first, address)
    gap_rule, gap = book.get(HeatSubstitution, first, address)
    contract_rule, contract = book.get(HeatContract, first, address)
    graph_rule = book.find("temperature_graph", first, address)
    graph = graph_rule.values if graph_rule is not None and isinstance(graph_rule.values, TemperatureGraph) else None
    cold, source = outdoor(db, book, address, timezone, first, last)
    told = _told(db, dev_eui, channel, first, last, timezone)
    volumes = _volumes(db, point, first, last)
    zone = zone_of(timezone)
    partial: list[tuple[date, Fields, Decimal | None, bool | None, Times, Deviation | None, HeatDay]] = []
    for offset in range((last - first).days):
        day = first + timedelta(days=offset)
        number = day_number(day)
        hours = Decimal(midnight_us(number + 1, zone) - midnight_us(number, zone)) / HOUR_US
        fields = told.get(day, {})
        energy = fields.get("dQ_gcal", volumes.get(day))
        reckoned = _reckoned(fields, contract)
        fits = None if energy is None or reckoned is None else plausible(energy, reckoned, quality.plausibility_pct)
        checked = times(fields, hours)
        off = None
        if graph is not None and fields:
            worked = fields.get("tA_h", hours)
            seen = GraphDay(day, cold.get(day), fields.get("T1_c"), fields.get("T2_c"), worked)
            off = deviation(seen, graph, quality)
        normal = energy if _normal(fields, hours) else None
        partial.append((day, fields, reckoned, fits, checked, off, HeatDay(normal, cold.get(day), hours)))
    filled = fill([each[-1] for each in partial], gap, contract.load_gcal_h)
    rows = [
        HeatRow(day, fields, reckoned, fits, checked, cold.get(day), off, full)
        for (day, fields, reckoned, fits, checked, off, _), full in zip(partial, filled, strict=True)
    ]
    runs = breaches([row.deviation or Deviation(row.day, None, None, None, None) for row in rows])
    used = [rule for rule in (quality_rule, graph_rule, gap_rule, contract_rule) if rule is not None]
    return HeatReport(point, meter_id, serial, model, contract.system, rows, runs, source, used)


def _normal(fields: Fields, hours: Decimal) -> bool:
    """Whether the meter worked the whole day: it says so, or it tells no times."""
    worked = fields.get("tA_h")
    return worked is None or worked * 100 >= hours * 95


def _reckoned(fields: Fields, contract: HeatContract) -> Decimal | None:
    mass, supply, back = fields.get("m1_t"), fields.get("T1_c"), fields.get("T2_c")
    if mass is None or supply is None or back is None:
        return None
    out = fields.get("m2_t") if contract.system == "open" else None
    if contract.system == "open" and out is None:
        return None
    try:
        return energy_gcal(mass, supply, back, out, contract.cold_water_c, fields.get("P1_mpa"), fields.get("P2_mpa"))
    except ValueError:
        return None


def _told(
    db: Database, dev_eui: str | None, channel: int | None, first: date, last: date, timezone: str
) -> dict[date, Fields]:
    """What the calculator told of each day: the day's own record, else the difference of two running totals."""
    if dev_eui is None or channel is None:
        return {}
    subsystem = channel // 10 if channel >= 10 else channel
    circuits = ("heat2",) if channel >= 10 and channel % 10 == 4 else ("heat1", "compact")
    zone = zone_of(timezone)
    edges = {
        midnight_us(day_number(first) + n, zone): first + timedelta(days=n) for n in range((last - first).days + 1)
    }
    records: dict[str, dict[date, dict[str, Decimal]]] = {"day_interval": {}, "day_integral": {}}
    marks = ", ".join("?" * len(circuits))
    for archive, at_us, fields in db.rows(
        "SELECT archive, at_us, fields FROM calculator_record WHERE dev_eui = ? AND subsystem = ?"
        f" AND circuit IN ({marks}) AND archive IN ('day_interval', 'day_integral') AND at_us BETWEEN ? AND ?",
        (dev_eui, subsystem, *circuits, min(edges), max(edges)),
    ):
        if at_us in edges:
            its = {name: Decimal(value) for name, value in msgspec.json.decode(fields).items()}
            records[archive].setdefault(edges[at_us], {}).update(its)
    found: dict[date, Fields] = {}
    for end in sorted(set(edges.values()))[1:]:
        day = end - timedelta(days=1)
        if end in records["day_interval"]:
            found[day] = records["day_interval"][end]
            continue
        totals, before = records["day_integral"].get(end), records["day_integral"].get(day)
        if totals and before:
            found[day] = {
                name: value - before[name] if name.rpartition("_")[2] in _TOTALS else value
                for name, value in totals.items()
                if name.rpartition("_")[2] not in _TOTALS or name in before
            }
    return found


def _volumes(db: Database, point_id: int, first: date, last: date) -> dict[date, Decimal]:
    """Energy by day out of the point's boundary values."""
    totals = {
        day: (total, breaks)
        for day, total, breaks in db.rows(
            "SELECT day, total_micro, breaks FROM boundary WHERE point_id = ? AND day BETWEEN ? AND ?",
            (point_id, day_number(first), day_number(last)),
        )
    }
    found = {}
    for offset in range((last - first).days):
        day = first + timedelta(days=offset)
        start, end = totals.get(day_number(day)), totals.get(day_number(day) + 1)
        if start and end and start[1] == end[1]:
            found[day] = from_micro(end[0] - start[0])
    return found
