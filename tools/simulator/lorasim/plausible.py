"""What the values of a scenario may be: one row a key, and what must fit together. Nothing absurd gets as far as a run."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator
from typing import Any
from zoneinfo import ZoneInfo

from lorasim import mac, relay
from lorasim.assertions import Assertion
from lorasim.backhaul import Backhaul, BackhaulOutage
from lorasim.faults import Leak, Replacement, Silence, Theft, WrongClock
from lorasim.firmware import Firmware
from lorasim.manners import Manners
from lorasim.meters.config import RESOURCES, Incident, MeterGroup
from lorasim.station_entry import TX_ACK_ERRORS, StationEntry
from lorasim.tables import Clock, DeviceGroup, GatewayEntry, House, Radio, Scenario
from lorasim.timeline import Event
from lorawan import commands
from regional import Plan, PlanError
from regional import plan as region_plan

DAYS = 36_600
"""A century."""
SECONDS = DAYS * 86_400.0
MANY = 10_000_000
"""More devices than any machine's memory holds."""
SHARE = (0.0, 1.0)
DR = (0, 15)
FLAT = (1, MANY)
DAY = (0, DAYS)
LITRES = (0, 1_000_000)

VERSIONS = ("1.0.2", "1.0.3", "1.0.4", "1.1", "1.1.0")
WATER = ("cold_water", "hot_water")
OF_FLATS = (*WATER, "heat")
METERS_OF_FLATS = {"resource": OF_FLATS}

RANGES: dict[type, dict[str, tuple[float, float]]] = {
    Clock: {"days": DAY, "speed": (1e-6, 1e9), "lead_in_s": (0, SECONDS), "duration_s": (0, SECONDS)},
    Radio: {
        "rssi_dbm": (-200, 30),
        "snr_db": (-50, 50),
        "spread_db": (0, 100),
        "fading_db": (0, 100),
        "weaker_db": (0, 200),
        "loss": SHARE,
        "downlink_loss": SHARE,
        "radius_m": (0, 1_000_000),
        "path_loss_at_1_km_db": (0, 300),
        "path_loss_exponent": (0.1, 10),
        "noise_figure_db": (0, 50),
        "coverage_snr_db": (-50, 50),
        "foreign_per_h": (0, 1e8),
        "foreign_dbm": (-200, 30),
    },
    Backhaul: {"delay_ms": (0, 1e7), "jitter_ms": (0, 1e7), "loss": SHARE, "duplicate": SHARE},
    BackhaulOutage: {"at_s": (0, SECONDS), "for_s": (0, SECONDS)},
    GatewayEntry: {
        "tmst_offset_us": (0, (1 << 32) - 1),
        "keepalive_s": (0.1, 86_400),
        "stat_s": (0.1, 86_400),
        "latitude": (-90, 90),
        "longitude": (-180, 180),
        "demodulators": (1, 10_000),
        "x_m": (-1e7, 1e7),
        "y_m": (-1e7, 1e7),
        "tx_ack_errors": SHARE,
        "restarts_s": (0, SECONDS),
    },
    StationEntry: {"reconnect_s": (0.01, 86_400)},
    House: {
        "flats": (1, 100_000),
        "entrances": (1, 1000),
        "v18_every": (0, MANY),
        "serial": (0, 10**12),
        "loss_percent": (-100, 1000),
        "leak_l_per_h": LITRES,
        "pulse_litres": (1, 100_000),
        "report_spread_h": (0.1, 24),
        "common_period_h": (1, 24),
        "confirmed_devices": (0, MANY),
        "deaf_devices": (0, MANY),
        "dr": DR,
        "join_spread_s": (0, SECONDS),
        "join_backoff_max_s": (0.1, SECONDS),
        "battery": (0, 255),
        "hours": (0, 23),
        "current_every_d": DAY,
        "device_time_every_d": DAY,
        "archive_days": DAY,
    },
    Theft: {"flat": FLAT, "from_day": DAY, "until_day": DAY, "share": SHARE, "residents": (0, 100)},
    Leak: {"l_per_h": LITRES, "from_day": DAY},
    WrongClock: {"flats": FLAT, "minutes": (-DAYS * 1440, DAYS * 1440), "from_day": DAY},
    Replacement: {"flat": FLAT, "day": DAY, "hour": (0, 23), "start_litres": LITRES},
    Silence: {"flat": FLAT, "from_day": DAY},
    DeviceGroup: {
        "count": (1, MANY),
        "interval_s": (0.001, SECONDS),
        "f_port": (1, 223),
        "payload_bytes": (0, 242),
        "dr": DR,
        "join_spread_s": (0, SECONDS),
        "link_check": (0, MANY),
        "device_time": (0, MANY),
        "ping_periodicity": (-1, 7),
        "ppm": (-1000, 1000),
        "battery": (0, 255),
        "battery_mah": (0, 1e9),
        "join_backoff_max_s": (0.1, SECONDS),
        "first_dev_nonce": (0, 65_535),
    },
    Manners: {"late": (0, 1000)},
    Firmware: {
        "f_cnt_reset_after": (0, 1 << 32),
        "rx2_frequency_hz": (0, 3_000_000_000),
        "rx2_dr": (-1, 15),
        "rx_shift_ms": (-10_000, 10_000),
        "deaf": SHARE,
    },
    MeterGroup: {
        "count": (1, MANY),
        "every_h": (1 / 3600, DAYS * 24),
        "spread_h": (0, DAYS * 24),
        "serial": (0, 10**12),
        "dr": DR,
        "join_spread_s": (0, SECONDS),
        "join_backoff_max_s": (0.1, SECONDS),
        "battery_mah": (0, 1e9),
        "residents": (0, 100),
    },
    Incident: {"meter": (0, MANY), "from_h": (0, DAYS * 24), "for_h": (0, 1e9), "amount": (-1e9, 1e9)},
    Event: {
        "at_s": (0, SECONDS),
        "share": SHARE,
        "spread_s": (0, SECONDS),
        "for_s": (0, SECONDS),
        "every_s": (0, SECONDS),
        "count": (1, MANY),
        "loss": SHARE,
        "downlink_loss": SHARE,
        "delay_ms": (0, 1e7),
        "jitter_ms": (0, 1e7),
        "f_port": (1, 223),
    },
    Assertion: {"from_s": (0, SECONDS), "until_s": (0, SECONDS)},
}
"""Of numbers, and of each number in a list or table: the lowest and the highest."""

