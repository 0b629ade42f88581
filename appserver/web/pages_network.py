"""Pages of the network: gateways, devices, the live frame log."""

from __future__ import annotations

import asyncio
import json
from typing import Annotated, Any

from aiohttp import web
from pydantic import Field, StringConstraints

from appserver.api.clocks import clock_of, correct_clock
from appserver.api.devices import NewDevice, create_device, find_device, remove_device
from appserver.api.fields import Eui, Input, PageQuery
from appserver.api.frames import FrameFilter, wanted
from appserver.api.gateways import (
    GatewayBody,
    Location,
    NewGateway,
    create_gateway,
    find_gateway,
    remove_gateway,
    write_gateway,
)
from appserver.api.problems import Problem, from_registry, invalid
from appserver.api.profiles import all_profiles
from appserver.api.router import Call
from appserver.api.sessions import NewQueueItem, enqueue
from appserver.errors import RegistryError
from appserver.live import stream
from appserver.web.forms import call_of, check, link, read_form, seen_query
from appserver.web.gateway_charts import HOUR_US, SHOWN_HOURS, charts, online_share, outcomes
from appserver.web.i18n import N_
from appserver.web.render import page, text, zone_of
from internalapi import messages as m
from internalapi.client import ApiError, NetworkUnavailable

PER_PAGE = 100


class _EuiPath(Input):
    eui: Eui


def _eui(request: web.Request, name: str) -> str:
    try:
        return str(check(_EuiPath, {"eui": request.match_info[name]}).eui)
    except Problem as error:
        raise Problem(404, N_("This is not an EUI: it has 16 hexadecimal digits.")) from error


# ---------------------------------------------------------------------------------------------------------- gateways


async def gateways(request: web.Request) -> web.Response:
    """The list with state and duty budgets, and the unknown ones."""
    call, query = call_of(request), seen_query(request, PageQuery)
    listing, unknown = m.GatewayPage([]), m.UnknownGateways([])
    away = False
    try:
        listing, unknown = await asyncio.gather(
            call.services.network.gateways(cursor=query.cursor, limit=PER_PAGE, q=query.q),
            call.services.network.gateways_unknown(),
        )
    except NetworkUnavailable:
        away = True
    return page(
        request,
        "gateways.html",
        items=listing.items,
        more=link(request, cursor=listing.next_cursor) if listing.next_cursor else None,
        unknown=sorted(unknown.items, key=lambda item: -item.last_seen_us),
        q=query.q,
        away=away,
    )


class _GatewayForm(GatewayBody):
    gateway_eui: Eui | None = None
    location: None = None
    latitude: float | None = Field(None, ge=-90, le=90, allow_inf_nan=False)
    longitude: float | None = Field(None, ge=-180, le=180, allow_inf_nan=False)
    altitude_m: float | None = Field(None, ge=-1000, le=20000, allow_inf_nan=False)
    max_duty_cycle: float | None = Field(None, ge=0, le=100, allow_inf_nan=False)
    """In percent, as people say it."""


_GATEWAY_NUMBERS = ("latitude", "longitude", "altitude_m", "antenna_gain_dbi", "max_duty_cycle")
_GATEWAY_CHOICES = {"class_b": "off", "forwarder": "auto", "tx_ack": "auto"}
_GATEWAY_FIELDS = ("gateway_eui", "name", *_GATEWAY_NUMBERS, *_GATEWAY_CHOICES, "allowed_sources", "private_to")


def _gateway_body(fields: dict[str, str]) -> tuple[str | None, GatewayBody]:
    numbers = {name: fields.get(name, "").replace(",", ".") for name in _GATEWAY_NUMBERS}
    words: dict[str, Any] = {name: fields.get(name) or default for name, default in _GATEWAY_CHOICES.items()}
    words |= {name: fields.get(name) for name in ("gateway_eui", "name")} | {"private_to": fields.get("private_to", "")}
    words["allowed_sources"] = fields.get("allowed_sources", "").replace(",", " ").split()
    form = check(_GatewayForm, words | numbers)
    location = None
    if (form.latitude is None) != (form.longitude is None):
        raise invalid("longitude", N_("give both latitude and longitude, or neither"), "form")
    if form.latitude is not None and form.longitude is not None:
        location = Location(latitude=form.latitude, longitude=form.longitude, altitude_m=form.altitude_m)
    body = GatewayBody(
        name=form.name,
        location=location,
        antenna_gain_dbi=form.antenna_gain_dbi,
        class_b=form.class_b,
        max_duty_cycle=None if form.max_duty_cycle is None else form.max_duty_cycle / 100,
        forwarder=form.forwarder,
        tx_ack=form.tx_ack,
        private_to=form.private_to,
        allowed_sources=form.allowed_sources,
    )
    return form.gateway_eui, body


def _gateway_fields(record: m.GatewayRecord) -> dict[str, str]:
    """What the form shows; a place that only the gateway's GPS tells is not made the operator's by saving it."""
    fields: dict[str, str] = {name: _typed(getattr(record, name)) for name in _GATEWAY_FIELDS}
    if record.location_source == "gps":
        fields |= dict.fromkeys(("latitude", "longitude", "altitude_m"), "")
    fields["max_duty_cycle"] = "" if record.max_duty_cycle is None else f"{record.max_duty_cycle * 100:g}"
    fields["allowed_sources"] = ", ".join(record.allowed_sources)
    return fields


