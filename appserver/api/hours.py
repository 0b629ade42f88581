"""The hours of a building: a year at once, as columns, and as a file."""

from __future__ import annotations

from typing import Annotated, Literal

from aiohttp import web
from pydantic import Field

from appserver.api.fields import Day, Id, Input, Output, Time
from appserver.api.registry import IdPath, Resource
from appserver.api.router import Api, Call
from appserver.metering.hours.closed import counted_hours
from appserver.metering.timebase import moment, zone_of
from appserver.reports.hours import house_file, points_file

api = Api("Metering")


class HoursQuery(Input):
    """From a day (included) to a day (excluded) of the building's calendar, 366 at most."""

    resource: Resource = "cold_water"
    since: Annotated[Day, Field(alias="from")]
    until: Annotated[Day, Field(alias="to", description="Excluded")]


class HoursFileQuery(HoursQuery):
    """The same as CSV: the house, or every point in a column of its own."""

    of: Literal["house", "points"] = "house"
    language: Literal["ru", "en"] = "ru"


class Hours(Output):
    """Columns that run parallel: entry *n* is of the hour that begins *n* hours after ``start``, also where clocks change.

    Volumes are whole millionths of the unit.
    """

    building_id: int
    address: str
    resource: str
    unit: str
    timezone: str
    since: Day = Field(alias="from")
    until: Day = Field(alias="to")
    start: Time
    points: int
    """Individual points of the resource."""
    house_micro: list[int | None]
    """Common meters, in minus out; null where one of them is not known."""
    individual_micro: list[int]
    """Sum of the individual points that are known."""
    known: list[int]
    """How many of them are known at both ends of the hour."""
    estimated: list[int]
    """How many of these are interpolated, on server time or disputed."""
    closed_periods: list[int]
    """Closings with days in it: their hours are as they were frozen."""


@api.add("GET", "/buildings/{id}/hours", answers=Hours, summary="Hours of a building, up to a year at once")
async def get_hours(call: Call, path: IdPath, query: HoursQuery) -> Hours:
    db = call.services.database
    found, within = await db.run(counted_hours, db, path.id, query.resource, query.since, query.until)
    same = ("building_id", "address", "resource", "unit", "timezone", "points", "known", "estimated")
    return Hours.model_construct(
        **{name: getattr(found, name) for name in same},
        since=found.from_date,
        until=found.to_date,
        start=moment(found.start_us, zone_of(found.timezone)),
        house_micro=found.house,
        individual_micro=found.individual,
        closed_periods=[closing.id for closing in within],
    )


@api.add("GET", "/buildings/{id}/hours/file", answers="text/csv", summary="Hours of a building or of its points as CSV")
async def get_hours_file(call: Call, path: IdPath, query: HoursFileQuery) -> web.Response:
    return await hours_file(call, path.id, query)


async def hours_file(call: Call, building_id: Id, query: HoursFileQuery) -> web.Response:
    """The hours as a download."""
    services, db = call.services, call.services.database
    make = points_file if query.of == "points" else house_file
    async with services.reports:
        data = await db.run(make, db, building_id, query.resource, query.since, query.until, query.language)
    await call.audit("export", f"building/{building_id}", {"table": "hours", "of": query.of, "bytes": len(data)})
    name = f"hours-{building_id}-{query.resource}-{query.since}-{query.until}.csv"
    return web.Response(
        body=data,
        headers={
            "Content-Type": "text/csv; charset=utf-8",
            "Content-Disposition": f'attachment; filename="{name}"',
            "Cache-Control": "no-store",
        },
    )
