"""The list of meters with their last readings, and the page of a meter."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from aiohttp import web
from pydantic import Field

from appserver import registry
from appserver.api.fields import Id, Input, PageQuery, Volume
from appserver.api.problems import Problem, from_registry, invalid
from appserver.api.readings import LastReadingsQuery
from appserver.api.router import Call
from appserver.auth.gate import today_of
from appserver.auth.grants import Operation
from appserver.auth.places import covered_installations
from appserver.backfill.store import of_meter
from appserver.db import Database
from appserver.errors import RegistryError
from appserver.heat.archive import archive_of
from appserver.metering.readings import LAST_PLACE, add_manual_reading, last_readings, point_readings
from appserver.metering.timebase import date_of, day_number, midnight_us, moment
from appserver.models.columns import from_micro
from appserver.models.registry import REGISTERS, RESOURCES, UNITS
from appserver.services import SERVICES
from appserver.web import i18n
from appserver.web.forms import call_of, check, link, read_form, seen_query
from appserver.web.i18n import N_
from appserver.web.pages_incidents import open_of
from appserver.web.render import page

PER_PAGE = 100
STRIP_DAYS = 33
CHART_DAYS = 62


async def meters(request: web.Request) -> web.Response:
    """All meters by house and flat."""
    services, db = request.app[SERVICES], request.app[SERVICES].database
    query, call = seen_query(request, LastReadingsQuery), call_of(request)
    silent_since = services.clock() - query.silent_hours * 3_600_000_000 if query.silent_hours else None
    try:
        found = await db.run(
            last_readings,
            db,
            query.building_id,
            query.resource or "",
            query.q,
            query.cursor,
            PER_PAGE,
            silent_since,
            call.covered(Operation.read, *LAST_PLACE),
            call.personal,
        )
    except RegistryError as error:
        raise from_registry(error) from error
    buildings = await db.run(registry.page, db, "building", limit=1000, only=call.only(Operation.read, "building"))
    today = date_of(services.clock() // 86_400_000_000)
    return page(
        request,
        "meters.html",
        items=found.items if call.personal else [replace(item, account_number=None) for item in found.items],
        more=link(request, cursor=found.next_cursor) if found.next_cursor else None,
        query=query,
        buildings=buildings.items,
        resources=RESOURCES,
        today=today.isoformat(),
        soon=(today + timedelta(days=60)).isoformat(),
    )


class _MeterPath(Input):
    id: Id


@dataclass(frozen=True, slots=True)
class DayCell:
    """A day of the strip: how well its first moment is known."""

    day: date
    quality: str


_PLACES = """
SELECT i.id, p.id, p.role, p.name, b.id, b.address, b.timezone, pr.number, pr.account_number,
  i.installed_on, i.removed_on, i.start_value, i.end_value
FROM installation i JOIN point p ON p.id = i.point_id JOIN building b ON b.id = p.building_id
LEFT JOIN premises pr ON pr.id = p.premises_id WHERE i.meter_id = ? ORDER BY i.installed_at_us DESC
"""
_PLACE_COLUMNS = """
    id point_id role name building_id address timezone premises account installed_on removed_on start end
""".split()  # noqa: SIM905
_MARKS = "SELECT day, total_micro, value_micro, quality FROM boundary WHERE point_id = ? AND day >= ? ORDER BY day"


async def meter(request: web.Request) -> web.Response:
    """One meter: passport, daily volumes, readings."""
    return await _meter(request)


async def _meter(
    request: web.Request, problem: Problem | None = None, fields: dict[str, str] | None = None
) -> web.Response:
    services, db = request.app[SERVICES], request.app[SERVICES].database
    meter_id = _meter_id(request)
    row = await db.run(registry.get, db, "meter", meter_id)
    call = call_of(request)
    places = [_place(record) for record in await db.run(db.rows, _PLACES, (meter_id,))]
    theirs = await _theirs(call, meter_id, places)
    places = theirs.places
    here = places[0] if places and places[0]["removed_on"] is None else None
    register = seen_query(request, _MeterQuery).register_name or REGISTERS[row.resource]
    cursor = seen_query(request, PageQuery).cursor
    readings, following = await db.run(
        point_readings, db, **theirs.readings_of(meter_id), register_name=register, cursor=cursor, limit=PER_PAGE
    )
    if call.who.scope is not None:
        readings = [replace(reading, dev_eui=None) for reading in readings]
    registers = await db.run(db.rows, "SELECT register FROM last_reading WHERE meter_id = ? ORDER BY 1", (meter_id,))
    channels = await db.run(
        db.rows,
        "SELECT dev_eui, channel, register, weight FROM module_channel"
        " WHERE meter_id = ? AND valid_until_us IS NULL ORDER BY channel",
        (meter_id,),
    )
    marks: list[tuple[Any, ...]] = []
    today = date_of(services.clock() // 86_400_000_000)
    if here is not None:
        last = (await db.run(db.rows, "SELECT max(day) FROM boundary WHERE point_id = ?", (here["point_id"],)))[0][0]
        if last is not None:
            today = date_of(last)
            first = max(last - CHART_DAYS, day_number(theirs.since) if theirs.since else 0)
            marks = await db.run(db.rows, _MARKS, (here["point_id"], first))
    zone = here["timezone"] if here else None
    return page(
        request,
        "meter.html",
        status=problem.status if problem else 200,
        meter=row,
        unit_name=UNITS[row.resource],
        places=places,
        here=here,
        register=register,
        registers=[name for (name,) in registers],
        readings=readings,
        more=link(request, cursor=following) if following else None,
        channels=channels if theirs.whole else [],
        incidents=await open_of(request, meter_id=meter_id),
        queries=await db.run(of_meter, db, meter_id) if theirs.whole else [],
        archive=await db.run(archive_of, db, meter_id, seen_query(request, _MeterQuery).archive)
        if theirs.whole
        else None,
        strip=_strip(marks, today),
        chart=_chart(marks, row.resource, zone) if len(marks) > 1 and register == REGISTERS[row.resource] else None,
        today=today_in(services.clock(), zone or services.settings.timezone),
        problem=problem,
        fields=fields or {"value": "", "measured_at": ""},
        zone=zone,
    )


@dataclass(frozen=True, slots=True)
class _Theirs:
    """What of a meter's history the reader may see."""

    places: list[dict[str, Any]]
    since: date | None = None
    whole: bool = True
    """Everything, as staff does."""

    def readings_of(self, meter_id: int) -> dict[str, int]:
        """Whose readings, from when: a member sees those of the point where the meter hangs, since the grant begins."""
        if self.whole:
            return {"meter_id": meter_id}
        here = self.places[0]
        first = midnight_us(day_number(self.since), ZoneInfo(here["timezone"])) if self.since else 0
        return {"point_id": here["point_id"], "from_us": first}


