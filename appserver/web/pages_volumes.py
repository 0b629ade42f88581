"""Volumes of a free period: of a building or one of its points, each with its quality and its error."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from aiohttp import web
from pydantic import StringConstraints

from appserver import registry
from appserver.api.fields import Id, Input
from appserver.api.problems import Problem, from_registry
from appserver.api.registry import Resource
from appserver.api.volumes import VolumesFileQuery, VolumesQuery, volumes_file, volumes_of
from appserver.db import Database
from appserver.errors import RegistryError
from appserver.metering.free_volumes import Volumes
from appserver.metering.timebase import date_of
from appserver.models.registry import REGISTERS
from appserver.web import i18n
from appserver.web.forms import call_of, check, seen_query
from appserver.web.render import page

SHOWN = 2000
"""Rows of a page; a file has them all."""
_Moment = Annotated[str, StringConstraints(pattern=r"^\d{4}-\d\d-\d\d(T\d\d:\d\d)?$")]
_POINTS = (
    "SELECT p.id, p.resource, p.role, p.name, r.number FROM point p LEFT JOIN premises r ON r.id = p.premises_id"
    " WHERE p.building_id = ? AND p.role <> 'node' ORDER BY p.resource, p.role = 'individual',"
    " CAST(r.number AS INTEGER), r.number, p.name, p.id"
)


class _Query(Input):
    building_id: Id | None = None
    point_id: Id | None = None
    resource: Resource | None = None
    step: Literal["whole", "month", "day", "hour"] = "whole"
    since: _Moment | None = None
    until: _Moment | None = None


class _FileQuery(_Query):
    organisation_id: Id | None = None
    format: Literal["csv", "xlsx", "pdf"] = "xlsx"


@dataclass(frozen=True, slots=True)
class _Asked:
    """What the form shows again."""

    since: str
    until: str


def _edges(query: _Query, today: date) -> _Asked:
    """The period that was asked for, or the month of yesterday so far."""
    first = (today - timedelta(days=1)).replace(day=1)
    since, until = query.since or first.isoformat(), query.until or today.isoformat()
    return _Asked(*(text if "T" in text else text + "T00:00" for text in (since, until)))


def _moment(text: str, zone: str | None) -> str:
    """What was entered, as the API takes it: whole days stay days, times get the building's zone."""
    if text.endswith("T00:00") or zone is None:
        return text[:10]
    try:
        return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC).isoformat()
    except (ValueError, OverflowError):
        return text


async def volumes(request: web.Request) -> web.Response:
    """The form, and what it asks for."""
    call, query = call_of(request), seen_query(request, _Query)
    services, db = call.services, call.services.database
    asked = _edges(query, date_of(services.clock() // 86_400_000_000))
    buildings = (await db.run(registry.page, db, "building", limit=1000)).items
    organisations = (await db.run(registry.page, db, "organisation", limit=1000)).items
    chosen = next((building for building in buildings if building.id == query.building_id), None)
    points = await db.run(db.rows, _POINTS, (chosen.id,)) if chosen is not None else []
    found: Volumes | None = None
    problem: Problem | None = None
    if chosen is not None:
        try:
            found = await volumes_of(call, check(VolumesQuery, _wanted(query, asked, chosen.timezone, points)))
        except Problem as error:
            problem = error
        except RegistryError as error:
            problem = from_registry(error)
    return page(
        request,
        "volumes.html",
        status=problem.status if problem else 200,
        query=query,
        asked=asked,
        buildings=buildings,
        organisations=organisations,
        chosen=chosen,
        points=points,
        resources=[name for name in REGISTERS if any(row[1] == name for row in points)],
        found=found,
        shown=SHOWN,
        problem=problem,
        address=request.query_string,
        zone=chosen.timezone if chosen is not None else None,
    )


def _wanted(query: _Query, asked: _Asked, zone: str | None, points: list[tuple[Any, ...]]) -> dict[str, Any]:
    of_house = {row[0] for row in points if query.resource in (None, row[1])}
    place = {"point_id": query.point_id} if query.point_id in of_house else {"building_id": query.building_id}
    return {
        **place,
        "resource": query.resource,
        "step": query.step,
        "from": _moment(asked.since, zone),
        "to": _moment(asked.until, zone),
    }


async def download(request: web.Request) -> web.Response:
    """The volumes of the form as a file; without a house those of a town or an organisation."""
    call, query = call_of(request), seen_query(request, _FileQuery)
    db: Database = call.services.database
    asked = _edges(query, date_of(call.services.clock() // 86_400_000_000))
    wanted: dict[str, Any] = {"format": query.format, "language": i18n.language()}
    if query.building_id is None:
        days = {"from": asked.since[:10], "to": asked.until[:10]}
        wanted |= {"organisation_id": query.organisation_id, "resource": query.resource, **days}
    else:
        building = await db.run(registry.get, db, "building", query.building_id)
        points = await db.run(db.rows, _POINTS, (query.building_id,))
        wanted |= _wanted(query, asked, building.timezone, points)
    return await volumes_file(call, check(VolumesFileQuery, wanted))
