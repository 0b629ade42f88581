"""Outdoor temperature: daily means out of a sensor that the network hears, or out of files of the operator.

A file lies in ``data_dir/outdoor``: lines of ``date;temperature`` or ``date;temperature;address``, the decimal mark a
point or a comma; lines with an address hold for buildings whose address contains it, and go before the others.
"""

from __future__ import annotations

import csv
from datetime import date
from decimal import Decimal, InvalidOperation
from pathlib import Path

from appserver.db import Database
from appserver.errors import RegistryError
from appserver.metering.timebase import day_number, midnight_us, zone_of
from appserver.rules import OutdoorSensor, RuleBook

_STEP = Decimal("0.1")


def from_files(folder: Path, address: str) -> dict[date, Decimal]:
    """Daily means for a building. Raises RegistryError that names file and line."""
    general: dict[date, Decimal] = {}
    own: dict[date, Decimal] = {}
    for file in sorted(folder.glob("*.csv")) if folder.is_dir() else ():
        with file.open(encoding="utf-8-sig", newline="") as lines:
            for number, row in enumerate(csv.reader(lines, delimiter=";"), 1):
                if not row or (number == 1 and not row[0][:1].isdigit()):
                    continue
                place = row[2].strip().casefold() if len(row) > 2 else ""
                if place and place not in address.casefold():
                    continue
                try:
                    day, value = _day(row[0].strip()), Decimal(row[1].strip().replace(",", ".").replace("−", "-"))
                    if not -90 <= value <= 60:
                        raise ValueError(value)
                except (ValueError, IndexError, InvalidOperation) as error:
                    detail = f"outdoor file {file.name}, line {number}: write it as 2026-01-31;-12.5"
                    raise RegistryError("invalid", "outdoor", detail) from error
                (own if place else general)[day] = value
    return general | own


def _day(text: str) -> date:
    if "." in text:
        day, month, year = text.split(".")
        return date(int(year), int(month), int(day))
    return date.fromisoformat(text)


def from_sensor(db: Database, sensor: OutdoorSensor, first: date, last: date, timezone: str) -> dict[date, Decimal]:
    """Daily means of what a sensor told on days of a zone, ``last`` excluded."""
    return daily_means(db, sensor.dev_eui, sensor.field, first, last, timezone, Decimal(-90), Decimal(60))


def daily_means(
    db: Database, dev_eui: str, field: str, first: date, last: date, timezone: str, low: Decimal, high: Decimal
) -> dict[date, Decimal]:
    """Daily means of a field that a device's codec gives, on days of a zone, ``last`` excluded; from low to high counts."""
    zone = zone_of(timezone)
    found = {}
    for day in range(day_number(first), day_number(last)):
        rows = db.rows(
            "SELECT json_extract(object, '$.' || ?) FROM uplink WHERE dev_eui = ? AND received_at_us >= ?"
            " AND received_at_us < ?",
            (field, dev_eui, midnight_us(day, zone), midnight_us(day + 1, zone)),
        )
        told = [number for (value,) in rows if (number := _number(value)) is not None and low <= number <= high]
        if told:
            mean = (sum(told) / len(told)).quantize(_STEP)
            found[date.fromordinal(first.toordinal() + day - day_number(first))] = mean
    return found


def _number(value: object) -> Decimal | None:
    try:
        found = None if value is None else Decimal(str(value))
    except InvalidOperation:
        return None
    return found if found is not None and found.is_finite() else None


def outdoor(
    db: Database, book: RuleBook, address: str, timezone: str, first: date, last: date
) -> tuple[dict[date, Decimal], str]:
    """Daily means of a building and where they are from: ``sensor``, ``file`` or an empty text. A file fills in days."""
    from_file = from_files(db.path.parent / "outdoor", address)
    rule = book.find("outdoor_sensor", first, address)
    sensed: dict[date, Decimal] = {}
    if rule is not None and isinstance(rule.values, OutdoorSensor):
        sensed = from_sensor(db, rule.values, first, last, timezone)
    days = {day: value for day, value in (from_file | sensed).items() if first <= day < last}
    return days, "sensor" if sensed else "file" if days else ""
