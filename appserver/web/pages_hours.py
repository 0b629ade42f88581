"""The hours of a house over as much as a year: a chart, its figures, and files."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any, Literal

from aiohttp import web

from appserver import registry
from appserver.api.fields import Day, Input
from appserver.api.hours import HoursFileQuery, hours_file
from appserver.api.registry import Resource
from appserver.auth.grants import Operation
from appserver.metering.hours.closed import counted_hours
from appserver.metering.hours.series import MAX_DAYS, HouseHours
from appserver.metering.queries import last_day
from appserver.metering.timebase import HOUR_US, date_of, moment, zone_of
from appserver.models.columns import MICRO
from appserver.services import SERVICES
from appserver.web import i18n
from appserver.web.forms import call_of, check, seen_query
from appserver.web.pages_houses import building_id_of, resources_seen
from appserver.web.render import page

LENGTHS = {"week": 7, "month": 31, "quarter": 92, "year": 365}


class _Query(Input):
    resource: Resource | None = None
    length: Literal["week", "month", "quarter", "year"] = "year"
    until: Day | None = None
    """The last day shown."""


class _FileQuery(_Query):
    of: Literal["house", "points"] = "house"


async def hours(request: web.Request) -> web.Response:
    """The hours of one resource of a house, as long as asked for, up to the last day known."""
    services, db = request.app[SERVICES], request.app[SERVICES].database
    building_id = building_id_of(request)
    query = seen_query(request, _Query)
    building = await db.run(registry.get, db, "building", building_id)
    resources = await resources_seen(request, building_id)
    resource = query.resource if query.resource in resources else (resources[0] if resources else None)
    found: HouseHours | None = None
    within: list[Any] = []
    first, last = await _span(request, query, building_id, resource)
    if resource is not None:
        await call_of(request).need((Operation.read,), "building", building_id, (first, last), resource)
        found, within = await db.run(counted_hours, db, building_id, resource, first, last)
    return page(
        request,
        "hours.html",
        building=building,
        resources=resources,
        resource=resource,
        lengths=tuple(LENGTHS),
        length=query.length,
        first=first,
        last=last - timedelta(days=1),
        earlier=first - timedelta(days=1),
        later=last + timedelta(days=LENGTHS[query.length] - 1),
        found=found,
        figures=_figures(found) if found is not None else None,
        chart=_chart(found) if found is not None else None,
        within=within,
        zone=services.settings.timezone,
    )


async def download(request: web.Request) -> web.Response:
    """The hours that the page shows, as CSV."""
    call, building_id = call_of(request), building_id_of(request)
    query = seen_query(request, _FileQuery)
    first, last = await _span(request, query, building_id, query.resource)
    resource = query.resource or "cold_water"
    await call.need((Operation.report, Operation.personal), "building", building_id, (first, last), resource)
    wanted = {"resource": resource, "from": first, "to": last, "of": query.of, "language": i18n.language()}
    return await hours_file(call, building_id, check(HoursFileQuery, wanted))


async def _span(request: web.Request, query: _Query, building_id: int, resource: str | None) -> tuple[date, date]:
    """First day, and the day after the last."""
    services = request.app[SERVICES]
    until = query.until
    if until is None:
        db = services.database
        known = await db.run(last_day, db, building_id, resource) if resource is not None else None
        until = (known or date_of(services.clock() // (24 * HOUR_US))) - timedelta(days=1)
    last = until + timedelta(days=1)
    return last - timedelta(days=min(LENGTHS[query.length], MAX_DAYS)), last


def _figures(found: HouseHours) -> dict[str, Any]:
    """What a year of hours comes to."""
    whole = sum(1 for known in found.known if found.points and known == found.points)
    most = max(range(len(found.known)), key=lambda hour: found.individual[hour], default=0)
    starts = moment(found.start_us + most * HOUR_US, zone_of(found.timezone)) if found.individual else None
    balanced = [hour for hour, value in enumerate(found.house) if value is not None]
    return {
        "house": sum(found.house[hour] or 0 for hour in balanced) / MICRO if balanced else None,
        "individual": sum(found.individual) / MICRO,
        "imbalance": sum((found.house[hour] or 0) - found.individual[hour] for hour in balanced) / MICRO
        if balanced
        else None,
        "most": found.individual[most] / MICRO if found.individual else None,
        "most_at": starts,
        "whole": whole,
        "hours": len(found.known),
        "known": any(found.known) or bool(balanced),
    }


def _chart(found: HouseHours) -> dict[str, Any]:
    """The series as the browser takes them: local time as if it were UTC."""
    zone = zone_of(found.timezone)
    offsets: dict[int, int] = {}

    def wall_s(at_us: int) -> int:
        day = at_us // (24 * HOUR_US)
        if day not in offsets:
            ends = {_offset_s(at, zone) for at in (day * 24 * HOUR_US, (day + 1) * 24 * HOUR_US)}
            offsets[day] = ends.pop() if len(ends) == 1 else -1
        offset = offsets[day]
        return at_us // 1_000_000 + (offset if offset != -1 else _offset_s(at_us, zone))

    def shown(values: list[int | None]) -> list[float | None]:
        return [None if value is None else value / MICRO for value in values]

    silent: list[int | None] = [
        value if known else None for value, known in zip(found.individual, found.known, strict=True)
    ]
    return {
        "step": "hour",
        "dense": len(found.house) > LENGTHS["month"] * 24,
        "unit": i18n.gettext(found.unit),
        "language": i18n.language(),
        "label": i18n.gettext("Hour"),
        "digits": 3,
        "x": [wall_s(found.start_us + hour * HOUR_US) for hour in range(len(found.house))],
        "series": [
            {"name": i18n.gettext("Common meter"), "kind": "line_house", "values": shown(found.house)},
            {"name": i18n.gettext("Sum of flats"), "kind": "line_flats", "values": shown(silent)},
        ],
    }


def _offset_s(at_us: int, zone: Any) -> int:
    offset = moment(at_us, zone).utcoffset()
    return round(offset.total_seconds()) if offset is not None else 0
