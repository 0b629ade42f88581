"""What the registry keeps, as a table: columns that may be written, how to check them, what to search, what refers."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any

from sqlmodel import SQLModel

from appserver.metering.timebase import zone_of
from appserver.models import (
    Account,
    Building,
    Entrance,
    Installation,
    Meter,
    MeterSeal,
    MeterVerification,
    ModuleChannel,
    Organisation,
    Point,
    Premises,
)
from appserver.models.lifecycle import BUILDING_STATES, METER_STATES
from appserver.models.registry import (
    BUILDING_KINDS,
    DIRECTIONS,
    ORGANISATION_KINDS,
    PREMISES_KINDS,
    RESOURCES,
    ROLES,
)

Check = Callable[[Any], Any]
"""Takes a given value, returns the one to store; raises ValueError with what is wrong and what to do."""

_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_SEPARATORS = re.compile(r"[-:. ]")


def text(maximum: int = 200, required: bool = False) -> Check:
    """Text without surrounding blanks and without control characters."""

    def check(value: Any) -> str:
        if not isinstance(value, str):
            raise ValueError("must be text")
        stripped = value.strip()
        if required and not stripped:
            raise ValueError("must not be empty")
        if len(stripped) > maximum:
            raise ValueError(f"must have at most {maximum} characters")
        if any(ord(c) < 32 or ord(c) == 127 for c in stripped):
            raise ValueError("must not contain control characters")
        return stripped

    return check


def word(allowed: tuple[str, ...]) -> Check:
    """One of a list of words."""

    def check(value: Any) -> str:
        if value not in allowed:
            raise ValueError(f"must be one of {', '.join(allowed)}")
        return str(value)

    return check


def whole(low: int, high: int) -> Check:
    """A whole number within limits."""

    def check(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ValueError(f"must be a whole number from {low} to {high}")
        return value

    return check


def decimal(low: str = "0", high: str = "1000000000000") -> Check:
    """A decimal number within limits."""

    def check(value: Any) -> Decimal:
        try:
            number = Decimal(value) if isinstance(value, str | int | Decimal) and not isinstance(value, bool) else None
        except InvalidOperation:
            number = None
        if number is None or not number.is_finite() or not Decimal(low) <= number < Decimal(high):
            raise ValueError(f"must be a decimal number from {low} to {high}")
        return number

    return check


def day(value: Any) -> date:
    """A date, or its ISO text."""
    if isinstance(value, str):
        try:
            value = date.fromisoformat(value)
        except ValueError:
            value = None
    if not isinstance(value, date) or not 1990 <= value.year <= 2200:
        raise ValueError("must be a date from 1990 to 2200, such as 2026-11-01")
    return value


def eui(value: Any) -> str:
    """A DevEUI as 16 hex digits, separators allowed."""
    digits = _SEPARATORS.sub("", value).lower() if isinstance(value, str) else ""
    if not re.fullmatch(r"[0-9a-f]{16}", digits):
        raise ValueError("must be 16 hexadecimal digits")
    return digits


def timezone(value: Any) -> str:
    """An IANA zone that this machine knows."""
    try:
        return zone_of(value).key
    except (KeyError, ValueError, TypeError, OSError) as error:
        raise ValueError("must be the IANA name of a time zone, such as Asia/Yekaterinburg") from error


def guid(value: Any) -> str:
    """A GUID of ФИАС/ГАР, or nothing."""
    value = value.strip().lower() if isinstance(value, str) else value
    if value != "" and not (isinstance(value, str) and _GUID.fullmatch(value)):
        raise ValueError("must be a GUID, such as 0c5b2444-70a0-4932-980c-b4dc0d3f02b5")
    return str(value)


def inn(value: Any) -> str:
    """A taxpayer number: 10 or 12 digits, or nothing."""
    value = value.strip() if isinstance(value, str) else value
    if value != "" and not (isinstance(value, str) and re.fullmatch(r"\d{10}|\d{12}", value)):
        raise ValueError("must be 10 or 12 digits")
    return str(value)


def optional(check: Check) -> Check:
    """The check, or None."""
    return lambda value: None if value is None else check(value)


ID = whole(1, 2**63 - 1)
YEAR = whole(1700, 2200)
FLOOR = whole(1, 300)


@dataclass(frozen=True)
class Kind:
    """One table of the registry."""

    model: type[SQLModel]
    noun: str
    columns: dict[str, Check]
    required: tuple[str, ...]
    search: tuple[str, ...] = ()
    """Columns that ``q`` looks into."""
    filters: tuple[str, ...] = ()
    """Columns a list may be narrowed by."""
    references: tuple[tuple[str, str], ...] = ()
    """(column, kind it refers to)."""
    referrers: tuple[tuple[type[SQLModel], str, str], ...] = ()
    """(model, its column, what it is called): what forbids deleting."""
    owns: tuple[tuple[type[SQLModel], str], ...] = ()
    """(model, its column): what is deleted along."""
    advice: str = ""
    """What to do instead of deleting something that has history."""


_METER_ADVICE = "A meter with history stays; remove it from its point to take it out of service."

KINDS = {
    "organisation": Kind(
        Organisation,
        "organisation",
        {"kind": word(ORGANISATION_KINDS), "name": text(required=True), "inn": inn},
        ("name",),
        ("name", "inn"),
        ("kind",),
        referrers=((Building, "organisation_id", "buildings"),),
        advice="Give its buildings to another organisation first.",
    ),
    "building": Kind(
        Building,
        "building",
        {
            "organisation_id": ID,
            "address": text(400, required=True),
            "fias_guid": guid,
            "timezone": timezone,
            "kind": word(BUILDING_KINDS),
            "state": word(tuple(BUILDING_STATES)),
            "built_year": optional(YEAR),
            "floors": optional(FLOOR),
        },
        ("organisation_id", "address"),
        ("address", "fias_guid"),
        ("organisation_id", "kind"),
        (("organisation_id", "organisation"),),
        ((Premises, "building_id", "premises"), (Point, "building_id", "metering points")),
        ((Entrance, "building_id"),),
        "Delete what belongs to it first; a building with readings stays.",
    ),
    "premises": Kind(
        Premises,
        "premises",
        {
            "building_id": ID,
            "number": text(40, required=True),
            "kind": word(PREMISES_KINDS),
            "account_number": text(40),
            "area_m2": optional(decimal(high="1000000")),
            "residents": optional(whole(0, 10_000)),
            "entrance_id": optional(ID),
            "floor": optional(whole(-10, 300)),
        },
        ("building_id", "number"),
        ("number", "account_number"),
        ("building_id", "kind", "account_number", "entrance_id"),
        (("building_id", "building"), ("entrance_id", "entrance")),
        ((Point, "premises_id", "metering points"),),
        ((Account, "premises_id"),),
        "Delete its metering points first; premises with readings stay.",
    ),
    "point": Kind(
        Point,
        "metering point",
        {
            "building_id": ID,
            "premises_id": optional(ID),
            "resource": word(RESOURCES),
            "role": word(ROLES),
            "direction": word(DIRECTIONS),
            "name": text(),
        },
        ("building_id", "resource"),
        ("name",),
        ("building_id", "premises_id", "resource", "role"),
        (("building_id", "building"), ("premises_id", "premises")),
        ((Installation, "point_id", "installations"),),
        (),
        "A point with history stays; remove its meter to close it.",
    ),
    "meter": Kind(
        Meter,
        "meter",
        {
            "serial": text(60, required=True),
            "manufacturer": text(),
            "model": text(),
            "resource": word(RESOURCES),
            "digits": whole(1, 12),
            "qmax": optional(decimal()),
            "verified_on": optional(day),
            "verification_until": optional(day),
            "qstart": optional(decimal()),
            "state": word(tuple(METER_STATES)),
            "type_number": text(60),
            "made_year": optional(YEAR),
            "q3": optional(decimal()),
            "dn_mm": optional(whole(1, 10_000)),
            "accuracy": text(40),
            "verification_months": optional(whole(1, 600)),
            "pulse_weight": optional(decimal("0.000000000001")),
            "firmware": text(60),
        },
        ("serial", "resource"),
        ("serial", "model", "manufacturer", "type_number"),
        ("resource", "serial", "model", "state"),
        referrers=(
            (Installation, "meter_id", "installations"),
            (ModuleChannel, "meter_id", "channels of radio modules"),
        ),
        owns=((MeterSeal, "meter_id"), (MeterVerification, "meter_id")),
        advice=_METER_ADVICE,
    ),
    "entrance": Kind(
        Entrance,
        "entrance",
        {"building_id": ID, "number": text(40, required=True), "floors": optional(FLOOR), "door_code": text(40)},
        ("building_id", "number"),
        ("number",),
        ("building_id",),
        (("building_id", "building"),),
        ((Premises, "entrance_id", "premises"),),
        advice="Take its premises out first.",
    ),
    "account": Kind(
        Account,
        "account",
        {
            "premises_id": ID,
            "number": text(40, required=True),
            "unified_number": text(40),
            "service_id": text(40),
            "holder": text(),
            "share": optional(decimal("0", "1.000001")),
            "opened_on": optional(day),
            "closed_on": optional(day),
        },
        ("premises_id", "number"),
        ("number", "unified_number", "service_id", "holder"),
        ("premises_id", "number"),
        (("premises_id", "premises"),),
    ),
    "seal": Kind(
        MeterSeal,
        "seal",
        {
            "meter_id": ID,
            "number": text(60, required=True),
            "place": text(),
            "set_on": day,
            "set_by": text(),
            "set_act": text(),
            "removed_on": optional(day),
            "removed_by": text(),
            "removed_act": text(),
            "remark": text(1000),
        },
        ("meter_id", "number", "set_on"),
        ("number", "place", "set_act", "removed_act"),
        ("meter_id", "number"),
        (("meter_id", "meter"),),
    ),
    "verification": Kind(
        MeterVerification,
        "verification",
        {
            "meter_id": ID,
            "verified_on": optional(day),
            "valid_until": optional(day),
            "result": word(("fit", "unfit")),
            "document": text(),
            "arshin_number": text(60),
            "organisation": text(),
            "remark": text(1000),
        },
        ("meter_id",),
        ("document", "arshin_number", "organisation"),
        ("meter_id", "result"),
        (("meter_id", "meter"),),
    ),
    "installation": Kind(
        Installation,
        "installation",
        {
            "install_act": text(),
            "installed_by": text(),
            "commissioned_on": optional(day),
            "commission_act": text(),
            "removal_act": text(),
            "removed_by": text(),
            "removal_reason": text(1000),
        },
        (),
        (),
        ("point_id", "meter_id"),
        advice="Close it with the value from the act instead.",
    ),
    "channel": Kind(
        ModuleChannel,
        "channel of a radio module",
        {},
        (),
        ("dev_eui",),
        ("dev_eui", "meter_id"),
        advice="Close it instead.",
    ),
}
