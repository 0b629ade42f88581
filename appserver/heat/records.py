"""Archives of heat calculators as their packets tell them, kept beside the frames they came in."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from appserver.metering.timebase import from_device

_UNITS = frozenset({"gcal", "m3", "t", "c", "mpa", "h", "kwh", "kvarh"})
_CIRCUITS: tuple[tuple[range, str], ...] = (
    (range(0x258, 0x260), "heat1"),
    (range(0x260, 0x264), "heat2"),
    (range(0x264, 0x266), "water"),
    (range(0x26E, 0x26F), "compact"),
    (range(0x320, 0x328), "heat1"),
    (range(0x328, 0x32C), "heat2"),
    (range(0x32C, 0x32E), "water"),
    (range(0x336, 0x338), "compact"),
    (range(0x384, 0x387), "electricity"),
)
"""Packet codes of KARAT calculators by what they tell of; packets of one record are joined."""


@dataclass(frozen=True, slots=True)
class Record:
    """What a calculator had stored for a moment of its clock."""

    subsystem: int
    circuit: str
    archive: str
    at: datetime
    """The end of its hour or day on the device's clock."""
    fields: dict[str, str]


def record_of(values: Mapping[str, Any]) -> Record | None:
    """The record in the words of a KARAT packet, None when it is none: no packet of a calculator, or no stamp."""
    try:
        code = int(str(values.get("packet", "")), 16)
        stamp = datetime.fromisoformat(str(values.get("device_time")))
    except ValueError:
        return None
    circuit = next((name for codes, name in _CIRCUITS if code in codes), None)
    archive = str(values.get("archive", ""))
    if circuit is None or archive in ("", "current"):
        return None
    if archive.startswith(("day", "month")) and stamp.hour == 23:
        stamp = stamp.replace(minute=0, second=0) + timedelta(hours=1)
    fields = {
        name: str(value)
        for name, value in values.items()
        if value is not None and name.rpartition("_")[2] in _UNITS and "_" in name and _is_number(value)
    }
    return Record(int(values.get("subsystem", 1)), circuit, archive, stamp, fields) if fields else None


def _is_number(value: Any) -> bool:
    try:
        return Decimal(str(value)).is_finite()
    except InvalidOperation:
        return False


def keep(
    connection: sqlite3.Connection,
    dev_eui: str,
    uplink_id: int,
    received_at_us: int,
    values: Mapping[str, Any],
    zone: ZoneInfo,
) -> bool:
    """Keep the record of a decoded frame; what is known of it already stays. Needs an open transaction."""
    record = record_of(values)
    if record is None:
        return False
    connection.execute(
        "INSERT INTO calculator_record (dev_eui, subsystem, circuit, archive, at_us, fields, received_at_us, uplink_id)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (dev_eui, subsystem, circuit,"
        " archive, at_us) DO UPDATE SET fields = CASE"
        " WHEN (calculator_record.received_at_us, calculator_record.uplink_id) <= (excluded.received_at_us,"
        " excluded.uplink_id) THEN json_patch(excluded.fields, calculator_record.fields)"
        " ELSE json_patch(calculator_record.fields, excluded.fields) END,"
        " received_at_us = min(calculator_record.received_at_us, excluded.received_at_us)",
        (
            dev_eui,
            record.subsystem,
            record.circuit,
            record.archive,
            from_device(record.at, zone),
            msgspec.json.encode(record.fields).decode(),
            received_at_us,
            uplink_id,
        ),
    )
    return True
