"""The temperature graph: what the supply and the return should be, and who did not keep it. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, time
from decimal import Decimal

from appserver.rules.kinds import HeatQuality, TemperatureGraph

DAY_FROM = time(5)
"""Hot water: from here to midnight the day's limit holds, before it the night's."""


def graph_at(graph: TemperatureGraph, outdoor_c: Decimal) -> tuple[Decimal, Decimal]:
    """Supply and return at an outdoor temperature: between two rows linear, beyond the ends as at the end."""
    rows = sorted(graph.rows)
    cold, warm = rows[0], rows[-1]
    if outdoor_c <= cold[0]:
        supply, back = cold[1], cold[2]
    elif outdoor_c >= warm[0]:
        supply, back = warm[1], warm[2]
    else:
        low, high = next(pair for pair in itertools.pairwise(rows) if pair[0][0] <= outdoor_c <= pair[1][0])
        part = (outdoor_c - low[0]) / (high[0] - low[0])
        supply, back = low[1] + (high[1] - low[1]) * part, low[2] + (high[2] - low[2]) * part
    if graph.supply_max_c is not None:
        supply = min(supply, graph.supply_max_c)
    if graph.supply_min_c is not None:
        supply = max(supply, graph.supply_min_c)
    return supply, back


@dataclass(frozen=True, slots=True)
class GraphDay:
    """Means of a day."""

    day: date
    outdoor_c: Decimal | None
    supply_c: Decimal | None
    return_c: Decimal | None
    hours: Decimal = Decimal(24)
    """Hours of normal work that the means are of."""


@dataclass(frozen=True, slots=True)
class Deviation:
    """A day against the graph; None where something is not known."""

    day: date
    supply_graph_c: Decimal | None
    return_graph_c: Decimal | None
    supply_off_c: Decimal | None
    """Signed, measured less graph."""
    return_off_c: Decimal | None
    supply_breach: bool = False
    """Of the network: more than the limit to either side."""
    return_breach: bool = False
    """Of the consumer: more than the limit above; colder is not limited."""
    degree_hours: Decimal = Decimal(0)
    """Deviation beyond the graph times hours, of what is breached."""


def deviation(day: GraphDay, graph: TemperatureGraph, limits: HeatQuality) -> Deviation:
    """One day against the graph."""
    if day.outdoor_c is None:
        return Deviation(day.day, None, None, None, None)
    supply, back = graph_at(graph, day.outdoor_c)
    supply_off = None if day.supply_c is None else day.supply_c - supply
    return_off = None if day.return_c is None else day.return_c - back
    bad_supply = supply_off is not None and abs(supply_off) * 100 > supply * limits.supply_pct
    bad_return = return_off is not None and return_off * 100 > back * limits.return_pct
    degrees = (abs(supply_off) if bad_supply and supply_off else Decimal(0)) + (
        return_off if bad_return and return_off else Decimal(0)
    )
    return Deviation(day.day, supply, back, supply_off, return_off, bad_supply, bad_return, degrees * day.hours)


@dataclass(frozen=True, slots=True)
class Breach:
    """Days in a row on which one side was off the graph."""

    side: str
    """``supply`` or ``return``."""
    first: date
    last: date
    days: int
    worst_c: Decimal


def breaches(deviations: Sequence[Deviation]) -> list[Breach]:
    """Runs of breaches; a day that is not known ends a run."""
    found = []
    for side in ("supply", "return"):
        run: list[tuple[date, Decimal]] = []
        for each in (*deviations, None):
            off = None if each is None or not getattr(each, f"{side}_breach") else getattr(each, f"{side}_off_c")
            if each is not None and off is not None:
                run.append((each.day, off))
                continue
            if run:
                found.append(Breach(side, run[0][0], run[-1][0], len(run), max((o for _, o in run), key=abs)))
            run = []
    return sorted(found, key=lambda breach: (breach.first, breach.side))


def hot_water_breach(at: time, temperature_c: Decimal, limits: HeatQuality) -> bool:
    """Whether hot water was colder (or hotter) than it may be at that time of the day."""
    allowed = limits.hot_water_day_c if at >= DAY_FROM else limits.hot_water_night_c
    return temperature_c < limits.hot_water_min_c - allowed or temperature_c > limits.hot_water_max_c
