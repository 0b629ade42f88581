"""Pages of those who look after houses: requests of residents, announcements, codes to hand over, photos of meters."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from appserver import registry
from appserver.api.fields import Id, Input
from appserver.api.jobs import read_upload
from appserver.api.passport import passport_pdf
from appserver.api.photos import add_photo, photo_file
from appserver.api.problems import Problem, from_registry
from appserver.api.residents import (
    NewAnnouncement,
    NewAnswer,
    TicketQuery,
    announce,
    answer_ticket,
    issue,
)
from appserver.auth.gate import CSRF_FIELD, today_of
from appserver.auth.grants import Operation
from appserver.auth.secrets import same
from appserver.errors import RegistryError
from appserver.models.cabinet import TICKET_STATES
from appserver.residents import photos
from appserver.residents import tickets as desk
from appserver.web import i18n
from appserver.web.forms import call_of, check, link, read_form, seen_query
from appserver.web.i18n import N_
from appserver.web.render import page

PER_PAGE = 50


class _Path(Input):
    id: Id


def _id(request: web.Request, sentence: str) -> int:
    try:
        return check(_Path, {"id": request.match_info["id"]}).id
    except Problem as error:
        raise Problem(404, sentence) from error


# ------------------------------------------------------------------------------------------------------------ requests


async def tickets(request: web.Request) -> web.Response:
    """Requests of the residents of one's houses; the open ones unless asked otherwise."""
    call, query = call_of(request), seen_query(request, TicketQuery)
    db = call.services.database
    state = query.state or ("" if request.query.get("all") else "open")
    only = call.covered(Operation.tickets, *desk.PLACE)
    before = int(query.cursor) if query.cursor else None
    rows = await db.run(desk.tickets, db, only, None, state, before, PER_PAGE + 1)
    more = link(request, cursor=rows[PER_PAGE - 1].id) if len(rows) > PER_PAGE else None
    return page(request, "tickets.html", tickets=rows[:PER_PAGE], more=more, state=state)


def _ticket_id(request: web.Request) -> int:
    return _id(request, N_("There is no such request."))


async def ticket(request: web.Request) -> web.Response:
    """One request and the form of an answer."""
    return await _ticket(request)


async def _ticket(request: web.Request, problem: Problem | None = None) -> web.Response:
    db = call_of(request).services.database
    row, said = await db.run(desk.ticket, db, _ticket_id(request))
    status = problem.status if problem else 200
    return page(
        request, "ticket.html", status=status, ticket=row, said=said, staff=True, states=TICKET_STATES, problem=problem
    )


async def answer(request: web.Request) -> web.Response:
    """Answer, and say how far it is."""
    form, id_ = await read_form(request), _ticket_id(request)
    try:
        await answer_ticket(call_of(request), id_, check(NewAnswer, form))
    except RegistryError as error:
        return await _ticket(request, from_registry(error))
    except Problem as problem:
        return await _ticket(request, problem)
    raise web.HTTPSeeOther(f"/tickets/{id_}")


# ------------------------------------------------------------------------------------------------------- announcements


async def announcements(request: web.Request) -> web.Response:
    """What residents are told, and the form for more."""
    return await _announcements(request)


async def _announcements(
    request: web.Request, problem: Problem | None = None, sent: dict[str, str] | None = None
) -> web.Response:
    call = call_of(request)
    db = call.services.database
    only = call.covered(Operation.tickets, "announcement.building_id", "NULL", "''")
    houses = call.only(Operation.tickets, "building") or "true"
    return page(
        request,
        "announcements.html",
        status=problem.status if problem else 200,
        items=await db.run(desk.announcements, db, only),
        buildings=await db.run(db.rows, f"SELECT id, address FROM building WHERE {houses} ORDER BY address LIMIT 1000"),
        everywhere=call.who.scope is None,
        today=today_of(call.services),
        problem=problem,
        sent=sent or {},
    )


async def change_announcements(request: web.Request) -> web.Response:
    """Say something, or take it down; for members within their houses."""
    call, form = call_of(request), await read_form(request)
    db = call.services.database
    try:
        if form.pop("action", "") == "withdraw":
            id_ = check(_Path, {"id": form.get("id", "")}).id
            await call.need((Operation.tickets,), "announcement", id_)
            await db.run(desk.withdraw, db, id_)
            await call.audit("announcement.delete", f"announcement/{id_}")
        else:
            body = check(NewAnnouncement, form)
            if call.who.scope is not None:
                if body.building_id is None or body.organisation_id is not None:
                    raise Problem(403, N_("Choose one of your houses."))
                await call.need((Operation.tickets,), "building", body.building_id)
            await announce(call, body)
    except RegistryError as error:
        return await _announcements(request, from_registry(error), form)
    except Problem as problem:
        return await _announcements(request, problem, form)
    raise web.HTTPSeeOther("/announcements")


# --------------------------------------------------------------------------------------------------------------- codes


def _house_id(request: web.Request) -> int:
    return _id(request, N_("There is no such house."))


async def codes(request: web.Request) -> web.Response:
    """For which flats codes are to be printed."""
    return await _codes(request, [])


async def _codes(request: web.Request, slips: list[Any], problem: Problem | None = None) -> web.Response:
    call, id_ = call_of(request), _house_id(request)
    db = call.services.database
    building = await db.run(registry.get, db, "building", id_)
    flats = (await db.run(registry.page, db, "premises", building_id=id_, limit=1000)).items
    return page(
        request,
        "codes.html",
        status=problem.status if problem else 200,
        building=building,
        organisation=await db.run(registry.get, db, "organisation", building.organisation_id),
        flats=[flat for flat in flats if flat.account_number],
        slips=slips,
        address=call.services.settings.http.public_url or f"{request.scheme}://{request.host}",
        problem=problem,
    )


async def make_codes(request: web.Request) -> web.Response:
    """New codes, shown this once as slips to cut."""
    call, id_, form = call_of(request), _house_id(request), await read_form(request)
    db = call.services.database
    wanted = "AND id = ?" if form.get("premises_id", "").isdecimal() else "AND account_number <> ''"
    values = (id_, int(form["premises_id"])) if "id = ?" in wanted else (id_,)
    rows = await db.run(db.rows, f"SELECT id FROM premises WHERE building_id = ? {wanted} ORDER BY id", values)
    try:
        slips = await issue(call, [row[0] for row in rows])
    except RegistryError as error:
        return await _codes(request, [], from_registry(error))
    return await _codes(request, slips)


# ------------------------------------------------------------------------------------------------- photos, the passport


async def passport(request: web.Request) -> web.Response:
    """The form «Паспорт прибора учёта» in the language of the page."""
    return await passport_pdf(call_of(request), _id(request, N_("There is no such meter.")), i18n.language())


async def photo(request: web.Request) -> web.Response:
    """The picture."""
    return await photo_file(call_of(request), _id(request, N_("There is nothing at this address.")))


async def add_to_passport(request: web.Request) -> web.Response:
    """A photo for the passport. The form token is a field of the form and is checked here."""
    call, id_ = call_of(request), _id(request, N_("There is no such meter."))
    await call.services.database.run(registry.get, call.services.database, "meter", id_)
    _, data, fields = await read_upload(call, photos.MAX_BYTES)
    if not same(fields.pop(CSRF_FIELD, ""), call.who.csrf):
        raise Problem(403, N_("The form is out of date. Load the page again and repeat."))
    await add_photo(call, id_, data, fields)
    raise web.HTTPSeeOther(f"/meters/{id_}/passport#photos")
