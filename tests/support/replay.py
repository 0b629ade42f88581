"""Frames of a database taken again into a blank copy of it: the same registry, no frame, reading or anything that follows."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec

from appserver.db import Database
from appserver.ingest import Ingest
from internalapi.messages import Event

FOLLOWS = (
    "uplink",
    "reading",
    "unsealed",
    "boundary",
    "last_reading",
    "calculator_record",
    "device_flag",
    "event_cursor",
    "archive_query",
    "day_tally",
    "house_hours",
)
"""Tables that frames fill."""
_STATE = "battery_at_us = NULL, temperature_at_us = NULL, clock_at_us = NULL, flags_at_us = NULL, clock_seen_at_us = NULL, last_uplink_at_us = NULL, last_reading_at_us = NULL, battery_pct = NULL, temperature_c = NULL,"

DUMP = {
    "uplink": "dev_eui, session_id, f_cnt, f_port, hex(data), received_at_us, codec, state, reason, object",
    "reading": (
        "meter_id, register, measured_at_us, value_micro, quality, source, received_at_us, device_time_us, r.codec, author,"
        " clock_error_us, recorded_at_us, (SELECT u.dev_eui || ' ' || u.session_id || ' ' || u.f_cnt FROM uplink u"
        " WHERE u.id = r.uplink_id), (SELECT max(o.conflict) FROM reading o WHERE o.meter_id = r.meter_id"
        " AND o.register = r.register AND o.measured_at_us = r.measured_at_us)"
    ),
    "boundary": "point_id, day, installation_id, value_micro, total_micro, breaks, quality, event, clock_us, spread_micro",
    "last_reading": "meter_id, register, measured_at_us, value_micro, quality, received_at_us",
    "calculator_record": "dev_eui, subsystem, circuit, archive, at_us, fields, received_at_us",
    "device_state": (
        "dev_eui, clock_zone, commissioned_at_us, last_uplink_at_us, last_reading_at_us, battery_pct, temperature_c,"
        " clock_offset_us, clock_seen_at_us, flags, battery_at_us, temperature_at_us, clock_at_us, flags_at_us"
    ),
    "device_flag": (
        "dev_eui, flag, raised_at_us, cleared_at_us, note, (SELECT u.dev_eui || ' ' || u.session_id || ' ' || u.f_cnt"
        " FROM uplink u WHERE u.id = r.uplink_id)"
    ),
}
"""Everything that frames decide, ids aside. Of several values for one moment it is the moment that is disputed."""


def blank(source: Path, target: Path) -> Database:
    """A copy of a database without anything that came of frames."""
    with closing(sqlite3.connect(source)) as connection, closing(sqlite3.connect(target)) as copy:
        connection.backup(copy)
    with closing(sqlite3.connect(target)) as copy:
        tables = {name for (name,) in copy.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        triggers = copy.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for name, _ in triggers:
            copy.execute(f"DROP TRIGGER {name}")
        for table in (table for table in FOLLOWS if table in tables):
            copy.execute(f"DELETE FROM {table}")
        copy.execute(f"UPDATE device_state SET {_STATE} clock_offset_us = NULL, flags = ''")
        for _, sql in triggers:
            copy.execute(sql)
        copy.commit()
    return Database(target)


def take(db: Database, events: Iterable[Event], now_us: int, batch: int = 500) -> None:
    """Events in the order given, under ids of that order."""
    numbered = [msgspec.structs.replace(event, id=number) for number, event in enumerate(events, 1)]
    ingest = Ingest(db, lambda: now_us)
    for at in range(0, len(numbered), batch):
        ingest.take(numbered[at : at + batch])


def dump(db: Database) -> dict[str, Sequence[tuple[Any, ...]]]:
    """All that frames decide, in an order of its own."""
    return {table: sorted(db.rows(f"SELECT {columns} FROM {table} r"), key=repr) for table, columns in DUMP.items()}


def differences(one: dict[str, Sequence[tuple[Any, ...]]], other: dict[str, Sequence[tuple[Any, ...]]]) -> list[str]:
    """Rows that only one of two dumps has, as text; empty when they are equal."""
    found = []
    for table in DUMP:
        left, right = (Counter(map(repr, rows[table])) for rows in (one, other))
        found += [f"{table} - {row}" for row in (left - right).elements()]
        found += [f"{table} + {row}" for row in (right - left).elements()]
    return found


def timeless(rows: dict[str, Sequence[tuple[Any, ...]]]) -> dict[str, Sequence[tuple[Any, ...]]]:
    """A dump without the moments at which readings were written down."""
    at = [name.strip() for name in DUMP["reading"].split(",")].index("recorded_at_us")
    return rows | {"reading": [(*row[:at], *row[at + 1 :]) for row in rows["reading"]]}
