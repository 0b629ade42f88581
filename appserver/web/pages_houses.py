"""The start page, the houses, and the page of a house with its balance."""

from __future__ import annotations

import calendar
import re
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal

from aiohttp import web
from pydantic import StringConstraints

from appserver import registry
from appserver.api.fields import EARLIEST_DAY, LATEST_DAY, Id, Input, PageQuery
from appserver.api.problems import Problem
from appserver.api.registry import Resource
from appserver.api.statements import StatementQuery, statement_file
from appserver.auth.grants import Operation
from appserver.auth.identity import identity_of
from appserver.db import Database
from appserver.metering.balance import Balance
from appserver.metering.closed import counted_balance
from appserver.metering.explain import Explanation, explain_balance, norm_a_person, norm_rule
from appserver.metering.frozen import summary_of
from appserver.metering.parts import HouseParts, parts_of
from appserver.metering.periods import ClosedPeriod
from appserver.metering.queries import last_day
from appserver.metering.timebase import date_of
from appserver.models.registry import RESOURCES
from appserver.rules.entered import rule_book
from appserver.services import SERVICES
from appserver.web import i18n
from appserver.web.formats import day as shown_day
from appserver.web.formats import month as shown_month
from appserver.web.forms import call_of, check, link, seen_query
from appserver.web.i18n import N_
from appserver.web.overview import Overview
from appserver.web.pages_incidents import open_figures, open_of
from appserver.web.render import page
from internalapi import messages as m
from internalapi.client import ApiError, NetworkUnavailable

PER_PAGE = 100
BIGGEST = 8


def overview(request: web.Request) -> Any:
    """The overview that all pages share."""
    services = request.app[SERVICES]
    return services.overviews.get(services.clock())


async def start(request: web.Request) -> web.Response:
    """The numbers a dispatcher looks at first; members are led to what is theirs."""
    services = request.app[SERVICES]
    scope = identity_of(request).scope
    if scope is not None:
        ways = ((Operation.cabinet, "/cabinet"), (Operation.read, "/houses"), (Operation.audit, "/admin/audit"))
        raise web.HTTPSeeOther(next((way for operation, way in ways if scope.may(operation)), "/profile"))
    status: m.NetworkStatus | None = None
    try:
        status = await services.network.status()
    except (NetworkUnavailable, ApiError):
        status = None
    view: Overview = await overview(request)
    biggest = [volumes for volumes in view.volumes if volumes.imbalance is not None][:BIGGEST]
    figures = await open_figures(request)
    return page(request, "start.html", network=status, view=view, biggest=biggest, **figures)


_HOUSES = """
SELECT b.id, b.address, o.name, b.kind,
  (SELECT count(*) FROM premises p WHERE p.building_id = b.id AND p.kind = 'flat'),
  (SELECT count(*) FROM point p JOIN installation i ON i.point_id = p.id AND i.removed_at_us IS NULL
   WHERE p.building_id = b.id)
FROM building b JOIN organisation o ON o.id = b.organisation_id WHERE b.id = ?
"""


async def houses(request: web.Request) -> web.Response:
    """All houses with the month's imbalances."""
    query = seen_query(request, PageQuery)
    db: Database = request.app[SERVICES].database
    only = call_of(request).only(Operation.read, "building")
    found = await db.run(registry.page, db, "building", q=query.q, cursor=query.cursor, limit=PER_PAGE, only=only)
    view: Overview = await overview(request)

    def rows() -> list[tuple[Any, ...]]:
        return [db.rows(_HOUSES, (building.id,))[0] for building in found.items]

    items = []
    for row in await db.run(rows):
        seen = await _seen(request, row[0], [volumes.resource for volumes in view.of_building(row[0])])
        items.append((*row, [volumes for volumes in view.of_building(row[0]) if volumes.resource in seen]))
    more = link(request, cursor=found.next_cursor) if found.next_cursor else None
    return page(request, "houses.html", items=items, more=more, q=query.q)