def _typed(value: Any) -> str:
    """A value as a person types it."""
    return "" if value is None else str(value).removesuffix(".0")


async def new_gateway(request: web.Request) -> web.Response:
    """The form, and its sending."""
    fields = dict.fromkeys(_GATEWAY_FIELDS, "") | {"gateway_eui": request.query.get("eui", "")[:32]}
    problem = None
    if request.method == "POST":
        sent = await read_form(request)
        fields |= {name: sent.get(name, "") for name in _GATEWAY_FIELDS}
        try:
            eui, body = _gateway_body(fields)
            if eui is None:
                raise invalid("gateway_eui", N_("must be 16 hexadecimal digits"), "form")
            await create_gateway(call_of(request), NewGateway(gateway_eui=eui, **dict(body)))
            raise web.HTTPSeeOther(f"/gateways/{eui}")
        except Problem as refusal:
            problem = refusal
    status = problem.status if problem else 200
    return page(request, "gateway_new.html", status=status, fields=fields, problem=problem)


def gateway_eui(request: web.Request) -> str:
    """The gateway in the address. Raises Problem for what is no EUI."""
    return _eui(request, "gateway_eui")


async def gateway(request: web.Request) -> web.Response:
    """One gateway: state, duty budget, outcomes; its form."""
    return await gateway_page(request, gateway_eui(request), None, request.method == "POST")


async def gateway_page(request: web.Request, eui: str, problem: Problem | None, changes: bool = False) -> web.Response:
    """The page of a gateway; ``changes``: its own form was sent. ``problem``: what another form on it met with."""
    call = call_of(request)
    record = await find_gateway(call, eui)
    fields = _gateway_fields(record)
    if changes:
        sent = await read_form(request)
        fields |= {name: sent.get(name, "") for name in _GATEWAY_FIELDS if name != "gateway_eui"}
        try:
            _, body = _gateway_body(fields)
            body = body.model_copy(update={"tags": record.tags})
            await write_gateway(call, eui, body)
            await call.audit("gateway.change", f"gateway/{eui}", {"name": body.name})
            raise web.HTTPSeeOther(f"/gateways/{eui}")
        except Problem as refusal:
            problem = refusal
    now_us = call.services.clock()
    frames, statistics = await asyncio.gather(
        call.services.network.frames(gateway_eui=eui, limit=20),
        call.services.network.gateway_statistics(
            key=eui, from_us=now_us - SHOWN_HOURS * HOUR_US, to_us=now_us + HOUR_US
        ),
    )
    return page(
        request,
        "gateway.html",
        charts=charts(statistics.items, now_us, zone_of(request)),
        outcomes=outcomes(statistics.items, now_us),
        online_share=online_share(statistics.items, now_us),
        status=problem.status if problem else 200,
        gateway=record,
        fields=fields,
        frames=frames.items,
        problem=problem,
    )


async def adopt_gateway(request: web.Request) -> web.Response:
    """Register an unknown gateway with one click."""
    call, eui = call_of(request), _eui(request, "gateway_eui")
    await create_gateway(call, NewGateway(gateway_eui=eui))
    raise web.HTTPSeeOther(f"/gateways/{eui}")


async def delete_gateway(request: web.Request) -> web.Response:
    """Take a gateway out of the registry."""
    await remove_gateway(call_of(request), _eui(request, "gateway_eui"))
    raise web.HTTPSeeOther("/gateways")


# ----------------------------------------------------------------------------------------------------------- devices


async def devices(request: web.Request) -> web.Response:
    """The list: last seen, signal, battery."""
    call, query = call_of(request), seen_query(request, PageQuery)
    listing, away, total = m.DevicePage([]), False, 0
    try:
        found = await asyncio.gather(
            call.services.network.devices(cursor=query.cursor, limit=PER_PAGE, q=query.q),
            call.services.network.status(),
        )
        listing, total = found[0], found[1].devices
    except NetworkUnavailable:
        away = True
    more = link(request, cursor=listing.next_cursor) if listing.next_cursor else None
    return page(request, "devices.html", items=listing.items, more=more, q=query.q, away=away, total=total)


_DEVICE_FIELDS = ("dev_eui", "join_eui", "name", "profile", "app_key", "nwk_key")


async def new_device(request: web.Request) -> web.Response:
    """The form, and its sending. Keys are never shown again, not even after a mistake elsewhere in the form."""
    call = call_of(request)
    profiles = await all_profiles(call)
    fields, problem = dict.fromkeys(_DEVICE_FIELDS, ""), None
    if request.method == "POST":
        sent = await read_form(request)
        fields |= {name: sent.get(name, "") for name in _DEVICE_FIELDS}
        try:
            body = check(NewDevice, fields)
            await create_device(call, body)
            raise web.HTTPSeeOther(f"/devices/{body.dev_eui}")
        except Problem as refusal:
            problem = refusal
        except ApiError as refusal:
            problem = Problem(409 if refusal.status == 409 else 422, refusal.problem.detail)
        fields |= {"app_key": "", "nwk_key": ""}
    options = [(name, profile.title or name) for name, profile in sorted(profiles.items())]
    status = problem.status if problem else 200
    return page(request, "device_new.html", status=status, fields=fields, problem=problem, profiles=options)


