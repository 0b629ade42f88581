"""Hours as CSV: of a house with its balance, or of all its points, a column each."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from typing import Any

from appserver.db import Database
from appserver.exchange.exports import escaped
from appserver.metering.hours.closed import counted_hours
from appserver.metering.hours.series import point_hours
from appserver.metering.timebase import moment, zone_of
from appserver.models.columns import MICRO
from appserver.reports.words import word

_POINTS = (
    "SELECT p.id, p.role, p.name, r.number, m.serial FROM point p LEFT JOIN premises r ON r.id = p.premises_id"
    " LEFT JOIN installation i ON i.point_id = p.id AND i.removed_at_us IS NULL LEFT JOIN meter m ON m.id = i.meter_id"
    " WHERE p.building_id = ? AND p.resource = ? AND p.role IN ('house', 'individual')"
    " ORDER BY p.role = 'individual', CAST(r.number AS INTEGER), r.number, p.name, p.id"
)


def house_file(
    db: Database, building_id: int, resource: str, from_date: date, to_date: date, language: str = "ru"
) -> bytes:
    """Hour by hour: common meters, sum of the individual ones, imbalance, how many points are known."""
    hours, _ = counted_hours(db, building_id, resource, from_date, to_date)
    unit = word(f"u.{hours.unit}", language)
    head = [
        word("hours.start", language),
        *(f"{word(key, language)}, {unit}" for key in ("hours.house", "hours.individual", "hours.imbalance")),
        f"{word('hours.known', language)} {hours.points}",
        word("hours.estimated", language),
    ]
    volumes = ([shown(value, language) for value in each] for each in (hours.house, hours.individual, hours.imbalance))
    starts = _starts(hours.start_us, hours.timezone, len(hours.house))
    return _written(head, zip(starts, *volumes, hours.known, hours.estimated, strict=True))


def points_file(
    db: Database, building_id: int, resource: str, from_date: date, to_date: date, language: str = "ru"
) -> bytes:
    """Hour by hour what each point counted, as it is known now; empty where it is not."""
    start_us, series = point_hours(db, building_id, resource, from_date, to_date)
    rows = db.rows(_POINTS, (building_id, resource))
    timezone = db.rows("SELECT timezone FROM building WHERE id = ?", (building_id,))[0][0]
    columns = [[shown(value, language) for value in series[row[0]]] for row in rows]
    head = [word("hours.start", language), *(_name(row[1:], language) for row in rows)]
    starts = _starts(start_us, timezone, len(columns[0]) if columns else 0)
    return _written(head, zip(starts, *columns, strict=True))


def _name(row: Sequence[Any], language: str) -> str:
    role, name, number, serial = row
    place = number if number else word(f"volumes.{role}", language)
    return escaped(" ".join(filter(None, (place, name, f"№ {serial}" if serial else ""))))


def shown(value: int | None, language: str) -> str:
    """Whole millionths as people read them, without trailing zeros beyond the third decimal."""
    if value is None:
        return ""
    whole, rest = divmod(abs(value), MICRO)
    decimals = f"{rest:06d}"
    text = f"{whole}.{decimals[:3]}{decimals[3:].rstrip('0')}"
    text = f"-{text}" if value < 0 else text
    return text.replace(".", ",") if language == "ru" else text


def _starts(start_us: int, timezone: str, count: int) -> list[str]:
    """When hours begin, by the wall clock with its offset: the hour that comes twice is told apart by it."""
    zone, first = zone_of(timezone), moment(start_us)
    return [f"{(first + timedelta(hours=n)).astimezone(zone):%Y-%m-%d %H:%M%z}" for n in range(count)]


def _written(head: list[str], rows: Iterable[Sequence[Any]]) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out, delimiter=";", lineterminator="\r\n")
    writer.writerow(head)
    writer.writerows(rows)
    return b"\xef\xbb\xbf" + out.getvalue().encode()
