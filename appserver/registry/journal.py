"""The journal of the registry: what changed, since when, who wrote it down, by which document. Lines are only added.

Two times stand in a line: ``effective_on``, since when it is so, and ``recorded_at_us``, since when we know. Together they
answer what was believed on one day about another (:func:`believed`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from sqlmodel import Session, SQLModel, col, select

from appserver.db import Database
from appserver.errors import RegistryError
from appserver.metering.timebase import date_of
from appserver.models import Entrance, Point, Premises, RegistryEvent
from appserver.models.columns import neat
from appserver.models.lifecycle import SUBJECTS
from appserver.services import now_us

DAY_US = 86_400_000_000
MAX_LIMIT = 1000


@dataclass(frozen=True, slots=True)
class Note:
    """What stands beside a change: who makes it, since when it holds, by which document."""

    actor: str = "system"
    effective_on: date | None = None
    """None: since the day on which it is written down."""
    document: str = ""
    remark: str = ""
    at_us: int | None = None
    """When it is written down; None reads the clock."""

    @property
    def recorded_at_us(self) -> int:
        return now_us() if self.at_us is None else self.at_us


SYSTEM = Note()


def shown(value: Any) -> str | None:
    """A value as the journal keeps it."""
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return format(neat(value), "f")
    return value.isoformat() if isinstance(value, date) else str(value)


def row_of(found: SQLModel) -> str:
    """A whole row as the JSON of ``created`` and ``deleted``."""
    values = {name: shown(value) for name, value in found.model_dump().items() if value not in (None, "")}
    return json.dumps(values, ensure_ascii=False)


def record(
    session: Session,
    subject: str,
    subject_id: int,
    event: str,
    note: Note = SYSTEM,
    field: str = "",
    before: str | None = None,
    after: str | None = None,
    effective_on: date | None = None,
) -> RegistryEvent:
    """Add a line. ``effective_on`` beats that of the note."""
    at_us = note.recorded_at_us
    line = RegistryEvent(
        recorded_at_us=at_us,
        effective_on=effective_on or note.effective_on or date_of(at_us // DAY_US),
        actor=note.actor,
        subject=subject,
        subject_id=subject_id,
        event=event,
        field=field,
        before=before,
        after=after,
        document=note.document,
        remark=note.remark,
    )
    session.add(line)
    return line


def record_changes(
    session: Session, subject: str, subject_id: int, changes: Mapping[str, tuple[Any, Any]], note: Note = SYSTEM
) -> None:
    """A line for each column that differs: name → (before, after)."""
    for field, (before, after) in changes.items():
        if before != after:
            record(session, subject, subject_id, "changed", note, field, shown(before), shown(after))


def add_note(db: Database, subject: str, subject_id: int, note: Note) -> RegistryEvent:
    """A line that somebody writes about something, without a change of it. Raises RegistryError."""
    from appserver.registry.crud import fetch

    if subject not in SUBJECTS:
        raise RegistryError("invalid", "subject", f"subject: must be one of {', '.join(SUBJECTS)}.")
    if not note.remark.strip():
        raise RegistryError("invalid", "remark", "remark: must not be empty.")
    with db.writing() as session:
        fetch(session, subject, subject_id)
        line = record(session, subject, subject_id, "note", note)
        session.flush()
        return line


def events(
    db: Database, subject: str, subject_id: int, before_id: int | None = None, limit: int = 100, whole: bool = False
) -> list[RegistryEvent]:
    """Lines about one thing, the newest first. ``whole``: of a building also what happened inside it."""
    wanted: list[tuple[str, Iterable[int]]] = [(subject, [subject_id])]
    with db.reading() as session:
        if whole and subject == "building":
            for name, model in (("premises", Premises), ("point", Point), ("entrance", Entrance)):
                ids = session.exec(select(model.id).where(model.building_id == subject_id)).all()
                wanted.append((name, [id_ for id_ in ids if id_ is not None]))
        found: list[RegistryEvent] = []
        for name, ids in wanted:
            query = select(RegistryEvent).where(
                RegistryEvent.subject == name, col(RegistryEvent.subject_id).in_(list(ids))
            )
            if before_id is not None:
                query = query.where(col(RegistryEvent.id) < before_id)
            found += session.exec(query.order_by(col(RegistryEvent.id).desc()).limit(min(limit, MAX_LIMIT))).all()
    found.sort(key=lambda line: -(line.id or 0))
    return found[:limit]


@dataclass(frozen=True, slots=True)
class Belief:
    """What was known; ``known`` is False when nothing had been written down by then."""

    known: bool
    value: str | None = None
    event_id: int | None = None
    """The line that says so."""


def believed(db: Database, subject: str, subject_id: int, field: str, on: date, known_at_us: int) -> Belief:
    """What the registry said at ``known_at_us`` about ``field`` on day ``on``.

    Before the first line that bears on it the value is that of the row's creation, or the one that the first later
    change replaced, or (no line at all) unknown.
    """
    with db.reading() as session:
        lines = session.exec(
            select(RegistryEvent)
            .where(
                RegistryEvent.subject == subject,
                RegistryEvent.subject_id == subject_id,
                RegistryEvent.recorded_at_us <= known_at_us,
            )
            .order_by(col(RegistryEvent.effective_on), col(RegistryEvent.id))
        ).all()
    belief = Belief(False)
    first_change = None
    for line in lines:
        if line.event == "created" and line.effective_on <= on:
            belief = Belief(True, json.loads(line.after or "{}").get(field), line.id)
        elif line.event == "changed" and line.field == field:
            if line.effective_on <= on:
                belief = Belief(True, line.after, line.id)
            elif first_change is None:
                first_change = line
    if not belief.known and first_change is not None and not any(line.event == "created" for line in lines):
        return Belief(True, first_change.before, first_change.id)
    return belief
