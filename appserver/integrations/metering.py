"""Events of metering itself, beside those of devices: topic and body."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from appserver.db import Database
from appserver.errors import RegistryError
from appserver.integrations.chirpstack import identifier, time_text
from appserver.integrations.outbox import enqueue_own, wanted_types
from appserver.metering.timebase import moment, zone_of
from appserver.models.columns import from_micro
from appserver.models.registry import REGISTERS, UNITS

if TYPE_CHECKING:
    from appserver.db import Connection
    from appserver.metering.readings import NewReading

METERING_TYPES = ("incident", "reading", "balance")
"""Event types that integrations may take besides ChirpStack's."""


def metering_topic(building_id: int | None, kind: str) -> str:
    """``metering/{building}/{kind}``; what belongs to no building has ``-`` in its place."""
    return f"metering/{building_id if building_id is not None else '-'}/{kind}"


def incident_body(incident: Any, change: str, at_us: int) -> dict[str, Any]:
    """The JSON body of an incident that was opened or closed (``incident`` is an ``incidents.IncidentRow``)."""
    return {
        "topic": metering_topic(incident.building_id, "incident"),
        "time": time_text(at_us),
        "change": change,
        "incident": {
            "id": incident.id,
            "kind": incident.kind,
            "layer": incident.layer,
            "severity": incident.severity,
            "startedAt": time_text(incident.started_at_us),
            "endedAt": None if incident.ended_at_us is None else time_text(incident.ended_at_us),
            "buildingId": incident.building_id,
            "address": incident.address,
            "premises": incident.premises,
            "pointId": incident.point_id,
            "meterId": incident.meter_id,
            "serial": incident.serial,
            "devEui": incident.dev_eui,
            "gatewayId": incident.gateway_eui,
            "evidence": incident.evidence,
            "rule": incident.rule,
        },
    }


# ------------------------------------------------------------------------------------------------------------ readings

_PLACE = (
    "SELECT m.serial, m.resource, p.id, b.id, b.address, r.id, r.number, r.account_number FROM meter m"
    " LEFT JOIN installation i ON i.meter_id = m.id AND i.removed_at_us IS NULL LEFT JOIN point p ON p.id = i.point_id"
    " LEFT JOIN building b ON b.id = p.building_id LEFT JOIN premises r ON r.id = p.premises_id WHERE m.id = ?"
)


def tell_readings(connection: Connection, readings: Iterable[NewReading], now_us: int) -> int:
    """Put those of these readings that are new into the outbox, if anybody wants them. Needs the transaction that wrote them.

    Returns how many.
    """
    if "reading" not in wanted_types(connection):
        return 0
    places: dict[int, tuple[Any, ...]] = {}
    told = set()
    count = 0
    for reading in readings:
        key = (reading.meter_id, reading.register_name, reading.measured_at_us, reading.value_micro)
        if key in told:
            continue
        told.add(key)
        new = connection.execute(
            "SELECT recorded_at_us FROM reading WHERE meter_id = ? AND register = ? AND measured_at_us = ? AND value_micro = ?",
            key,
        ).fetchone()
        if new is None or new[0] != now_us:
            continue
        if reading.meter_id not in places:
            places[reading.meter_id] = connection.execute(_PLACE, (reading.meter_id,)).fetchone()
        enqueue_own(
            connection, reading.meter_id, "reading", now_us, reading_body(reading, places[reading.meter_id], now_us)
        )
        count += 1
    return count


def reading_body(reading: NewReading, place: tuple[Any, ...], now_us: int) -> dict[str, Any]:
    """The JSON body of a reading; ``place`` is a row of ``_PLACE``."""
    serial, resource, point, building, address, premises_id, premises, account = place
    key = f"{reading.meter_id}/{reading.register_name}/{reading.measured_at_us}/{reading.value_micro}"
    return {
        "topic": metering_topic(building, "reading"),
        "deduplicationId": identifier("reading", key),
        "time": time_text(now_us),
        "reading": {
            "meterId": reading.meter_id,
            "serial": serial,
            "resource": resource,
            "register": reading.register_name,
            "measuredAt": time_text(reading.measured_at_us),
            "value": str(from_micro(reading.value_micro)),
            "unit": UNITS[resource] if reading.register_name.partition("_")[0] == REGISTERS[resource] else "",
            "quality": reading.quality,
            "source": reading.source,
            "pointId": point,
            "buildingId": building,
            "address": address,
            "premisesId": premises_id,
            "premises": premises,
            "account": account,
        },
    }


# ------------------------------------------------------------------------------------------------------------ balances

BALANCE_DAYS = 3
"""Days back for which a balance is told again when it has changed."""


def tell_balances(db: Database, now_us: int) -> int:
    """Put the balances of the last days into the outbox that are new or have changed. Returns how many."""
    from appserver.metering import house_balance  # a house's balance knows nothing of integrations

    if "balance" not in wanted_types(db.connection):
        return 0
    told = 0
    for building, resource, timezone in db.rows(
        "SELECT DISTINCT p.building_id, p.resource, b.timezone FROM point p JOIN building b ON b.id = p.building_id"
        " WHERE p.role = 'house' ORDER BY 1, 2"
    ):
        today = moment(now_us, zone_of(timezone)).date()
        try:
            value = house_balance(db, building, resource, today - timedelta(days=BALANCE_DAYS), today, "day")
        except RegistryError:
            continue
        for row in value.periods:
            if row.imbalance is not None:
                told += _tell_balance(db, value, row, row.start.date(), now_us)
    return told


def _tell_balance(db: Database, value: Any, row: Any, day: date, now_us: int) -> int:
    numbers = {
        "buildingId": value.building_id,
        "address": value.address,
        "resource": value.resource,
        "unit": value.unit,
        "day": day.isoformat(),
        "house": str(row.house),
        "individual": str(row.individual),
        "imbalance": str(row.imbalance),
        "imbalancePct": None if row.imbalance_pct is None else str(row.imbalance_pct),
        "coveragePct": None if row.coverage_pct is None else str(row.coverage_pct),
        "error": str(row.error),
        "missing": row.missing,
        "interpolated": row.interpolated,
    }
    name = f"balance:{value.building_id}"
    with db.transaction() as connection:
        for (earlier,) in connection.execute(
            "SELECT body FROM outbox WHERE type = 'balance' AND dev_eui = ? ORDER BY id DESC LIMIT 200", (name,)
        ):
            body = earlier if isinstance(earlier, dict) else json.loads(earlier)
            told = body["balance"]
            if (told["resource"], told["day"]) == (numbers["resource"], numbers["day"]):
                if told == numbers:
                    return 0
                break
        body = {"topic": metering_topic(value.building_id, "balance"), "time": time_text(now_us), "balance": numbers}
        enqueue_own(connection, value.building_id, "balance", now_us, body)
    return 1
