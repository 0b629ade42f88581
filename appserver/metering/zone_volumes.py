"""FR-19: a point's consumption by tariff zone out of its profile: registers at half-hours, or whenever a zone changes.

For meters that count a total only. Zones are rules of their day and of local time, so days of 23 and 25 hours need no case of
their own; volumes are differences of the register at the changes, so they add up to the whole exactly.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import partial
from itertools import pairwise
from zoneinfo import ZoneInfo

from appserver.db import Connection, Database
from appserver.errors import RegistryError
from appserver.metering.boundary import boundary_value
from appserver.metering.consumption import ZERO, Mark, advance
from appserver.metering.store import point_history, reverse_growth, samples_around
from appserver.metering.timebase import HOUR_US, date_of, day_number, midnight_us, moment, zone_of
from appserver.models.columns import neat
from appserver.models.registry import UNITS
from appserver.rules import RuleBook, TariffZones
from appserver.rules.tariffs import zone_at

MAX_DAYS = 400
MAX_GAP_US = HOUR_US
"""A register is interpolated over so much at a change of zones: more would move volumes from zone to zone."""


@dataclass(frozen=True, slots=True)
class ZoneVolume:
    """A zone's share of a period."""

    zone: str
    volume: Decimal
    hours: Decimal
    """Of the period that is known."""


@dataclass(frozen=True, slots=True)
class ZoneVolumes:
    """A point's volumes by zone between two days."""

    point_id: int
    unit: str
    timezone: str
    rules: tuple[str, ...]
    zones: tuple[ZoneVolume, ...]
    """In the order of the rule."""
    unknown_hours: Decimal
    """Between changes of zone at one of which the register is not known."""
    unknown: Decimal | None
    """What flowed in them, as far as the register is known around them; None when it is not."""
    total: Decimal | None
    """From the first day to the last; None when the register is not known there."""


def changes(first: date, last: date, zone: ZoneInfo, rule_of: Callable[[date], TariffZones]) -> list[tuple[int, str]]:
    """Moments at which a zone begins, with its name; the first is the first midnight. ``last`` is excluded."""
    found: list[tuple[int, str]] = []
    for day in range(day_number(first), day_number(last)):
        rule = rule_of(date_of(day))
        minutes = sorted({0, *(minute % 1440 for its in rule.zones for span in its.spans for minute in span)})
        begun, ended = midnight_us(day, zone), midnight_us(day + 1, zone)
        starts = {begun + minute * 60_000_000 for minute in minutes}
        # On a day on which clocks change a time of the clock is elsewhere than so long after midnight, or there twice.
        shown = {_of_clock(date_of(day), minute, zone, fold) for minute in minutes for fold in (0, 1)}
        for at_us in sorted(at for at in (starts | shown) if begun <= at < ended):
            name = zone_at(moment(at_us, zone), rule)
            if not found or found[-1][1] != name:
                found.append((at_us, name))
    return found


def _of_clock(day: date, minute: int, zone: ZoneInfo, fold: int) -> int:
    local = datetime(day.year, day.month, day.day, minute // 60, minute % 60, tzinfo=zone, fold=fold)
    return round(local.timestamp()) * 1_000_000


def zone_volumes(
    db: Database, book: RuleBook, point_id: int, first: date, last: date, name: str = "two"
) -> ZoneVolumes:
    """Volumes by zone from ``first`` to ``last`` (excluded) by the tariff zones called ``name``.

    Raises RegistryError ``not_found`` for the point, ``invalid`` for dates or where no such rule holds.
    """
    if not first < last or (last - first).days > MAX_DAYS:
        raise RegistryError("invalid", "to", f"The period must have 1 to {MAX_DAYS} days; `to` is excluded.")
    with db.snapshot() as connection:
        place = connection.execute(
            "SELECT b.timezone, b.address, p.resource FROM point p JOIN building b ON b.id = p.building_id WHERE p.id = ?",
            (point_id,),
        ).fetchone()
        if place is None:
            raise RegistryError("not_found", "point_id", f"There is no point {point_id}.")
        timezone, address, resource = place
        zone = zone_of(timezone)
        rules = {}
        for offset in range((last - first).days):
            day = first + timedelta(days=offset)
            rules[day] = book.get(TariffZones, day, address, name)
        starts = changes(first, last, zone, lambda day: rules[day][1])
        edges = [*starts, (midnight_us(day_number(last), zone), "")]
        marks = _marks(connection, point_id, [at_us for at_us, _ in edges])
    order = [its.name for _, rule in rules.values() for its in rule.zones]
    versions = tuple(dict.fromkeys(rule.version for rule, _ in rules.values()))
    return _sum(point_id, UNITS[resource], timezone, versions, list(dict.fromkeys(order)), edges, marks)


def _marks(connection: Connection, point_id: int, edges: list[int]) -> dict[int, Mark]:
    history = point_history(connection, point_id)
    growth = partial(reverse_growth, connection, history.register_name)
    marks: dict[int, Mark] = {}
    previous: Mark | None = None
    for term in history.terms:
        inside = [edge for edge in edges if term.holds(edge)]
        if not inside:
            continue
        samples = samples_around(connection, history, term, inside[0], inside[-1])
        for edge in inside:
            value = boundary_value(samples, edge, MAX_GAP_US, term.register.step)
            if value is not None:
                previous = marks[edge] = advance(previous, history.terms, edge, value.value, value.quality, growth)
    return marks


def _sum(
    point_id: int,
    unit: str,
    timezone: str,
    versions: tuple[str, ...],
    order: list[str],
    edges: list[tuple[int, str]],
    marks: dict[int, Mark],
) -> ZoneVolumes:
    volumes = dict.fromkeys(order, ZERO)
    hours = dict.fromkeys(order, ZERO)
    unknown_hours = ZERO
    for (from_us, name), (until_us, _) in pairwise(edges):
        a, b = marks.get(from_us), marks.get(until_us)
        length = Decimal(until_us - from_us) / HOUR_US
        if a is None or b is None or a.breaks != b.breaks:
            unknown_hours += length
        else:
            volumes[name] += b.total - a.total
            hours[name] += length
    first, last = marks.get(edges[0][0]), marks.get(edges[-1][0])
    total = None
    if first is not None and last is not None and first.breaks == last.breaks:
        total = last.total - first.total
    return ZoneVolumes(
        point_id,
        unit,
        timezone,
        versions,
        tuple(ZoneVolume(name, neat(volumes[name]), neat(hours[name])) for name in order),
        neat(unknown_hours),
        None if total is None else neat(total - sum(volumes.values(), ZERO)),
        None if total is None else neat(total),
    )
