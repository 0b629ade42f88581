"""Grants of members: what people of other organisations and residents may do, where, and for which days."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Literal

from pydantic import Field

from appserver.api.fields import Day, Id, Input, Name, Output, Page, Time, time_of
from appserver.api.problems import invalid, not_found
from appserver.api.registry import IdPath, Resource
from appserver.api.router import Api, Call
from appserver.auth import grant_store
from appserver.auth.grants import GrantRefused, Operation, operations_of
from appserver.models import RoleGrant

api = Api("People")

Party = Literal[
    "management_company",
    "resource_supplier",
    "homeowners",
    "resident",
    "developer",
    "service",
    "verifier",
    "auditor",
]


class NewGrant(Input):
    """What somebody may do. Places that are given narrow each other; without any it is everywhere."""

    party: Party
    organisation_id: Id | None = None
    """Buildings that this organisation looks after."""
    building_id: Id | None = None
    premises_id: Id | None = None
    address: Name = ""
    """An address and all below it, such as a street."""
    resource: Resource | None = None
    since: Day | None = None
    """First day whose data may be seen."""
    until: Day | None = None
    """First day whose data may not be seen any more."""
    operations: Annotated[list[Operation], Field(default_factory=list, max_length=20)]
    """Empty: all that the party may."""


class Grant(Output):
    """A grant; ``operations`` are those it comes to."""

    id: int
    user_id: int
    party: str
    organisation_id: int | None
    building_id: int | None
    premises_id: int | None
    address: str
    resource: str
    since: Day | None
    until: Day | None
    operations: list[str]
    created_at: Time
    created_by: str


class GrantEnd(Input):
    """The first day whose data may not be seen any more; the days before stay."""

    until: Day


class GrantQuery(Input):
    user_id: Id | None = None


def grant_view(row: RoleGrant) -> Grant:
    """The API's form of a grant."""
    names = [name for name in Grant.model_fields if name in RoleGrant.model_fields and name != "operations"]
    return Grant.model_construct(
        **{name: getattr(row, name) for name in names},
        operations=sorted(operations_of(row.party, row.operations)),
        created_at=time_of(row.created_at_us),
    )


async def give(call: Call, user_id: int, body: NewGrant) -> RoleGrant:
    """Give a grant and write it down; 422 names the field at fault."""
    services = call.services
    values: dict[str, Any] = body.model_dump()
    values |= {"resource": body.resource or "", "operations": " ".join(sorted(set(body.operations)))}
    if await services.auth.user(user_id) is None:
        raise not_found("user", user_id)
    try:
        row = await services.database.run(
            grant_store.give, services.database, user_id, values, call.who.name, services.clock()
        )
    except GrantRefused as refusal:
        raise invalid(refusal.field, refusal.reason) from refusal
    said = {name: str(value) for name, value in body.model_dump(exclude_defaults=True).items()}
    await call.audit("grant.give", f"user/{user_id}", said)
    return row


async def take(call: Call, grant_id: int, until: date | None = None) -> RoleGrant:
    """Take a grant back, or the days from ``until`` on."""
    db = call.services.database
    try:
        row = await db.run(grant_store.take, db, grant_id, until)
    except GrantRefused as refusal:
        raise invalid(refusal.field, refusal.reason) from refusal
    if row is None:
        raise not_found("grant", grant_id)
    detail = {"party": row.party, "until": until.isoformat() if until else ""}
    await call.audit("grant.end" if until else "grant.take", f"user/{row.user_id}", detail)
    return row


@api.add("GET", "/grants", answers=Page[Grant], summary="List grants of members")
async def list_grants(call: Call, query: GrantQuery) -> Page[Grant]:
    db = call.services.database
    return Page(items=[grant_view(row) for row in await db.run(grant_store.grants, db, query.user_id)])


@api.add("POST", "/users/{id}/grants", answers=Grant, status=201, summary="Give a member a grant")
async def post_grant(call: Call, path: IdPath, body: NewGrant) -> Grant:
    return grant_view(await give(call, path.id, body))


@api.add("PUT", "/grants/{id}", answers=Grant, summary="End a grant: the days before stay to be seen")
async def put_grant(call: Call, path: IdPath, body: GrantEnd) -> Grant:
    return grant_view(await take(call, path.id, body.until))


@api.add("DELETE", "/grants/{id}", answers=None, status=204, summary="Take a grant back")
async def delete_grant(call: Call, path: IdPath) -> None:
    await take(call, path.id)
