"""Detectors over what devices, gateways and the registry say. Pure: a picture in, findings out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from appserver.incidents.facts import DeviceFact, Finding, FlagFact, GatewayFact, Picture, Place

HOUR_US = 3_600_000_000
MEMBERS = 50
"""At most so many members of a group are named in its evidence."""

FLAGS = {
    "magnetic_tamper": "magnet",
    "magnet": "magnet",
    "mechanical_tamper": "opened",
    "head_detached": "opened",
    "case_opened": "opened",
    "terminal_opened": "opened",
    "indicator_blocked": "opened",
    "leak": "leak",
    "burst": "burst",
    "reverse_flow": "reverse_flow",
    "reverse": "reverse_flow",
    "backflow": "reverse_flow",
    "no_medium": "no_flow",
    "no_water": "no_flow",
    "dry": "no_flow",
    "low_battery": "low_battery",
    "hardware_fault": "device_fault",
    "permanent_error": "device_fault",
    "temperature_sensor_error": "device_fault",
    "temperature_sensor_broken": "device_fault",
    "pressure_sensor_error": "device_fault",
    "pressure_sensor_broken": "device_fault",
    "flow_meter_power_error": "device_fault",
    "flow_meter_power_lost": "device_fault",
    "mass_not_computable": "device_fault",
    "heat_not_computable": "device_fault",
    "mass_imbalance": "device_fault",
    "heat_negative": "device_fault",
    "freeze": "device_fault",
}
"""Flags of devices → kind of incident; a flag that is not here (``corrected``, ``flow_low``) is none."""


def flags(kind: str, picture: Picture) -> Iterator[Finding]:
    """Conditions that a device told, from the first frame with them to the first without."""
    by_key: dict[tuple[str, int], list[FlagFact]] = defaultdict(list)
    for fact in picture.flags:
        if FLAGS.get(fact.flag) == kind:
            by_key[fact.place.subject, fact.raised_at_us].append(fact)
    for (_, raised_at_us), facts in by_key.items():
        ends = [fact.cleared_at_us for fact in facts]
        ended = None if None in ends else max(end for end in ends if end is not None)
        evidence = {"flags": sorted({fact.flag for fact in facts})}
        yield Finding(kind, facts[0].place, raised_at_us, evidence, ended)


def silent_meters(picture: Picture) -> Iterator[Finding]:
    """Radio modules that are not heard; many of one building are one incident."""
    limit_us = picture.limits.silent_meter_hours * HOUR_US
    houses: dict[int | None, list[tuple[int, DeviceFact]]] = defaultdict(list)
    for device in picture.devices:
        since_us = max(device.last_uplink_at_us or 0, device.since_us)
        if picture.now_us - since_us > limit_us:
            houses[device.place.building_id].append((since_us, device))
    for building_id, silent in houses.items():
        if building_id is None or len(silent) < picture.limits.silent_group:
            for since_us, device in silent:
                evidence = {
                    "last_uplink_at_us": device.last_uplink_at_us,
                    "hours": (picture.now_us - since_us) // HOUR_US,
                }
                yield Finding("silent_meter", device.place, since_us, evidence)
            continue
        names = sorted(device.place.dev_eui for _, device in silent)
        evidence = {"count": len(names), "devices": names[:MEMBERS]}
        yield Finding("silent_meter", Place(building_id), min(since for since, _ in silent), evidence)


def silent_gateways(picture: Picture) -> Iterator[Finding]:
    """From GATEWAY_OFFLINE to GATEWAY_ONLINE, as the network tells them."""
    by_gateway: dict[str, list[GatewayFact]] = defaultdict(list)
    for fact in picture.gateways:
        by_gateway[fact.gateway_eui].append(fact)
    for eui, facts in by_gateway.items():
        down: GatewayFact | None = None
        for fact in sorted(facts, key=lambda f: f.at_us):
            if fact.code == "GATEWAY_OFFLINE" and down is None:
                down = fact
            elif fact.code == "GATEWAY_ONLINE" and down is not None:
                yield Finding("silent_gateway", Place(gateway_eui=eui), down.at_us, {"text": down.text}, fact.at_us)
                down = None
        if down is not None:
            yield Finding("silent_gateway", Place(gateway_eui=eui), down.at_us, {"text": down.text})


def low_batteries(picture: Picture) -> Iterator[Finding]:
    """A battery below the limit, and devices that say so themselves."""
    for device in picture.devices:
        if device.battery_pct is not None and device.battery_pct < picture.limits.battery_pct:
            evidence = {"battery_pct": device.battery_pct, "limit_pct": picture.limits.battery_pct}
            yield Finding("low_battery", device.place, device.last_uplink_at_us or device.since_us, evidence)
    yield from flags("low_battery", picture)


def clocks(picture: Picture) -> Iterator[Finding]:
    """Device clocks that are further off than the limit."""
    limit_us = picture.limits.clock_s * 1_000_000
    for device in picture.devices:
        if device.clock_offset_us is not None and abs(device.clock_offset_us) > limit_us:
            evidence = {"offset_s": device.clock_offset_us // 1_000_000, "limit_s": picture.limits.clock_s}
            yield Finding("clock", device.place, device.last_uplink_at_us or device.since_us, evidence)


def conflicts(picture: Picture) -> Iterator[Finding]:
    """Values that contradict another of the same register and moment, until a person decides."""
    for fact in picture.conflicts:
        evidence = {"register": fact.register, "value": format(fact.value, "f")}
        subject = f"{fact.place.subject}:{fact.register}:{fact.at_us}"
        yield Finding("conflict", fact.place, fact.at_us, evidence, subject=subject)


def verifications(picture: Picture) -> Iterator[Finding]:
    """Meters in service whose verification has ended."""
    for fact in picture.verifications:
        evidence = {"until": fact.until, "readings_count": fact.counts}
        yield Finding("verification", fact.place, fact.ended_at_us, evidence)


def reverse_flows(picture: Picture) -> Iterator[Finding]:
    """Flow backwards, by the register of a day and by the device's own word."""
    for fact in picture.events:
        if fact.event == "reverse_flow":
            yield Finding("reverse_flow", fact.place, fact.day_start_us, {"event": fact.event}, fact.day_end_us)
    yield from flags("reverse_flow", picture)


def graphs(picture: Picture) -> Iterator[Finding]:
    """Runs of days off the temperature graph."""
    for fact in picture.graphs:
        evidence = {"side": fact.side, "days": fact.days, "worst_c": format(fact.worst_c, "f")}
        subject = f"{fact.place.subject}:{fact.side}"
        yield Finding("temperature_graph", fact.place, fact.started_at_us, evidence, fact.ended_at_us, subject)