async def _seen(request: web.Request, building_id: int, resources: list[str]) -> list[str]:
    """Those of a house's resources that the reader may see."""
    call = call_of(request)
    return [resource for resource in resources if await call.reaches(Operation.read, "building", building_id, resource)]


async def resources_seen(request: web.Request, building_id: int) -> list[str]:
    """The resources of a house that the reader may see."""
    db: Database = request.app[SERVICES].database
    return await _seen(request, building_id, await db.run(_resources, db, building_id))


# --------------------------------------------------------------------------------------------------- page of a house


class _HousePath(Input):
    id: Id


class _HouseQuery(Input):
    resource: Resource | None = None
    step: Literal["hour", "day", "month"] = "day"
    period: Annotated[str, StringConstraints(pattern=r"^\d{4}(-\d\d(-\d\d)?)?$")] = ""


@dataclass(frozen=True, slots=True)
class Period:
    """The days a page shows: a month by day, a year by month, a day by hour."""

    step: str
    first: date
    last: date
    """Excluded."""

    @property
    def key(self) -> str:
        length = {"month": 4, "day": 7, "hour": 10}[self.step]
        return self.first.isoformat()[:length]

    @property
    def title(self) -> str:
        if self.step == "month":
            return str(self.first.year)
        return shown_month(self.first) if self.step == "day" else shown_day(self.first)

    def neighbour(self, direction: int) -> Period:
        """The period before (-1) or after (1)."""
        return period_around(self.step, self.last if direction > 0 else self.first - timedelta(days=1))


def period_around(step: str, day: date) -> Period:
    """The period of ``step`` that contains ``day``."""
    if step == "month":
        return Period(step, date(day.year, 1, 1), date(day.year + 1, 1, 1))
    if step == "hour":
        return Period(step, day, day + timedelta(days=1))
    length = calendar.monthrange(day.year, day.month)[1]
    first = day.replace(day=1)
    return Period(step, first, first + timedelta(days=length))


def read_period(step: str, text: str, known: date) -> Period:
    """The period a link names; the one of the last known day when it names none."""
    if re.fullmatch(r"\d{4}(-\d\d(-\d\d)?)?", text):
        try:
            day = date.fromisoformat(text + "0000-01-01"[len(text) :])
        except ValueError:
            day = known
        if EARLIEST_DAY < day < LATEST_DAY:
            # Going from a coarse step to a finer one lands at the end of what is known.
            within = period_around({4: "month", 7: "day", 10: "hour"}[len(text)], day)
            return period_around(step, min(max(known, within.first), within.last - timedelta(days=1)))
    return period_around(step, known)


def _resources(db: Database, building_id: int) -> list[str]:
    rows = db.rows("SELECT DISTINCT resource FROM point WHERE building_id = ? AND role <> 'node'", (building_id,))
    found = {row[0] for row in rows}
    return [resource for resource in RESOURCES if resource in found]


