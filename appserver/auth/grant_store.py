"""Grants in application.db: whose they are, giving and taking them."""

from __future__ import annotations

from datetime import date
from typing import Any

from sqlmodel import Session, col, select

from appserver.auth.grants import Grant, GrantRefused, Scope, checked_resource, operations_of
from appserver.auth.roles import Role
from appserver.db import Database
from appserver.models import Building, Organisation, Premises, RoleGrant, User


def grant_of(row: RoleGrant) -> Grant:
    """The grant that a row says."""
    return Grant(
        id=row.id or 0,
        party=row.party,
        organisation_id=row.organisation_id,
        building_id=row.building_id,
        premises_id=row.premises_id,
        address=row.address,
        resource=row.resource,
        since=row.since,
        until=row.until,
        operations=operations_of(row.party, row.operations),
    )


def scope_of(db: Database, user_id: int) -> Scope:
    """All grants of a user."""
    return Scope(tuple(grant_of(row) for row in grants(db, user_id)))


def grants(db: Database, user_id: int | None = None) -> list[RoleGrant]:
    """Grants of a user, of everybody without one, in the order they were given."""
    query = select(RoleGrant).order_by(col(RoleGrant.id))
    if user_id is not None:
        query = query.where(RoleGrant.user_id == user_id)
    with db.reading() as session:
        return list(session.exec(query))


def give(db: Database, user_id: int, values: dict[str, Any], author: str, now_us: int) -> RoleGrant:
    """Give a grant. Raises GrantRefused with the field at fault."""
    with db.writing() as session:
        return give_in(session, user_id, values, author, now_us)


def give_in(session: Session, user_id: int, values: dict[str, Any], author: str, now_us: int) -> RoleGrant:
    """:func:`give` within a session."""
    row = RoleGrant(user_id=user_id, created_at_us=now_us, created_by=author, **values)
    operations_of(row.party, row.operations)
    checked_resource(row.resource)
    row.address = row.address.strip().rstrip(",")
    user = session.get(User, user_id)
    if user is None or user.role != Role.member.value:
        raise GrantRefused("user_id", "grants are for users with the role member; the others have no borders")
    for field, model in (("organisation_id", Organisation), ("building_id", Building), ("premises_id", Premises)):
        if getattr(row, field) is not None and session.get(model, getattr(row, field)) is None:
            raise GrantRefused(field, "there is none of this number")
    if row.party == "resident" and row.premises_id is None:
        raise GrantRefused("premises_id", "a resident's grant is for premises")
    if row.since is not None and row.until is not None and row.since >= row.until:
        raise GrantRefused("until", "must be after the first day")
    session.add(row)
    session.flush()
    return row


def take(db: Database, grant_id: int, until: date | None = None) -> RoleGrant | None:
    """Take a grant back; with ``until`` only the days from there on. None when there is no such grant."""
    with db.writing() as session:
        row = session.get(RoleGrant, grant_id)
        if row is None:
            return None
        if until is None:
            session.delete(row)
        else:
            if row.since is not None and row.since >= until:
                raise GrantRefused("until", "must be after the first day")
            row.until = until
            session.add(row)
        return row
