"""A person's word over what was read: corrections, and the conflicts that wait for one.

Nothing is overwritten. A correction is a further row that names what it supersedes, its author and its reason; the last
one for a moment holds, and what was believed at any time before can still be asked for (:func:`believed`).
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from appserver.db import Database
from appserver.errors import RegistryError
from appserver.metering.boundary import BoundaryValue, Sample, settle
from appserver.metering.readings import NewReading, follow
from appserver.metering.store import point_history, value_at
from appserver.models.columns import from_micro, to_micro
from appserver.models.registry import REGISTERS

MAX_VALUE = Decimal(10) ** 12


@dataclass(frozen=True, slots=True)
class CorrectionRow:
    """One correction as it stands in the book."""

    id: int
    meter_id: int
    register_name: str
    measured_at_us: int
    value: Decimal | None
    supersedes: Decimal | None
    author: str
    reason: str
    document: str
    recorded_at_us: int


def correct(
    db: Database,
    meter_id: int,
    measured_at_us: int,
    value: Decimal | None,
    *,
    author: str,
    reason: str,
    now_us: int,
    document: str = "",
    register_name: str = "",
) -> CorrectionRow:
    """Say what a register showed at a moment (None: nothing known for it counts), and bring the volumes in line.

    It also settles a conflict: say which of the values holds. ``register_name`` empty is the principal register.
    Raises RegistryError ``not_found`` for the meter, ``invalid`` for a value, a moment or a missing reason,
    ``conflict`` when this holds already or when there is nothing to take away.
    """
    if not reason.strip():
        raise RegistryError("invalid", "reason", "A correction needs its reason.")
    if value is not None and (not value.is_finite() or abs(value) >= MAX_VALUE):
        raise RegistryError("invalid", "value", f"{value} cannot be a register's value.")
    if measured_at_us > now_us:
        raise RegistryError("invalid", "measured_at", "The moment is in the future; check its date.")
    with db.transaction() as connection:
        row = connection.execute("SELECT resource FROM meter WHERE id = ?", (meter_id,)).fetchone()
        if row is None:
            raise RegistryError("not_found", "meter_id", f"There is no meter {meter_id}.")
        register = register_name or REGISTERS[row[0]]
        before, before_id = _counting(connection, meter_id, register, measured_at_us)
        if value == before:
            raise RegistryError(
                "conflict",
                "value",
                "Nothing is known for this moment." if value is None else "This value holds already.",
            )
        micro = None if value is None else to_micro(value)
        id_ = connection.execute(
            "INSERT INTO correction (meter_id, register, measured_at_us, value_micro, supersedes_micro, supersedes_id,"
            " author, reason, document, recorded_at_us) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
            (
                meter_id,
                register,
                measured_at_us,
                micro,
                None if before is None else to_micro(before),
                before_id,
                author,
                reason.strip(),
                document.strip(),
                now_us,
            ),
        ).fetchone()[0]
        if micro is not None:
            connection.execute(
                "UPDATE last_reading SET value_micro = ?, quality = 'corrected'"
                " WHERE meter_id = ? AND register = ? AND measured_at_us = ?",
                (micro, meter_id, register, measured_at_us),
            )
        word = NewReading(meter_id, register, measured_at_us, micro or 0, "corrected", "manual", now_us)
        follow(connection, [word])
    return CorrectionRow(
        id_, meter_id, register, measured_at_us, value, before, author, reason.strip(), document.strip(), now_us
    )


def _counting(
    connection: sqlite3.Connection, meter_id: int, register: str, at_us: int
) -> tuple[Decimal | None, int | None]:
    """What counts for a moment so far, and the correction that says so."""
    key = (meter_id, register, at_us)
    last = connection.execute(
        "SELECT value_micro, id FROM correction WHERE meter_id = ? AND register = ? AND measured_at_us = ?"
        " ORDER BY id DESC LIMIT 1",
        key,
    ).fetchone()
    if last is not None:
        return None if last[0] is None else from_micro(last[0]), last[1]
    samples = [
        Sample(at_us, from_micro(value), quality, received)
        for value, quality, received in connection.execute(
            "SELECT value_micro, quality, received_at_us FROM reading"
            " WHERE meter_id = ? AND register = ? AND measured_at_us = ?",
            key,
        )
    ]
    # In a conflict nothing has been decided: also the value that stands meanwhile may be said to hold.
    if not samples or settle(samples)[1]:
        return None, None
    return settle(samples)[0].value, None


def corrections(
    db: Database, meter_id: int | None = None, before: int | None = None, limit: int = 100
) -> list[CorrectionRow]:
    """Corrections, newest first; ``before`` is an id."""
    rows = db.rows(
        "SELECT id, meter_id, register, measured_at_us, value_micro, supersedes_micro, author, reason, document,"
        " recorded_at_us FROM correction WHERE (?1 IS NULL OR meter_id = ?1) AND (?2 IS NULL OR id < ?2)"
        " ORDER BY id DESC LIMIT ?3",
        (meter_id, before, limit),
    )
    return [CorrectionRow(*row[:4], _decimal(row[4]), _decimal(row[5]), *row[6:]) for row in rows]


@dataclass(frozen=True, slots=True)
class Conflict:
    """Values that contradict each other for one moment, of which a person has to say which holds."""

    meter_id: int
    serial: str
    register_name: str
    measured_at_us: int
    values: tuple[Decimal, ...]
    sources: tuple[str, ...]


def open_conflicts(db: Database, building_id: int | None = None, limit: int = 100) -> list[Conflict]:
    """Conflicts among readings of equal rank that nobody has decided, newest first."""
    keys = db.rows(
        "SELECT DISTINCT r.meter_id, m.serial, r.register, r.measured_at_us FROM reading r INDEXED BY ix_reading_conflict"
        " JOIN meter m ON m.id = r.meter_id WHERE r.conflict AND NOT EXISTS (SELECT 1 FROM correction c"
        "  WHERE c.meter_id = r.meter_id AND c.register = r.register AND c.measured_at_us = r.measured_at_us)"
        " AND (?1 IS NULL OR EXISTS (SELECT 1 FROM installation i JOIN point p ON p.id = i.point_id"
        "  WHERE i.meter_id = r.meter_id AND p.building_id = ?1)) ORDER BY r.measured_at_us DESC",
        (building_id,),
    )
    found: list[Conflict] = []
    for meter_id, serial, register, at_us in keys:
        samples, sources = _told(db, meter_id, register, at_us)
        if settle(samples)[1]:
            values = tuple(sample.value for sample in samples)
            found.append(Conflict(meter_id, serial, register, at_us, values, sources))
            if len(found) == limit:
                break
    return found


def is_disputed(connection: Any, meter_id: int, register: str, at_us: int) -> bool:
    """Whether what counts for a moment is contradicted by a value of the same rank."""
    samples, _ = _told(connection, meter_id, register, at_us)
    return bool(samples) and settle(samples)[1]


def _told(source: Any, meter_id: int, register: str, at_us: int) -> tuple[list[Sample], tuple[str, ...]]:
    """All that was told for a moment, with its sources; ``source`` is a database or a connection."""
    query = (
        "SELECT value_micro, quality, received_at_us, source FROM reading"
        " WHERE meter_id = ? AND register = ? AND measured_at_us = ? ORDER BY recorded_at_us, value_micro"
    )
    ask = source.rows if isinstance(source, Database) else lambda *asked: source.execute(*asked).fetchall()
    rows = ask(query, (meter_id, register, at_us))
    samples = [Sample(at_us, from_micro(value), quality, received) for value, quality, received, _ in rows]
    return samples, tuple(row[3] for row in rows)


def believed(db: Database, point_id: int, at_us: int, known_us: int) -> BoundaryValue | None:
    """What was believed at ``known_us`` about a point's register at ``at_us``. Raises KeyError for the point."""
    with db.snapshot() as connection:
        found = value_at(connection, point_history(connection, point_id), at_us, known_us)
    return None if found is None else found[1]


def _decimal(value: int | None) -> Decimal | None:
    return None if value is None else from_micro(value)
