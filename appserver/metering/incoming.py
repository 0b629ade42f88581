"""FR-20: readings that come beside LoRaWAN, by HTTP push, by a file in a folder, by import: one way in for all of them.

They merge with what the radio brought by the rules of every reading: the same value for the same moment is one reading,
a stored value beats one read while sending, and different values of equal rank wait for a person.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal, InvalidOperation
from zoneinfo import ZoneInfo

from appserver.db import Database
from appserver.metering.readings import NewReading, store
from appserver.metering.timebase import MAX_AHEAD_US, microseconds, zone_of
from appserver.models.columns import to_micro
from appserver.models.registry import REGISTERS

SOURCES = ("gprs", "import", "gis", "manual")
MAX_VALUE = Decimal(10) ** 12
MAX_ERRORS = 1000
_DATES = ("%d.%m.%Y %H:%M:%S", "%d.%m.%Y %H:%M", "%d.%m.%Y")


@dataclass(frozen=True, slots=True)
class Item:
    """A reading as another system tells it."""

    measured_at: datetime
    """Naive: on the clock of the building."""
    value: Decimal
    serial: str = ""
    meter_id: int | None = None
    register_name: str = ""
    archive: bool = True
    """Stored by the meter at that moment, as against read while asked."""


@dataclass(slots=True)
class Incoming:
    """What became of a delivery."""

    new: int = 0
    known: int = 0
    errors: list[tuple[int, str]] = field(default_factory=list)
    """(number of the item from 0, what is wrong with it)."""


@dataclass(frozen=True, slots=True)
class _Meter:
    id: int
    resource: str
    zone: ZoneInfo


def take(db: Database, items: Sequence[Item], source: str, now_us: int, author: str = "") -> Incoming:
    """Take readings in one transaction; those that are wrong are left out and named.

    Taking the same delivery again changes nothing.
    """
    assert source in SOURCES
    done = Incoming()
    readings: list[NewReading] = []
    with db.transaction() as connection:
        known: dict[tuple[int | None, str], _Meter | str] = {}
        for number, item in enumerate(items):
            key = (item.meter_id, item.serial)
            if key not in known:
                rows = connection.execute(
                    "SELECT m.id, m.resource, coalesce((SELECT b.timezone FROM installation i JOIN point p"
                    "  ON p.id = i.point_id JOIN building b ON b.id = p.building_id WHERE i.meter_id = m.id"
                    "  ORDER BY i.installed_at_us DESC LIMIT 1), 'UTC') FROM meter m WHERE m.id = ?1 OR"
                    " (?1 IS NULL AND m.serial = ?2) LIMIT 2",
                    (item.meter_id, item.serial),
                ).fetchall()
                known[key] = _the_one(rows, item)
            meter = known[key]
            problem = meter if isinstance(meter, str) else _problem(item, meter, now_us)
            if problem or isinstance(meter, str):
                done.errors.append((number, problem))
                continue
            quality = "manual" if source == "manual" else "import" if source in ("import", "gis") else "measured"
            readings.append(
                NewReading(
                    meter.id,
                    item.register_name or REGISTERS[meter.resource],
                    _moment(item, meter),
                    to_micro(item.value),
                    "archive" if source == "gprs" and item.archive else quality,
                    source,
                    now_us,
                    author=author,
                )
            )
        done.new = store(connection, readings, now_us)
    done.known = len(readings) - done.new
    return done


def _the_one(rows: list[tuple[int, str, str]], item: Item) -> _Meter | str:
    if not rows:
        return f"There is no meter {item.meter_id if item.meter_id is not None else repr(item.serial)}."
    if len(rows) > 1:
        return f"Several meters have the number {item.serial!r}; give the meter's id."
    return _Meter(rows[0][0], rows[0][1], zone_of(rows[0][2]))


def _moment(item: Item, meter: _Meter) -> int:
    aware = item.measured_at if item.measured_at.tzinfo else item.measured_at.replace(tzinfo=meter.zone)
    return microseconds(aware)


def _problem(item: Item, meter: _Meter, now_us: int) -> str:
    if not item.value.is_finite() or abs(item.value) >= MAX_VALUE:
        return f"{item.value} cannot be a register's value."
    if not 1990 <= item.measured_at.year <= 2200:
        return "The moment cannot be; check its date."
    if _moment(item, meter) > now_us + MAX_AHEAD_US:
        return "The reading is from the future; check its date and zone."
    return ""


# --------------------------------------------------------------------------------------------------------------- cells


def read_moment(text: str) -> datetime:
    """A date or a moment as tables write it: ISO, or ``01.11.2026 00:00``. Raises ValueError."""
    text = text.strip()
    for pattern in _DATES:
        try:
            return datetime.strptime(text, pattern)  # noqa: DTZ007 (the building's clock)
        except ValueError:
            continue
    return datetime.fromisoformat(text)


def read_value(text: str) -> Decimal:
    """A number with a point or a comma, blanks between thousands allowed. Raises ValueError."""
    try:
        return Decimal(text.replace("\xa0", "").replace(" ", "").replace(",", "."))
    except InvalidOperation:
        raise ValueError(f"{text!r} is not a number") from None
