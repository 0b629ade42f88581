"""MET-08: closed periods. What was charged stays as it was; what arrives later goes to the next period as recalculation.

Late readings and corrections are kept and counted like any other: the live balance shows them, the closed period does not
change. Closing freezes the balances, the charges with the versions of their rules, and the statements as printed. What
turns out wrong afterwards is charged by the next period that is closed; where that will not do, the period is opened again,
with a reason, and closed as a further revision.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from appserver.db import Database
from appserver.errors import RegistryError
from appserver.metering.balance import Balance
from appserver.metering.boundary import MAX_GAP_US
from appserver.metering.charges import charges, is_month
from appserver.metering.explain import explain_balance, norm_a_person, norm_rule
from appserver.metering.frozen import ChargedPoint, Recalculation, RuleUsed, Summary, packed
from appserver.metering.hours.series import MAX_DAYS as HOURS_MAX_DAYS
from appserver.metering.hours.series import PART as HOURS
from appserver.metering.hours.series import house_hours
from appserver.metering.queries import MAX_DAYS, house_balance
from appserver.metering.recalculations import pending
from appserver.metering.timebase import day_number, midnight_us, moment, zone_of
from appserver.models.columns import from_micro, to_micro
from appserver.models.registry import REGISTERS
from appserver.rules.entered import rule_book


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
    reopened_at_us: int | None = None
    reopened_by: str = ""
    reopened_reason: str = ""
    latest: bool = True
    """No further revision of the period has been closed since."""

    @property
    def stands(self) -> bool:
        """Whether it is what counts for the period."""
        return self.latest and self.reopened_at_us is None


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
    """Freeze a building's resource from ``first_day`` to ``last_day`` (excluded) as it is known now.

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
        given = (building_id, resource, first_day.isoformat(), last_day.isoformat(), revision, author, reason.strip())
        preview = preview_close(db, building_id, resource, first_day, last_day)
        id_ = connection.execute(
            "INSERT INTO period_close (building_id, resource, first_day, last_day, revision, author, reason,"
            " closed_at_us) VALUES (?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
            (*given, now_us),
        ).fetchone()[0]
        closed = ClosedPeriod(id_, building_id, resource, first_day, last_day, revision, author, reason.strip(), now_us)
        connection.executemany(
            "INSERT INTO period_value (close_id, point_id, start_micro, end_micro, volume_micro, quality)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            [
                (id_, point.point_id, _micro(point.start), _micro(point.end), _micro(point.volume), point.quality)
                for point in preview.balance.points
            ],
        )
        _keep_results(db, connection, closed, preview)  # before they are settled: the prints show them
        connection.executemany(
            "INSERT INTO period_recalculation (close_id, of_close_id, point_id, volume_micro) VALUES (?, ?, ?, ?)",
            [(id_, each.close_id, each.point_id, to_micro(each.volume)) for each in preview.recalculations],
        )
    return closed


def _keep_results(db: Database, connection: Any, closed: ClosedPeriod, preview: Preview) -> None:
    """Write the parts of a closing: within its transaction, so that all of them tell of the same moment."""
    from appserver.reports.archive import prints_of  # statements are made of what this room knows

    span = (closed.building_id, closed.resource, closed.first_day, closed.last_day)
    parts: dict[str, Any] = {"summary": preview.summary}
    for step, most in MAX_DAYS.items():
        if (closed.last_day - closed.first_day).days <= most:
            parts[f"balance/{step}"] = (
                preview.balance if step == "month" else house_balance(db, *span, step, whole_period=True)
            )  # type: ignore[arg-type]
    hashes = {part: packed(value) for part, value in parts.items()}
    if (closed.last_day - closed.first_day).days <= HOURS_MAX_DAYS:
        hashes[HOURS] = packed(house_hours(db, *span).frozen)
    hashes |= {
        part: packed(value)
        for part, value in prints_of(db, closed, {name: sha for name, (_, sha) in hashes.items()}, parts).items()
    }
    connection.executemany(
        "INSERT INTO period_result (close_id, part, content, sha256) VALUES (?, ?, ?, ?)",
        [(closed.id, part, content, sha) for part, (content, sha) in hashes.items()],
    )


@dataclass(frozen=True, slots=True)
class Preview:
    """What closing a period would freeze."""

    balance: Balance
    summary: Summary

    @property
    def recalculations(self) -> list[Recalculation]:
        """What it would charge for earlier periods."""
        return self.summary.recalculations


def preview_close(db: Database, building_id: int, resource: str, first_day: date, last_day: date) -> Preview:
    """What a closing would freeze now, without closing. Raises RegistryError ``not_found`` or ``invalid``."""
    book = rule_book(db)
    balance = house_balance(db, building_id, resource, first_day, last_day, "month", whole_period=True)
    rules, charged = [], []
    if is_month(first_day, last_day):
        made = charges(db, building_id, resource, first_day, balance.points, book)
        rules += made.rules
        charged = [ChargedPoint(id_, one.volume, one.basis, one.clause) for id_, one in made.by_point.items()]
    norm = norm_rule(book, balance)
    rules += [norm] if norm is not None and norm not in rules else []
    used = [RuleUsed(rule.version, rule.source) for rule in rules]
    explanation = explain_balance(db, balance, norm_a_person(book, balance))
    again = pending(db, building_id, resource, first_day)
    return Preview(balance, Summary(charged, again, used, explanation))


def reopen_period(db: Database, close_id: int, *, author: str, reason: str, now_us: int) -> ClosedPeriod:
    """Let a closing hold no more: the period prints what is known until it is closed again.

    Raises RegistryError ``not_found``, ``invalid`` without a reason, ``conflict`` for one that does not stand any more.
    """
    if not reason.strip():
        raise RegistryError("invalid", "reason", "Say why the period is opened again.")
    with db.transaction() as connection:
        if not closed_period(db, close_id).stands:
            raise RegistryError(
                "conflict", "id", "This closing does not stand any more: it was opened again, or closed anew."
            )
        connection.execute(
            "INSERT INTO period_reopen (close_id, author, reason, reopened_at_us) VALUES (?, ?, ?, ?)",
            (close_id, author, reason.strip(), now_us),
        )
    return closed_period(db, close_id)


def closed_periods(
    db: Database, building_id: int | None = None, resource: str = "", close_id: int | None = None
) -> list[ClosedPeriod]:
    """Closings, newest period first, of each the last revision first."""
    rows = db.rows(
        "SELECT c.id, c.building_id, c.resource, c.first_day, c.last_day, c.revision, c.author, c.reason,"
        " c.closed_at_us, r.reopened_at_us, coalesce(r.author, ''), coalesce(r.reason, ''),"
        " NOT EXISTS (SELECT 1 FROM period_close n WHERE n.building_id = c.building_id AND n.resource = c.resource"
        "  AND n.first_day = c.first_day AND n.revision > c.revision)"
        " FROM period_close c LEFT JOIN period_reopen r ON r.close_id = c.id"
        " WHERE (?1 IS NULL OR c.building_id = ?1) AND (?2 = '' OR c.resource = ?2)"
        " AND (?3 IS NULL OR c.id = ?3) ORDER BY c.first_day DESC, c.revision DESC, c.id DESC LIMIT 1000",
        (building_id, resource, close_id),
    )
    return [
        ClosedPeriod(*r[:3], date.fromisoformat(r[3]), date.fromisoformat(r[4]), *r[5:12], latest=bool(r[12]))
        for r in rows
    ]


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
            db, period.building_id, period.resource, period.first_day, period.last_day, "month", whole_period=True
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
