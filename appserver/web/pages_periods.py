"""Closed periods: what would be frozen, closing, what was frozen beside what is known now, opening again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Annotated, Any

from aiohttp import web
from pydantic import StringConstraints

from appserver import registry
from appserver.api.fields import EARLIEST_DAY, LATEST_DAY, Id, Input, RequiredName
from appserver.api.periods import NewClosedPeriod, Reopening
from appserver.api.problems import Problem, from_registry, invalid
from appserver.api.registry import Resource
from appserver.db import Database
from appserver.errors import RegistryError
from appserver.metering import periods as room
from appserver.metering.charges import next_month
from appserver.metering.closed import exact_closing
from appserver.metering.corrections import open_conflicts
from appserver.metering.frozen import hash_of, summary_of
from appserver.metering.timebase import date_of
from appserver.models.registry import RESOURCES
from appserver.services import SERVICES
from appserver.web.forms import call_of, check, read_form, seen_query
from appserver.web.i18n import N_
from appserver.web.render import page

SHOWN = 200


class _Query(Input):
    building_id: Id | None = None
    resource: Resource | None = None
    month: Annotated[str, StringConstraints(pattern=r"^(\d{4}-\d\d)?$")] = ""


class _Path(Input):
    id: Id


class _Closing(Input):
    building_id: Id
    resource: Resource
    month: Annotated[str, StringConstraints(pattern=r"^\d{4}-\d\d$")]
    reason: RequiredName | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """A point of a preview: what it would be charged for, and what of earlier periods with it."""

    point: Any
    charge: Any
    recalculation: Any


async def periods(request: web.Request) -> web.Response:
    """The closings, and what closing another period would freeze."""
    return await _periods(request)


async def _periods(
    request: web.Request, problem: Problem | None = None, wanted: _Query | None = None, reason: str = ""
) -> web.Response:
    services, db = request.app[SERVICES], request.app[SERVICES].database
    query = wanted or seen_query(request, _Query)
    today = date_of(services.clock() // 86_400_000_000)
    month = _month(query.month) or (today.replace(day=1) - timedelta(days=1)).replace(day=1)
    buildings = await db.run(registry.page, db, "building", limit=1000)
    resources = await db.run(_resources, db, query.building_id) if query.building_id else []
    resource = query.resource if query.resource in resources else None
    preview, standing, rows, conflicts = None, None, [], 0
    if query.building_id is not None and resource is not None:
        span = (query.building_id, resource, month, next_month(month))
        try:
            preview = await db.run(room.preview_close, db, *span)
            standing = await db.run(exact_closing, db, *span)
            rows = _rows(preview)
            conflicts = len(await db.run(open_conflicts, db, query.building_id))
        except RegistryError as error:
            problem = problem or from_registry(error)
    found = await db.run(room.closed_periods, db, query.building_id, query.resource or "")
    return page(
        request,
        "periods.html",
        status=problem.status if problem else 200,
        items=found[:SHOWN],
        addresses={building.id: building.address for building in buildings.items},
        buildings=buildings.items,
        resources=resources or RESOURCES,
        resource=resource,
        query=query,
        month=month,
        preview=preview,
        standing=standing,
        rows=rows,
        conflicts=conflicts,
        problem=problem,
        reason=reason,
    )


def _month(text: str) -> date | None:
    try:
        found = date.fromisoformat(text + "-01") if text else None
    except ValueError:
        return None
    return found if found is not None and EARLIEST_DAY < found < LATEST_DAY else None


def _resources(db: Database, building_id: int) -> list[str]:
    rows = db.rows("SELECT DISTINCT resource FROM point WHERE building_id = ? AND role <> 'node'", (building_id,))
    found = {row[0] for row in rows}
    return [resource for resource in RESOURCES if resource in found]


def _rows(preview: room.Preview) -> list[Row]:
    charges = {charge.point_id: charge for charge in preview.summary.charges}
    again: dict[int, Any] = {}
    for one in preview.recalculations:
        again[one.point_id] = again.get(one.point_id, 0) + one.volume
    return [
        Row(point, charges.get(point.point_id), again.get(point.point_id))
        for point in preview.balance.points
        if point.role in ("house", "individual")
    ]


async def close(request: web.Request) -> web.Response:
    """Close a month of a building's resource."""
    call = call_of(request)
    db: Database = call.services.database
    sent = await read_form(request)
    wanted = _Query()
    try:
        form = check(_Closing, sent)
        wanted = _Query(building_id=form.building_id, resource=form.resource, month=form.month)
        first = _month(form.month)
        if first is None:
            raise invalid("month", N_("there is no such month"), "form")
        body = NewClosedPeriod(
            building_id=form.building_id,
            resource=form.resource,
            first_day=first,
            last_day=next_month(first),
            reason=form.reason or "",
        )
        row = await db.run(
            room.close_period,
            db,
            body.building_id,
            body.resource,
            body.first_day,
            body.last_day,
            author=call.who.name,
            now_us=call.services.clock(),
            reason=body.reason,
        )
    except Problem as problem:
        return await _periods(request, problem, wanted, sent.get("reason", ""))
    except RegistryError as error:
        return await _periods(request, from_registry(error), wanted, sent.get("reason", ""))
    detail = {"resource": row.resource, "first_day": str(row.first_day), "revision": row.revision}
    await call.audit("period.close", f"building/{row.building_id}", detail)
    raise web.HTTPSeeOther(f"/periods/{row.id}")


async def period(request: web.Request) -> web.Response:
    """One closing: what was frozen, what is known now, what came after."""
    return await _period(request)


async def _period(request: web.Request, problem: Problem | None = None, reason: str = "") -> web.Response:
    db: Database = request.app[SERVICES].database
    close_id = _id(request)
    closing = await db.run(room.closed_period, db, close_id)
    building = await db.run(registry.get, db, "building", closing.building_id)
    values = await db.run(room.closed_values, db, close_id)
    summary = await db.run(summary_of, db, close_id)
    return page(
        request,
        "period.html",
        status=problem.status if problem else 200,
        closing=closing,
        building=building,
        values=values,
        changed=sum(value.changed for value in values),
        charges={charge.point_id: charge for charge in summary.charges},
        summary=summary,
        sha256=await db.run(hash_of, db, close_id),
        late=await db.run(room.after_close, db, close_id, SHOWN),
        problem=problem,
        reason=reason,
        zone=building.timezone,
    )


def _id(request: web.Request) -> int:
    try:
        return check(_Path, {"id": request.match_info["id"]}).id
    except Problem as error:
        raise Problem(404, N_("There is no such closed period.")) from error


async def reopen(request: web.Request) -> web.Response:
    """Open a closed period again."""
    call, close_id = call_of(request), _id(request)
    db: Database = call.services.database
    sent = await read_form(request)
    try:
        body = check(Reopening, {"reason": sent.get("reason", "")})
        row = await db.run(
            room.reopen_period, db, close_id, author=call.who.name, reason=body.reason, now_us=call.services.clock()
        )
    except Problem as problem:
        return await _period(request, problem, sent.get("reason", ""))
    except RegistryError as error:
        if error.code == "not_found":
            raise
        return await _period(request, from_registry(error), sent.get("reason", ""))
    detail = {"resource": row.resource, "first_day": str(row.first_day), "reason": body.reason}
    await call.audit("period.reopen", f"building/{row.building_id}", detail)
    raise web.HTTPSeeOther(f"/periods/{close_id}")
