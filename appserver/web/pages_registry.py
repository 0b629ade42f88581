"""The registry's own pages: the passport of a meter, what a house consists of, and the journal of both."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from appserver import registry
from appserver.api.fields import Id, Input, PageQuery
from appserver.api.photos import photos_of
from appserver.api.problems import Problem
from appserver.auth.gate import today_of
from appserver.auth.grants import Operation
from appserver.auth.identity import identity_of
from appserver.auth.places import covered_installations
from appserver.db import Database
from appserver.metering.readings import read_cursor, write_cursor
from appserver.metering.timebase import date_of
from appserver.models.columns import from_micro
from appserver.models.lifecycle import BUILDING_STATES, METER_STATES
from appserver.models.registry import BUILDING_KINDS, PREMISES_KINDS, UNITS
from appserver.registry import verifications
from appserver.services import SERVICES
from appserver.web import gar
from appserver.web.forms import call_of, check, link, read_form, seen_query
from appserver.web.i18n import N_
from appserver.web.registry_forms import FORMS, Form, note_form, send
from appserver.web.render import may, page

JOURNAL = 50
PREMISES_A_PAGE = 500

Show = Callable[..., Awaitable[web.Response]]


class _Path(Input):
    id: Id


def _id(request: web.Request, sentence: str) -> int:
    try:
        return check(_Path, {"id": request.match_info["id"]}).id
    except Problem as error:
        raise Problem(404, sentence) from error


async def _journal(request: web.Request, subject: str, id_: int) -> dict[str, Any]:
    db: Database = request.app[SERVICES].database
    cursor = seen_query(request, PageQuery).cursor
    before = read_cursor(cursor, 1)[0] if cursor else None
    rows = await db.run(registry.events, db, subject, id_, before, JOURNAL + 1, True)
    more = link(request, cursor=write_cursor([rows[JOURNAL - 1].id])) if len(rows) > JOURNAL else None
    return {"journal": rows[:JOURNAL], "more": more}


def _engineers_only(request: web.Request) -> None:
    """Dispatchers may write notes; the rest is an engineer's."""
    who = identity_of(request)
    if not may(who, "engineer"):
        raise Problem(403, f"This needs the role engineer; yours is {who.role}.")


async def _post(request: web.Request, id_: int, forms: dict[str, Form], show: Show, back: str) -> web.Response:
    """Take a form of the page. ``of`` names what it is about when that is not the page's own thing."""
    sent = await read_form(request)
    form = forms.get(sent.get("form", ""))
    about = sent.get("of", "")
    try:
        if form is not None and form.name != "note":
            _engineers_only(request)
        if form is None or not (about == "" or about.isdecimal()):
            raise Problem(422, N_("The form is out of date. Load the page again and repeat."))
        await send(call_of(request), form, int(about) if about else id_, sent)
    except Problem as problem:
        if problem.status == 404:
            raise
        return await show(request, problem, sent)
    raise web.HTTPSeeOther(back)


# ------------------------------------------------------------------------------------------------ passport of a meter

_METER_FORMS = {name: FORMS[name] for name in ("passport", "state", "verification", "seal", "unseal", "acts", "remove")}
_METER_FORMS["note"] = note_form("meter")

_PLACES = """
SELECT i.id, b.id, b.address, pr.number, p.name, p.role, i.installed_on, i.removed_on, i.start_value, i.end_value, i.ratio,
  i.install_act, i.installed_by, i.commissioned_on, i.commission_act, i.removal_act, i.removed_by, i.removal_reason
FROM installation i JOIN point p ON p.id = i.point_id JOIN building b ON b.id = p.building_id
LEFT JOIN premises pr ON pr.id = p.premises_id WHERE i.meter_id = ? ORDER BY i.installed_at_us DESC
"""
_PLACE = """
    id building_id address premises point role installed_on removed_on start_value end_value ratio install_act installed_by
    commissioned_on commission_act removal_act removed_by removal_reason
""".split()  # noqa: SIM905


def _no_meter(request: web.Request) -> int:
    return _id(request, N_("There is no such meter."))


async def passport(request: web.Request) -> web.Response:
    """Everything that papers say about a meter."""
    return await _passport(request)


