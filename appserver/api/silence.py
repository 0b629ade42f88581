"""Modules that are silent: where they hang, who heard them last, and why they may be silent."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated, Literal

from aiohttp import web
from pydantic import Field, StringConstraints

from appserver import reports
from appserver.api.fields import Id, Input, Limit, Output, Page, Time, time_of
from appserver.api.router import Api, Call
from appserver.metering.collection import SilentModule, silent_by_building, silent_modules
from appserver.metering.silence import Known, reason_of
from appserver.metering.timebase import HOUR_US, moment
from appserver.reports.silence import SilentRow, silence_statement
from appserver.rules import IncidentLimits
from appserver.rules.entered import rule_book
from internalapi import messages as m
from internalapi.client import ApiError, NetworkUnavailable

api = Api("Metering")

AT_ONCE = 8
"""Questions to the network process at the same time."""
FILE_ROWS = 20_000
FILE_GATEWAYS = 2000
"""Of so many modules of a file the last gateway is looked for: those that were heard last."""
_AROUND_US = 60_000_000

_Refused = (ApiError, NetworkUnavailable)


class SilentQuery(Input):
    """Modules that serve a meter and sent nothing for ``hours``; without it for as long as the incident takes."""

    hours: int | None = Field(None, ge=1, le=10_000)
    building_id: Id | None = None
    organisation_id: Id | None = None
    limit: Limit = 100
    cursor: Annotated[str, StringConstraints(max_length=200)] = ""


class SilentFileQuery(Input):
    """The same list as a file."""

    hours: int | None = Field(None, ge=1, le=10_000)
    building_id: Id | None = None
    organisation_id: Id | None = None
    format: Literal["csv", "xlsx", "pdf"] = "xlsx"
    language: Literal["ru", "en"] = "ru"


class Silent(Output):
    """A silent radio module; ``reason`` is the first cause that what is known of it bears out."""

    dev_eui: str
    last_uplink_at: Time | None
    bound_at: Time
    meter_id: int
    serial: str
    building_id: int | None
    address: str
    premises: str
    organisation: str
    gateway_eui: str
    """The gateway that heard the last frame best; empty when the frame log does not have it any more."""
    gateway: str
    """Its name."""
    reason: str


async def hours_of(call: Call, hours: int | None) -> tuple[int, IncidentLimits]:
    """After how many hours a module counts as silent, and the limits of the day."""
    services = call.services
    book = await services.database.run(rule_book, services.database)
    _, limits = book.get(IncidentLimits, moment(services.clock()).date())
    return hours or limits.silent_meter_hours, limits


async def explained(
    call: Call, modules: Sequence[SilentModule], hours: int, limits: IncidentLimits, look_up: int | None = None
) -> list[SilentRow]:
    """The modules with their last gateway and a reason. What the network process does not say is left out."""
    services, now_us = call.services, call.services.clock()
    buildings = {one.building_id for one in modules if one.building_id is not None}
    houses = await services.database.run(silent_by_building, services.database, now_us - hours * HOUR_US, buildings)
    devices = await _devices(call, [one.dev_eui for one in modules])
    gateways = await _gateways(call) if modules else {}
    heard = [one for one in modules if one.last_uplink_at_us is not None]
    last = await _last_gateways(call, heard[-look_up:] if look_up else heard) if devices is not None else {}
    rows = []
    for one in modules:
        device = devices.get(one.dev_eui) if devices is not None else None
        gateway = last.get(one.dev_eui, "")
        record = gateways.get(gateway)
        known = Known(
            now_us=now_us,
            hours=hours,
            heard_at_us=one.last_uplink_at_us,
            bound_at_us=one.bound_at_us,
            network=devices is not None,
            registered=device is not None,
            disabled=device is not None and device.disabled,
            joined=device is not None and device.dev_addr is not None,
            seen_at_us=device.last_seen_us if device is not None else None,
            interval_s=device.expected_interval_s if device is not None else 0,
            rssi_dbm=device.rssi_dbm if device is not None else None,
            gateway_online=record.online if record is not None else None,
            battery_pct=one.battery_pct,
            battery_limit_pct=limits.battery_pct,
            neighbours=houses.get(one.building_id or 0, (0, 0))[1],
            group=limits.silent_group,
        )
        rows.append(SilentRow(one, gateway, record.name if record is not None else "", reason_of(known)))
    return rows


async def _devices(call: Call, euis: list[str]) -> dict[str, m.DeviceRecord] | None:
    """What the network knows of the modules; None when it does not answer."""
    found: dict[str, m.DeviceRecord] = {}
    try:
        for start in range(0, len(euis), 1000):
            part = euis[start : start + 1000]
            page = await call.services.network.devices(dev_euis=part, limit=len(part))
            found |= {item.dev_eui: item for item in page.items}
    except _Refused:
        return None
    return found


async def _gateways(call: Call) -> dict[str, m.GatewayRecord]:
    found: dict[str, m.GatewayRecord] = {}
    cursor: str | None = ""
    try:
        while cursor is not None:
            page = await call.services.network.gateways(cursor=cursor, limit=1000)
            found |= {item.gateway_eui: item for item in page.items}
            cursor = page.next_cursor
    except _Refused:
        return {}
    return found


async def _last_gateways(call: Call, modules: Sequence[SilentModule]) -> dict[str, str]:
    """By module the gateway that heard its last frame best, out of the frame log."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(module: SilentModule) -> tuple[str, str]:
        at_us = module.last_uplink_at_us or 0
        async with gate:
            try:
                page = await call.services.network.frames(
                    dev_eui=module.dev_eui,
                    type="up",
                    since_us=at_us - _AROUND_US,
                    until_us=at_us + _AROUND_US,
                    limit=1,
                )
            except _Refused:
                return module.dev_eui, ""
        heard = [r for frame in page.items for r in frame.receptions]
        best = max(heard, key=lambda r: (r.snr_db or -99.0, r.rssi_dbm or -999.0), default=None)
        return module.dev_eui, best.gateway_eui if best is not None else ""

    return dict(await asyncio.gather(*(one(module) for module in modules)))