_QUEUE_FIELDS = ("f_port", "data", "confirmed", "at_most_once")


async def device(request: web.Request) -> web.Response:
    """One device: session, queue, last frames; the form of a downlink posts here."""
    return await _device(request, _eui(request, "dev_eui"))


async def _device(
    request: web.Request, dev_eui: str, problem: Problem | None = None, fields: dict[str, str] | None = None
) -> web.Response:
    call = call_of(request)
    network = call.services.network
    record = await find_device(call, dev_eui)
    queue, frames, session = await asyncio.gather(
        network.queue(key=dev_eui), network.frames(dev_eui=dev_eui, limit=50), _session(call, dev_eui)
    )
    return page(
        request,
        "device.html",
        status=problem.status if problem else 200,
        device=record,
        session=session,
        queue=list(reversed(queue.items)),
        frames=frames.items,
        meters=await call.services.database.run(_meters_of, call, dev_eui),
        clock=await clock_of(call, dev_eui),
        problem=problem,
        fields=fields or dict.fromkeys(_QUEUE_FIELDS, ""),
    )


def _meters_of(call: Call, dev_eui: str) -> list[tuple[Any, ...]]:
    return call.services.database.rows(
        "SELECT c.channel, m.id, m.serial, m.model, m.resource FROM module_channel c JOIN meter m ON m.id = c.meter_id"
        " WHERE c.dev_eui = ? AND c.valid_until_us IS NULL ORDER BY c.channel",
        (dev_eui,),
    )


async def _session(call: Call, dev_eui: str) -> m.SessionRecord | None:
    try:
        session: m.SessionRecord = await call.services.network.session(key=dev_eui)
    except ApiError as error:
        if error.problem.code == "not_found":
            return None
        raise
    return session


async def correct_device_clock(request: web.Request) -> web.Response:
    """Send a correction of the device's clock."""
    call, dev_eui = call_of(request), _eui(request, "dev_eui")
    await find_device(call, dev_eui)
    try:
        await correct_clock(call, dev_eui)
    except RegistryError as error:
        return await _device(request, dev_eui, from_registry(error))
    raise web.HTTPSeeOther(f"/devices/{dev_eui}#clock")


async def queue_downlink(request: web.Request) -> web.Response:
    """Put bytes (hex) into a device's queue."""
    call, dev_eui = call_of(request), _eui(request, "dev_eui")
    fields = await read_form(request)
    try:
        try:
            data = bytes.fromhex(fields.get("data", ""))
        except ValueError as error:
            raise invalid("data", N_("must be hexadecimal digits, two a byte"), "form") from error
        wanted = {"f_port": fields.get("f_port"), "data": data}
        wanted |= {name: bool(fields.get(name)) for name in ("confirmed", "at_most_once")}
        await enqueue(call, dev_eui, check(NewQueueItem, wanted), fields.get("idempotency_key", "")[:200])
    except Problem as problem:
        shown = {name: fields.get(name, "") for name in _QUEUE_FIELDS}
        return await _device(request, dev_eui, problem, shown)
    raise web.HTTPSeeOther(f"/devices/{dev_eui}")


async def delete_device(request: web.Request) -> web.Response:
    """Take a device out of the network."""
    await remove_device(call_of(request), _eui(request, "dev_eui"))
    raise web.HTTPSeeOther("/devices")


# -------------------------------------------------------------------------------------------------------------- live


async def live(request: web.Request) -> web.Response:
    """The frame log: the last frames, and new ones as they come."""
    call, query = call_of(request), seen_query(request, LogQuery)
    filters = {
        "dev_eui": query.dev_eui or "",
        "gateway_eui": query.gateway_eui or "",
        "type": query.type or "",
        "q": query.q,
    }
    listing = m.FramePage([])
    away = False
    try:
        listing = await call.services.network.frames(
            limit=PER_PAGE, before=int(query.cursor) if query.cursor else None, **filters
        )
    except NetworkUnavailable:
        away = True
    older = link(request, cursor=str(listing.next_before)) if listing.next_before else None
    return page(
        request, "live.html", frames=listing.items, filters=filters, away=away, older=older, back=bool(query.cursor)
    )


class LogQuery(FrameFilter):
    """A page of the frame log."""

    cursor: Annotated[str, StringConstraints(pattern=r"^\d{0,18}$")] = ""


async def live_stream(request: web.Request) -> web.StreamResponse:
    """New rows of the frame log, ready to show, as server-sent events."""
    query = seen_query(request, FrameFilter)

    def row(record: m.FrameRecord) -> tuple[str, str]:
        return str(record.id), json.dumps(text(request, "frame_piece.html", frame=record))

    return await stream(request, call_of(request).services.live.frames, wanted(query), row, event="frame")
