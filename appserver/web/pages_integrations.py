"""Where events go: webhooks and brokers, how delivery to them goes, what was given up."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from appserver import integrations as room
from appserver.api.fields import Input
from appserver.api.integrations import (
    ChangedIntegration,
    NewIntegration,
    Replay,
    Retry,
    delete_integration,
    get_integration,
    list_integrations,
    post_deliveries,
    post_integration,
    post_replay,
    put_integration,
)
from appserver.api.problems import Problem, from_registry
from appserver.api.registry import IdPath
from appserver.auth.gate import posted
from appserver.errors import RegistryError
from appserver.integrations.sinks import EVENT_TYPES
from appserver.metering.timebase import HOUR_US, moment
from appserver.web.forms import call_of, check, read_form
from appserver.web.i18n import N_
from appserver.web.render import page

LETTERS = 100
REPLAYS_H = (1, 24, 168)
FRESH = {"kind": "webhook", "enabled": "1", "events": ["up", "join", "incident", "reading"]}


class _Window(Input):
    hours: int


def _id(request: web.Request) -> IdPath:
    try:
        return check(IdPath, {"id": request.match_info["id"]})
    except Problem as error:
        raise Problem(404, N_("There is nothing at this address.")) from error


async def integrations(request: web.Request) -> web.Response:
    """The list."""
    return page(request, "integrations.html", items=(await list_integrations(call_of(request))).items)


async def _fields(request: web.Request) -> dict[str, Any]:
    data = await posted(request)
    names = ("kind", "name", "url", "username", "password", "ca", "header", "header_value")
    fields: dict[str, Any] = {name: str(data.get(name, "")).strip() for name in names}
    fields |= {"enabled": bool(data.get("enabled")), "commands": bool(data.get("commands"))}
    return fields | {"events": [str(word) for word in data.getall("events", [])]}


def _values(fields: dict[str, Any], kind: str) -> dict[str, Any]:
    values = {name: fields[name] for name in ("name", "url", "events", "enabled")}
    if kind == "mqtt":
        values |= {name: fields[name] for name in ("username", "ca", "commands")}
        if fields["password"]:
            values["password"] = fields["password"]  # it is never shown, so an empty field keeps it
    elif fields["header"]:
        values["headers"] = {fields["header"]: fields["header_value"]}
    return values


async def _form(
    request: web.Request, fields: dict[str, Any], sink: Any = None, problem: Problem | None = None
) -> web.Response:
    db = call_of(request).services.database
    letters = [] if sink is None else await db.run(room.dead_letters, db, sink.id, None, LETTERS)
    return page(
        request,
        "integration.html",
        status=problem.status if problem else 200,
        fields=fields,
        sink=sink,
        letters=letters,
        problem=problem,
        types=EVENT_TYPES,
        replays=REPLAYS_H,
    )


async def new_integration(request: web.Request) -> web.Response:
    """The form of a new integration, and its sending."""
    if request.method == "GET":
        empty = dict.fromkeys(("name", "url", "username", "ca", "header"), "")
        kind = "mqtt" if request.query.get("kind") == "mqtt" else "webhook"
        return await _form(request, FRESH | empty | {"kind": kind, "commands": False})
    fields = await _fields(request)
    kind = "mqtt" if fields["kind"] == "mqtt" else "webhook"
    try:
        made = await post_integration(call_of(request), check(NewIntegration, {"kind": kind, **_values(fields, kind)}))
    except RegistryError as error:
        return await _form(request, fields, problem=from_registry(error))
    except Problem as problem:
        return await _form(request, fields, problem=problem)
    raise web.HTTPSeeOther(f"/admin/integrations/{made.id}")


async def integration(request: web.Request) -> web.Response:
    """One integration: how it goes, its form, its saving."""
    call, path = call_of(request), _id(request)
    sink = await get_integration(call, path)
    if request.method == "GET":
        names = ("kind", "name", "url", "username", "ca", "events", "enabled", "commands")
        fields = {name: getattr(sink, name) for name in names}
        return await _form(request, fields | {"header": next(iter(sink.headers), "")}, sink)
    fields = await _fields(request) | {"kind": sink.kind}
    try:
        body = ChangedIntegration.model_validate(_values(fields, sink.kind))
        await put_integration(call, path, body)
    except RegistryError as error:
        return await _form(request, fields, sink, from_registry(error))
    except ValueError:
        try:
            check(ChangedIntegration, _values(fields, sink.kind))
        except Problem as problem:
            return await _form(request, fields, sink, problem)
        return await _form(request, fields, sink, Problem(422, N_("Something is wrong in the form")))
    raise web.HTTPSeeOther("/admin/integrations")


async def remove_integration(request: web.Request) -> web.Response:
    """Take an integration away with what waits for it."""
    await delete_integration(call_of(request), _id(request))
    raise web.HTTPSeeOther("/admin/integrations")


async def retry_letters(request: web.Request) -> web.Response:
    """Send one given-up event again, or all that are shown."""
    call, path = call_of(request), _id(request)
    fields = await read_form(request)
    db = call.services.database
    if fields.get("all"):
        ids = [letter.id for letter in await db.run(room.dead_letters, db, path.id, None, LETTERS)]
    else:
        ids = check(Retry, {"ids": [fields.get("id", "0")]}).ids
    if ids:
        await post_deliveries(call, path, Retry(ids=ids))
    raise web.HTTPSeeOther(f"/admin/integrations/{path.id}")


async def replay(request: web.Request) -> web.Response:
    """Send everything of the last hours again."""
    call, path = call_of(request), _id(request)
    hours = check(_Window, await read_form(request)).hours
    if hours not in REPLAYS_H:
        raise Problem(422, N_("Something is wrong in the form"))
    since = moment(call.services.clock() - hours * HOUR_US)
    await post_replay(call, path, Replay(since=since))
    raise web.HTTPSeeOther(f"/admin/integrations/{path.id}")
