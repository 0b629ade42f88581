"""Consumption by tariff: by a meter's own registers, and by zones of the day out of its profile."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from appserver.api.fields import Day, Input, Name, Output, Volume
from appserver.api.registry import IdPath
from appserver.api.router import Api, Call
from appserver.metering.tariffs import tariff_volumes
from appserver.metering.timebase import day_number, midnight_us, zone_of
from appserver.metering.zone_volumes import zone_volumes
from appserver.rules.entered import rule_book

api = Api("Metering")


class TariffQuery(Input):
    """From a day (included) to a day (excluded) of the building's calendar."""

    since: Annotated[Day, Field(alias="from")]
    until: Annotated[Day, Field(alias="to", description="Excluded")]
    zones: Name = "two"
    """Name of the tariff zones' rule."""


class ZoneVolume(Output):
    """A zone's volume, and how many hours of it are known."""

    zone: str
    volume: Volume
    hours: Volume


class Tariffs(Output):
    """Volumes of a point by tariff."""

    point_id: int
    unit: str
    timezone: str
    total: Volume | None
    """Null when the register is not known at both ends."""
    registers: dict[str, Volume | None]
    """``t1`` to ``t4`` as the meter counted them, as far as it has them."""
    adds_up: bool | None
    """Whether they make the total, within a unit each; null when one is not known."""
    zones: list[ZoneVolume]
    """By the register at the zones' changes, interpolated over an hour at most."""
    unknown_hours: Volume
    """Hours of zones at one of whose ends the register is not known."""
    unknown: Volume | None
    rules: list[str]
    """Versions of the rules that were used."""


@api.add("GET", "/points/{id}/tariffs", answers=Tariffs, summary="Consumption by tariff and by zone of the day")
async def get_tariffs(call: Call, path: IdPath, query: TariffQuery) -> Tariffs:
    db = call.services.database
    book = await db.run(rule_book, db)
    zoned = await db.run(zone_volumes, db, book, path.id, query.since, query.until, query.zones)
    zone = zone_of(zoned.timezone)
    edges = [midnight_us(day_number(day), zone) for day in (query.since, query.until)]
    counted = await db.run(tariff_volumes, db, path.id, *edges)
    return Tariffs.model_construct(
        point_id=zoned.point_id,
        unit=zoned.unit,
        timezone=zoned.timezone,
        total=zoned.total,
        registers=counted.tariffs,
        adds_up=counted.adds_up,
        zones=[ZoneVolume.model_construct(zone=z.zone, volume=z.volume, hours=z.hours) for z in zoned.zones],
        unknown_hours=zoned.unknown_hours,
        unknown=zoned.unknown,
        rules=list(zoned.rules),
    )
