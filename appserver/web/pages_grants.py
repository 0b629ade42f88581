"""Grants of a member: what is given, giving and taking, for administrators."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from appserver.api.grants import GrantEnd, NewGrant, give, take
from appserver.api.problems import Problem, not_found
from appserver.api.users import IdPath
from appserver.auth import grant_store
from appserver.auth.grants import PARTIES, operations_of
from appserver.models.registry import RESOURCES
from appserver.web.forms import call_of, check, read_form
from appserver.web.i18n import N_
from appserver.web.render import page

_PLACES = """
SELECT g.id, o.name, b.address, r.number, rb.address FROM role_grant g
LEFT JOIN organisation o ON o.id = g.organisation_id LEFT JOIN building b ON b.id = g.building_id
LEFT JOIN premises r ON r.id = g.premises_id LEFT JOIN building rb ON rb.id = r.building_id WHERE g.user_id = ?
"""


def _id(request: web.Request) -> int:
    try:
        return check(IdPath, {"id": request.match_info["id"]}).id
    except Problem as error:
        raise Problem(404, N_("There is nothing at this address.")) from error


async def grants(request: web.Request) -> web.Response:
    """What a member was granted."""
    return await _grants(request)


async def _grants(
    request: web.Request, problem: Problem | None = None, fields: dict[str, Any] | None = None
) -> web.Response:
    call, id_ = call_of(request), _id(request)
    db = call.services.database
    user = await call.services.auth.user(id_)
    if user is None:
        raise not_found("user", id_)
    rows = await db.run(grant_store.grants, db, id_)
    return page(
        request,
        "grants.html",
        status=problem.status if problem else 200,
        user=user,
        grants=[(row, sorted(operations_of(row.party, row.operations))) for row in rows],
        places={record[0]: record[1:] for record in await db.run(db.rows, _PLACES, (id_,))},
        parties={name: [operation.value for operation in most] for name, most in PARTIES.items()},
        organisations=await db.run(db.rows, "SELECT id, name FROM organisation ORDER BY name LIMIT 500"),
        buildings=await db.run(db.rows, "SELECT id, address FROM building ORDER BY address LIMIT 500"),
        resources=RESOURCES,
        problem=problem,
        fields=fields or {},
    )


async def change(request: web.Request) -> web.Response:
    """Give a grant, end one, or take it back."""
    sent, call, id_ = await read_form(request), call_of(request), _id(request)
    try:
        grant, action = sent.pop("grant", ""), sent.pop("action", "give")
        if action == "give":
            premises = sent.pop("premises", "")
            wanted: dict[str, Any] = {name: value for name, value in sent.items() if not name.startswith("may_")}
            wanted["operations"] = [name.removeprefix("may_") for name in sent if name.startswith("may_")]
            if premises:
                wanted["premises_id"] = await _premises(request, sent.get("building_id", ""), premises)
            await give(call, id_, check(NewGrant, wanted))
        elif grant.isdecimal():
            end = check(GrantEnd, {"until": sent.get("until", "")}).until if action == "end" else None
            await take(call, int(grant), end)
    except Problem as problem:
        return await _grants(request, problem, sent)
    raise web.HTTPSeeOther(f"/admin/users/{id_}/grants")


async def _premises(request: web.Request, building: str, number: str) -> int:
    db = call_of(request).services.database
    found = await db.run(
        db.rows,
        "SELECT id FROM premises WHERE building_id = ? AND number = ?",
        (int(building) if building.isdecimal() else 0, number),
    )
    if not found:
        raise Problem(
            422,
            N_("The house has no such flat."),
            errors=[{"in": "form", "field": "premises", "message": N_("The house has no such flat.")}],
        )
    return int(found[0][0])
