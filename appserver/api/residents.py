"""Residents and those who look after their house: codes for signing in, tickets, announcements, photos of meters."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import StringConstraints, ValidationError

from appserver.api.fields import Day, Id, Input, Limit, Month, Output, Page, RequiredName, Text, Time, Volume, time_of
from appserver.api.jobs import read_upload
from appserver.api.people_views import PremisesMeter, meter_view
from appserver.api.problems import Problem, from_validation
from appserver.api.registry import IdPath
from appserver.api.router import Api, Call
from appserver.api.users import Email, NumberCursor
from appserver.auth.gate import today_of
from appserver.auth.grants import Operation, Scope
from appserver.models import Announcement as AnnouncementRow
from appserver.models import TicketMessage
from appserver.residents import codes, homes, photos
from appserver.residents import tickets as desk

api = Api("Residents")

TicketKind = Literal["question", "fault", "charge", "verification", "other"]
TicketState = Literal["new", "in_work", "done", "rejected"]
Said = Annotated[Text, StringConstraints(strip_whitespace=True, max_length=4000)]
Subject = Annotated[RequiredName, StringConstraints(strip_whitespace=True, min_length=1)]


# --------------------------------------------------------------------------------------------------------------- codes


class NewCodes(Input):
    """With ``email`` the resident can have further codes sent."""

    email: Email = ""


class CodeSlip(Output):
    """A code to be handed over with the account's number; it is not shown again."""

    user_id: int
    account_number: str
    code: str


async def issue(call: Call, premises_ids: list[int], email: str = "") -> list[codes.Slip]:
    """New codes for the residents of premises, written down without the codes."""
    db, services = call.services.database, call.services
    slips = await db.run(
        codes.issue, db, services.passwords, premises_ids, call.who.name, today_of(services), services.clock(), email
    )
    for id_ in premises_ids:
        await call.audit("resident.code", f"premises/{id_}")
    return slips


@api.add(
    "POST",
    "/premises/{id}/codes",
    answers=list[CodeSlip],
    status=201,
    summary="Make codes with which the residents of premises sign in",
)
async def post_codes(call: Call, path: IdPath, body: NewCodes) -> list[CodeSlip]:
    slips = await issue(call, [path.id], body.email)
    return [CodeSlip(user_id=slip.user_id, account_number=slip.account, code=slip.code) for slip in slips]


# ------------------------------------------------------------------------------------------------------------- tickets


class Ticket(Output):
    """What a resident asks."""

    id: int
    premises_id: int
    building_id: int
    address: str
    premises: str
    kind: str
    state: str
    subject: str
    created_at: Time
    changed_at: Time


class TicketLine(Output):
    """Something said about a ticket; ``state`` is what the ticket became with it, if it changed."""

    at: Time
    author: str
    by_staff: bool
    state: str
    text: str


class WholeTicket(Ticket):
    lines: list[TicketLine]


class TicketQuery(Input):
    state: Literal["new", "in_work", "done", "rejected", "open"] | None = None
    limit: Limit = 100
    cursor: NumberCursor = ""


class NewTicket(Input):
    premises_id: Id
    kind: TicketKind = "question"
    subject: Subject
    text: Said = ""


class NewLine(Input):
    text: Said


class NewAnswer(Input):
    text: Said = ""
    state: TicketState | None = None


def _facts(row: desk.TicketRow) -> dict[str, Any]:
    names = [name for name in Ticket.model_fields if hasattr(row, name)]
    moments = {"created_at": time_of(row.created_at_us), "changed_at": time_of(row.changed_at_us)}
    return {name: getattr(row, name) for name in names} | moments


def ticket_view(row: desk.TicketRow) -> Ticket:
    """The API's form of a ticket."""
    return Ticket.model_construct(**_facts(row))


def _whole(row: desk.TicketRow, said: list[TicketMessage]) -> WholeTicket:
    lines = [
        TicketLine(at=time_of(m.at_us), author=m.author, by_staff=m.by_staff, state=m.state, text=m.text) for m in said
    ]
    return WholeTicket.model_construct(**_facts(row), lines=lines)


