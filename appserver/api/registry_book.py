"""All tables of the registry as one book: out as XLSX or CSV, in with a trial run that names every wrong row."""

from __future__ import annotations

from typing import Any, Literal

from aiohttp import web
from pydantic import Field

from appserver.api.fields import Input, Output, Page, Time
from appserver.api.jobs import MEDIA_TYPES, JobPath, RowErrorView, find_job, head, read_upload, yes
from appserver.api.problems import Problem, invalid
from appserver.api.router import Api, Call
from appserver.exchange import TableError
from appserver.exchange.registry_book import SHEETS, BookReport, export_book, export_csv, import_book, read_book
from appserver.ingest import redecode
from appserver.jobs import Job, JobFailed, Progress
from appserver.registry import Note

api = Api("Imports and exports")

IMPORT, EXPORT = "book-import", "book-export"
SHOWN_ERRORS = 1000

TableName = Literal[
    "organisations", "buildings", "entrances", "premises", "accounts", "points", "meters", "verifications", "seals",
    "installations", "channels",
]  # fmt: skip
Rows = dict[str, list[tuple[int, dict[str, str]]]]


class TableCount(Output):
    """What happens, or would happen, to one table."""

    table: str
    created: int
    changed: int
    unchanged: int


class BookErrorView(RowErrorView):
    """A fault in a row of a table; the row is the file's, headings are row 1."""

    table: str


class BookResult(Output):
    """What an import did, or would do; with a fault anywhere nothing is done."""

    rows: int
    applied: bool
    faults: int
    """All of them; ``errors`` has the first thousand."""
    errors: list[BookErrorView]
    tables: list[TableCount]
    readings: int
    """Found in frames that had waited for their channel."""


class BookImport(Output):
    """An import of the book and how far it is."""

    id: str
    state: str
    done: int
    total: int
    error: str
    created_at: Time
    created_by: str
    filename: str
    dry_run: bool
    result: BookResult | None


class NewBookExport(Input):
    """The whole book as XLSX, or one table as CSV."""

    format: Literal["xlsx", "csv"] = "xlsx"
    table: TableName | None = Field(None, description="Needed with csv")


class BookExport(Output):
    """An export and how far it is."""

    id: str
    state: str
    done: int
    total: int
    error: str
    created_at: Time
    created_by: str
    table: str
    format: str
    bytes: int | None


def counts_of(report: BookReport) -> list[TableCount]:
    """By table, in the order of the book; tables that the file does not have are left out."""
    found = (
        (name, [getattr(report, of).get(name, 0) for of in ("created", "changed", "unchanged")]) for name in SHEETS
    )
    return [TableCount(table=name, created=n[0], changed=n[1], unchanged=n[2]) for name, n in found if any(n)]


def errors_of(report: BookReport) -> list[BookErrorView]:
    """The first faults, table and column apart."""
    views = []
    for error in report.errors[:SHOWN_ERRORS]:
        table, _, column = error.column.partition(".")
        views.append(BookErrorView(row=error.row, table=table, column=column, detail=error.detail))
    return views


def import_view(job: Job) -> BookImport:
    """The API's form of an import."""
    result = None
    if job.result is not None:
        report: BookReport = job.result
        result = BookResult(
            rows=job.total,
            applied=report.applied,
            faults=len(report.errors),
            errors=errors_of(report),
            tables=counts_of(report),
            readings=report.readings,
        )
    parameters = {name: job.parameters[name] for name in ("filename", "dry_run")}
    return BookImport.model_construct(**head(job), **parameters, result=result)


def start_import(call: Call, filename: str, data: bytes, table: str, dry_run: bool) -> Job:
    """Read the book and import it, or say what an import would do."""
    parameters = {"filename": filename, "dry_run": dry_run}
    job = call.services.jobs.add(IMPORT, call.who.name, parameters)

    async def work(progress: Progress) -> BookReport:
        try:
            rows = await call.services.database.run(read_book, data, table)
        except TableError as error:
            raise JobFailed(str(error)) from error
        return await _run(call, job, rows, progress)

    call.services.jobs.start(job, work)
    return job


def apply_import(call: Call, job_id: str) -> Job:
    """Carry out what a trial run has shown. 404, or 409 when it had faults or is too old."""
    trial = find_job(call, job_id, IMPORT)
    if trial.running or trial.result is None or trial.result.errors or not trial.parameters["dry_run"]:
        raise Problem(409, "The trial run of this import is not without errors.")
    if trial.payload is None:
        raise Problem(409, "The file is not kept any more; upload it again.")
    rows: Rows = trial.payload
    job = call.services.jobs.add(IMPORT, call.who.name, trial.parameters | {"dry_run": False})
    call.services.jobs.start(job, lambda progress: _run(call, job, rows, progress))
    return job


