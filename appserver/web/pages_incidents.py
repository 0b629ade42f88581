"""The page of incidents (нештатные ситуации): filters, evidence, acknowledgement, comments."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from appserver import incidents as room
from appserver.api.fields import Id, Input
from appserver.api.incidents import IncidentListQuery, NewComment
from appserver.api.problems import Problem
from appserver.auth.grants import Operation
from appserver.auth.identity import identity_of
from appserver.db import Database
from appserver.errors import RegistryError
from appserver.incidents.store import PLACE
from appserver.incidents.subscriptions import pointed_out, subscriptions
from appserver.metering.readings import read_cursor, write_cursor
from appserver.services import SERVICES
from appserver.web.forms import back_path, call_of, check, link, read_form, seen_query
from appserver.web.i18n import N_
from appserver.web.render import page

PER_PAGE = 50


class _Path(Input):
    id: Id


class _Query(IncidentListQuery):
    all: str = ""
    """Anything: closed ones too."""


async def incidents(request: web.Request) -> web.Response:
    """Incidents with their evidence; those that hold now unless asked otherwise."""
    db: Database = request.app[SERVICES].database
    query = seen_query(request, _Query)
    state = query.state or ("" if query.all else "open")
    wanted = query.model_copy(update={"state": state or None}).filter(call_of(request))
    before: tuple[int, int] | None = None
    if query.cursor:
        try:
            started, id_ = read_cursor(query.cursor, 2)
            before = (started, id_)
        except RegistryError:
            before = None
    rows = await db.run(room.incidents, db, wanted, PER_PAGE + 1, before)
    last = rows[PER_PAGE - 1] if len(rows) > PER_PAGE else None
    only = call_of(request).only(Operation.incidents, "building") or "true"
    buildings = await db.run(db.rows, f"SELECT id, address FROM building WHERE {only} ORDER BY address LIMIT 500")
    told = await db.run(subscriptions, db)
    role = identity_of(request).role
    marked = {row.id for row in rows if row.ended_at_us is None and pointed_out(told, role, row.kind, row.building_id)}
    return page(
        request,
        "incidents.html",
        items=rows[:PER_PAGE],
        marked=marked,
        counts=await db.run(room.counts, db, room.Filter(state="open", only=wanted.only)),
        buildings=buildings,
        query=query,
        state=state,
        kinds=list(room.KINDS),
        layers=room.LAYERS,
        more=link(request, cursor=write_cursor((last.started_at_us, last.id))) if last else None,
        back=request.path_qs,
    )


def _id(request: web.Request) -> int:
    try:
        return check(_Path, {"id": request.match_info["id"]}).id
    except Problem as error:
        raise Problem(404, N_("There is no such incident.")) from error


async def acknowledge(request: web.Request) -> web.Response:
    """Somebody takes notice."""
    call, incident_id = call_of(request), _id(request)
    sent = await read_form(request)
    db = call.services.database
    await db.run(room.acknowledge, db, incident_id, call.who.name, call.services.clock())
    await call.audit("incident.acknowledge", f"incident/{incident_id}")
    raise web.HTTPSeeOther(back_path(sent.get("back", "/incidents")) + f"#i{incident_id}")


async def comment(request: web.Request) -> web.Response:
    """Somebody says something of it."""
    call, incident_id = call_of(request), _id(request)
    sent = await read_form(request)
    body = check(NewComment, {"text": sent.get("text", "")})
    db = call.services.database
    await db.run(room.comment, db, incident_id, call.who.name, body.text, call.services.clock())
    await call.audit("incident.comment", f"incident/{incident_id}")
    raise web.HTTPSeeOther(back_path(sent.get("back", "/incidents")) + f"#i{incident_id}")


async def open_figures(request: web.Request) -> dict[str, int]:
    """Counts of the start page: open incidents, alarms among them, and those that are pointed out to this role."""
    db: Database = request.app[SERVICES].database
    role = identity_of(request).role
    rows = await db.run(
        db.rows,
        "SELECT kind, severity, building_id, count(*) FROM incident WHERE ended_at_us IS NULL GROUP BY 1, 2, 3",
    )
    told = await db.run(subscriptions, db)
    return {
        "incidents": sum(count for *_, count in rows),
        "alarms": sum(count for _, severity, _, count in rows if severity == "critical"),
        "mine": sum(count for kind, _, building, count in rows if pointed_out(told, role, kind, building)),
    }


async def open_of(request: web.Request, **where: Any) -> list[room.IncidentRow]:
    """Open incidents of one house or meter, for its page."""
    db: Database = request.app[SERVICES].database
    only = call_of(request).covered(Operation.incidents, *PLACE)
    return await db.run(room.incidents, db, room.Filter(state="open", only=only, **where), 20)
