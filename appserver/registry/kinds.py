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
from appserver.models import Building, Installation, Meter, ModuleChannel, Organisation, Point, Premises
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
        },
        ("organisation_id", "address"),
        ("address", "fias_guid"),
        ("organisation_id", "kind"),
        (("organisation_id", "organisation"),),
        ((Premises, "building_id", "premises"), (Point, "building_id", "metering points")),
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
        },
        ("building_id", "number"),
        ("number", "account_number"),
        ("building_id", "kind", "account_number"),
        (("building_id", "building"),),
        ((Point, "premises_id", "metering points"),),
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
        },
        ("serial", "resource"),
        ("serial", "model", "manufacturer"),
        ("resource", "serial", "model"),
        referrers=(
            (Installation, "meter_id", "installations"),
            (ModuleChannel, "meter_id", "channels of radio modules"),
        ),
        advice=_METER_ADVICE,
    ),
    "installation": Kind(
        Installation,
        "installation",
        {},
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
