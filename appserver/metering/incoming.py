"""FR-20: readings that come beside LoRaWAN, by HTTP push, by a file in a folder, by import: one way in for all of them.

They merge with what the radio brought by the rules of every reading: the same value for the same moment is one reading,
a stored value beats one read while sending, and different values of equal rank wait for a person.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal, InvalidOperation
from zoneinfo import ZoneInfo

from appserver.db import Connection, Database
from appserver.integrations.metering import tell_readings
from appserver.metering.readings import NewReading, store
from appserver.metering.timebase import MAX_AHEAD_US, microseconds, zone_of
from appserver.models.columns import to_micro
from appserver.models.registry import REGISTERS

SOURCES = ("gprs", "import", "gis", "manual")
MAX_VALUE = Decimal(10) ** 12
MAX_ERRORS = 1000
_REGISTER = re.compile(r"[a-z][a-z0-9_]{0,59}")
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
    point_id: int | None = None
    account: str = ""
    """Account (лицевой счёт) of the premises; with ``resource`` where it has several meters."""
    resource: str = ""


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
    from_us: int
    """From when to when it is meant."""
    until_us: int


def take(db: Database, items: Sequence[Item], source: str, now_us: int, author: str = "") -> Incoming:
    """Take readings in one transaction; those that are wrong are left out and named.

    Taking the same delivery again changes nothing.
    """
    with db.transaction() as connection:
        return take_into(connection, items, source, now_us, author)


def take_into(connection: Connection, items: Sequence[Item], source: str, now_us: int, author: str = "") -> Incoming:
    """Take readings within an open transaction."""
    assert source in SOURCES
    done = Incoming()
    readings: list[NewReading] = []
    known: dict[tuple[int | None, str, int | None, str, str], list[_Meter]] = {}
    for number, item in enumerate(items):
        key = (item.meter_id, item.serial, item.point_id, item.account, item.resource)
        if key not in known:
            known[key] = _candidates(connection, item)
        meter = _the_one(known[key], item)
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
    if done.new:
        tell_readings(connection, readings, now_us)
    done.known = len(readings) - done.new
    return done


_BY_METER = (
    "SELECT m.id, m.resource, coalesce((SELECT b.timezone FROM installation i JOIN point p"
    " ON p.id = i.point_id JOIN building b ON b.id = p.building_id WHERE i.meter_id = m.id"
    " ORDER BY i.installed_at_us DESC LIMIT 1), 'UTC'), 0, 1 << 62 FROM meter m WHERE"
)
_BY_PLACE = (
    "SELECT m.id, m.resource, b.timezone, i.installed_at_us, coalesce(i.removed_at_us, 1 << 62) FROM installation i"
    " JOIN meter m ON m.id = i.meter_id JOIN point p ON p.id = i.point_id JOIN building b ON b.id = p.building_id"
    " LEFT JOIN premises r ON r.id = p.premises_id WHERE"
)


def _candidates(connection: Connection, item: Item) -> list[_Meter]:
    """Meters that an item may mean, by the most exact thing that it says."""
    for query, condition, value in (
        (_BY_METER, "m.id = ?", item.meter_id),
        (_BY_METER, "m.serial = ?", item.serial),
        (_BY_PLACE, "p.id = ?", item.point_id),
        (_BY_PLACE, "r.account_number = ? AND p.role = 'individual'", item.account),
    ):
        if value not in (None, ""):
            rows = connection.execute(f"{query} {condition} LIMIT 1000", (value,)).fetchall()
            return [
                _Meter(id_, resource, zone_of(zone), from_us, until_us)
                for id_, resource, zone, from_us, until_us in rows
                if not item.resource or resource == item.resource
            ]
    return []


def _the_one(meters: list[_Meter], item: Item) -> _Meter | str:
    """The meter of an item, or what is wrong. Where a place is told, it is the meter that hung there then."""
    what = next((f"{word} {value!r}" for word, value in _names(item) if value not in (None, "")), "")
    if not what:
        return "It names no meter; give its serial number, its point or the account."
    if not meters:
        return f"There is no {what}."
    fitting = {m.id: m for m in meters if m.from_us <= _moment(item, m) < m.until_us}
    if not fitting:
        return f"No meter hung at {what} then."
    if len(fitting) > 1:
        more = "" if item.resource else "the resource or "
        return f"Several meters have the {what}; give {more}the meter's id."
    return next(iter(fitting.values()))


def _names(item: Item) -> tuple[tuple[str, int | str | None], ...]:
    return (
        ("meter", item.meter_id),
        ("meter", item.serial),
        ("point", item.point_id),
        ("account", item.account),
    )


def _moment(item: Item, meter: _Meter) -> int:
    aware = item.measured_at if item.measured_at.tzinfo else item.measured_at.replace(tzinfo=meter.zone)
    return microseconds(aware)


def _problem(item: Item, meter: _Meter, now_us: int) -> str:
    if item.register_name and not _REGISTER.fullmatch(item.register_name):
        return f"{item.register_name!r} is no register; write one such as volume, energy_t1 or heat."
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
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a date; write it as 01.11.2026 00:00 or 2026-11-01T00:00:00+03:00") from None


def read_value(text: str) -> Decimal:
    """A number with a point or a comma, blanks between thousands allowed. Raises ValueError."""
    try:
        return Decimal(text.replace("\xa0", "").replace(" ", "").replace(",", "."))
    except InvalidOperation:
        raise ValueError(f"{text!r} is not a number") from None
