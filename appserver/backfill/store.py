"""Gaps out of application.db, and queries in it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date
from typing import Any

import msgspec

from appserver.backfill.plan import Asked, Gap, answer_state, budget, choose, stamp_of, subsystem_of
from appserver.codecs import CommandError, encode
from appserver.db import Connection, Database
from appserver.metering.timebase import HOUR_US, day_of, midnight_us, moment, zone_of
from appserver.models.registry import REGISTERS
from appserver.rules.kinds import Backfill

OPEN = "('planned', 'queued')"
_DEVICES = (
    "SELECT c.dev_eui, c.channel, c.register, p.resource, c.meter_id, p.id, i.installed_at_us, c.valid_from_us, b.timezone,"
    " coalesce(d.clock_zone, '')"
    " FROM module_channel c JOIN installation i ON i.meter_id = c.meter_id AND i.removed_at_us IS NULL"
    " JOIN point p ON p.id = i.point_id JOIN building b ON b.id = p.building_id"
    " JOIN device_state d ON d.dev_eui = c.dev_eui WHERE c.valid_until_us IS NULL"
    " AND d.last_uplink_at_us >= ? ORDER BY c.dev_eui, c.channel"
)
LOOKED_AT = 200
"""Frames of a device that are searched for what it told."""
SILENT_US = 3 * 24 * HOUR_US
"""A class A device that says nothing hears nothing."""


@dataclass(frozen=True, slots=True)
class Query:
    """A query as it goes out."""

    id: int
    dev_eui: str
    f_port: int
    data: bytes
    expires_at_us: int


def gaps(connection: Connection, now_us: int, rule: Backfill) -> dict[Gap, tuple[str, str]]:
    """Boundaries that are due and not known, with the zones of building and device."""
    found: dict[Gap, tuple[str, str]] = {}
    devices = connection.execute(_DEVICES, (now_us - SILENT_US,)).fetchall()
    if not devices:
        return found
    today = now_us // (24 * HOUR_US) + 1
    known: dict[int, set[int]] = {}
    for point, day in connection.execute(
        "SELECT point_id, day FROM boundary WHERE day BETWEEN ? AND ?", (today - rule.days_back - 1, today)
    ):
        known.setdefault(point, set()).add(day)
    for dev_eui, channel, register, resource, meter, point, installed_us, bound_us, timezone, device_zone in devices:
        if register != REGISTERS[resource]:
            continue  # boundaries are those of the principal register
        zone = zone_of(timezone)
        last = day_of(now_us - rule.grace_hours * HOUR_US, zone)
        since_us = max(installed_us, bound_us)
        its = known.get(point, set())
        for day in range(last - rule.days_back, last + 1):
            if day not in its and midnight_us(day, zone) > since_us:
                found[Gap(dev_eui, meter, point, day, subsystem_of(channel))] = (timezone, device_zone or timezone)
    return found


def plan(db: Database, now_us: int, rule: Backfill) -> int:
    """Write down what is to be asked next. Returns how many queries are new."""
    with db.transaction() as connection:
        busy = {eui for (eui,) in connection.execute(f"SELECT dev_eui FROM archive_query WHERE state IN {OPEN}")}
        lately = connection.execute(
            "SELECT count(*) FROM archive_query WHERE planned_at_us > ?", (now_us - HOUR_US,)
        ).fetchone()[0]
        room = budget(rule, lately, len(busy))
        if not room:
            return 0
        missing = gaps(connection, now_us, rule)
        asked = [
            Asked(*row)
            for row in connection.execute(
                f"SELECT point_id, day, state FROM archive_query WHERE state NOT IN {OPEN} AND planned_at_us > ?",
                (now_us - 2 * rule.days_back * 24 * HOUR_US,),
            )
        ]
        radios = _radios(connection, {gap.dev_eui for gap in missing})
        able = [gap for gap in missing if gap.dev_eui in radios]
        new = 0
        for gap in choose(able, asked, busy, room, rule):
            codec, protocol, f_port = radios[gap.dev_eui]
            building, device = missing[gap]
            stamp = stamp_of(gap.day, zone_of(building), zone_of(device))
            request = {
                "command": "archive_query",
                "protocol": protocol,
                "archive": stamp.archive,
                "time": stamp.time.isoformat(),
                "subsystem": gap.subsystem,
            }
            try:
                _, data = encode(codec, request)
            except CommandError:
                continue  # e.g. protocol 1.8 knows full hours only
            connection.execute(
                "INSERT INTO archive_query (dev_eui, meter_id, point_id, day, subsystem, archive, device_time, f_port, data,"
                " state, reason, planned_at_us, expires_at_us, queue_item_id)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 'planned', '', ?, ?, '')",
                (
                    gap.dev_eui,
                    gap.meter_id,
                    gap.point_id,
                    gap.day,
                    gap.subsystem,
                    stamp.archive,
                    stamp.time.isoformat(),
                    f_port,
                    data,
                    now_us,
                    now_us + rule.expires_hours * HOUR_US,
                ),
            )
            new += 1
        return new


def _radios(connection: Connection, dev_euis: set[str]) -> dict[str, tuple[str, str, int]]:
    """Codec, protocol and port of those devices that can be asked, by the last frame with a protocol."""
    found: dict[str, tuple[str, str, int]] = {}
    for dev_eui in dev_euis:
        for codec, words, f_port in connection.execute(
            "SELECT codec, object, f_port FROM uplink WHERE dev_eui = ? AND codec LIKE 'karat%' AND object IS NOT NULL"
            " ORDER BY received_at_us DESC LIMIT ?",
            (dev_eui, LOOKED_AT),
        ).fetchall():
            protocol = msgspec.json.decode(words).get("protocol")
            if protocol in ("1.8", "2.0"):
                found[dev_eui] = (codec.partition("@")[0], protocol, f_port)
                break
    return found


def settle(db: Database, now_us: int) -> int:
    """Close queries whose boundary is known, that the device refused, or that nobody answered. Returns how many."""
    settled = 0
    with db.transaction() as connection:
        for id_, dev_eui, point, day, planned_us, expires_us in connection.execute(
            "SELECT id, dev_eui, point_id, day, planned_at_us, expires_at_us FROM archive_query"
            f" WHERE state IN {OPEN} ORDER BY id"
        ).fetchall():
            outcome: tuple[str, str] | None = None
            if connection.execute("SELECT 1 FROM boundary WHERE point_id = ? AND day = ?", (point, day)).fetchone():
                outcome = ("answered", "")
            else:
                outcome = _refusal(connection, dev_eui, planned_us)
            if outcome is None and now_us > expires_us:
                outcome = ("expired", "")
            if outcome is not None:
                connection.execute(
                    "UPDATE archive_query SET state = ?, reason = ?, settled_at_us = ? WHERE id = ?",
                    (*outcome, now_us, id_),
                )
                settled += 1
    return settled


def _refusal(connection: Connection, dev_eui: str, since_us: int) -> tuple[str, str] | None:
    for (words,) in connection.execute(
        "SELECT object FROM uplink WHERE dev_eui = ? AND received_at_us > ? AND object IS NOT NULL"
        " ORDER BY received_at_us LIMIT ?",
        (dev_eui, since_us, LOOKED_AT),
    ).fetchall():
        outcome = answer_state(msgspec.json.decode(words))
        if outcome is not None:
            return outcome
    return None


def planned(db: Database) -> list[Query]:
    """Queries that the network does not have yet."""
    return [
        Query(*row)
        for row in db.rows(
            "SELECT id, dev_eui, f_port, data, expires_at_us FROM archive_query WHERE state = 'planned' ORDER BY id"
        )
    ]


def handed_over(db: Database, query_id: int, queue_item_id: str) -> None:
    """The network has it."""
    with db.transaction() as connection:
        connection.execute(
            "UPDATE archive_query SET state = 'queued', queue_item_id = ? WHERE id = ? AND state = 'planned'",
            (queue_item_id, query_id),
        )


def refused(db: Database, query_id: int, reason: str, now_us: int) -> None:
    """The network does not take it."""
    with db.transaction() as connection:
        connection.execute(
            "UPDATE archive_query SET state = 'failed', reason = ?, settled_at_us = ? WHERE id = ?",
            (reason[:500], now_us, query_id),
        )


@dataclass(frozen=True, slots=True)
class QueryRow:
    """A query as lists show it."""

    id: int
    dev_eui: str
    day: date
    archive: str
    device_time: str
    state: str
    reason: str
    planned_at_us: int
    settled_at_us: int | None


def of_meter(db: Database, meter_id: int, limit: int = 12) -> list[QueryRow]:
    """The last queries for a meter, newest first."""

    def row(values: tuple[Any, ...]) -> QueryRow:
        id_, dev_eui, day, *rest = values
        return QueryRow(id_, dev_eui, moment(day * 24 * HOUR_US).astimezone(UTC).date(), *rest)

    return [
        row(values)
        for values in db.rows(
            "SELECT id, dev_eui, day, archive, device_time, state, reason, planned_at_us, settled_at_us FROM archive_query"
            " WHERE meter_id = ? ORDER BY planned_at_us DESC, id DESC LIMIT ?",
            (meter_id, limit),
        )
    ]
