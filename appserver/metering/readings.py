"""Readings: the one way in, and lists of them."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from decimal import Decimal
from operator import itemgetter
from typing import Any

from appserver.db import Connection, Database, contains, like
from appserver.errors import RegistryError
from appserver.metering.boundary import NO_RANK, RANK
from appserver.metering.hours.due import due_around
from appserver.metering.refreshing import listed, refresh_many
from appserver.metering.store import days_near
from appserver.metering.timebase import zone_of
from appserver.models.columns import from_micro, to_micro
from appserver.models.registry import REGISTERS, UNITS


@dataclass(frozen=True, slots=True)
class NewReading:
    """A reading on its way into the database."""

    meter_id: int
    register_name: str
    measured_at_us: int
    value_micro: int
    quality: str
    source: str
    received_at_us: int
    device_time_us: int | None = None
    uplink_id: int | None = None
    codec: str = ""
    author: str = ""
    clock_error_us: int | None = None


_INSERT = (
    "INSERT INTO reading (meter_id, register, measured_at_us, value_micro, quality, source, received_at_us,"
    " recorded_at_us, device_time_us, uplink_id, codec, author, clock_error_us, conflict)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
)
_EARLIER = (
    "UPDATE reading SET quality = ?, received_at_us = ?, device_time_us = ?, uplink_id = ?, codec = ?, clock_error_us = ?"
    " WHERE meter_id = ? AND register = ? AND measured_at_us = ? AND value_micro = ? AND source = ? AND author = ?"
    " AND received_at_us > ? AND EXISTS (SELECT 1 FROM unsealed u WHERE u.recorded_at_us = reading.recorded_at_us"
    " AND u.meter_id = reading.meter_id AND u.register = reading.register"
    " AND u.measured_at_us = reading.measured_at_us AND u.value_micro = reading.value_micro)"
)
"""Of frames that tell the same the first received is the one that told it, also when it is taken later."""
KEYS_A_QUERY = 1000


def _strength(table: str) -> str:
    """SQL: the more, the more a row's quality counts."""
    ranks = " ".join(f"WHEN '{quality}' THEN {-rank}" for quality, rank in RANK.items())
    return f"CASE {table}.quality {ranks} ELSE {-NO_RANK} END"


_KEY = itemgetter(0, 1, 2, 3)
_LAST = (
    "INSERT INTO last_reading (meter_id, register, measured_at_us, value_micro, quality, received_at_us)"
    " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (meter_id, register) DO UPDATE SET"
    " measured_at_us = excluded.measured_at_us, value_micro = excluded.value_micro,"
    " quality = excluded.quality, received_at_us = excluded.received_at_us"
    f" WHERE (excluded.measured_at_us, {_strength('excluded')}, excluded.received_at_us) >"
    f" (last_reading.measured_at_us, {_strength('last_reading')}, last_reading.received_at_us)"
)
"""The newest moment; of one moment what counts for it, and of equals what came last."""


def store(connection: Connection, readings: Sequence[NewReading], now_us: int) -> int:
    """Write readings, the last reading of each register, and the boundary values they decide.

    What is there already stays as it is; where it was told by a frame that came later, the earlier one becomes its origin
    as long as its day is not sealed. Returns how many readings are new. Needs an open transaction.
    """
    if not readings:
        return 0
    readings = sorted(readings, key=lambda reading: reading.received_at_us)
    known = _known(connection, readings)
    rows = []
    earlier: list[NewReading] = []
    for r in readings:
        values = known.setdefault((r.meter_id, r.register_name, r.measured_at_us), {})
        if r.value_micro in values:
            if r.received_at_us < values[r.value_micro]:
                values[r.value_micro] = r.received_at_us
                earlier.append(r)
            continue
        rows.append(
            (
                r.meter_id,
                r.register_name,
                r.measured_at_us,
                r.value_micro,
                r.quality,
                r.source,
                r.received_at_us,
                now_us,
                r.device_time_us,
                r.uplink_id,
                r.codec,
                r.author,
                r.clock_error_us,
                bool(values),
            )
        )
        values[r.value_micro] = r.received_at_us
    rows.sort(key=_KEY)  # neighbours in the table one after another
    connection.executemany(_INSERT, rows)
    if earlier:
        connection.executemany(_EARLIER, [_origin(r) for r in earlier])
    new = len(rows)
    newest: dict[tuple[int, str], NewReading] = {}
    for reading in readings:
        key = (reading.meter_id, reading.register_name)
        other = newest.get(key)
        if other is None or _moment(reading) > _moment(other):
            newest[key] = reading
    connection.executemany(
        _LAST,
        [(*key, r.measured_at_us, r.value_micro, r.quality, r.received_at_us) for key, r in sorted(newest.items())],
    )
    if new or earlier:
        follow(connection, readings)
    return new


