"""All tables of the registry as one book: download, upload, what it would do row by row, apply."""

from __future__ import annotations

from aiohttp import web

from appserver.api.jobs import JobPath, find_job, read_upload
from appserver.api.problems import Problem
from appserver.api.registry_book import (
    EXPORT,
    IMPORT,
    NewBookExport,
    apply_import,
    counts_of,
    errors_of,
    export_file,
    start_export,
    start_import,
)
from appserver.auth.gate import CSRF_FIELD
from appserver.auth.secrets import same
from appserver.exchange.registry_book import SHEETS, heads
from appserver.jobs import Job
from appserver.web.forms import call_of, check, read_form
from appserver.web.i18n import N_
from appserver.web.render import page

SHOWN_ERRORS = 200
_FORGOTTEN = N_("This import is not known any more; the server was restarted since.")


async def book(request: web.Request) -> web.Response:
    """The book, its tables with their columns, the last imports."""
    return _page(request)


def _page(request: web.Request, problem: Problem | None = None) -> web.Response:
    return page(
        request,
        "registry_book.html",
        status=problem.status if problem else 200,
        jobs=call_of(request).services.jobs.of_kind(IMPORT)[:20],
        sheets={name: heads(sheet) for name, sheet in SHEETS.items()},
        problem=problem,
    )


async def upload(request: web.Request) -> web.Response:
    """Take the file and begin the trial run. The form token is a field of the form and is checked here."""
    call = call_of(request)
    try:
        filename, data, fields = await read_upload(call, call.services.settings.http.max_import_mib * 1024 * 1024)
        if not same(fields.get(CSRF_FIELD, ""), call.who.csrf):
            raise Problem(403, N_("The form is out of date. Load the page again and repeat."))
        if not data:
            raise Problem(422, N_("Choose a file first."))
        table = fields.get("table", "")
        if table and table not in SHEETS:
            raise Problem(422, N_("There is no such table in the registry."))
    except Problem as problem:
        return _page(request, problem)
    job = start_import(call, filename, data, table, dry_run=True)
    raise web.HTTPSeeOther(f"/registry-book/{job.id}")


def _job(request: web.Request, kind: str) -> Job:
    try:
        path = check(JobPath, {"id": request.match_info["id"]})
        return find_job(call_of(request), path.id, kind)
    except Problem as error:
        raise Problem(404, _FORGOTTEN) from error


async def job(request: web.Request) -> web.Response:
    """How far an import is, and what it found."""
    found = _job(request, IMPORT)
    report = found.result
    return page(
        request,
        "registry_book_job.html",
        job=found,
        report=report,
        errors=errors_of(report)[:SHOWN_ERRORS] if report else [],
        tables=counts_of(report) if report else [],
    )


async def apply(request: web.Request) -> web.Response:
    """Carry out what the trial run has shown."""
    applied = apply_import(call_of(request), _job(request, IMPORT).id)
    raise web.HTTPSeeOther(f"/registry-book/{applied.id}")


async def export(request: web.Request) -> web.Response:
    """Begin to write the book, or one table."""
    fields = await read_form(request)
    try:
        started = start_export(call_of(request), check(NewBookExport, fields))
    except Problem as problem:
        return _page(request, problem)
    raise web.HTTPSeeOther(f"/registry-book/export/{started.id}")


async def exported(request: web.Request) -> web.Response:
    """How far an export is; its file when it is written."""
    return page(request, "registry_book_file.html", job=_job(request, EXPORT))


async def file(request: web.Request) -> web.StreamResponse:
    """The file of an export."""
    return export_file(call_of(request), _job(request, EXPORT).id)