CHOICES: dict[type, dict[str, tuple[Any, ...]]] = {
    House: {
        "mac_version": VERSIONS,
        "common_mac_version": VERSIONS,
        "common_profile": ("vega-si-11", "karat-926lw", "karat-929lw"),
        "resources": OF_FLATS,
        "loss_percent": OF_FLATS,
        "leak_l_per_h": WATER,
    },
    Theft: METERS_OF_FLATS,
    Leak: {"resource": WATER},
    Replacement: METERS_OF_FLATS,
    Silence: METERS_OF_FLATS,
    DeviceGroup: {"mac_version": VERSIONS, "activation": ("OTAA", "ABP")},
    MeterGroup: {"mac_version": VERSIONS, "activation": ("OTAA", "ABP"), "resource": RESOURCES},
    Event: {"error": TX_ACK_ERRORS},
}
"""Of words: those that there are; of a table, its keys."""

HEX: dict[type, dict[str, int]] = {
    GatewayEntry: {"eui": 16},
    House: {"dev_eui": 16, "join_eui": 16, "common_gateway": 16},
    DeviceGroup: {"dev_eui": 16, "join_eui": 16, "dev_addr": 8},
    MeterGroup: {"dev_eui": 16, "join_eui": 16, "dev_addr": 8},
    Event: {"gateway": 16, "devices": 16},
}
"""Of identifiers: how many lower-case hex digits."""

MAY_BE_EMPTY = ("common_gateway", "gateway")
KINDS: tuple[type, ...] = (*mac.HANDLERS, *relay.HANDLERS, commands.LinkADRReq)
REQUESTS = {kind.__name__ for kind in KINDS if kind.__name__.endswith("Req")}


def complaint(scenario: Scenario) -> str | None:
    """The first value that cannot be, with its key; None when there is none."""
    found = [
        _values(scenario, ""),
        _unique(scenario),
        _references(scenario),
        _places_in_time(scenario),
        _rates(scenario),
    ]
    return next((text for texts in found for text in texts), None)


