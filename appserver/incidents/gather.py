"""The plain values that detectors look at, out of application.db."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from appserver.db import Database
from appserver.heat.days import heat_points, report
from appserver.incidents.facts import (
    ConflictFact,
    DeviceFact,
    EventFact,
    FlagFact,
    FlowFact,
    GatewayFact,
    GraphFact,
    Hour,
    HouseFact,
    Picture,
    Place,
    StillFact,
    VerificationFact,
)
from appserver.metering.consumption import QMAX
from appserver.metering.corrections import is_disputed
from appserver.metering.timebase import HOUR_US, date_of, day_number, day_of, midnight_us, moment, zone_of
from appserver.models.columns import from_micro
from appserver.models.registry import REGISTERS
from appserver.rules import IncidentLimits, RuleBook, Verification

DAY_US = 24 * HOUR_US
FLAG_DAYS = 7
"""Flags that were cleared longer ago are not looked at again."""
CONFLICT_DAYS = 62
GATEWAY_DAYS = 31
HOUR_SLACK_US = HOUR_US // 6
"""Two readings this much more or less than an hour apart still are an hour's."""

_SERVED = (
    "SELECT c.dev_eui, min(c.meter_id), count(DISTINCT c.meter_id), min(c.valid_from_us), min(p.building_id),"
    " min(p.premises_id), min(p.id) FROM module_channel c"
    " JOIN installation i ON i.meter_id = c.meter_id AND i.removed_at_us IS NULL JOIN point p ON p.id = i.point_id"
    " WHERE c.valid_until_us IS NULL GROUP BY c.dev_eui"
)


def _places(connection: sqlite3.Connection) -> dict[str, tuple[Place, int]]:
    """Devices that serve a meter: their place and since when. Of several meters none is named."""
    found = {}
    for dev_eui, meter, meters, since_us, building, premises, point in connection.execute(_SERVED):
        one = meters == 1
        place = Place(building, premises, point if one else None, meter if one else None, dev_eui)
        found[dev_eui] = (place, since_us)
    return found


def quick(db: Database, now_us: int, limits: IncidentLimits, book: RuleBook) -> Picture:
    """What is looked at in every round."""
    with db.snapshot() as connection:
        places = _places(connection)
        return Picture(
            now_us=now_us,
            limits=limits,
            devices=list(_devices(connection, places)),
            flags=_flags(connection, places, now_us),
            gateways=[
                GatewayFact(*row)
                for row in connection.execute(
                    "SELECT gateway_eui, at_us, code, text FROM gateway_log WHERE at_us >= ?"
                    " AND code IN ('GATEWAY_OFFLINE', 'GATEWAY_ONLINE') ORDER BY at_us",
                    (now_us - GATEWAY_DAYS * DAY_US,),
                )
            ],
            conflicts=_conflicts(connection, now_us),
            verifications=_verifications(connection, now_us, book),
            events=_events(connection, now_us),
        )


def _devices(connection: sqlite3.Connection, places: dict[str, tuple[Place, int]]) -> Iterator[DeviceFact]:
    states = {
        row[0]: row[1:]
        for row in connection.execute(
            "SELECT dev_eui, last_uplink_at_us, battery_pct, clock_offset_us FROM device_state"
        )
    }
    for dev_eui, (place, since_us) in places.items():
        yield DeviceFact(place, since_us, *states.get(dev_eui, (None, None, None)))


def _flags(connection: sqlite3.Connection, places: dict[str, tuple[Place, int]], now_us: int) -> list[FlagFact]:
    rows = connection.execute(
        "SELECT dev_eui, flag, raised_at_us, cleared_at_us FROM device_flag"
        " WHERE cleared_at_us IS NULL OR cleared_at_us >= ?",
        (now_us - FLAG_DAYS * DAY_US,),
    )
    return [
        FlagFact(places.get(dev_eui, (Place(dev_eui=dev_eui), 0))[0], flag, raised, cleared)
        for dev_eui, flag, raised, cleared in rows
    ]


