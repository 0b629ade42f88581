"""A town in an application database: houses of 181 metering points, a year of daily readings and what was made of them.

The registry goes in row by row, readings and boundary values are written by the database itself out of arithmetic: what a
year of ingest would have left, in minutes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date

from appserver.db import Connection, Database
from appserver.metering.hours import settle
from appserver.metering.timebase import date_of, day_number, midnight_us, zone_of

POINTS_A_HOUSE = 181
"""180 individual ones and the common meter of the house."""
RESOURCE = "cold_water"
ZONE = "Asia/Yekaterinburg"
LAST_DAY = date(2026, 11, 1)
SILENT_EVERY = 100
"""Every so many devices is silent for three days."""
DAY_US = 86_400_000_000
START_MICRO = 100_000_000


@dataclass(frozen=True, slots=True)
class Town:
    """What is in the database."""

    houses: int
    days: int
    hourly_houses: int = 0
    """The first so many tell every hour, not midnights alone."""
    hourly_days: int = 365
    """So many days before ``LAST_DAY``."""

    @property
    def points(self) -> int:
        return self.houses * POINTS_A_HOUSE

    @property
    def first_day(self) -> date:
        """Boundary values are known from its midnight on, up to that of ``LAST_DAY``."""
        return date_of(day_number(LAST_DAY) - self.days + 1)

    @property
    def now_us(self) -> int:
        """Eight hours into ``LAST_DAY``."""
        return midnight_us(day_number(LAST_DAY), zone_of(ZONE)) + 8 * 3_600_000_000


def dev_eui(point_id: int) -> str:
    """The radio module of a point."""
    return f"70b3d5e75e{point_id:06x}"


def total_micro(point_id: int, day: int, first_day: int) -> int:
    """What a point has counted up to the midnight of a day: the same arithmetic as in :func:`_days`."""
    days = day - first_day + 10
    total = days * (point_id * 7919 % 600_000) + days // 7 * (point_id * 31 % 90_000)
    return total * (190 if is_common(point_id) else 1)


def build(db: Database, town: Town, say: Callable[[str], None]) -> None:
    """Fill an empty database."""
    say(f"registry of {town.points:,} points in {town.houses} houses")
    with db.transaction() as connection:
        _registry(connection, town)
    with _bulk(db) as connection:
        say(f"{town.points * town.days:,} readings and boundary values")
        _days(connection, town, postgresql=bool(db.url))
    db.connection.execute("INSERT INTO day_tally SELECT day, count(*) FROM boundary GROUP BY day")
    build_hours(db, town, say)
    say("statistics of the tables")
    if db.url:
        db.connection.execute("VACUUM (ANALYZE)")
    else:
        db.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def build_hours(db: Database, town: Town, say: Callable[[str], None]) -> None:
    """Readings at every hour of some houses, and their packed hours by the same way as those of the ingest."""
    # What was built before hours were kept has all of them due: of points that tell midnights only, none would be kept.
    db.connection.execute("DELETE FROM hours_due")
    if not town.hourly_houses or has_hours(db, town):
        return
    last = day_number(LAST_DAY)
    first = max(last - town.hourly_days, day_number(town.first_day))
    points = range(1, town.hourly_houses * POINTS_A_HOUSE + 1)
    say(f"{len(points) * (last - first) * 23:,} readings between the midnights of {town.hourly_houses} houses")
    with _without_triggers(db) as connection:
        _hours(connection, town, first, last, postgresql=bool(db.url))
    connection.executemany("INSERT INTO hours_due VALUES (?, ?, ?)", [(point, first - 1, last) for point in points])
    begin, cpu = time.perf_counter(), time.process_time()
    days = settle(db)
    took, cpu = time.perf_counter() - begin, time.process_time() - cpu
    say(f"their hours settled in {took:.0f} s, {cpu / days / 24 * 1e6:.1f} µs CPU an hour")


def has_hours(db: Database, town: Town) -> bool:
    """Whether the hours of the houses that tell them are kept."""
    months = db.rows("SELECT count(*) FROM point_hours WHERE point_id = ?", (town.hourly_houses * POINTS_A_HOUSE,))
    return bool(months[0][0])


def is_built(db: Database, town: Town) -> bool:
    """Whether the database holds this town, whole."""
    if db.rows("SELECT count(*) FROM point")[0][0] != town.points:
        return False
    of_last = (town.points, day_number(town.first_day), day_number(LAST_DAY))
    known = db.rows("SELECT count(*) FROM boundary WHERE point_id = ? AND day BETWEEN ? AND ?", of_last)[0][0]
    return known == town.days and db.rows("SELECT count(*) FROM day_tally")[0][0] >= town.days


def _registry(connection: Connection, town: Town) -> None:
    start_us = midnight_us(day_number(town.first_day) - 10, zone_of(ZONE))
    many = connection.executemany
    many("INSERT INTO organisation (id, kind, name, inn) VALUES (?, 'management_company', ?, '')", [(1, "УК Город")])
    many(
        "INSERT INTO building (id, organisation_id, address, fias_guid, timezone, kind) VALUES (?, 1, ?, '', ?, 'house')",
        [(n, f"ул. Измерительная, д. {n}", ZONE) for n in range(1, town.houses + 1)],
    )
    flats = [(n, house_of(n), str(n)) for n in range(1, town.points + 1) if not is_common(n)]
    many(
        "INSERT INTO premises (id, building_id, number, kind, account_number) VALUES (?, ?, ?, 'flat', ?)",
        [(n, house, str((n - 1) % POINTS_A_HOUSE), f"74{n:08}") for n, house, _ in flats],
    )
    points = range(1, town.points + 1)
    many(
        "INSERT INTO point (id, building_id, premises_id, resource, role, direction, name)"
        f" VALUES (?, ?, ?, '{RESOURCE}', ?, 'in', '')",
        [(n, house_of(n), None if is_common(n) else n, "house" if is_common(n) else "individual") for n in points],
    )
    many(
        "INSERT INTO meter (id, serial, manufacturer, model, resource, digits, verification_until)"
        f" VALUES (?, ?, 'KARAT', '926LW', '{RESOURCE}', ?, '2030-01-01')",
        [(n, f"{10_000_000 + n}", 8 if is_common(n) else 5) for n in points],
    )
    many(
        "INSERT INTO installation (id, point_id, meter_id, installed_on, installed_at_us, start_value, ratio)"
        " VALUES (?, ?, ?, ?, ?, ?, '1')",
        [(n, n, n, date_of(day_number(town.first_day) - 10).isoformat(), start_us, START_MICRO) for n in points],
    )
    many(
        "INSERT INTO module_channel (id, dev_eui, channel, meter_id, register, weight, start_value, start_pulses,"
        " valid_from_us) VALUES (?, ?, 1, ?, 'volume', '1', 0, 0, ?)",
        [(n, dev_eui(n), n, start_us) for n in points],
    )
    many(
        "INSERT INTO device_state (dev_eui, clock_zone, commissioned_at_us, last_uplink_at_us, last_reading_at_us,"
        " battery_pct, flags) VALUES (?, '', 0, ?, ?, 97, '')"
        " ON CONFLICT (dev_eui) DO UPDATE SET last_uplink_at_us = excluded.last_uplink_at_us",
        [(dev_eui(n), seen_us, seen_us) for n in points for seen_us in [_seen_us(town, n)]],
    )


def house_of(point_id: int) -> int:
    return (point_id - 1) // POINTS_A_HOUSE + 1


def is_common(point_id: int) -> bool:
    return point_id % POINTS_A_HOUSE == 1


def _seen_us(town: Town, point_id: int) -> int:
    silent_us = 3 * DAY_US if point_id % SILENT_EVERY == 0 else 0
    return town.now_us - point_id % 14_000 * 1_000_000 - silent_us


@contextmanager
def _bulk(db: Database) -> Iterator[Connection]:
    """Triggers and indexes that would be kept up row by row are set aside; they are back, and true, afterwards."""
    connection = db.connection
    if db.url:
        for table in ("reading", "boundary"):
            connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER ALL")
        keys = connection.execute(
            "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint"
            " WHERE conrelid IN ('reading'::regclass, 'boundary'::regclass) AND contype = 'p'"
        ).fetchall()
        indexes = connection.execute(
            "SELECT indexname, indexdef FROM pg_indexes WHERE tablename IN ('reading', 'boundary')"
            " AND indexname NOT LIKE '%_pkey'"
        ).fetchall()
        for table, name, _ in keys:
            connection.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name}")
        for name, _ in indexes:
            connection.execute(f"DROP INDEX {name}")
        connection.execute("SET maintenance_work_mem = '512MB'")
        yield connection
        for table, name, definition in keys:
            connection.execute(f"ALTER TABLE {table} ADD CONSTRAINT {name} {definition}")
        for _, definition in indexes:
            connection.execute(definition)
        for table in ("reading", "boundary"):
            connection.execute(f"ALTER TABLE {table} ENABLE TRIGGER ALL")
        return
    kept = connection.execute(
        "SELECT type, name, sql FROM sqlite_schema WHERE tbl_name IN ('reading', 'boundary') AND sql IS NOT NULL"
        " AND (type = 'trigger' OR type = 'index')"
    ).fetchall()
    for type_, name, _ in kept:
        connection.execute(f"DROP {type_} {name}")
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("PRAGMA foreign_keys = OFF")
    connection.execute("PRAGMA cache_size = -262144")
    yield connection
    for _, _, sql in kept:
        connection.execute(sql)
    connection.execute("PRAGMA cache_size = -8192")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA synchronous = FULL")


@contextmanager
def _without_triggers(db: Database) -> Iterator[Connection]:
    """Readings come in without what follows each of them; within one transaction."""
    with db.transaction() as connection:
        if db.url:
            connection.execute("ALTER TABLE reading DISABLE TRIGGER ALL")
            yield connection
            connection.execute("ALTER TABLE reading ENABLE TRIGGER ALL")
            return
        kept = connection.execute(
            "SELECT name, sql FROM sqlite_schema WHERE tbl_name = 'reading' AND type = 'trigger'"
        ).fetchall()
        for name, _ in kept:
            connection.execute(f"DROP TRIGGER {name}")
        yield connection
        for _, sql in kept:
            connection.execute(sql)


def _hours(connection: Connection, town: Town, first: int, last: int, postgresql: bool) -> None:
    """What flows in a day spread over its hours: the total at an hour is between those of the midnights around it."""
    zone = zone_of(ZONE)
    connection.execute("CREATE TEMP TABLE town_hour (day BIGINT, hour BIGINT, at_us BIGINT)")
    connection.executemany(
        "INSERT INTO town_hour VALUES (?, ?, ?)",
        [(d, h, midnight_us(d, zone) + h * 3_600_000_000) for d in range(first, last) for h in range(1, 24)],
    )

    def total(day: str) -> str:
        days = f"({day} - {day_number(town.first_day)} + 10)"
        return (
            f"(({days} * CAST((p.id * 7919 % 600000) AS BIGINT) + {days} / 7 * (p.id * 31 % 90000))"
            " * CASE WHEN p.role = 'house' THEN 190 ELSE 1 END)"
        )

    connection.execute(
        "INSERT INTO reading (meter_id, register, measured_at_us, value_micro, quality, source, received_at_us,"
        " recorded_at_us, device_time_us, codec, author, conflict, clock_error_us)"
        f" SELECT p.id, 'volume', h.at_us, {START_MICRO} + {total('h.day')} + ({total('(h.day + 1)')} - {total('h.day')})"
        " * h.hour / 24, 'archive', 'lorawan', h.at_us + 7200000000, h.at_us + 7200000000, h.at_us, 'karat@2', '',"
        f" {'false' if postgresql else '0'}, 2000000 FROM point p CROSS JOIN town_hour h WHERE p.id <="
        f" {town.hourly_houses * POINTS_A_HOUSE} ORDER BY p.id, h.at_us"
    )


def _days(connection: Connection, town: Town, postgresql: bool) -> None:
    """Readings at every midnight and the boundary values they decide."""
    first, last = day_number(town.first_day), day_number(LAST_DAY)
    zone = zone_of(ZONE)
    connection.execute("CREATE TEMP TABLE town_day (day BIGINT PRIMARY KEY, midnight_us BIGINT)")
    connection.executemany(
        "INSERT INTO town_day VALUES (?, ?)", [(day, midnight_us(day, zone)) for day in range(first, last + 1)]
    )
    # A total that grows by the same litres every day of a point, and by some more on every seventh.
    total = (
        f"((t.day - {first} + 10) * CAST((p.id * 7919 % 600000) AS BIGINT)"
        f" + (t.day - {first} + 10) / 7 * (p.id * 31 % 90000)) * CASE WHEN p.role = 'house' THEN 190 ELSE 1 END"
    )
    true = "false" if postgresql else "0"
    connection.execute(
        "INSERT INTO reading (meter_id, register, measured_at_us, value_micro, quality, source, received_at_us,"
        " recorded_at_us, device_time_us, codec, author, conflict, clock_error_us)"
        f" SELECT p.id, 'volume', t.midnight_us, {START_MICRO} + {total}, 'archive', 'lorawan',"
        f" t.midnight_us + 7200000000, t.midnight_us + 7200000000, t.midnight_us, 'karat@2', '', {true}, 2000000"
        " FROM point p CROSS JOIN town_day t ORDER BY p.id, t.day"
    )
    connection.execute(
        "INSERT INTO boundary (point_id, day, installation_id, value_micro, total_micro, breaks, quality, event, clock_us,"
        f" spread_micro) SELECT p.id, t.day, p.id, {START_MICRO} + {total}, {total}, 0, 'measured', CASE WHEN t.day ="
        f" {first} THEN 'installed' ELSE '' END, 2000000, 0 FROM point p CROSS JOIN town_day t ORDER BY p.id, t.day"
    )
    connection.execute(
        "INSERT INTO last_reading (meter_id, register, measured_at_us, value_micro, quality, received_at_us)"
        " SELECT r.meter_id, r.register, r.measured_at_us, r.value_micro, r.quality, r.received_at_us FROM point p"
        " JOIN reading r ON r.meter_id = p.id AND r.register = 'volume' AND r.measured_at_us ="
        " (SELECT max(midnight_us) FROM town_day)"
    )