def follow(connection: Connection, readings: Collection[NewReading]) -> None:
    """Bring in line what these readings decide: boundary values now, the hours around them soon."""
    days, moments = _moved(connection, readings)
    due_around(connection, moments)
    refresh_many(connection, days)


def _origin(r: NewReading) -> tuple[object, ...]:
    """Parameters of ``_EARLIER``."""
    said = (r.quality, r.received_at_us, r.device_time_us, r.uplink_id, r.codec, r.clock_error_us)
    return *said, r.meter_id, r.register_name, r.measured_at_us, r.value_micro, r.source, r.author, r.received_at_us


def _known(connection: Connection, readings: Sequence[NewReading]) -> dict[tuple[int, str, int], dict[int, int]]:
    """What is known already for the moments of these readings: values, and when they were received."""
    known: dict[tuple[int, str, int], dict[int, int]] = {}
    by_register: dict[str, list[tuple[int, int]]] = {}
    for reading in readings:
        by_register.setdefault(reading.register_name, []).append((reading.meter_id, reading.measured_at_us))
    for register, keys in by_register.items():
        keys.sort()
        for start in range(0, len(keys), KEYS_A_QUERY):
            values, parameters = listed(keys[start : start + KEYS_A_QUERY])
            for meter_id, at_us, value, received_us in connection.execute(
                f"WITH k (meter_id, at_us) AS (VALUES {values})"
                " SELECT r.meter_id, r.measured_at_us, r.value_micro, r.received_at_us FROM k"
                " CROSS JOIN reading r ON r.meter_id = k.meter_id AND r.register = ? AND r.measured_at_us = k.at_us",
                [*parameters, register],
            ):
                known.setdefault((meter_id, register, at_us), {})[value] = received_us
    return known


def _moment(reading: NewReading) -> tuple[int, int, int]:
    return reading.measured_at_us, -RANK.get(reading.quality, NO_RANK), reading.received_at_us


def affected(connection: Connection, readings: Collection[NewReading]) -> dict[int, set[int]]:
    """Which days of which points these readings decide."""
    return _moved(connection, readings)[0]


def _moved(
    connection: Connection, readings: Collection[NewReading]
) -> tuple[dict[int, set[int]], list[tuple[int, int]]]:
    """The same, and of which points at which moments something is said."""
    moments: list[tuple[int, int]] = []
    terms: dict[int, list[tuple[Any, ...]]] = {}
    for meter_id, *term in connection.execute(
        "SELECT i.meter_id, i.point_id, i.installed_at_us, coalesce(i.removed_at_us, 1 << 62), b.timezone, p.resource"
        " FROM installation i CROSS JOIN point p ON p.id = i.point_id CROSS JOIN building b ON b.id = p.building_id"
        " WHERE i.meter_id IN (SELECT value FROM json_each(?))",
        (str(sorted({reading.meter_id for reading in readings})),),
    ):
        terms.setdefault(meter_id, []).append(tuple(term))
    days: dict[int, set[int]] = {}
    for reading in readings:
        for point_id, from_us, until_us, timezone, resource in terms.get(reading.meter_id, ()):
            if from_us <= reading.measured_at_us <= until_us and REGISTERS[resource] == reading.register_name:
                moments.append((point_id, reading.measured_at_us))
                near = days_near(reading.measured_at_us, zone_of(timezone))
                if near:
                    days.setdefault(point_id, set()).update(near)
    return days, moments


def add_manual_reading(
    db: Database,
    meter_id: int,
    value: Decimal,
    measured_at_us: int,
    now_us: int,
    author: str,
    register_name: str = "",
    source: str = "manual",
) -> bool:
    """Keep a reading that somebody took by eye or brought from elsewhere. False when it is known already.

    ``register_name`` empty is the resource's principal register. Raises RegistryError ``not_found`` for the meter,
    ``invalid`` for a value or a moment that cannot be.
    """
    if source not in ("manual", "import", "gis"):
        raise RegistryError("invalid", "source", f"There is no source {source!r}; use manual, import or gis.")
    if not value.is_finite() or abs(value) >= Decimal(10) ** 12:
        raise RegistryError("invalid", "value", f"{value} cannot be a register's value.")
    if measured_at_us > now_us:
        raise RegistryError("invalid", "measured_at", "The reading is from the future; check its date.")
    with db.transaction() as connection:
        row = connection.execute("SELECT resource FROM meter WHERE id = ?", (meter_id,)).fetchone()
        if row is None:
            raise RegistryError("not_found", "meter_id", f"There is no meter {meter_id}.")
        reading = NewReading(
            meter_id,
            register_name or REGISTERS[row[0]],
            measured_at_us,
            to_micro(value),
            "manual" if source == "manual" else "import",
            source,
            now_us,
            author=author,
        )
        from appserver.integrations.metering import tell_readings  # it knows metering, which knows no integration

        new = store(connection, [reading], now_us) == 1
        if new:
            tell_readings(connection, [reading], now_us)
        return new