def _values(table: Any, where: str) -> Iterator[str]:
    """Every value by itself, in the order of the tables."""
    kind = type(table)
    rules: list[tuple[dict[str, Any], Callable[[Any, Any], str]]] = [
        (HEX.get(kind, {}), _digits),
        (CHOICES.get(kind, {}), _choice),
        (RANGES.get(kind, {}), _range),
    ]
    for f in dataclasses.fields(table):
        key, value = f.metadata.get("key", f.name), getattr(table, f.name)
        here = f"{where}{key}"
        for name, one in _each(here, value):
            if dataclasses.is_dataclass(one):
                yield from _values(one, f"{name}.")
        for rule, wrong in rules:
            if f.name not in rule or value is None or (value == "" and f.name in MAY_BE_EMPTY):
                continue
            of_keys = wrong is _choice and isinstance(value, dict)
            values = [(here, name) for name in value] if of_keys else _each(here, value)
            yield from (f"{name}: {text}" for name, one in values if (text := wrong(one, rule[f.name])))
    if isinstance(table, Manners):
        yield from _manners(table, where)


def _each(where: str, value: Any) -> list[tuple[str, Any]]:
    if isinstance(value, dict):
        return [(f"{where}.{name}", one) for name, one in value.items()]
    if isinstance(value, list | tuple):
        return [(f"{where}.{index}", one) for index, one in enumerate(value)]
    return [(where, value)]


def _digits(value: str, count: int) -> str:
    fits = len(value) == count and not set(value) - set("0123456789abcdef")
    return "" if fits else f"{value!r} is not {count} lower-case hex digits"


def _choice(value: Any, known: tuple[Any, ...]) -> str:
    return "" if value in known else f"{value!r} is none of {', '.join(map(str, known))}"


def _range(value: float, bounds: tuple[float, float]) -> str:
    low, high = bounds
    if math.isfinite(value) and low <= value <= high:
        return ""
    return f"{value} is not from {low:.10g} to {high:.10g}"


def _manners(manners: Manners, where: str) -> Iterator[str]:
    for key in ("refused", "ignored", "mute"):
        for name in sorted(getattr(manners, key)):
            request, _, part = name.partition(".") if key == "refused" else (name, "", "")
            if request not in REQUESTS:
                yield f"{where}{key}: there is no request {request!r}; known are {', '.join(sorted(REQUESTS))}"
            answer = getattr(commands, f"{request.removesuffix('Req')}Ans", None)
            parts = [f.name for f in dataclasses.fields(answer)] if dataclasses.is_dataclass(answer) else []
            if part and part not in parts:
                yield f"{where}{key}: {request} has no part {part!r}; it has {', '.join(parts) or 'none'}"


# ---------------------------------------------------------------------------------------------- what must fit together


def _groups(scenario: Scenario) -> list[tuple[str, DeviceGroup | MeterGroup]]:
    devices = [(f"devices.{index}.", group) for index, group in enumerate(scenario.devices)]
    return [*devices, *((f"meters.{index}.", group) for index, group in enumerate(scenario.meters))]


def _unique(scenario: Scenario) -> Iterator[str]:
    """Two gateways or devices cannot have one EUI."""
    seen: dict[str, str] = {}
    for index, gateway in enumerate(scenario.gateways):
        if gateway.eui in seen:
            yield f"gateways.{index}.eui: {gateway.eui} is also that of {seen[gateway.eui]}"
        seen[gateway.eui] = f"gateways.{index}"
    ranges: list[tuple[int, int, str]] = []
    for where, group in _groups(scenario):
        first = int(group.dev_eui, 16)
        other = next((name for low, high, name in ranges if first < high and low < first + group.count), None)
        if other is not None:
            yield f"{where}dev_eui: {group.dev_eui} and what follows are devices of {other}, too: count from elsewhere"
        ranges.append((first, first + group.count, where.rstrip(".")))
        for key, value, bits in (("dev_eui", group.dev_eui, 64), ("dev_addr", group.dev_addr, 32)):
            if int(value, 16) + group.count > 1 << bits:
                yield f"{where}{key}: {group.count} counted from {value} do not fit {bits} bits"