async def _passport(
    request: web.Request, problem: Problem | None = None, sent: dict[str, str] | None = None
) -> web.Response:
    services, db = request.app[SERVICES], request.app[SERVICES].database
    id_ = _no_meter(request)
    row = await db.run(registry.get, db, "meter", id_)
    places = [dict(zip(_PLACE, record, strict=True)) for record in await db.run(db.rows, _PLACES, (id_,))]
    call = call_of(request)
    journal = await _journal(request, "meter", id_)
    if call.who.scope is not None:
        today = today_of(services)
        theirs = await db.run(covered_installations, db, call.who.scope, Operation.meters, id_, today)
        places = [place for place in places if place["id"] in theirs]
        journal = {"journal": [], "more": None}
    for place in places:
        for name in ("start_value", "end_value"):
            place[name] = None if place[name] is None else from_micro(place[name])
    return page(
        request,
        "passport.html",
        status=problem.status if problem else 200,
        meter=row,
        unit=UNITS[row.resource],
        places=places,
        seals=(await db.run(registry.page, db, "seal", meter_id=id_, limit=1000)).items,
        verifications=await db.run(_verifications, db, id_),
        photos=await photos_of(call, id_),
        states=METER_STATES[row.state],
        today=date_of(services.clock() // 86_400_000_000),
        forms=_METER_FORMS,
        problem=problem,
        sent={"form": "", "of": "", **(sent or {})},
        **journal,
    )


def _verifications(db: Database, meter_id: int) -> list[Any]:
    with db.reading() as session:
        return verifications.of_meter(session, meter_id)


async def change_passport(request: web.Request) -> web.Response:
    """A form of the passport."""
    id_ = _no_meter(request)
    return await _post(request, id_, _METER_FORMS, _passport, f"/meters/{id_}/passport")


# ------------------------------------------------------------------------------------------- what a house consists of

_HOUSE_FORMS = {
    name: FORMS[name]
    for name in (
        "building", "building_state", "entrance", "new_premises", "premises", "account", "close_account", "install",
    )
}  # fmt: skip
_HOUSE_FORMS["note"] = note_form("building")

_POINTS = """
SELECT p.premises_id, p.id, p.resource, p.role, p.name, m.id, m.serial FROM point p
LEFT JOIN installation i ON i.point_id = p.id AND i.removed_at_us IS NULL LEFT JOIN meter m ON m.id = i.meter_id
WHERE p.building_id = ? ORDER BY p.resource, p.name, p.id
"""


class _HouseQuery(PageQuery):
    premises: Id | None = None
    """The premises whose form is open."""
    gar: str = ""
    """An address to look for in ГАР."""


def _no_house(request: web.Request) -> int:
    return _id(request, N_("There is no such house."))


async def house(request: web.Request) -> web.Response:
    """Entrances, premises, accounts and points of a house."""
    return await _house(request)


async def _house(
    request: web.Request, problem: Problem | None = None, sent: dict[str, str] | None = None
) -> web.Response:
    services, db = request.app[SERVICES], request.app[SERVICES].database
    id_ = _no_house(request)
    query = seen_query(request, _HouseQuery)
    building = await db.run(registry.get, db, "building", id_)
    entrances = (await db.run(registry.page, db, "entrance", building_id=id_, limit=1000)).items
    flats = await db.run(registry.page, db, "premises", building_id=id_, q=query.q, limit=PREMISES_A_PAGE)
    points: dict[int | None, list[Any]] = {}
    for record in await db.run(db.rows, _POINTS, (id_,)):
        points.setdefault(record[0], []).append(record[1:])
    opened = next((flat for flat in flats.items if flat.id == query.premises), None)
    accounts = (await db.run(registry.page, db, "account", premises_id=opened.id)).items if opened else []
    return page(
        request,
        "house_registry.html",
        status=problem.status if problem else 200,
        building=building,
        organisation=await db.run(registry.get, db, "organisation", building.organisation_id),
        entrances={entrance.id: entrance for entrance in entrances},
        premises=sorted(flats.items, key=_by_number),
        cut=flats.next_cursor is not None,
        points=points,
        opened=opened,
        accounts=accounts,
        states=BUILDING_STATES[building.state],
        kinds={"building": BUILDING_KINDS, "premises": PREMISES_KINDS},
        forms=_HOUSE_FORMS,
        problem=problem,
        sent={"form": "", "of": "", **(sent or {})},
        q=query.q,
        today=date_of(services.clock() // 86_400_000_000),
        gar=await db.run(gar.of_building, services.settings.data_dir, building, query.gar),
        **await _journal(request, "building", id_),
    )


def _by_number(flat: Any) -> tuple[int, str]:
    digits = "".join(c for c in flat.number if c.isdecimal())
    return (int(digits[:9]) if digits else 10**9, flat.number)


async def change_house(request: web.Request) -> web.Response:
    """A form of the page; binding to ГАР is one of them."""
    id_ = _no_house(request)
    opened = seen_query(request, _HouseQuery).premises
    back = f"/houses/{id_}/registry" + (f"?premises={opened}#premises" if opened else "")
    return await _post(request, id_, _HOUSE_FORMS, _house, back)
