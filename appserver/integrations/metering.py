"""Events of metering itself, beside those of devices: topic and body."""

from __future__ import annotations

from typing import Any

from appserver.integrations.chirpstack import time_text

METERING_TYPES = ("incident",)
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
