"""Hours as they count: of a closed period what was frozen at its closing, of the rest what is known now."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import msgspec

from appserver.db import Database
from appserver.metering.closed import closings_within
from appserver.metering.frozen import balance_of, part_of
from appserver.metering.hours.series import COLUMNS, PART, HouseHours, house_hours
from appserver.metering.periods import ClosedPeriod
from appserver.metering.timebase import HOUR_US, day_number, midnight_us, zone_of
from appserver.models.columns import to_micro


def counted_hours(
    db: Database, building_id: int, resource: str, from_date: date, to_date: date
) -> tuple[HouseHours, list[ClosedPeriod]]:
    """The hours as they count, and the closings that have days in them, oldest first.

    Raises RegistryError as :func:`~appserver.metering.hours.series.house_hours` does, and for a closing that was
    tampered with.
    """
    live = house_hours(db, building_id, resource, from_date, to_date)
    within = closings_within(db, building_id, resource, from_date, to_date)
    if not within:
        return live, []
    columns: dict[str, list[Any]] = {name: list(getattr(live, name)) for name in COLUMNS}
    for closing in within:
        for name, values in _frozen(db, closing, live.timezone).items():
            if name in columns:
                _put(columns[name], values, (_start_us(closing, live.timezone) - live.start_us) // HOUR_US)
    return replace(live, **columns), within


def _start_us(closing: ClosedPeriod, timezone: str) -> int:
    return midnight_us(day_number(closing.first_day), zone_of(timezone))


def _frozen(db: Database, closing: ClosedPeriod, timezone: str) -> dict[str, Any]:
    """What a closing keeps of its hours; one of before they were kept has them in its balance by hour, if at all."""
    text = part_of(db, closing.id, PART)
    if text is not None:
        return dict(msgspec.json.decode(text))
    balance = balance_of(db, closing.id, "hour")
    if balance is None:
        return {}
    return {
        "house": [None if row.house is None else to_micro(row.house) for row in balance.periods],
        "individual": [to_micro(row.individual or Decimal(0)) for row in balance.periods],
    }


def _put(column: list[Any], values: list[Any], at: int) -> None:
    """Values in the place of those from ``at`` on; what is before the column's start or after its end is left out."""
    values = values[max(-at, 0) :]
    at = max(at, 0)
    column[at : at + len(values)] = values[: max(len(column) - at, 0)]