def _view(row: SilentRow) -> Silent:
    module = row.module
    same = ("dev_eui", "meter_id", "serial", "building_id", "address", "premises", "organisation")
    return Silent.model_construct(
        **{name: getattr(module, name) for name in same},
        last_uplink_at=time_of(module.last_uplink_at_us),
        bound_at=time_of(module.bound_at_us),
        gateway_eui=row.gateway_eui,
        gateway=row.gateway,
        reason=row.reason,
    )


async def silent_page(call: Call, query: SilentQuery) -> tuple[list[SilentRow], str | None, int]:
    """A page of silent modules, its cursor, and after how many hours a module counts as silent."""
    db = call.services.database
    hours, limits = await hours_of(call, query.hours)
    since_us = call.services.clock() - hours * HOUR_US
    modules, cursor = await db.run(
        silent_modules, db, since_us, query.cursor, query.limit, query.building_id, query.organisation_id
    )
    return await explained(call, modules, hours, limits), cursor, hours


@api.add("GET", "/silent-modules", answers=Page[Silent], summary="List modules that are silent, with where and why")
async def list_silent_modules(call: Call, query: SilentQuery) -> Page[Silent]:
    rows, cursor, _ = await silent_page(call, query)
    return Page(items=[_view(row) for row in rows], next_cursor=cursor)


@api.add(
    "GET", "/silent-modules/file", answers="application/octet-stream", summary="The list of silent modules as a file"
)
async def get_silent_modules_file(call: Call, query: SilentFileQuery) -> web.Response:
    return await silent_file(call, query)


async def silent_file(call: Call, query: SilentFileQuery) -> web.Response:
    """The whole list as a download."""
    services, db = call.services, call.services.database
    hours, limits = await hours_of(call, query.hours)
    now_us = services.clock()
    modules, _ = await db.run(
        silent_modules, db, now_us - hours * HOUR_US, "", FILE_ROWS, query.building_id, query.organisation_id
    )
    rows = await explained(call, modules, hours, limits, FILE_GATEWAYS)
    zone = call.who.timezone or services.settings.timezone
    async with services.reports:
        data = await db.run(
            lambda: reports.render(silence_statement(rows, now_us, hours, zone, query.language), query.format)
        )
    await call.audit("export", "silent-modules", {"rows": len(rows), "format": query.format})
    return web.Response(
        body=data,
        headers={
            "Content-Type": reports.MEDIA_TYPES[query.format],
            "Content-Disposition": f'attachment; filename="silent-{moment(now_us).date()}.{query.format}"',
            "Cache-Control": "no-store",
        },
    )
