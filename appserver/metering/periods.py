"""MET-08: closed periods. What was charged stays as it was; what arrives later goes to the list "after close".

Late readings and corrections are kept and counted like any other: the live balance shows them, the closed period does not
change. When the difference shall be charged, the period is closed again as a further revision, with its reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from appserver.db import Database
from appserver.errors import RegistryError
from appserver.metering.boundary import MAX_GAP_US
from appserver.metering.queries import house_balance
from appserver.metering.timebase import day_number, midnight_us, moment, zone_of
from appserver.models.columns import from_micro, to_micro
from appserver.models.registry import REGISTERS


@dataclass(frozen=True, slots=True)
class ClosedPeriod:
    """A building's resource in a period that was closed."""

    id: int
    building_id: int
    resource: str
    first_day: date
    last_day: date
    """Excluded."""
    revision: int
    author: str
    reason: str
    closed_at_us: int


@dataclass(frozen=True, slots=True)
class ClosedValue:
    """A point in a closed period, and what is known of it by now."""

    point_id: int
    premises: str
    start: Decimal | None
    end: Decimal | None
    volume: Decimal | None
    quality: str
    volume_now: Decimal | None
    quality_now: str

    @property
    def changed(self) -> bool:
        """Whether what came later tells otherwise."""
        return self.volume != self.volume_now


@dataclass(frozen=True, slots=True)
class LateRow:
    """A reading or a correction that came after the close."""

    kind: str
    """``reading`` or ``correction``."""
    meter_id: int
    serial: str
    measured_at_us: int
    value: Decimal | None
    recorded_at_us: int
    source: str
    """Source of the reading; reason of the correction."""


def close_period(
    db: Database,
    building_id: int,
    resource: str,
    first_day: date,
    last_day: date,
    *,
    author: str,
    now_us: int,
    reason: str = "",
) -> ClosedPeriod:
    """Freeze the volumes of a building's points from ``first_day`` to ``last_day`` (excluded) as they are known now.

    Closing again what is closed makes a further revision and needs a reason. Raises RegistryError ``invalid`` for a
    period that is not over or that overlaps another in part.
    """
    with db.transaction() as connection:
        row = connection.execute("SELECT timezone FROM building WHERE id = ?", (building_id,)).fetchone()
        if row is None:
            raise RegistryError("not_found", "building_id", f"There is no building {building_id}.")
        if moment(now_us, zone_of(row[0])).date() < last_day:
            raise RegistryError("invalid", "last_day", "The period is not over yet.")
        revision = 1
        for first, last, its in connection.execute(
            "SELECT first_day, last_day, max(revision) FROM period_close WHERE building_id = ? AND resource = ?"
            " AND first_day < ? AND last_day > ? GROUP BY first_day, last_day",
            (building_id, resource, last_day.isoformat(), first_day.isoformat()),
        ).fetchall():
            if (first, last) != (first_day.isoformat(), last_day.isoformat()):
                raise RegistryError(
                    "conflict", "first_day", f"The period overlaps the closed one from {first} to {last}."
                )
            revision = its + 1
        if revision > 1 and not reason.strip():
            raise RegistryError(
                "invalid", "reason", "The period is closed already; a further revision needs its reason."
            )
        id_ = connection.execute(
            "INSERT INTO period_close (building_id, resource, first_day, last_day, revision, author, reason,"
            " closed_at_us) VALUES (?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
            (
                building_id,
                resource,
                first_day.isoformat(),
                last_day.isoformat(),
                revision,
                author,
                reason.strip(),
                now_us,
            ),
        ).fetchone()[0]
        balance = house_balance(db, building_id, resource, first_day, last_day, "month", connection)
        connection.executemany(
            "INSERT INTO period_value (close_id, point_id, start_micro, end_micro, volume_micro, quality)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            [
                (id_, point.point_id, _micro(point.start), _micro(point.end), _micro(point.volume), point.quality)
                for point in balance.points
            ],
        )
    return ClosedPeriod(id_, building_id, resource, first_day, last_day, revision, author, reason.strip(), now_us)