async def _theirs(call: Call, meter_id: int, places: list[dict[str, Any]]) -> _Theirs:
    scope, db = call.who.scope, call.services.database
    if scope is None:
        return _Theirs(places)
    today = today_of(call.services)
    covered = await db.run(covered_installations, db, scope, Operation.read, meter_id, today)
    shown = [place if call.personal else place | {"account": ""} for place in places if place["id"] in covered]
    if not shown or shown[0]["removed_on"] is not None:
        raise Problem(403, N_("Your grants do not reach this."))
    starts = [grant.since for grant in scope.grants if grant.since is not None and Operation.read in grant.operations]
    return _Theirs(shown, max(starts, default=None), whole=False)


class _MeterQuery(Input):
    archive: str = Field("", pattern=r"^[a-z_]{0,20}$")
    register_name: str = Field("", alias="register", pattern=r"^[a-z0-9_]{0,40}$")


def today_in(now_us: int, zone: str) -> date:
    """The date in a zone."""
    return moment(now_us, ZoneInfo(zone)).date()


def _meter_id(request: web.Request) -> int:
    try:
        return check(_MeterPath, {"id": request.match_info["id"]}).id
    except Problem as error:
        raise Problem(404, N_("There is no such meter.")) from error


def _place(record: tuple[Any, ...]) -> dict[str, Any]:
    place = dict(zip(_PLACE_COLUMNS, record, strict=True))
    for name in ("installed_on", "removed_on"):
        place[name] = date.fromisoformat(place[name]) if place[name] else None
    for name in ("start", "end"):
        place[name] = None if place[name] is None else from_micro(place[name])
    return place


def _strip(marks: list[tuple[Any, ...]], last: date) -> list[DayCell]:
    qualities = {date_of(day): quality for day, _, _, quality in marks}
    days = [last - timedelta(days=back) for back in range(STRIP_DAYS - 1, -1, -1)]
    return [DayCell(day, qualities.get(day, "missing")) for day in days]


def _chart(marks: list[tuple[Any, ...]], resource: str, zone: str | None) -> dict[str, Any]:
    """Volumes by day, as far as both midnights are known."""
    totals = {day: total for day, total, _, _ in marks}
    first, last = marks[0][0], marks[-1][0]
    days = range(first, last)
    values = [
        float(from_micro(totals[day + 1] - totals[day])) if day in totals and day + 1 in totals else None
        for day in days
    ]
    return {
        "step": "day",
        "unit": i18n.gettext(UNITS[resource]),
        "language": i18n.language(),
        "label": i18n.gettext("Period"),
        "digits": 3,
        "x": [midnight_us(day, ZoneInfo("UTC")) // 1_000_000 for day in days],
        "series": [{"name": i18n.gettext("Volume a day"), "kind": "bar", "values": values}],
    }


class _ReadingForm(Input):
    value: Volume
    measured_at: str = Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?$")


async def enter_reading(request: web.Request) -> web.Response:
    """Keep a reading that somebody took by eye; the time is that of the building."""
    call, meter_id = call_of(request), _meter_id(request)
    db: Database = call.services.database
    sent = await read_form(request)
    fields = {name: sent.get(name, "") for name in ("value", "measured_at")}
    try:
        form = check(_ReadingForm, fields | {"value": fields["value"].replace(",", ".").replace(" ", "")})
        places = [_place(record) for record in await db.run(db.rows, _PLACES, (meter_id,))]
        zone = places[0]["timezone"] if places else call.services.settings.timezone
        at_us = _wall_clock(form.measured_at, zone)
        await db.run(add_manual_reading, db, meter_id, Decimal(form.value), at_us, call.services.clock(), call.who.name)
        await call.audit("reading.enter", f"meter/{meter_id}", {"value": str(form.value)})
    except Problem as problem:
        return await _meter(request, problem, fields)
    except RegistryError as error:
        if error.code == "not_found":
            raise
        return await _meter(request, from_registry(error), fields)
    raise web.HTTPSeeOther(f"/meters/{meter_id}")


def _wall_clock(text: str, zone: str) -> int:
    try:
        local = datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone))
        if not 1990 <= local.year <= 2200:
            raise ValueError(text)
        return int(local.timestamp()) * 1_000_000
    except ValueError as error:
        raise invalid("measured_at", N_("this is not a date with a time"), "form") from error
