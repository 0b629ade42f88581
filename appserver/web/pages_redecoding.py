"""Frames that no codec could read: the list, and decoding again with the statements that it would change."""

from __future__ import annotations

from typing import Annotated, Any

from aiohttp import web
from pydantic import StringConstraints

from appserver import undecoded
from appserver.api.codecs import NewRedecoding, list_codecs, start_redecoding
from appserver.api.fields import Eui, Input, Slug
from appserver.api.jobs import JobPath, find_job
from appserver.api.problems import Problem
from appserver.db import Database
from appserver.services import SERVICES
from appserver.web.forms import call_of, check, link, read_form, seen_query
from appserver.web.i18n import N_
from appserver.web.render import page

PER_PAGE = 100
SHOWN_STATEMENTS = 500


class _Query(Input):
    codec: Slug | None = None
    dev_eui: Eui | None = None
    cursor: Annotated[str, StringConstraints(pattern=r"^\d{0,18}$")] = ""


async def waiting(request: web.Request) -> web.Response:
    """What waits, by codec and reason, and the frames."""
    return await _waiting(request)


async def _waiting(request: web.Request, problem: Problem | None = None) -> web.Response:
    call, db = call_of(request), request.app[SERVICES].database
    query = seen_query(request, _Query)
    before = int(query.cursor) if query.cursor else None
    frames = await db.run(undecoded.frames, db, query.codec or "", query.dev_eui or "", before, PER_PAGE)
    names = [codec.name for codec in (await list_codecs(call)).items if codec.kind != "broken"]
    return page(
        request,
        "undecoded.html",
        status=problem.status if problem else 200,
        groups=await db.run(undecoded.groups, db),
        frames=frames,
        more=link(request, cursor=frames[-1].id) if len(frames) == PER_PAGE else None,
        query=query,
        codecs=sorted(names),
        jobs=call.services.jobs.of_kind("redecoding")[:10],
        problem=problem,
    )


async def redecode(request: web.Request) -> web.Response:
    """Tell what decoding again would change."""
    sent = await read_form(request)
    try:
        given: dict[str, Any] = {"dry_run": True, "codec": sent.get("codec", "")}
        if sent.get("dev_eui"):
            given["dev_euis"] = [sent["dev_eui"]]
        job = start_redecoding(call_of(request), check(NewRedecoding, given))
    except Problem as problem:
        return await _waiting(request, problem)
    raise web.HTTPSeeOther(f"/undecoded/{job.id}")


async def redecoding(request: web.Request) -> web.Response:
    """How far it is; then which statements come out otherwise."""
    try:
        path = check(JobPath, {"id": request.match_info["id"]})
        job = find_job(call_of(request), path.id, "redecoding")
    except Problem as error:
        raise Problem(404, N_("This run is not known any more; the server was restarted since.")) from error
    db: Database = request.app[SERVICES].database
    undone = await db.run(db.rows, "SELECT count(*) FROM uplink WHERE state <> 'decoded'")
    return page(
        request,
        "redecoding.html",
        job=job,
        report=job.result,
        statements=job.result.statements[:SHOWN_STATEMENTS] if job.result else [],
        waiting=undone[0][0],
    )


async def apply(request: web.Request) -> web.Response:
    """Do what the dry run has shown: with the same codec, of the same devices."""
    call = call_of(request)
    await read_form(request)
    path = check(JobPath, {"id": request.match_info["id"]})
    trial = find_job(call, path.id, "redecoding")
    wanted = {"dry_run": False, "codec": trial.parameters["codec"], "dev_euis": trial.parameters["dev_euis"] or None}
    job = start_redecoding(call, check(NewRedecoding, wanted))
    raise web.HTTPSeeOther(f"/undecoded/{job.id}")