# -------------------------------------------------------------------------------------------------------------- lists


@dataclass(frozen=True, slots=True)
class LastReadingRow:
    """A meter with its place and its last reading."""

    meter_id: int
    serial: str
    model: str
    resource: str
    unit: str
    verification_until: str | None
    """ISO date."""
    point_id: int | None
    role: str | None
    building_id: int | None
    address: str | None
    premises_id: int | None
    premises: str | None
    account_number: str | None
    dev_eui: str | None
    value: Decimal | None
    measured_at_us: int | None
    quality: str | None
    received_at_us: int | None


@dataclass(frozen=True, slots=True)
class LastReadingPage:
    """A page of meters; ``next_cursor`` is None on the last one."""

    items: list[LastReadingRow]
    next_cursor: str | None


_PLACE_KEY = "coalesce(CAST(pr.number AS INTEGER), 0), coalesce(pr.number, ''), m.resource, m.id"
_FROM_METERS = """
  FROM meter m
  LEFT JOIN installation i ON i.meter_id = m.id AND i.removed_at_us IS NULL
  LEFT JOIN point p ON p.id = i.point_id
"""
_FROM_BUILDING = """
  FROM point p
  CROSS JOIN installation i ON i.point_id = p.id AND i.removed_at_us IS NULL
  CROSS JOIN meter m ON m.id = i.meter_id
"""  # CROSS keeps the order: a house is found without looking at the meters of the town
_FROM_PLACE = """
  LEFT JOIN building b ON b.id = p.building_id
  LEFT JOIN premises pr ON pr.id = p.premises_id
  LEFT JOIN last_reading l ON l.meter_id = m.id AND l.register =
    CASE m.resource WHEN 'electricity' THEN 'energy' WHEN 'heat' THEN 'heat' ELSE 'volume' END
"""
_DEV_EUI = (
    "(SELECT c.dev_eui FROM module_channel c WHERE c.meter_id = m.id AND c.valid_until_us IS NULL"
    " ORDER BY c.valid_from_us DESC LIMIT 1)"
)
_ACCOUNTS = " OR pr.account_number LIKE :exact ESCAPE '\\'"
_SEARCH = (
    f"(m.serial LIKE :exact ESCAPE '\\' OR m.model LIKE :exact ESCAPE '\\'{_ACCOUNTS}"
    " OR pr.number = :word OR b.id IN (SELECT id FROM building WHERE fold(address) LIKE :folded ESCAPE '\\')"
    " OR m.id IN (SELECT meter_id FROM module_channel WHERE valid_until_us IS NULL AND dev_eui LIKE :exact ESCAPE '\\'))"
)


LAST_PLACE = ("p.building_id", "p.premises_id", "m.resource")
"""Columns of a meter's place in the query of last readings."""


def last_readings(
    db: Database,
    building_id: int | None = None,
    resource: str = "",
    q: str = "",
    cursor: str = "",
    limit: int = 100,
    silent_since_us: int | None = None,
    only: str = "",
    accounts: bool = True,
) -> LastReadingPage:
    """Meters with their last reading of the principal register; a page by key.

    In the order of flats within a building, else in that of the registry. ``q`` is a part of the serial number, model,
    account, address or DevEUI, or the number of a flat; ``silent_since_us`` leaves only those without a reading
    received since; ``only`` is a condition of ours over :data:`LAST_PLACE`, ``accounts`` lets ``q`` look into accounts.
    Raises RegistryError ``invalid`` for a cursor that is not one.
    """
    conditions: list[str] = [only or "true"]
    parameters: dict[str, Any] = {"limit": limit + 1}
    if building_id is not None:
        conditions.append("p.building_id = :building")
        parameters["building"] = building_id
    if resource:
        conditions.append("m.resource = :resource")
        parameters["resource"] = resource
    if silent_since_us is not None:
        conditions.append("coalesce(l.received_at_us, 0) < :since")
        parameters["since"] = silent_since_us
    if q.strip():
        conditions.append(_SEARCH if accounts else _SEARCH.replace(_ACCOUNTS, ""))
        parameters |= {"exact": like(q), "folded": contains(q), "word": q.strip()}
    key, length, source = ("m.id", 1, _FROM_METERS) if building_id is None else (_PLACE_KEY, 4, _FROM_BUILDING)
    if cursor:
        conditions.append(f"({key}) > ({', '.join(f':k{n}' for n in range(length))})")
        parameters |= {f"k{n}": value for n, value in enumerate(read_cursor(cursor, length))}
    rows = db.rows(
        f"SELECT m.id, m.serial, m.model, m.resource, m.verification_until, p.id, p.role, b.id, b.address, pr.id,"
        f" pr.number, pr.account_number, {_DEV_EUI}, l.value_micro, l.measured_at_us, l.quality, l.received_at_us,"
        f" {key} {source} {_FROM_PLACE} WHERE {' AND '.join(conditions)} ORDER BY {key} LIMIT :limit",
        parameters,
    )
    items = [LastReadingRow(*_with_value((*row[:4], UNITS[row[3]], *row[4:17]), 14)) for row in rows[:limit]]
    return LastReadingPage(items, write_cursor(rows[limit - 1][17:]) if len(rows) > limit else None)