async def _page(call: Call, query: TicketQuery, only: str, user_id: int | None) -> Page[Ticket]:
    db = call.services.database
    before = int(query.cursor) if query.cursor else None
    rows = await db.run(desk.tickets, db, only, user_id, query.state or "", before, query.limit + 1)
    more = len(rows) > query.limit
    rows = rows[: query.limit]
    return Page(items=[ticket_view(row) for row in rows], next_cursor=str(rows[-1].id) if more else None)


@api.add("GET", "/tickets", answers=Page[Ticket], summary="List tickets of residents, the newest first")
async def list_tickets(call: Call, query: TicketQuery) -> Page[Ticket]:
    return await _page(call, query, call.covered(Operation.tickets, *desk.PLACE), None)


@api.add("GET", "/tickets/{id}", answers=WholeTicket, summary="Show a ticket and what was said")
async def get_ticket(call: Call, path: IdPath) -> WholeTicket:
    db = call.services.database
    return _whole(*await db.run(desk.ticket, db, path.id))


async def answer_ticket(call: Call, ticket_id: int, body: NewAnswer) -> None:
    """Staff's answer."""
    db = call.services.database
    await db.run(desk.say, db, ticket_id, body.text, call.who.name, call.services.clock(), True, body.state or "")
    await call.audit("ticket.answer", f"ticket/{ticket_id}", {"state": body.state or ""})


@api.add("POST", "/tickets/{id}/messages", answers=WholeTicket, status=201, summary="Answer a ticket")
async def post_answer(call: Call, path: IdPath, body: NewAnswer) -> WholeTicket:
    await answer_ticket(call, path.id, body)
    return await get_ticket(call, path)


# ------------------------------------------------------------------------------------------------------- announcements


class NewAnnouncement(Input):
    """Without a building it is for the organisation's buildings, without either for all."""

    building_id: Id | None = None
    organisation_id: Id | None = None
    title: Subject
    text: Said = ""
    first_day: Day
    last_day: Day | None = None


class Announcement(Output):
    id: int
    building_id: int | None
    organisation_id: int | None
    title: str
    text: str
    first_day: Day
    last_day: Day | None
    created_at: Time
    created_by: str


def announcement_view(row: AnnouncementRow) -> Announcement:
    """The API's form of an announcement."""
    names = [name for name in Announcement.model_fields if name in AnnouncementRow.model_fields]
    return Announcement.model_construct(
        **{name: getattr(row, name) for name in names}, created_at=time_of(row.created_at_us)
    )


async def announce(call: Call, body: NewAnnouncement) -> AnnouncementRow:
    """Say something to residents."""
    db = call.services.database
    row = await db.run(desk.announce, db, body.model_dump(), call.who.name, call.services.clock())
    await call.audit("announcement.create", f"announcement/{row.id}")
    return row


@api.add("GET", "/announcements", answers=Page[Announcement], summary="List announcements to residents")
async def list_announcements(call: Call) -> Page[Announcement]:
    db = call.services.database
    only = call.covered(Operation.tickets, "announcement.building_id", "NULL", "''")
    return Page(items=[announcement_view(row) for row, _, _ in await db.run(desk.announcements, db, only)])


@api.add("POST", "/announcements", answers=Announcement, status=201, summary="Say something to residents")
async def post_announcement(call: Call, body: NewAnnouncement) -> Announcement:
    return announcement_view(await announce(call, body))


@api.add("DELETE", "/announcements/{id}", answers=None, status=204, summary="Take an announcement down")
async def delete_announcement(call: Call, path: IdPath) -> None:
    db = call.services.database
    await db.run(desk.withdraw, db, path.id)
    await call.audit("announcement.delete", f"announcement/{path.id}")


# ------------------------------------------------------------------------------------------------------------- cabinet


def own_scope(call: Call) -> Scope:
    """The grants of a resident. Raises Problem 404 for staff, whose pages are others."""
    if call.who.scope is None:
        raise Problem(404, "These pages are for residents; you have no flat here.")
    return call.who.scope


class HomeMeter(PremisesMeter):
    """A meter of the flat; ``enter`` says whether its reading may be sent by hand: the radio is silent."""

    meter_id: int | None
    enter: bool


class Home(Output):
    """A flat of the resident in a month."""

    premises_id: int
    address: str
    number: str
    organisation: str
    since: Day | None
    until: Day | None
    meters: list[HomeMeter]
    announcements: list[Announcement]


class CabinetQuery(Input):
    """The month that ``month`` lies in, this one when left out."""

    month: Month | None = None


