"""What a clock that is off did to a boundary value: out of the meter's own values at their true times.

A slow clock stores its midnight late. Put to the times at which they were truly stored, the values of a meter lie around
the true midnight; what flowed between the two nearest is spread like the house's own flow of those hours.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from decimal import Decimal

from appserver.metering.boundary import Sample
from appserver.metering.consumption import Mark
from appserver.metering.house import HouseView, hour_marks
from appserver.metering.store import PointHistory, samples_around
from appserver.metering.timebase import HOUR_US

REACH_US = 30 * HOUR_US
"""True neighbours of a midnight are looked for so far away: a day, and the clock's own error."""
DAY_US = 24 * HOUR_US
NEAR_US = 4 * DAY_US
"""So long a clock that was seen is taken to stand as it stood."""
LEAST_WEIGHT = 0.02
"""Of the mean flow: also in the quietest hour somebody draws water."""

Weight = Callable[[int, int], float]
"""What flows between two moments, relative."""


def even(from_us: int, until_us: int) -> float:
    """The weight where the house's hours are not known."""
    return float(until_us - from_us)


def house_weight(house: HouseView, mains: Sequence[int], at_us: int) -> Weight:
    """The flow of a house around a moment, without what never stops: that is no flat's."""
    edges = [at_us + hour * HOUR_US for hour in range(-REACH_US // HOUR_US, REACH_US // HOUR_US + 1)]
    marks = [hour_marks(house, point_id, edges) for point_id in mains]
    flows: dict[int, float] = {}
    for edge in edges[:-1]:
        pairs = [(its.get(edge), its.get(edge + HOUR_US)) for its in marks]
        if pairs and all(a is not None and b is not None and a.breaks == b.breaks for a, b in pairs):
            flows[edge] = sum(float(b.total - a.total) for a, b in pairs if a is not None and b is not None)
    if len(flows) < len(edges) // 2:
        return even
    base, mean = min(flows.values()), sum(flows.values()) / len(flows)
    least = max((mean - base) * LEAST_WEIGHT, 1e-9)
    weights = {edge: max(flow - base, least) for edge, flow in flows.items()}

    def weight(from_us: int, until_us: int) -> float:
        total, edge = 0.0, from_us - (from_us - at_us) % HOUR_US
        while edge < until_us:
            part = min(until_us, edge + HOUR_US) - max(from_us, edge)
            total += weights.get(edge, mean - base) * part / HOUR_US
            edge += HOUR_US
        return total

    return weight


def error_near(
    connection: sqlite3.Connection, history: PointHistory, meter_id: int, at_us: int, device_us: int | None
) -> int | None:
    """The error of a clock as it was seen nearest to a moment; else that of the device as it was last seen."""
    row = connection.execute(
        "SELECT clock_error_us FROM reading WHERE meter_id = ? AND register = ? AND measured_at_us BETWEEN ? AND ?"
        " AND clock_error_us IS NOT NULL AND quality <> 'server_time' ORDER BY abs(measured_at_us - ?) LIMIT 1",
        (meter_id, history.register_name, at_us - NEAR_US, at_us + NEAR_US, at_us),
    ).fetchone()
    return device_us if row is None else int(row[0])


def surplus(
    connection: sqlite3.Connection, history: PointHistory, mark: Mark, error_us: int, weight: Weight
) -> Decimal | None:
    """How much more a mark shows than the register did at its moment; None when its neighbours do not tell."""
    term = next((term for term in history.terms if term.id == mark.term_id), None)
    if term is None:
        return None
    at_us, reach_us = mark.at_us, REACH_US + abs(error_us)
    samples = samples_around(connection, history, term, at_us - reach_us, at_us + reach_us)
    placed = sorted(((_true_us(sample, error_us), sample.value) for sample in samples), key=lambda one: one[0])
    below = max((one for one in placed if one[0] <= at_us), default=None)
    above = min((one for one in placed if one[0] >= at_us), default=None)
    if below is None or above is None or above[0] - below[0] > REACH_US or above[1] < below[1]:
        return None
    passed = above[1] - below[1]
    if passed:
        whole = weight(below[0], above[0])
        passed *= Decimal(str(weight(below[0], at_us) / whole)) if whole > 0 else Decimal(0)
    return (mark.value - below[1] - passed) * term.ratio


def day_part(at_us: int, error_us: int, weight: Weight) -> float:
    """What a mark shows too much as a part of the flow of a day: that around it, by the hours of the house."""
    late_us = max(-DAY_US, min(DAY_US, -error_us))
    if late_us >= 0:
        whole = weight(at_us + late_us - DAY_US, at_us + late_us)
        part = weight(at_us, at_us + late_us)
    else:
        whole = weight(at_us + late_us, at_us + late_us + DAY_US)
        part = -weight(at_us + late_us, at_us)
    whole_days = (-error_us - late_us) / DAY_US
    return whole_days + (part / whole if whole > 0 else late_us / DAY_US)


def _true_us(sample: Sample, error_us: int) -> int:
    """When a value was truly stored: an act's and a person's when they say, a clock's as far as it is off."""
    if sample.quality == "server_time":
        return sample.at_us
    return sample.at_us - (error_us if sample.clock_us is None else sample.clock_us)
