"""FR-29: weather-dependent control, read only: what a controller aims at, how far its valve is open, what comes of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from appserver.db import Database
from appserver.errors import RegistryError
from appserver.heat.graph import graph_at
from appserver.heat.outdoor import daily_means, outdoor
from appserver.rules import RuleBook, TemperatureGraph, WeatherControl

MAX_DAYS = 400


@dataclass(frozen=True, slots=True)
class ControlDay:
    """Daily means of a controller; None where nothing was told."""

    day: date
    outdoor_c: Decimal | None
    graph_c: Decimal | None
    """Supply by the temperature graph at this outdoor temperature."""
    setpoint_c: Decimal | None
    supply_c: Decimal | None
    valve_pct: Decimal | None
    deviation_c: Decimal | None
    """Supply less setpoint."""


def control(db: Database, book: RuleBook, building_id: int, first: date, last: date) -> list[ControlDay]:
    """The days of a building's controller, ``last`` excluded. Raises RegistryError.

    The rule ``weather_control`` names the device and its fields; nothing is ever sent to it.
    """
    rows = db.rows("SELECT address, timezone FROM building WHERE id = ?", (building_id,))
    if not rows:
        raise RegistryError("not_found", "building_id", f"There is no building {building_id}.")
    if not first < last or (last - first).days > MAX_DAYS:
        raise RegistryError("invalid", "to", f"The period must have 1 to {MAX_DAYS} days; `to` is excluded.")
    address, timezone = rows[0]
    _, its = book.get(WeatherControl, first, address)
    rule = book.find("temperature_graph", first, address)
    graph = rule.values if rule is not None and isinstance(rule.values, TemperatureGraph) else None
    cold, _ = outdoor(db, book, address, timezone, first, last)
    setpoint, supply, valve = (
        daily_means(db, its.dev_eui, field, first, last, timezone, Decimal(-50), Decimal(200)) if field else {}
        for field in (its.setpoint, its.supply, its.valve)
    )
    found = []
    for offset in range((last - first).days):
        day = first + timedelta(days=offset)
        aim, told, out = setpoint.get(day), supply.get(day), cold.get(day)
        by_graph = graph_at(graph, out)[0].quantize(Decimal("0.01")) if graph is not None and out is not None else None
        off = told - aim if told is not None and aim is not None else None
        found.append(ControlDay(day, out, by_graph, aim, told, valve.get(day), off))
    return found