@api.add("GET", "/cabinet", answers=list[Home], summary="What a resident sees of the own flat")
async def get_cabinet(call: Call, query: CabinetQuery) -> list[Home]:
    services, db = call.services, call.services.database
    today = today_of(services)
    found = []
    for home in await db.run(homes.homes, db, own_scope(call), today):
        meters = await db.run(homes.meters_of, db, home, query.month or today, services.clock())
        told = await db.run(desk.told_to, db, home.premises_id, today) if home.stay.now else []
        found.append(
            Home.model_construct(
                premises_id=home.premises_id,
                address=home.address,
                number=home.number,
                organisation=home.organisation,
                since=home.stay.since,
                until=home.stay.until,
                meters=[
                    HomeMeter.model_construct(**meter_view(m.point), meter_id=m.meter_id, enter=m.silent)
                    for m in meters
                ],
                announcements=[announcement_view(row) for row in told],
            )
        )
    return found


class ReadingFields(Input):
    meter_id: Id
    value: Volume


async def send_reading(call: Call, fields: dict[str, str], photo: bytes) -> None:
    """A resident's reading, with its photo when there is one."""
    try:
        given = ReadingFields.model_validate({name: value.replace(",", ".") for name, value in fields.items()})
    except ValidationError as error:
        raise from_validation(error, "form") from error
    services, db, scope = call.services, call.services.database, own_scope(call)
    now, today = services.clock(), today_of(services)
    if photo:
        await db.run(photos.drawn_anew, photo)
    await db.run(homes.enter, db, scope, given.meter_id, given.value, call.who.name, today, now)
    if photo:
        await db.run(photos.keep, db, given.meter_id, photo, today, call.who.name, now, "", now)
    await call.audit("reading.enter", f"meter/{given.meter_id}", {"value": str(given.value), "photo": bool(photo)})


@api.add(
    "POST",
    "/cabinet/readings",
    answers=None,
    status=204,
    upload=True,
    summary="Send a reading when the radio is silent",
)
async def post_own_reading(call: Call) -> None:
    """``meter_id`` and ``value`` before ``file``, a photo, which may be empty."""
    _, data, fields = await read_upload(call, photos.MAX_BYTES)
    await send_reading(call, fields, data)


def _user(call: Call) -> int:
    own_scope(call)
    return call.who.user_id or 0


@api.add("GET", "/cabinet/tickets", answers=Page[Ticket], summary="List one's own tickets")
async def list_own_tickets(call: Call, query: TicketQuery) -> Page[Ticket]:
    return await _page(call, query, "", _user(call))


async def ask(call: Call, body: NewTicket) -> int:
    """A resident's new ticket, about premises of theirs."""
    await call.need((Operation.cabinet,), "premises", body.premises_id)
    db = call.services.database
    given = (body.premises_id, body.kind, body.subject, body.text)
    id_ = await db.run(desk.ask, db, _user(call), *given, call.who.name, call.services.clock())
    await call.audit("ticket.create", f"ticket/{id_}")
    return id_


@api.add("POST", "/cabinet/tickets", answers=WholeTicket, status=201, summary="Ask those who look after the house")
async def post_own_ticket(call: Call, body: NewTicket) -> WholeTicket:
    db = call.services.database
    return _whole(*await db.run(desk.ticket, db, await ask(call, body), _user(call)))


@api.add("GET", "/cabinet/tickets/{id}", answers=WholeTicket, summary="Show one's own ticket")
async def get_own_ticket(call: Call, path: IdPath) -> WholeTicket:
    db = call.services.database
    return _whole(*await db.run(desk.ticket, db, path.id, _user(call)))


async def add_to_own(call: Call, ticket_id: int, text: str) -> None:
    """A resident adds to an own ticket."""
    db = call.services.database
    await db.run(desk.ticket, db, ticket_id, _user(call))
    await db.run(desk.say, db, ticket_id, text, call.who.name, call.services.clock(), False)


@api.add("POST", "/cabinet/tickets/{id}/messages", answers=WholeTicket, status=201, summary="Add to one's own ticket")
async def post_own_line(call: Call, path: IdPath, body: NewLine) -> WholeTicket:
    await add_to_own(call, path.id, body.text)
    return await get_own_ticket(call, path)
