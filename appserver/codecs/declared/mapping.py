"""What the values of a script's ``data`` are measured as: paths to channels, units and scales."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from appserver.codecs.base import Decoded, Measurement, utc
from appserver.codecs.declared.checks import Table
from appserver.codecs.declared.fields import UNITS
from appserver.codecs.declared.layout_file import VARIANT

PATH = re.compile(r"[^.\s]{1,64}(?:\.[^.\s]{1,64}){0,7}")
MILLISECONDS_FROM = 10**11
MAX_RECORDS = 250
MAX_NUMBER = Decimal(10) ** 15
MAX_DECIMALS = 9


@dataclass(frozen=True, slots=True)
class Reading:
    """One value that is a reading, or one in every record of a list."""

    path: str
    channel: int
    unit: str
    scale: Decimal
    decimals: int
    """Digits that are kept: a script's numbers are binary and end in noise."""
    variant: str
    archive: bool
    at: str
    """Path of the moment; within a record, the record's own."""
    each: str
    """Path of the list; empty: the value stands once."""


@dataclass(frozen=True, slots=True)
class Taken:
    """All that is taken out of a script's values."""

    readings: tuple[Reading, ...]
    flags: Mapping[str, str]
    """Path to the flag that holds when the value there is true."""
    battery: str
    temperature: str
    clock: str


def read_mapping(top: Table) -> Taken:
    """The mapping of a file; what is wrong is noted in the table's faults."""
    readings = tuple(_reading(table) for table in top.tables("measurement"))
    raw = top.raw("flags")
    flags: dict[str, str] = {}
    items = raw.items() if isinstance(raw, dict) else [(path, path.rpartition(".")[2]) for path in top.texts("flags")]
    for path, name in items:
        if isinstance(name, str) and PATH.fullmatch(path) and re.fullmatch(r"[a-z][a-z0-9_]{0,39}", name):
            flags[path] = name
        else:
            top.fault(
                "flags", 'must be paths and flags: { "status.leak" = "leak" }, flags of small letters, digits and _'
            )
    return Taken(readings, flags, _path(top, "battery"), _path(top, "temperature"), _path(top, "time"))


def _path(table: Table, key: str, default: str | None = "") -> str:
    path = table.text(key, default)
    if path and not PATH.fullmatch(path):
        table.fault(key, 'must be names with dots between them: "status.counter"')
    return path


def _reading(table: Table) -> Reading:
    unit, variant = table.text("unit", None), table.text("variant")
    if unit and unit not in UNITS:
        table.fault("unit", f"must be one of {', '.join(UNITS)}; scale brings others to them")
    if variant and not VARIANT.fullmatch(variant):
        table.fault("variant", 'must be small letters, digits and _, such as "reverse"')
    reading = Reading(
        _path(table, "path", None),
        table.integer("channel", 1, 255, None),
        unit,
        table.decimal("scale", "1"),
        table.integer("decimals", 0, MAX_DECIMALS, 6),
        variant,
        table.flag("archive"),
        _path(table, "at"),
        _path(table, "each"),
    )
    table.done()
    return reading


def find(values: Any, path: str) -> Any:
    """The value at a path; None when there is none. A number in a path is a place in a list, from 0."""
    for step in path.split(".") if path else ():
        if isinstance(values, dict):
            values = values.get(step)
        elif isinstance(values, list) and step.isdecimal() and int(step) < len(values):
            values = values[int(step)]
        else:
            return None
    return values


def _number(value: Any) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal | str):
        return None
    try:
        number = Decimal(value.strip()) if isinstance(value, str) else Decimal(str(value))
    except InvalidOperation:
        return None
    return number if number.is_finite() and abs(number) < MAX_NUMBER else None


def _rounded(number: Decimal, decimals: int) -> Decimal:
    """So many digits behind the point at most, without zeros at the end."""
    whole = number.quantize(Decimal(1).scaleb(-decimals)).normalize()
    return whole.quantize(Decimal(1)) if whole.as_tuple().exponent > 0 else whole  # type: ignore[operator]


def _moment(value: Any, clock: str) -> datetime | None:
    """Unix seconds or milliseconds, or ISO text; with a zone it becomes UTC, which a local clock has no use for."""
    number = None if isinstance(value, str) else _number(value)
    if number is not None:
        seconds = number / 1000 if number >= MILLISECONDS_FROM else number
        return utc(float(seconds)) if seconds > 0 else None
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is not None:
            moment = moment.astimezone(UTC) if clock == "utc" else moment
        return moment.replace(tzinfo=None)
    except (ValueError, OverflowError):
        return None


def _measurements(mapping: Taken, values: Any, clock: str) -> Iterator[Measurement]:
    told = _moment(find(values, mapping.clock), clock)
    for reading in mapping.readings:
        records = find(values, reading.each) if reading.each else [values]
        for record in records[:MAX_RECORDS] if isinstance(records, list) else ():
            number = _number(find(record, reading.path))
            if number is None:
                continue
            at = _moment(find(record, reading.at), clock) if reading.at else None if reading.each else told
            if reading.each and at is None:
                continue  # a stored value without its moment is no reading
            value = _rounded(number * reading.scale, reading.decimals)
            yield Measurement(reading.channel, value, reading.unit, reading.variant, at, reading.archive)


def apply(mapping: Taken, values: dict[str, Any], clock: str) -> Decoded:
    """The values of a script with what they are measured as."""
    flags = None
    if mapping.flags:
        flags = tuple(dict.fromkeys(name for path, name in mapping.flags.items() if _true(find(values, path))))
    battery, temperature = _number(find(values, mapping.battery)), _number(find(values, mapping.temperature))
    return Decoded(
        tuple(_measurements(mapping, values, clock)),
        flags,
        round(battery) if mapping.battery and battery is not None and 0 <= battery <= 100 else None,
        round(temperature) if mapping.temperature and temperature is not None and abs(temperature) < 1000 else None,
        _moment(find(values, mapping.clock), clock) if mapping.clock else None,
        plain(values),
    )


def _true(value: Any) -> bool:
    return value not in (None, False, 0, "", "0", "no", "off", "false", "none", "normal")


def plain(value: Any) -> Any:
    """Values as they are stored: decimals of a script's JSON as numbers again."""
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return float(value) if isinstance(value, Decimal) else value
