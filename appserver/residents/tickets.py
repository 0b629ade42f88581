"""Tickets (заявки) of residents and announcements to them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlmodel import col, select

from appserver.db import Database
from appserver.errors import RegistryError
from appserver.models import Announcement, Building, Organisation, Premises, Ticket, TicketMessage
from appserver.models.cabinet import TICKET_KINDS, TICKET_STATES

MAX_OPEN = 20
"""Tickets of one resident that are not done yet."""
_OPEN = ("new", "in_work")


@dataclass(frozen=True, slots=True)
class TicketRow:
    """A ticket with its place."""

    id: int
    premises_id: int
    premises: str
    building_id: int
    address: str
    user_id: int | None
    kind: str
    state: str
    subject: str
    created_at_us: int
    changed_at_us: int


_COLUMNS = (
    "SELECT t.id, t.premises_id, r.number, b.id, b.address, t.user_id, t.kind, t.state, t.subject, t.created_at_us,"
    " t.changed_at_us FROM ticket t JOIN premises r ON r.id = t.premises_id JOIN building b ON b.id = r.building_id"
)
PLACE = ("r.building_id", "r.id", "''")


def tickets(
    db: Database,
    only: str = "",
    user_id: int | None = None,
    state: str = "",
    before: int | None = None,
    limit: int = 100,
) -> list[TicketRow]:
    """Tickets, the newest first. ``only`` is a condition of ours over :data:`PLACE`; ``state`` ``open`` is new or in work."""
    conditions, values = [only or "true"], []
    if user_id is not None:
        conditions.append("t.user_id = ?")
        values.append(user_id)
    if state == "open":
        conditions.append("t.state IN ('new', 'in_work')")
    elif state:
        conditions.append("t.state = ?")
        values.append(state)  # type: ignore[arg-type]
    if before is not None:
        conditions.append("t.id < ?")
        values.append(before)
    rows = db.rows(f"{_COLUMNS} WHERE {' AND '.join(conditions)} ORDER BY t.id DESC LIMIT ?", (*values, limit))
    return [TicketRow(*row) for row in rows]


def ticket(db: Database, ticket_id: int, user_id: int | None = None) -> tuple[TicketRow, list[TicketMessage]]:
    """A ticket and what was said; with ``user_id`` only this author's. Raises RegistryError ``not_found``."""
    rows = db.rows(f"{_COLUMNS} WHERE t.id = ?", (ticket_id,))
    if not rows or (user_id is not None and rows[0][5] != user_id):
        raise RegistryError("not_found", "id", f"There is no ticket {ticket_id}.")
    with db.reading() as session:
        said = session.exec(
            select(TicketMessage).where(TicketMessage.ticket_id == ticket_id).order_by(col(TicketMessage.id))
        )
        return TicketRow(*rows[0]), list(said)


def ask(
    db: Database, user_id: int, premises_id: int, kind: str, subject: str, text: str, author: str, now_us: int
) -> int:
    """A new ticket of a resident. Raises RegistryError ``invalid``, ``conflict`` for too many open ones."""
    if kind not in TICKET_KINDS:
        raise RegistryError("invalid", "kind", f"kind: must be one of {', '.join(TICKET_KINDS)}.")
    with db.writing() as session:
        waiting = session.exec(select(Ticket.id).where(Ticket.user_id == user_id, col(Ticket.state).in_(_OPEN))).all()
        if len(waiting) >= MAX_OPEN:
            raise RegistryError("conflict", "", f"{MAX_OPEN} of your requests are open; wait for an answer first.")
        row = Ticket(
            premises_id=premises_id,
            user_id=user_id,
            kind=kind,
            subject=subject,
            created_at_us=now_us,
            changed_at_us=now_us,
        )
        session.add(row)
        session.flush()
        session.add(TicketMessage(ticket_id=row.id or 0, at_us=now_us, author=author, text=text))
        return row.id or 0


def say(db: Database, ticket_id: int, text: str, author: str, now_us: int, by_staff: bool, state: str = "") -> None:
    """Add to a ticket; staff may give it a state, and what a resident adds to a finished one opens it again."""
    if state and state not in TICKET_STATES:
        raise RegistryError("invalid", "state", f"state: must be one of {', '.join(TICKET_STATES)}.")
    with db.writing() as session:
        row = session.get(Ticket, ticket_id)
        if row is None:
            raise RegistryError("not_found", "id", f"There is no ticket {ticket_id}.")
        if not by_staff:
            state = "new" if row.state not in _OPEN else ""
        changed = state if state and state != row.state else ""
        if not text and not changed:
            raise RegistryError("invalid", "text", "text: say something.")
        row.state, row.changed_at_us = state or row.state, now_us
        session.add(row)
        session.add(
            TicketMessage(ticket_id=ticket_id, at_us=now_us, author=author, by_staff=by_staff, state=changed, text=text)
        )


# ------------------------------------------------------------------------------------------------------- announcements


def announce(db: Database, values: dict[str, Any], author: str, now_us: int) -> Announcement:
    """Say something to the residents of a building, of an organisation's buildings, or of all. Raises RegistryError."""
    row = Announcement(created_at_us=now_us, created_by=author, **values)
    if row.last_day is not None and row.last_day < row.first_day:
        raise RegistryError("invalid", "last_day", "last_day: must not be before first_day.")
    with db.writing() as session:
        for field, model in (("building_id", Building), ("organisation_id", Organisation)):
            if getattr(row, field) is not None and session.get(model, getattr(row, field)) is None:
                raise RegistryError("invalid", field, f"{field}: there is none of this number.")
        session.add(row)
        session.flush()
        return row


def announcements(db: Database, only: str = "") -> list[tuple[Announcement, str, str]]:
    """All announcements with building and organisation, the newest first; ``only`` is over ``announcement.building_id``."""
    ids = [id_ for (id_,) in db.rows(f"SELECT id FROM announcement WHERE {only or 'true'} ORDER BY id DESC LIMIT 500")]
    with db.reading() as session:
        rows = session.exec(
            select(Announcement, Building.address, Organisation.name)
            .join(Building, col(Building.id) == Announcement.building_id, isouter=True)
            .join(Organisation, col(Organisation.id) == Announcement.organisation_id, isouter=True)
            .where(col(Announcement.id).in_(ids))
            .order_by(col(Announcement.id).desc())
        )
        return [(row, address or "", name or "") for row, address, name in rows]


def withdraw(db: Database, announcement_id: int) -> None:
    """Take an announcement down. Raises RegistryError ``not_found``."""
    with db.writing() as session:
        row = session.get(Announcement, announcement_id)
        if row is None:
            raise RegistryError("not_found", "id", f"There is no announcement {announcement_id}.")
        session.delete(row)


def told_to(db: Database, premises_id: int, today: date) -> list[Announcement]:
    """What the people of premises are to read today, the newest first."""
    with db.reading() as session:
        premises = session.get(Premises, premises_id)
        building = session.get(Building, premises.building_id) if premises else None
        if building is None:
            return []
        query = (
            select(Announcement)
            .where(
                (col(Announcement.building_id).is_(None)) | (col(Announcement.building_id) == building.id),
                (col(Announcement.organisation_id).is_(None))
                | (col(Announcement.organisation_id) == building.organisation_id),
                Announcement.first_day <= today,
                (col(Announcement.last_day).is_(None)) | (col(Announcement.last_day) >= today),
            )
            .order_by(col(Announcement.id).desc())
            .limit(20)
        )
        return list(session.exec(query))
