"""What the people of a flat may see of their meters, and the controller of a building: for reading only."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from appserver.api.fields import Day, Input, Month, Output, Time, Volume, time_of
from appserver.api.registry import IdPath
from appserver.api.router import Api, Call
from appserver.auth.gate import today_of
from appserver.auth.places import stays_at
from appserver.heat import control as heat_control
from appserver.metering import resident
from appserver.rules.entered import rule_book

api = Api("Metering")


class SummaryQuery(Input):
    """The month that ``month`` lies in."""

    month: Month


class PremisesMeter(Output):
    """A meter of the premises in a month, with what it is charged for and why, and the median of its neighbours."""

    point_id: int
    resource: str
    unit: str
    name: str
    serial: str
    last_value: Volume | None
    last_at: Time | None
    volume: Volume | None
    quality: str
    charged: Volume | None
    basis: str
    rules: list[str]
    closed: bool
    neighbours_median: Volume | None
    neighbours: int
    high_use: bool
    verification_until: str | None
    incidents: list[str]


@api.add("GET", "/premises/{id}/summary", answers=list[PremisesMeter], summary="What the people of a flat may see")
async def get_premises_summary(call: Call, path: IdPath, query: SummaryQuery) -> list[PremisesMeter]:
    db = call.services.database
    stays = await db.run(stays_at, db, call.who.scope, path.id, today_of(call.services))
    return [
        PremisesMeter.model_construct(**meter_view(row))
        for stay in stays
        for row in await db.run(resident.resident_view, db, path.id, query.month, stay)
    ]


def meter_view(row: resident.ResidentPoint) -> dict[str, Any]:
    """The fields of a meter of premises."""
    plain = {name: getattr(row, name) for name in PremisesMeter.model_fields if hasattr(row, name)}
    return plain | {"rules": list(row.rules), "incidents": list(row.incidents), "last_at": time_of(row.last_at_us)}


class ControlQuery(Input):
    """Days of the building's calendar; ``to`` is excluded."""

    since: Annotated[Day, Field(alias="from")]
    until: Annotated[Day, Field(alias="to", description="Excluded")]


class ControlDay(Output):
    """Daily means of a controller: what it aims at, what came of it, how far its valve was open."""

    day: Day
    outdoor_c: Volume | None
    graph_c: Volume | None
    setpoint_c: Volume | None
    supply_c: Volume | None
    valve_pct: Volume | None
    deviation_c: Volume | None


@api.add(
    "GET", "/buildings/{id}/weather-control", answers=list[ControlDay], summary="A controller that follows the weather"
)
async def get_weather_control(call: Call, path: IdPath, query: ControlQuery) -> list[ControlDay]:
    db = call.services.database
    book = await db.run(rule_book, db)
    rows = await db.run(heat_control.control, db, book, path.id, query.since, query.until)
    return [
        ControlDay.model_construct(**{name: getattr(row, name) for name in ControlDay.model_fields}) for row in rows
    ]