async def house(request: web.Request) -> web.Response:
    """The balance of a house as a chart and as tables."""
    services, db = request.app[SERVICES], request.app[SERVICES].database
    building_id = building_id_of(request)
    query = seen_query(request, _HouseQuery)
    building = await db.run(registry.get, db, "building", building_id)
    organisation = await db.run(registry.get, db, "organisation", building.organisation_id)
    resources = await resources_seen(request, building_id)
    resource = query.resource if query.resource in resources else (resources[0] if resources else None)
    balance: Balance | None = None
    explanation: Explanation | None = None
    parts: HouseParts | None = None
    closing: ClosedPeriod | None = None
    within: tuple[ClosedPeriod, ...] = ()
    used: list[str] = []
    period = period_around(query.step, date_of(services.clock() // 86_400_000_000))
    if resource is not None:
        last = await db.run(last_day, db, building_id, resource)
        known = (last - timedelta(days=1)) if last is not None else period.first
        period = read_period(query.step, query.period, known)
        await call_of(request).need((Operation.read,), "building", building_id, (period.first, period.last), resource)
        counted = await db.run(counted_balance, db, building_id, resource, period.first, period.last, query.step)
        balance, closing, within = counted.balance, counted.closing, counted.within
        book = await db.run(rule_book, db)
        if closing is not None:
            summary = await db.run(summary_of, db, closing.id)
            explanation, used = summary.explanation, [rule.version for rule in summary.rules]
        elif query.step != "hour":
            rule = norm_rule(book, balance)
            used = [rule.version] if rule is not None else []
            explanation = await db.run(explain_balance, db, balance, norm_a_person(book, balance))
        parts = await db.run(parts_of, db, balance, explanation, book)
        if not call_of(request).personal:
            balance = replace(balance, points=[replace(point, account_number="") for point in balance.points])
    return page(
        request,
        "house.html",
        building=building,
        organisation=organisation,
        resources=resources,
        resource=resource,
        balance=balance,
        explanation=explanation,
        parts=parts,
        closing=closing,
        within=within,
        rules=used,
        period=period,
        chart=chart_of(balance) if balance is not None else None,
        incidents=await open_of(request, building_id=building_id),
        zone=building.timezone,
    )


def building_id_of(request: web.Request) -> int:
    """The house of an address. Raises Problem 404."""
    try:
        return check(_HousePath, {"id": request.match_info["id"]}).id
    except Problem as error:
        raise Problem(404, N_("There is no such house.")) from error


def chart_of(balance: Balance) -> dict[str, Any]:
    """The series of the chart, as the browser takes them: local time as if it were UTC, so that days stand upright."""

    def floats(values: list[Decimal | None]) -> list[float | None]:
        return [None if value is None else float(value) for value in values]

    shown = [period for period in balance.periods if period.house is not None or period.individual]
    hidden = {id(period) for period in balance.periods} - {id(period) for period in shown}
    return {
        "step": balance.step,
        "unit": i18n.gettext(balance.unit),
        "language": i18n.language(),
        "label": i18n.gettext("Period"),
        "x": [_naive(period.start) for period in balance.periods],
        "series": [
            {
                "name": i18n.gettext("Common meter"),
                "kind": "house",
                "values": floats([p.house for p in balance.periods]),
            },
            {
                "name": i18n.gettext("Sum of flats"),
                "kind": "flats",
                "values": floats([None if id(p) in hidden else p.individual for p in balance.periods]),
            },
            {
                "name": i18n.gettext("Imbalance"),
                "kind": "gap",
                "values": floats([p.imbalance for p in balance.periods]),
            },
        ],
    }


def _naive(moment: Any) -> int:
    """Seconds since 1970 of the wall clock."""
    return calendar.timegm(moment.timetuple())


class _DownloadQuery(Input):
    name: Literal["individual", "house", "balance", "heat"] = "balance"
    format: Literal["csv", "xlsx", "html", "pdf"] = "xlsx"
    resource: Resource | None = None
    step: Literal["hour", "day", "month"] = "day"
    period: Annotated[str, StringConstraints(pattern=r"^\d{4}(-\d\d(-\d\d)?)?$")] = ""


async def download(request: web.Request) -> web.Response:
    """A statement of the shown period as a file."""
    call, building_id = call_of(request), building_id_of(request)
    query = seen_query(request, _DownloadQuery)
    today = date_of(call.services.clock() // 86_400_000_000)
    period = read_period(query.step, query.period, today)
    await call.need(
        (Operation.report, Operation.personal),
        "building",
        building_id,
        (period.first, period.last),
        query.resource or "*",
    )
    wanted = {
        "building_id": building_id,
        "from": period.first,
        "to": period.last,
        "resource": query.resource,
        "step": query.step,
        "format": query.format,
        "language": i18n.language(),
    }
    return await statement_file(call, query.name, check(StatementQuery, wanted))