def _conflicts(connection: sqlite3.Connection, now_us: int) -> list[ConflictFact]:
    """Values of equal rank that contradict each other; what a stronger source beats waits for nobody."""
    rows = connection.execute(
        "SELECT r.meter_id, r.register, r.measured_at_us, r.value_micro, p.building_id, p.premises_id, p.id"
        " FROM reading r LEFT JOIN installation i ON i.meter_id = r.meter_id AND i.installed_at_us <= r.measured_at_us"
        " AND r.measured_at_us < coalesce(i.removed_at_us, 1 << 62) LEFT JOIN point p ON p.id = i.point_id"
        " WHERE r.conflict AND r.measured_at_us >= ? AND NOT EXISTS (SELECT 1 FROM correction c"
        " WHERE c.meter_id = r.meter_id AND c.register = r.register AND c.measured_at_us = r.measured_at_us)",
        (now_us - CONFLICT_DAYS * DAY_US,),
    )
    return [
        ConflictFact(Place(building, premises, point, meter), register, at_us, from_micro(value))
        for meter, register, at_us, value, building, premises, point in rows
        if is_disputed(connection, meter, register, at_us)
    ]


def _verifications(connection: sqlite3.Connection, now_us: int, book: RuleBook) -> list[VerificationFact]:
    rows = connection.execute(
        "SELECT m.id, m.verification_until, b.timezone, b.address, p.building_id, p.premises_id, p.id FROM installation i"
        " JOIN meter m ON m.id = i.meter_id JOIN point p ON p.id = i.point_id JOIN building b ON b.id = p.building_id"
        " WHERE i.removed_at_us IS NULL AND m.verification_until < ?",
        (date_of(now_us // DAY_US + 1).isoformat(),),
    )
    found = []
    for meter, until, timezone, address, building, premises, point in rows:
        zone = zone_of(timezone)
        ended_at_us = midnight_us(day_number(date.fromisoformat(until)) + 1, zone)
        if ended_at_us > now_us:
            continue
        rule = book.find("verification", moment(now_us, zone).date(), address)
        counts = rule is not None and isinstance(rule.values, Verification) and rule.values.expired_accepted
        found.append(VerificationFact(Place(building, premises, point, meter), until, ended_at_us, counts))
    return found


def _events(connection: sqlite3.Connection, now_us: int) -> list[EventFact]:
    last = now_us // DAY_US + 1
    rows = connection.execute(
        "SELECT b.day, b.event, i.meter_id, p.building_id, p.premises_id, p.id, g.timezone FROM boundary b"
        " JOIN point p ON p.id = b.point_id JOIN building g ON g.id = p.building_id"
        " JOIN installation i ON i.id = b.installation_id WHERE b.day BETWEEN ? AND ? AND b.event LIKE '%reverse_flow%'",
        (last - FLAG_DAYS, last),
    )
    return [
        EventFact(
            Place(building, premises, point, meter),
            "reverse_flow",
            midnight_us(day - 1, zone_of(timezone)),
            midnight_us(day, zone_of(timezone)),
        )
        for day, _, meter, building, premises, point, timezone in rows
    ]


# ---------------------------------------------------------------------------------------------------- house by house

_POINTS = (
    "SELECT p.id, p.resource, p.role, p.direction, p.premises_id, m.id, m.qmax FROM point p"
    " LEFT JOIN installation i ON i.point_id = p.id AND i.removed_at_us IS NULL LEFT JOIN meter m ON m.id = i.meter_id"
    " WHERE p.building_id = ? AND p.role <> 'node' ORDER BY p.id"
)


def of_building(db: Database, building_id: int, now_us: int, limits: IncidentLimits) -> Picture:
    """Volumes of one building, for the slow detectors."""
    with db.snapshot() as connection:
        row = connection.execute("SELECT timezone FROM building WHERE id = ?", (building_id,)).fetchone()
        if row is None:
            return Picture(now_us, limits)
        zone = zone_of(row[0])
        points = connection.execute(_POINTS, (building_id,)).fetchall()
        today = day_of(now_us, zone)
        span = max(limits.no_flow_days * 2, limits.theft_days * 2) + 1
        marks: dict[int, dict[int, tuple[int, int]]] = {}
        for point_id, day, total, breaks in connection.execute(
            "SELECT b.point_id, b.day, b.total_micro, b.breaks FROM boundary b JOIN point p ON p.id = b.point_id"
            " WHERE p.building_id = ? AND b.day BETWEEN ? AND ?",
            (building_id, today - span, today),
        ):
            marks.setdefault(point_id, {})[day] = (total, breaks)
        places = {row[0]: Place(building_id, row[4], row[0], row[5]) for row in points}
        return Picture(
            now_us=now_us,
            limits=limits,
            flows=list(_flows(connection, points, places, now_us, limits, zone)),
            still=list(_still(points, places, marks, limits, zone)),
            houses=list(_houses(building_id, points, places, marks, today, limits, zone)),
        )


GRAPH_DAYS = 31


def graphs_of(db: Database, book: RuleBook, building_id: int, now_us: int) -> list[GraphFact]:
    """Breaches of the temperature graph of a building's heat meters, against a graph that the operator gave.

    The graph of the package is an example and accuses nobody.
    """
    found: list[GraphFact] = []
    address, timezone = db.rows("SELECT address, timezone FROM building WHERE id = ?", (building_id,))[0]
    zone = zone_of(timezone)
    last = moment(now_us, zone).date()
    rule = book.find("temperature_graph", last, address)
    if rule is None or not rule.own:
        return found
    for point_id, _, meter_id, *_ in heat_points(db, building_id):
        made = report(db, book, building_id, last - timedelta(days=GRAPH_DAYS), last, point_id)
        known = [row.day for row in made.rows if row.deviation is not None and row.outdoor_c is not None]
        for breach in made.breaches:
            over = bool(known) and breach.last < known[-1]
            found.append(
                GraphFact(
                    Place(building_id, None, point_id, meter_id),
                    breach.side,
                    midnight_us(day_number(breach.first), zone),
                    midnight_us(day_number(breach.last) + 1, zone) if over else None,
                    breach.days,
                    breach.worst_c.quantize(Decimal("0.1")),
                )
            )
    return found


def _flows(
    connection: sqlite3.Connection,
    points: Sequence[Any],
    places: dict[int, Place],
    now_us: int,
    limits: IncidentLimits,
    zone: Any,
) -> Iterator[FlowFact]:
    """Points with readings by the hour."""
    since_us = now_us - (limits.leak_nights + 1) * DAY_US
    for point_id, resource, role, _, _, meter_id, qmax in points:
        if meter_id is None:
            continue
        rows = connection.execute(
            "SELECT measured_at_us, value_micro FROM reading WHERE meter_id = ? AND register = ? AND measured_at_us >= ?"
            " AND quality IN ('archive', 'measured') ORDER BY measured_at_us",
            (meter_id, REGISTERS[resource], since_us),
        ).fetchall()
        hours = []
        for (start_us, start), (end_us, end) in itertools.pairwise(rows):
            if abs(end_us - start_us - HOUR_US) <= HOUR_SLACK_US and end >= start:
                local = moment(start_us, zone)
                volume = from_micro(end - start) * HOUR_US / (end_us - start_us)
                hours.append(Hour(start_us, local.hour, local.date().isoformat(), volume))
        if hours:
            most = from_micro(qmax) if qmax is not None else QMAX[resource][0 if role == "individual" else 1]
            yield FlowFact(places[point_id], role, most, hours)


def _still(
    points: Sequence[Any],
    places: dict[int, Place],
    marks: dict[int, dict[int, tuple[int, int]]],
    limits: IncidentLimits,
    zone: Any,
) -> Iterator[StillFact]:
    for point_id, *_ in points:
        its = marks.get(point_id, {})
        if not its:
            continue
        last, first = max(its), min(its)
        at = last
        while at - 1 in its and its[at - 1] == its[last]:
            at -= 1
        if last - at >= limits.no_flow_days and its[at][0] > its[first][0]:
            before = from_micro(its[at][0] - its[first][0])
            yield StillFact(places[point_id], midnight_us(at, zone), last - at, before)


def _houses(
    building_id: int,
    points: Sequence[Any],
    places: dict[int, Place],
    marks: dict[int, dict[int, tuple[int, int]]],
    today: int,
    limits: IncidentLimits,
    zone: Any,
) -> Iterator[HouseFact]:
    days = range(today - 2 * limits.theft_days, today)

    def volume(point_id: int, day: int) -> Decimal | None:
        its = marks.get(point_id, {})
        start, end = its.get(day), its.get(day + 1)
        return None if start is None or end is None or start[1] != end[1] else from_micro(end[0] - start[0])

    for resource in sorted({row[1] for row in points}):
        house = [(row[0], row[3]) for row in points if row[1] == resource and row[2] == "house"]
        flats = [row[0] for row in points if row[1] == resource and row[2] == "individual"]
        if not house or not flats:
            continue
        whole: list[Decimal | None] = []
        for day in days:
            parts = [(volume(point_id, day), direction) for point_id, direction in house]
            known = [part if direction == "in" else -part for part, direction in parts if part is not None]
            whole.append(sum(known, Decimal(0)) if len(known) == len(parts) else None)
        yield HouseFact(
            place=Place(building_id),
            resource=resource,
            day_starts_us=[midnight_us(day, zone) for day in days],
            house=whole,
            flats={point_id: [volume(point_id, day) for day in days] for point_id in flats},
            places=places,
        )
