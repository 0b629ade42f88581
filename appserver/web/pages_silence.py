"""The list of silent modules: where they hang, who heard them last, why they may be silent."""

from __future__ import annotations

from aiohttp import web

from appserver import registry
from appserver.api.problems import from_registry
from appserver.api.silence import SilentFileQuery, SilentQuery, hours_of, silent_file, silent_page
from appserver.errors import RegistryError
from appserver.web import i18n
from appserver.web.forms import call_of, check, link, seen_query
from appserver.web.render import page

PER_PAGE = 50
HOURS = (24, 48, 72, 168, 720)


async def silent(request: web.Request) -> web.Response:
    """Modules without an uplink for so many hours, those that are silent longest first."""
    call, query = call_of(request), seen_query(request, SilentQuery)
    db = call.services.database
    try:
        rows, cursor, hours = await silent_page(call, query.model_copy(update={"limit": PER_PAGE}))
    except RegistryError as error:
        raise from_registry(error) from error
    usual, _ = await hours_of(call, None)
    organisations = await db.run(registry.page, db, "organisation", limit=1000)
    narrowed = {"organisation_id": query.organisation_id}
    buildings = await db.run(lambda: registry.page(db, "building", limit=1000, **narrowed))
    return page(
        request,
        "silent.html",
        rows=rows,
        more=link(request, cursor=cursor) if cursor else None,
        query=query,
        hours=hours,
        choices=sorted({*HOURS, usual, hours}),
        organisations=organisations.items,
        buildings=buildings.items,
        address=request.query_string,
    )


async def download(request: web.Request) -> web.Response:
    """The list as a file."""
    query = seen_query(request, SilentFileQuery)
    fields = query.model_dump(exclude_none=True) | {"language": i18n.language()}
    return await silent_file(call_of(request), check(SilentFileQuery, fields))
