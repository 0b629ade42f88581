"""Volumes of a free period: of a point or of all points of a building, each with its quality and how far it may be off."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from aiohttp import web
from pydantic import Field

from appserver import reports
from appserver.api.fields import Day, Id, Input, Output, Time, Volume
from appserver.api.problems import invalid
from appserver.api.registry import Resource
from appserver.api.router import Api, Call
from appserver.metering.free_volumes import PeriodVolume, Step, Volumes, free_volumes
from appserver.metering.volumes import volumes
from appserver.reports.volumes import town_statement, volumes_statement

api = Api("Metering")


class VolumesQuery(Input):
    """A building or a point, and a period: days of the building's calendar, or moments with an offset."""

    building_id: Id | None = None
    point_id: Id | None = None
    resource: Resource | None = None
    since: Time | Day = Field(alias="from", union_mode="left_to_right")
    until: Time | Day = Field(alias="to", description="Excluded", union_mode="left_to_right")
    step: Step = "whole"


class VolumesFileQuery(VolumesQuery):
    """The same as a file; without building and point of all points of an organisation or the town, by days and whole."""

    organisation_id: Id | None = None
    format: Literal["csv", "xlsx", "pdf"] = "xlsx"
    language: Literal["ru", "en"] = "ru"


class VolumeOfPeriod(Output):
    """What a point counted in a period; ``start_at`` and ``end_at`` differ from the period's where it is known in part."""

    point_id: int
    premises_id: int | None
    premises: str
    account_number: str
    resource: str
    unit: str
    role: str
    direction: str
    name: str
    meter_id: int | None
    serial: str
    period_start: Time
    period_end: Time
    start: Volume | None
    end: Volume | None
    start_at: Time | None
    end_at: Time | None
    volume: Volume | None
    quality: str
    clock: Volume | None
    """How much of the volume may be clock, at most."""
    error: Volume | None
    """Bound of its whole error."""


class VolumeList(Output):
    """Volumes of a building or a point."""

    building_id: int
    address: str
    timezone: str
    since: Time = Field(alias="from")
    until: Time = Field(alias="to")
    step: str
    items: list[VolumeOfPeriod]


_OF_POINT = ("point_id", "premises_id", "premises", "account_number", "role", "direction", "name", "meter_id", "serial")
_OWN = tuple(name for name in VolumeOfPeriod.model_fields if name not in _OF_POINT)


def _view(row: PeriodVolume) -> VolumeOfPeriod:
    of_point = {name: getattr(row.point, name) for name in _OF_POINT}
    return VolumeOfPeriod.model_construct(**of_point, **{name: getattr(row, name) for name in _OWN})


async def volumes_of(call: Call, query: VolumesQuery) -> Volumes:
    """What the query asks for. Raises RegistryError."""
    db = call.services.database
    return await db.run(
        free_volumes, db, query.since, query.until, query.building_id, query.point_id, query.resource or "", query.step
    )


@api.add(
    "GET",
    "/volumes",
    answers=VolumeList,
    summary="Volumes of a building or a point in a free period, with their errors",
)
async def list_volumes(call: Call, query: VolumesQuery) -> VolumeList:
    found = await volumes_of(call, query)
    same = {name: getattr(found, name) for name in ("building_id", "address", "timezone", "step")}
    items = [_view(row) for row in found.rows]
    return VolumeList.model_construct(**same, since=found.start, until=found.end, items=items)


@api.add("GET", "/volumes/file", answers="application/octet-stream", summary="Volumes of a free period as a file")
async def get_volumes_file(call: Call, query: VolumesFileQuery) -> web.Response:
    return await volumes_file(call, query)


async def volumes_file(call: Call, query: VolumesFileQuery) -> web.Response:
    """The volumes as a download."""
    services, db = call.services, call.services.database

    def of_place() -> bytes:
        found = free_volumes(
            db, query.since, query.until, query.building_id, query.point_id, query.resource or "", query.step
        )
        return reports.render(volumes_statement(found, query.language), query.format)

    def of_town() -> bytes:
        rows = volumes(
            db,
            first,
            last,
            query.resource or "",
            query.organisation_id,
            individual=False,
            whole_period=True,
            bounds=True,
        )
        statement = town_statement(rows, first, last, services.settings.timezone, query.language)
        return reports.render(statement, query.format)

    town = query.building_id is None and query.point_id is None
    if town:
        if query.step != "whole" or query.format == "pdf":
            raise invalid("building_id", "of a whole town volumes go over the whole period, as CSV or XLSX", "query")
        first, last = _day(query.since, "from"), _day(query.until, "to")
    async with services.reports:
        data = await db.run(of_town if town else of_place)
    subject = f"point/{query.point_id}" if query.point_id else f"building/{query.building_id or ''}"
    await call.audit("export", subject, {"table": "volumes", "bytes": len(data), "format": query.format})
    name = f"volumes-{query.since:%Y-%m-%d}-{query.until:%Y-%m-%d}.{query.format}"
    return web.Response(
        body=data,
        headers={
            "Content-Type": reports.MEDIA_TYPES[query.format],
            "Content-Disposition": f'attachment; filename="{name}"',
            "Cache-Control": "no-store",
        },
    )


def _day(edge: Time | Day, name: str) -> Day:
    if isinstance(edge, datetime):
        raise invalid(name, "of a whole town volumes go by days", "query")
    return edge