def closed_periods(
    db: Database, building_id: int | None = None, resource: str = "", close_id: int | None = None
) -> list[ClosedPeriod]:
    """Closed periods, newest first."""
    rows = db.rows(
        "SELECT id, building_id, resource, first_day, last_day, revision, author, reason, closed_at_us"
        " FROM period_close WHERE (?1 IS NULL OR building_id = ?1) AND (?2 = '' OR resource = ?2)"
        " AND (?3 IS NULL OR id = ?3) ORDER BY first_day DESC, revision DESC, id DESC LIMIT 1000",
        (building_id, resource, close_id),
    )
    return [ClosedPeriod(*r[:3], date.fromisoformat(r[3]), date.fromisoformat(r[4]), *r[5:]) for r in rows]


def closed_period(db: Database, close_id: int) -> ClosedPeriod:
    """One closed period. Raises RegistryError ``not_found``."""
    found = closed_periods(db, close_id=close_id)
    if not found:
        raise RegistryError("not_found", "id", f"There is no closed period {close_id}.")
    return found[0]


def closed_values(db: Database, close_id: int) -> list[ClosedValue]:
    """The volumes of a closed period as they were, beside those of now. Raises RegistryError ``not_found``."""
    period = closed_period(db, close_id)
    now = {
        point.point_id: point
        for point in house_balance(
            db, period.building_id, period.resource, period.first_day, period.last_day, "month"
        ).points
    }
    values = []
    for point_id, start, end, volume, quality, premises in db.rows(
        "SELECT v.point_id, v.start_micro, v.end_micro, v.volume_micro, v.quality, coalesce(pr.number, '')"
        " FROM period_value v JOIN point p ON p.id = v.point_id LEFT JOIN premises pr ON pr.id = p.premises_id"
        " WHERE v.close_id = ? ORDER BY p.role = 'individual', CAST(pr.number AS INTEGER), pr.number, p.id",
        (close_id,),
    ):
        here = now.get(point_id)
        values.append(
            ClosedValue(
                point_id,
                premises,
                _decimal(start),
                _decimal(end),
                _decimal(volume),
                quality,
                here.volume if here else None,
                here.quality if here else "missing",
            )
        )
    return values


def after_close(db: Database, close_id: int, limit: int = 1000) -> list[LateRow]:
    """Readings and corrections of a closed period that were recorded after it was closed, oldest first.

    Those up to six hours beyond its ends count, for they can decide the value at the end.
    """
    period = closed_period(db, close_id)
    zone = zone_of(db.rows("SELECT timezone FROM building WHERE id = ?", (period.building_id,))[0][0])
    start_us = midnight_us(day_number(period.first_day), zone) - MAX_GAP_US
    end_us = midnight_us(day_number(period.last_day), zone) + MAX_GAP_US
    meters: Sequence[tuple[int, str]] = db.rows(
        "SELECT DISTINCT m.id, m.serial FROM point p JOIN installation i ON i.point_id = p.id"
        " JOIN meter m ON m.id = i.meter_id WHERE p.building_id = ? AND p.resource = ? AND i.installed_at_us < ?"
        " AND coalesce(i.removed_at_us, ?) > ?",
        (period.building_id, period.resource, end_us, end_us, start_us),
    )
    late: list[LateRow] = []
    for meter_id, serial in meters:
        key = (meter_id, REGISTERS[period.resource], start_us, end_us, period.closed_at_us)
        where = " WHERE meter_id = ? AND register = ? AND measured_at_us BETWEEN ? AND ? AND recorded_at_us > ?"
        for kind, table, about in (("reading", "reading", "source"), ("correction", "correction", "reason")):
            late += [
                LateRow(kind, meter_id, serial, at_us, _decimal(value), recorded_us, source)
                for at_us, value, recorded_us, source in db.rows(
                    f"SELECT measured_at_us, value_micro, recorded_at_us, {about} FROM {table}{where}", key
                )
            ]
    return sorted(late, key=lambda row: (row.recorded_at_us, row.meter_id, row.measured_at_us))[:limit]


def _micro(value: Decimal | None) -> int | None:
    return None if value is None else to_micro(value)


def _decimal(value: int | None) -> Decimal | None:
    return None if value is None else from_micro(value)