async def _run(call: Call, job: Job, rows: Rows, progress: Progress) -> BookReport:
    db, dry_run = call.services.database, job.parameters["dry_run"]
    total = sum(map(len, rows.values()))
    if not total:
        raise JobFailed("The file has headings and no rows.")
    progress(0, total)
    now_us = call.services.clock()
    note = Note(call.who.name, remark=f"import: {job.parameters['filename']}"[:200], at_us=now_us)
    report: BookReport = await db.run(import_book, db, rows, dry_run, note, progress)
    if report.applied and report.dev_euis:
        report.readings = (await db.run(redecode, db, now_us, sorted(report.dev_euis))).readings
    progress(total, total)
    if dry_run:
        job.payload = rows
    if report.applied:
        detail = {
            "file": job.parameters["filename"],
            "rows": total,
            "created": report.created,
            "changed": report.changed,
        }
        await call.audit("registry-book.import", f"import/{job.id}", detail)
    return report


@api.add("GET", "/registry-book/imports", answers=Page[BookImport], summary="List imports of the book since the start")
async def list_book_imports(call: Call) -> Page[BookImport]:
    return Page(items=[import_view(job) for job in call.services.jobs.of_kind(IMPORT)])


@api.add(
    "POST",
    "/registry-book/imports",
    answers=BookImport,
    status=202,
    upload=True,
    summary="Import the book of the registry (XLSX), or one table of it (CSV)",
)
async def post_book_import(call: Call) -> BookImport:
    """Takes ``file``, before it ``dry_run`` and, for CSV, ``table``."""
    limit = call.services.settings.http.max_import_mib * 1024 * 1024
    filename, data, fields = await read_upload(call, limit)
    unknown = sorted(set(fields) - {"dry_run", "table"})
    if unknown:
        raise invalid(unknown[0][:60], "unknown field")
    table = fields.get("table", "")
    if table and table not in SHEETS:
        raise invalid("table", f"must be one of {', '.join(SHEETS)}")
    return import_view(start_import(call, filename, data, table, yes(fields.get("dry_run", "false"))))


@api.add("GET", "/registry-book/imports/{id}", answers=BookImport, summary="Show an import of the book")
async def get_book_import(call: Call, path: JobPath) -> BookImport:
    return import_view(find_job(call, path.id, IMPORT))


@api.add(
    "POST",
    "/registry-book/imports/{id}/apply",
    answers=BookImport,
    status=202,
    summary="Carry out a trial run of the book",
)
async def post_book_apply(call: Call, path: JobPath) -> BookImport:
    return import_view(apply_import(call, path.id))


# -------------------------------------------------------------------------------------------------------------- export


def export_view(job: Job) -> BookExport:
    """The API's form of an export."""
    parameters = {name: job.parameters[name] for name in ("table", "format")}
    return BookExport.model_construct(**head(job), **parameters, bytes=job.result)


def start_export(call: Call, body: NewBookExport) -> Job:
    """Write the book, or a table of it. Raises Problem when a CSV has no table."""
    if (body.format == "csv") != (body.table is not None):
        raise invalid("table", "a CSV file holds one table, a book all of them")
    job = call.services.jobs.add(EXPORT, call.who.name, {"table": body.table or "", "format": body.format})

    async def work(progress: Progress) -> int:
        db = call.services.database
        data: bytes = await (db.run(export_csv, db, body.table) if body.table else db.run(export_book, db))
        file = call.services.jobs.folder / f"{job.id}.{body.format}"
        await db.run(file.write_bytes, data)
        job.file, job.media_type = file, MEDIA_TYPES[body.format]
        await call.audit("registry-book.export", "", {"table": body.table or "", "bytes": len(data)})
        progress(1, 1)
        return len(data)

    call.services.jobs.start(job, work)
    return job


def export_file(call: Call, job_id: str) -> web.FileResponse:
    """The file of an export. 404, or 409 while there is none."""
    job = find_job(call, job_id, EXPORT)
    if job.file is None:
        raise Problem(409, "The export is not ready." if job.running else f"The export failed: {job.error}")
    name: Any = job.parameters["table"] or "registry"
    headers = {
        "Content-Type": job.media_type,
        "Content-Disposition": f'attachment; filename="{name}.{job.parameters["format"]}"',
        "Cache-Control": "no-store",
    }
    return web.FileResponse(job.file, headers=headers)


@api.add("POST", "/registry-book/exports", answers=BookExport, status=202, summary="Export the book of the registry")
async def post_book_export(call: Call, body: NewBookExport) -> BookExport:
    return export_view(start_export(call, body))


@api.add("GET", "/registry-book/exports/{id}", answers=BookExport, summary="Show an export of the book")
async def get_book_export(call: Call, path: JobPath) -> BookExport:
    return export_view(find_job(call, path.id, EXPORT))


@api.add(
    "GET", "/registry-book/exports/{id}/file", answers="application/octet-stream", summary="Fetch the file of an export"
)
async def get_book_file(call: Call, path: JobPath) -> web.StreamResponse:
    return export_file(call, path.id)
