"""Readings beside the radio: where they come from, what came, and what was not taken."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from appserver.api.events import NumberCursor
from appserver.api.fields import Input
from appserver.api.problems import Problem, from_registry, invalid
from appserver.api.registry import IdPath
from appserver.api.sources import (
    ChangedSource,
    Chosen,
    NewSource,
    delete_source,
    drop_refused,
    get_source,
    post_source,
    put_source,
    retry_refused,
)
from appserver.errors import RegistryError
from appserver.sources import intake, store
from appserver.web.forms import call_of, check, link, read_form, seen_query
from appserver.web.i18n import N_
from appserver.web.render import page

PER_PAGE = 50
DELIVERIES = 20
TEXTS = ("name", "url", "username", "password", "ca", "topics", "origin")
PATHS = ("items", "serial", "meter_id", "point_id", "account", "resource", "time", "factor", "kind")
FRESH = {"kind": "mqtt", "origin": "gprs", "map_kind": "current", "values": "value = value", "enabled": "1"}


class _Query(Input):
    state: str = "open"
    cursor: NumberCursor = ""


async def sources(request: web.Request) -> web.Response:
    """Sources with their state, the last deliveries, refused readings."""
    call = call_of(request)
    db, query = call.services.database, seen_query(request, _Query)
    state = query.state if query.state in ("open", "dropped") else "open"
    before = int(query.cursor) if query.cursor else None
    rows = await db.run(intake.refused, db, state, before, PER_PAGE + 1)
    return page(
        request,
        "sources.html",
        sources=await db.run(store.sources, db),
        deliveries=await db.run(intake.intakes, db, None, DELIVERIES),
        refused=rows[:PER_PAGE],
        state=state,
        waiting=await db.run(intake.refused_count, db),
        more=link(request, cursor=rows[PER_PAGE - 1].id) if len(rows) > PER_PAGE else None,
        folder=call.services.settings.data_dir / "drop",
    )


async def settle_refused(request: web.Request) -> web.Response:
    """Try one refused reading, or all of them, again; or put one aside."""
    call = call_of(request)
    fields = await read_form(request)
    db = call.services.database
    if fields.get("all"):
        ids = [entry.id for entry in await db.run(intake.refused, db, "open", None, 1000)]
    else:
        ids = check(Chosen, {"ids": [fields.get("id", "0")]}).ids
    if ids and fields.get("action") == "drop":
        await drop_refused(call, Chosen(ids=ids))
    elif ids:
        await retry_refused(call, Chosen(ids=ids))
    raise web.HTTPSeeOther("/sources")


# ------------------------------------------------------------------------------------------------------------- forms


def _id(request: web.Request) -> IdPath:
    try:
        return check(IdPath, {"id": request.match_info["id"]})
    except Problem as error:
        raise Problem(404, N_("There is nothing at this address.")) from error


def _values(fields: dict[str, str], kind: str) -> dict[str, Any]:
    """The form as the API takes it. Raises Problem for a line of values that is none."""
    values: dict[str, Any] = {}
    for line in fields.get("values", "").splitlines():
        register, equals, path = line.partition("=")
        if line.strip() and not equals:
            raise invalid("values", N_("write each line as register = path"), "form")
        if line.strip():
            values[register.strip()] = path.strip()
    mapping = {name: fields[f"map_{name}"] for name in PATHS if fields.get(f"map_{name}")} | {"values": values}
    made: dict[str, Any] = {name: fields.get(name, "") for name in TEXTS}
    made |= {"mapping": mapping, "topics": made["topics"].split(), "enabled": bool(fields.get("enabled"))}
    if kind == "http":
        for name in ("url", "username", "password", "ca", "topics"):
            del made[name]
    elif not made["password"]:
        del made["password"]  # it is never shown, so an empty field keeps it
    return made


def _form(request: web.Request, fields: dict[str, str], **values: Any) -> web.Response:
    shown: dict[str, Any] = {"source": None, "problem": None} | values
    status = shown["problem"].status if shown["problem"] else 200
    return page(request, "source.html", status=status, fields=fields, paths=PATHS, **shown)


async def new_source(request: web.Request) -> web.Response:
    """The form of a new source, and its sending."""
    if request.method == "GET":
        kind = "http" if request.query.get("kind") == "http" else "mqtt"
        return _form(request, FRESH | {"kind": kind})
    fields, call = await read_form(request), call_of(request)
    kind = "http" if fields.get("kind") == "http" else "mqtt"
    try:
        body = NewSource.model_validate({"kind": kind, **_values(fields, kind)})
        made = await post_source(call, body)
    except ValueError:
        return _form(request, fields, problem=_problem(NewSource, fields, kind))
    except RegistryError as error:
        return _form(request, fields, problem=from_registry(error))
    except Problem as problem:
        return _form(request, fields, problem=problem)
    raise web.HTTPSeeOther(f"/admin/sources/{made.id}")


def _problem(model: type[ChangedSource], fields: dict[str, str], kind: str) -> Problem:
    try:
        check(model, {"kind": kind, **_values(fields, kind)} if model is NewSource else _values(fields, kind))
    except Problem as problem:
        return problem
    return Problem(422, N_("Something is wrong in the form"))


async def source(request: web.Request) -> web.Response:
    """One source: its form, and its saving."""
    call, path = call_of(request), _id(request)
    found = await get_source(call, path)
    if request.method == "GET":
        return _form(request, _fields_of(found), source=found)
    fields = await read_form(request) | {"kind": found.kind}
    try:
        body = ChangedSource.model_validate(_values(fields, found.kind))
        await put_source(call, path, body)
    except ValueError:
        return _form(request, fields, source=found, problem=_problem(ChangedSource, fields, found.kind))
    except RegistryError as error:
        return _form(request, fields, source=found, problem=from_registry(error))
    except Problem as problem:
        return _form(request, fields, source=found, problem=problem)
    raise web.HTTPSeeOther("/sources")


def _fields_of(found: Any) -> dict[str, str]:
    mapping = found.mapping
    return {
        **{name: getattr(found, name) for name in ("kind", "name", "url", "username", "ca", "origin")},
        "topics": "\n".join(found.topics),
        "enabled": "1" if found.enabled else "",
        "values": "\n".join(f"{register} = {path}" for register, path in mapping.values.items()),
        **{f"map_{name}": str(getattr(mapping, name)) for name in PATHS},
    }


async def remove_source(request: web.Request) -> web.Response:
    """Forget a source; its readings stay."""
    await delete_source(call_of(request), _id(request))
    raise web.HTTPSeeOther("/sources")
