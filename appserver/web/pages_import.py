"""Import of a table: upload, what it would do, apply."""

from __future__ import annotations

from aiohttp import web

from appserver.api.jobs import JobPath, apply_import, find_job, read_upload, start_import
from appserver.api.problems import Problem
from appserver.auth.gate import CSRF_FIELD
from appserver.auth.secrets import same
from appserver.exchange.columns import COLUMNS
from appserver.jobs import Job
from appserver.web.forms import call_of, check
from appserver.web.i18n import N_
from appserver.web.render import page

SHOWN_CHANGES = 500
SHOWN_ERRORS = 200


async def import_page(request: web.Request) -> web.Response:
    """The form, the columns, the last imports."""
    return _page(request)


def _page(request: web.Request, problem: Problem | None = None) -> web.Response:
    jobs = call_of(request).services.jobs.of_kind("import")
    status = problem.status if problem else 200
    return page(request, "import.html", status=status, jobs=jobs[:20], columns=COLUMNS, problem=problem)


async def upload(request: web.Request) -> web.Response:
    """Take the file and begin the trial run. The form token is a field of the form and is checked here."""
    call = call_of(request)
    try:
        filename, data, fields = await read_upload(call, call.services.settings.http.max_import_mib * 1024 * 1024)
        if not same(fields.get(CSRF_FIELD, ""), call.who.csrf):
            raise Problem(403, N_("The form is out of date. Load the page again and repeat."))
        if not data:
            raise Problem(422, N_("Choose a file first."))
    except Problem as problem:
        return _page(request, problem)
    job = start_import(call, filename, data, dry_run=True)
    raise web.HTTPSeeOther(f"/import/{job.id}")


def _job(request: web.Request) -> Job:
    path = check(JobPath, {"id": request.match_info["id"]})
    return find_job(call_of(request), path.id, "import")


async def import_job(request: web.Request) -> web.Response:
    """How far it is, and what it found."""
    try:
        job = _job(request)
    except Problem as error:
        raise Problem(404, N_("This import is not known any more; the server was restarted since.")) from error
    return page(
        request,
        "import_job.html",
        job=job,
        report=job.result,
        errors=job.result.errors[:SHOWN_ERRORS] if job.result else [],
        changes=job.result.changes[:SHOWN_CHANGES] if job.result else [],
    )


async def apply(request: web.Request) -> web.Response:
    """Carry out what the trial run has shown."""
    job = apply_import(call_of(request), _job(request).id)
    raise web.HTTPSeeOther(f"/import/{job.id}")
