"""The registry as the table that an import takes back: the same columns, never the keys."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

import xlsxwriter

from appserver.db import Database
from appserver.exchange.columns import COLUMNS, WORDS
from appserver.models.columns import from_micro

ExportFormat = Literal["csv", "xlsx"]
_FIXED = datetime(2000, 1, 1)  # noqa: DTZ001 (equal exports are equal bytes)
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\0")

_QUERY = """
SELECT o.name, o.kind, o.inn, b.address, b.fias_guid, b.timezone, b.kind, pr.number, pr.kind, pr.account_number,
  pr.area_m2, pr.residents, p.resource, p.role, p.direction, p.name, m.serial, m.manufacturer, m.model, m.digits, m.qmax,
  m.verified_on, m.verification_until, i.installed_on, i.start_value, c.dev_eui, c.channel, c.register, c.weight,
  c.start_value, c.start_pulses
FROM installation i
JOIN point p ON p.id = i.point_id
JOIN building b ON b.id = p.building_id
JOIN organisation o ON o.id = b.organisation_id
JOIN meter m ON m.id = i.meter_id
LEFT JOIN premises pr ON pr.id = p.premises_id
LEFT JOIN module_channel c ON c.meter_id = m.id AND c.valid_until_us IS NULL
WHERE i.removed_at_us IS NULL AND (?1 IS NULL OR b.id = ?1)
ORDER BY o.name, b.address, p.role = 'individual', CAST(pr.number AS INTEGER), pr.number, p.resource, p.id, c.channel
"""
_MICRO = frozenset({"area_m2", "qmax", "start_value", "start_pulses"})


def rows_of(
    db: Database, building_id: int | None = None, devices: Mapping[str, Mapping[str, str]] | None = None
) -> list[dict[str, Any]]:
    """Rows by column name. ``devices``: per DevEUI what the network knows (``name``, ``profile``, ``join_eui``)."""
    names = [column.name for column in COLUMNS if column.group != "device"]
    at = names.index("start_pulses")
    rows = []
    for record in db.rows(_QUERY, (building_id,)):
        *values, channel_start, pulses = record
        row = dict(zip(names[:at], values, strict=True))
        row["start_pulses"] = pulses
        if row["dev_eui"] is not None and Decimal(row["pulse_weight"]) == 1 and not channel_start and not pulses:
            row["pulse_weight"] = row["start_pulses"] = None  # the module sends the register itself
        for name in _MICRO:
            if row[name] is not None:
                row[name] = from_micro(row[name])
        device = (devices or {}).get(row["dev_eui"] or "", {})
        row |= {"device_name": device.get("name"), "profile": device.get("profile"), "join_eui": device.get("join_eui")}
        rows.append(row)
    return rows


def export_table(
    db: Database,
    format: ExportFormat,
    building_id: int | None = None,
    language: str = "ru",
    devices: Mapping[str, Mapping[str, str]] | None = None,
) -> bytes:
    """The meters that hang somewhere, as a file that :func:`appserver.exchange.run` takes back."""
    columns = [column for column in COLUMNS if not column.secret]
    heads = [column.russian[0] if language == "ru" else column.name for column in columns]
    lines = [
        [_shown(column.name, row.get(column.name), language) for column in columns]
        for row in rows_of(db, building_id, devices)
    ]
    return _csv(heads, lines) if format == "csv" else _xlsx(heads, lines)


def _shown(name: str, value: Any, language: str) -> Any:
    if value is not None and language == "ru" and name in WORDS:
        return WORDS[name][value][0]
    return value


def escaped(value: Any) -> Any:
    """A cell that no spreadsheet takes for a formula; numbers stay numbers."""
    if isinstance(value, str) and value.startswith(_FORMULA):
        return "'" + value
    return value


def _csv(heads: list[str], lines: list[list[Any]]) -> bytes:
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, delimiter=";", lineterminator="\r\n")
    writer.writerow(heads)
    for line in lines:
        writer.writerow(["" if v is None else _comma(v) if isinstance(v, Decimal) else escaped(v) for v in line])
    return b"\xef\xbb\xbf" + buffer.getvalue().encode()


def _comma(value: Decimal) -> str:
    return format(value, "f").replace(".", ",")


def _xlsx(heads: list[str], lines: list[list[Any]]) -> bytes:
    buffer = io.BytesIO()
    options = {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
    book = xlsxwriter.Workbook(buffer, options)
    book.set_properties({"created": _FIXED})
    sheet = book.add_worksheet("meters")
    bold = book.add_format({"bold": True, "bottom": 1})
    sheet.write_row(0, 0, heads, bold)
    sheet.freeze_panes(1, 0)
    for number, line in enumerate(lines, 1):
        for column, value in enumerate(line):
            if isinstance(value, str):
                sheet.write_string(number, column, value)
            elif value is not None:
                sheet.write_number(number, column, value)
    sheet.autofit()
    book.close()
    return buffer.getvalue()
