"""Pages of the multicast groups."""

from __future__ import annotations

import asyncio

from aiohttp import web

from appserver.api.fields import PageQuery
from appserver.api.multicast import (
    GroupPath,
    NewGroup,
    NewGroupItem,
    NewMember,
    change_members,
    enqueue,
    find_group,
    remove_group,
    write_group,
)
from appserver.api.problems import Problem, invalid
from appserver.web.forms import call_of, check, link, read_form, seen_query
from appserver.web.i18n import N_
from appserver.web.render import page
from internalapi import messages as m
from internalapi.client import ApiError, NetworkUnavailable

PER_PAGE = 100
_FIELDS = (
    "name",
    "mc_addr",
    "class",
    "dr",
    "frequency_mhz",
    "ping_periodicity",
    "mc_nwk_s_key",
    "mc_app_s_key",
    "gateways",
)
_ITEM_FIELDS = ("f_port", "data")


def _id(request: web.Request) -> str:
    try:
        return str(check(GroupPath, {"id": request.match_info["id"]}).id)
    except Problem as error:
        raise Problem(404, N_("There is no such group.")) from error


async def groups(request: web.Request) -> web.Response:
    """The list."""
    call, query = call_of(request), seen_query(request, PageQuery)
    listing, away = m.GroupPage([]), False
    try:
        listing = await call.services.network.groups(cursor=query.cursor, limit=PER_PAGE, q=query.q)
    except NetworkUnavailable:
        away = True
    more = link(request, cursor=listing.next_cursor) if listing.next_cursor else None
    return page(request, "multicast.html", items=listing.items, more=more, q=query.q, away=away)


async def new_group(request: web.Request) -> web.Response:
    """The form, and its sending. Keys are never shown again, not even after a mistake elsewhere in the form."""
    fields = dict.fromkeys(_FIELDS, "") | {"class": "C", "dr": "0", "ping_periodicity": "7"}
    problem = None
    if request.method == "POST":
        sent = await read_form(request)
        fields |= {name: sent.get(name, "") for name in _FIELDS}
        try:
            record = await write_group(call_of(request), check(NewGroup, _body(fields)))
            raise web.HTTPSeeOther(f"/multicast/{record.id}")
        except Problem as refusal:
            problem = refusal
        except ApiError as refusal:
            problem = Problem(409 if refusal.status == 409 else 422, refusal.problem.detail)
        fields |= {"mc_nwk_s_key": "", "mc_app_s_key": ""}
    status = problem.status if problem else 200
    return page(request, "multicast_new.html", status=status, fields=fields, problem=problem)


def _body(fields: dict[str, str]) -> dict[str, object]:
    """The form's fields as the API names them: megahertz for people, hertz inside."""
    mhz = fields["frequency_mhz"].strip().replace(",", ".")
    try:
        hertz = round(float(mhz) * 1e6) if mhz else 0
    except (ValueError, OverflowError) as error:
        raise invalid("frequency_mhz", N_("must be a frequency in MHz, such as 869.1"), "form") from error
    kept = {name: value for name, value in fields.items() if name not in ("frequency_mhz", "gateways")}
    return kept | {"frequency_hz": hertz, "gateways": fields["gateways"].replace(",", " ").split()}


async def group(request: web.Request) -> web.Response:
    """One group: its gateways, members and queue."""
    return await _group(request, _id(request))


async def _group(
    request: web.Request, id: str, problem: Problem | None = None, fields: dict[str, str] | None = None
) -> web.Response:
    call = call_of(request)
    network = call.services.network
    record = await find_group(call, id)
    members, queue = await asyncio.gather(network.group_members(key=id), network.group_queue(key=id))
    named = await network.devices(dev_euis=members.dev_euis[:PER_PAGE], limit=PER_PAGE)
    return page(
        request,
        "multicast_group.html",
        status=problem.status if problem else 200,
        group=record,
        members=named.items,
        queue=queue.items[:50],
        problem=problem,
        fields=fields or dict.fromkeys(("dev_eui", *_ITEM_FIELDS), ""),
    )


async def change_group_members(request: web.Request) -> web.Response:
    """Add a device to the group, or take one from it."""
    call, id = call_of(request), _id(request)
    sent = await read_form(request)
    try:
        dev_eui = check(NewMember, {"dev_eui": sent.get("dev_eui", "")}).dev_eui
        if sent.get("remove"):
            await change_members(call, id, [], [dev_eui])
        else:
            await change_members(call, id, [dev_eui], [])
    except Problem as problem:
        return await _group(
            request, id, problem, dict.fromkeys(_ITEM_FIELDS, "") | {"dev_eui": sent.get("dev_eui", "")}
        )
    except ApiError as refusal:
        problem = Problem(409 if refusal.status == 409 else 422, refusal.problem.detail)
        return await _group(
            request, id, problem, dict.fromkeys(_ITEM_FIELDS, "") | {"dev_eui": sent.get("dev_eui", "")}
        )
    raise web.HTTPSeeOther(f"/multicast/{id}")


async def queue_group_downlink(request: web.Request) -> web.Response:
    """Put bytes (hex) into the group's queue."""
    call, id = call_of(request), _id(request)
    sent = await read_form(request)
    fields = {name: sent.get(name, "") for name in _ITEM_FIELDS} | {"dev_eui": ""}
    try:
        try:
            data = bytes.fromhex(fields["data"])
        except ValueError as error:
            raise invalid("data", N_("must be hexadecimal digits, two a byte"), "form") from error
        body = check(NewGroupItem, {"f_port": fields["f_port"], "data": data})
        await enqueue(call, id, body, sent.get("idempotency_key", "")[:200])
    except Problem as problem:
        return await _group(request, id, problem, fields)
    except ApiError as refusal:
        problem = Problem(409 if refusal.status == 409 else 422, refusal.problem.detail)
        return await _group(request, id, problem, fields)
    raise web.HTTPSeeOther(f"/multicast/{id}")


async def delete_group(request: web.Request) -> web.Response:
    """Remove a group."""
    await remove_group(call_of(request), _id(request))
    raise web.HTTPSeeOther("/multicast")