@dataclass(frozen=True, slots=True)
class ReadingRow:
    """A reading with where it came from."""

    meter_id: int
    serial: str
    register_name: str
    measured_at_us: int
    value: Decimal
    quality: str
    source: str
    received_at_us: int
    recorded_at_us: int
    device_time_us: int | None
    codec: str
    author: str
    conflict: bool
    uplink_id: int | None
    dev_eui: str | None
    frame_id: int | None
    session_id: int | None
    f_cnt: int | None


def point_readings(
    db: Database,
    *,
    point_id: int | None = None,
    meter_id: int | None = None,
    register_name: str = "",
    from_us: int = 0,
    until_us: int = 2**62,
    cursor: str = "",
    limit: int = 100,
) -> tuple[list[ReadingRow], str | None]:
    """Readings of a meter, or of all meters of a point while they hung there, newest first; a page and its cursor."""
    if (point_id is None) == (meter_id is None):
        raise RegistryError("invalid", "meter", "Give either a point or a meter.")
    conditions = ["r.measured_at_us >= ?", "r.measured_at_us < ?"]
    parameters: list[Any] = [from_us, until_us]
    if meter_id is not None:
        source = "reading r"
        conditions.append("r.meter_id = ?")
        parameters.append(meter_id)
    else:
        source = "installation i JOIN reading r ON r.meter_id = i.meter_id"
        conditions.append(
            "i.point_id = ? AND r.measured_at_us >= i.installed_at_us"
            " AND r.measured_at_us <= coalesce(i.removed_at_us, 1 << 62)"
        )
        parameters.append(point_id)
    if register_name:
        conditions.append("r.register = ?")
        parameters.append(register_name)
    key = "r.measured_at_us, r.meter_id, r.register, r.value_micro"
    if cursor:
        conditions.append(f"({key}) < (?, ?, ?, ?)")
        parameters += read_cursor(cursor, 4)
    rows = db.rows(
        "SELECT r.meter_id, m.serial, r.register, r.measured_at_us, r.value_micro, r.quality, r.source,"
        " r.received_at_us, r.recorded_at_us, r.device_time_us, r.codec, r.author, r.conflict, r.uplink_id,"
        f" u.dev_eui, u.frame_id, u.session_id, u.f_cnt FROM {source} JOIN meter m ON m.id = r.meter_id"
        f" LEFT JOIN uplink u ON u.id = r.uplink_id WHERE {' AND '.join(conditions)}"
        " ORDER BY r.measured_at_us DESC, r.meter_id DESC, r.register DESC, r.value_micro DESC LIMIT ?",
        [*parameters, limit + 1],
    )
    items = [ReadingRow(*_with_value((*r[:12], bool(r[12]), *r[13:]), 4)) for r in rows[:limit]]
    if len(rows) <= limit:
        return items, None
    last = rows[limit - 1]
    return items, write_cursor((last[3], last[0], last[2], last[4]))


def _with_value(row: tuple[Any, ...], at: int) -> tuple[Any, ...]:
    """The row with the millionths at one place made a Decimal."""
    value = row[at]
    return (*row[:at], None if value is None else from_micro(value), *row[at + 1 :])


def write_cursor(key: Sequence[Any]) -> str:
    """The key of a page's last row as an opaque word."""
    return base64.urlsafe_b64encode(json.dumps(list(key), separators=(",", ":")).encode()).decode().rstrip("=")


def read_cursor(cursor: str, length: int) -> list[Any]:
    """The key in a cursor. Raises RegistryError ``invalid`` when it is none of ours."""
    try:
        key = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        key = None
    if not isinstance(key, list) or len(key) != length or not all(isinstance(k, int | str) for k in key):
        raise RegistryError("invalid", "cursor", "This is not a cursor of this list; start again without one.")
    if any(isinstance(k, int) and not -(2**63) <= k < 2**63 for k in key):
        raise RegistryError("invalid", "cursor", "This is not a cursor of this list; start again without one.")
    return key
