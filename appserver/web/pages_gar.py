"""The address register: what is loaded, how houses are bound, loading of regions."""

from __future__ import annotations

from aiohttp import web

from appserver.api.gar import NewBinding, NewGarImport, archives, compare, post_bindings, put_binding, start_import
from appserver.api.problems import Problem, from_registry
from appserver.api.registry import IdPath
from appserver.errors import RegistryError
from appserver.gar.register import Address, Region, open_register
from appserver.web.forms import call_of, check, read_form, seen_query
from appserver.web.i18n import N_
from appserver.web.render import page

FOUND = 30
BINDINGS = 500


class _Query(NewBinding):
    guid: str = ""
    q: str = ""


async def register(request: web.Request) -> web.Response:
    """What is loaded, a search, and the houses."""
    return await _register(request)


async def _register(
    request: web.Request, problem: Problem | None = None, fields: dict[str, str] | None = None
) -> web.Response:
    call = call_of(request)
    folder = call.services.settings.data_dir
    q = seen_query(request, _Query).q[:200]

    def read() -> tuple[list[Region], list[Address]]:
        with open_register(folder) as opened:
            return opened.regions(), opened.search(q, FOUND) if q else []

    regions, found = await call.services.database.run(read)
    bindings = await compare(call) if regions else []
    return page(
        request,
        "gar.html",
        status=problem.status if problem else 200,
        regions=regions,
        found=found,
        q=q,
        bindings=[one for one in bindings if one.state != "bound"][:BINDINGS],
        bound=sum(one.state == "bound" for one in bindings),
        certain=sum(one.state in ("old", "found") for one in bindings),
        archives=archives(folder),
        folder=folder / "gar",
        jobs=call.services.jobs.of_kind("gar")[:10],
        problem=problem,
        fields=fields or {"archive": "", "regions": ""},
    )


async def load(request: web.Request) -> web.Response:
    """Begin to load regions, or bind what is certain."""
    call, sent = call_of(request), await read_form(request)
    fields = {name: sent.get(name, "") for name in ("archive", "regions")}
    try:
        if sent.get("bind"):
            await post_bindings(call)
        else:
            flags = {name: sent.get(name) == "1" for name in ("apartments", "history")}
            wanted = fields | flags | {"regions": fields["regions"].replace(",", " ").split()}
            start_import(call, check(NewGarImport, wanted))
    except Problem as problem:
        return await _register(request, problem, fields)
    raise web.HTTPSeeOther("/gar")


async def bind(request: web.Request) -> web.Response:
    """Bind a house to an object of the register."""
    call, sent = call_of(request), await read_form(request)
    path = check(IdPath, {"id": request.match_info["id"]})
    try:
        await put_binding(call, path, check(NewBinding, {"guid": sent.get("guid", "")}))
    except RegistryError as error:
        if error.code == "not_found":
            raise Problem(404, N_("There is no such house.")) from error
        raise from_registry(error) from error
    raise web.HTTPSeeOther(f"/houses/{path.id}/registry#gar")