def _references(scenario: Scenario) -> Iterator[str]:
    """What is named exists."""
    euis = [gateway.eui for gateway in scenario.gateways]
    if not euis and (scenario.house or scenario.devices or scenario.meters):
        yield "gateways: missing; there are devices, and nobody to hear them"
    house = scenario.house
    if house is not None:
        if house.common_gateway and house.common_gateway not in euis:
            yield f"house.common_gateway: there is no gateway {house.common_gateway}; there are {', '.join(euis)}"
        for key in ("thefts", "replacements", "silences"):
            for index, one in enumerate(getattr(house, key)):
                if one.flat > house.flats:
                    yield f"house.{key}.{index}.flat: {one.flat}, and the house has {house.flats} flats"
    for index, group in enumerate(scenario.meters):
        for number, incident in enumerate(group.incidents):
            if incident.meter >= group.count:
                where = f"meters.{index}.incidents.{number}.meter"
                yield f"{where}: {incident.meter}, and the group has {group.count}, counted from 0"
    names = [group.name or where.split(".")[0] for where, group in _groups(scenario)]
    names += ["house"] if house is not None else []
    for index, event in enumerate(scenario.events):
        where = f"events.{index}."
        if event.gateway and event.gateway not in euis:
            yield f"{where}gateway: there is no gateway {event.gateway}; there are {', '.join(euis)}"
        if event.group and event.group not in names:
            yield f"{where}group: there is no group {event.group!r}; there are {', '.join(map(repr, names)) or 'none'}"
        for dev_eui in event.devices:
            if house is None and not any(_holds(group, dev_eui) for _, group in _groups(scenario)):
                yield f"{where}devices: no group has a device {dev_eui}"


def _holds(group: DeviceGroup | MeterGroup, dev_eui: str) -> bool:
    return 0 <= int(dev_eui, 16) - int(group.dev_eui, 16) < group.count


def _places_in_time(scenario: Scenario) -> Iterator[str]:
    """Zones that there are; what repeats does so at a pace that can be kept. The first day is read when time is virtual."""
    try:
        ZoneInfo(scenario.clock.zone)
    except (ValueError, OSError):  # ZoneInfoNotFoundError is a KeyError
        yield f"clock.zone: {scenario.clock.zone!r} is not a zone such as Asia/Yekaterinburg"
    except KeyError:
        yield f"clock.zone: there is no zone {scenario.clock.zone!r}; one is called Asia/Yekaterinburg"
    for key, (low, high) in [
        ("radio.foreign_dbm", scenario.radio.foreign_dbm),
        *((f"meters.{index}.residents", group.residents) for index, group in enumerate(scenario.meters)),
    ]:
        if low > high:
            yield f"{key}: from {low} to {high}: write the lower one first"
    for index, event in enumerate(scenario.events):
        if 0 < event.every_s < 0.1:
            yield f"events.{index}.every_s: {event.every_s} is neither 0 (once) nor 0.1 or more"
    if scenario.radio.radius_m and not scenario.radio.surroundings:
        yield "radio.surroundings: empty; with a map it must name at least one kind"


def _rates(scenario: Scenario) -> Iterator[str]:
    """Data rates are those of LoRa in the region. A region that does not exist is named when the world is made."""
    try:
        plan = region_plan(scenario.region)
    except PlanError:
        return
    groups = [(f"{where}dr", group.dr) for where, group in _groups(scenario)]
    groups += [("house.dr", scenario.house.dr)] if scenario.house is not None else []
    known = [dr for dr in range(DR[1] + 1) if _is_lora(plan, dr)]
    for where, dr in groups:
        if dr not in known:
            yield f"{where}: {scenario.region} has no LoRa data rate {dr} for uplinks; it has {', '.join(map(str, known))}"

    known = [dr for dr in range(DR[1] + 1) if _is_lora(plan, dr, downlink=True)]
    for where, group in _groups(scenario):
        if (dr := group.firmware.rx2_dr) >= 0 and dr not in known:
            text = f"{scenario.region} has no LoRa data rate {dr} for downlinks; it has {', '.join(map(str, known))}"
            yield f"{where}firmware.rx2_dr: {text}"


def _is_lora(plan: Plan, dr: int, downlink: bool = False) -> bool:
    try:
        return str(plan.datr(dr, downlink=downlink)).startswith("SF")
    except PlanError:
        return False
