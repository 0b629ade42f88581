"""Entrances, accounts, seals of meters, and the journal of the registry."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from appserver import registry
from appserver.api.fields import Day, Id, Input, Limit, Name, Output, Page, PageQuery, Text, Time, Volume, time_of
from appserver.api.fields import microseconds_of as us_of
from appserver.api.problems import Problem
from appserver.api.registry import Noted, Shelf, ShortName, enter
from appserver.api.router import Api, Call
from appserver.metering.readings import read_cursor, write_cursor

api = Api("Registry")

Required = Annotated[ShortName, StringConstraints(min_length=1)]
SealNumber = Annotated[str, StringConstraints(min_length=1, max_length=60)]


class ChangedEntrance(Noted):
    building_id: Id = 0
    number: ShortName = ""
    floors: int | None = Field(None, ge=1, le=300)
    door_code: ShortName = ""


class NewEntrance(ChangedEntrance):
    building_id: Id
    number: Required


class Entrance(Output):
    """An entrance of a building."""

    id: int
    building_id: int
    number: str
    floors: int | None
    door_code: str


class EntranceQuery(PageQuery):
    building_id: Id | None = None


class ChangedAccount(Noted):
    premises_id: Id = 0
    number: ShortName = ""
    unified_number: ShortName = ""
    """ЕЛС of ГИС ЖКХ."""
    service_id: ShortName = ""
    """ИЖКУ of ГИС ЖКХ."""
    holder: Name = ""
    share: Volume | None = None
    """Part of the premises, from 0 to 1; null is all of it."""
    opened_on: Day | None = None
    closed_on: Day | None = None


class NewAccount(ChangedAccount):
    premises_id: Id
    number: Required


class Account(Output):
    """A personal account (лицевой счёт) of premises."""

    id: int
    premises_id: int
    number: str
    unified_number: str
    service_id: str
    holder: str
    share: Volume | None
    opened_on: Day | None
    closed_on: Day | None


class AccountQuery(PageQuery):
    premises_id: Id | None = None
    number: ShortName | None = None


class ChangedSeal(Input):
    meter_id: Id = 0
    number: Annotated[str, StringConstraints(max_length=60)] = ""
    place: Name = ""
    set_on: Day | None = None
    set_by: Name = ""
    set_act: Name = ""
    removed_on: Day | None = None
    removed_by: Name = ""
    removed_act: Name = ""
    remark: Name = ""


class NewSeal(ChangedSeal):
    meter_id: Id
    number: SealNumber
    set_on: Day


class Seal(Output):
    """A seal on a meter, from the day it was set until it was taken off."""

    id: int
    meter_id: int
    number: str
    place: str
    set_on: Day
    set_by: str
    set_act: str
    removed_on: Day | None
    removed_by: str
    removed_act: str
    remark: str


class SealQuery(PageQuery):
    meter_id: Id | None = None
    number: Annotated[str, StringConstraints(max_length=60)] | None = None


for _shelf in (
    Shelf("entrances", "entrance", Entrance, NewEntrance, ChangedEntrance, EntranceQuery),
    Shelf("accounts", "account", Account, NewAccount, ChangedAccount, AccountQuery),
    Shelf("meter-seals", "seal", Seal, NewSeal, ChangedSeal, SealQuery),
):
    enter(api, _shelf)


# ------------------------------------------------------------------------------------------------------------ journal

Subject = Literal["organisation", "building", "entrance", "premises", "account", "point", "meter"]


class JournalQuery(Input):
    """Lines about one thing, the newest first; ``whole``: of a building also what happened inside it."""

    subject: Subject
    subject_id: Id
    whole: bool = False
    limit: Limit = 100
    cursor: Annotated[str, StringConstraints(max_length=200)] = ""


class JournalLine(Output):
    """What changed (``field``: ``before`` → ``after``), since when, who wrote it down when, by which document."""

    id: int
    recorded_at: Time
    effective_on: Day
    actor: str
    subject: str
    subject_id: int
    event: str
    field: str
    before: str | None
    after: str | None
    document: str
    remark: str


class NewJournalLine(Input):
    """A line that somebody writes without changing anything."""

    subject: Subject
    subject_id: Id
    effective_on: Day | None = None
    document: Name = ""
    remark: Annotated[Text, StringConstraints(min_length=1, max_length=1000)]


def line_view(row: registry.RegistryEvent) -> JournalLine:
    """The API's form of a line."""
    names = [name for name in JournalLine.model_fields if hasattr(row, name)]
    return JournalLine.model_construct(
        **{name: getattr(row, name) for name in names}, recorded_at=time_of(row.recorded_at_us)
    )


@api.add("GET", "/registry-journal", answers=Page[JournalLine], summary="What happened to a thing of the registry")
async def get_journal(call: Call, query: JournalQuery) -> Page[JournalLine]:
    db = call.services.database
    before = read_cursor(query.cursor, 1)[0] if query.cursor else None
    await db.run(registry.get, db, query.subject, query.subject_id)
    rows = await db.run(registry.events, db, query.subject, query.subject_id, before, query.limit + 1, query.whole)
    more = len(rows) > query.limit
    rows = rows[: query.limit]
    return Page(items=[line_view(row) for row in rows], next_cursor=write_cursor([rows[-1].id]) if more else None)


@api.add("POST", "/registry-journal", answers=JournalLine, status=201, summary="Write a line into the journal")
async def post_journal(call: Call, body: NewJournalLine) -> JournalLine:
    db = call.services.database
    note = registry.Note(call.who.name, body.effective_on, body.document, body.remark, call.services.clock())
    row = await db.run(registry.add_note, db, body.subject, body.subject_id, note)
    await call.audit("registry.note", f"{body.subject}/{body.subject_id}")
    return line_view(row)


class BelievedQuery(Input):
    """What was known at ``known_at`` (now when left out) about ``field`` on the day ``on``."""

    subject: Subject
    subject_id: Id
    field: Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]{1,40}$")]
    on: Day
    known_at: Time | None = None


class Believed(Output):
    """``known`` is false when nothing had been written down by then; ``event_id`` is the line that says the value."""

    known: bool
    value: str | None
    event_id: int | None


@api.add("GET", "/registry-journal/believed", answers=Believed, summary="What was believed on a day about another")
async def get_believed(call: Call, query: BelievedQuery) -> Believed:
    db = call.services.database
    if query.field not in registry.KINDS[query.subject].columns:
        raise Problem(422, f"field: a {registry.KINDS[query.subject].noun} has no such field.")
    known_at: datetime | None = query.known_at
    at_us = call.services.clock() if known_at is None else us_of(known_at)
    belief = await db.run(registry.believed, db, query.subject, query.subject_id, query.field, query.on, at_us)
    return Believed(known=belief.known, value=belief.value, event_id=belief.event_id)
