"""Imports and exports: long work as jobs with progress."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from aiohttp import BodyPartReader, web
from pydantic import Field, StringConstraints

from appserver.api.fields import Id, Input, Output, Page, Time, time_of
from appserver.api.problems import Problem, invalid, not_found
from appserver.api.router import Api, Call
from appserver.auth.gate import UNREADABLE
from appserver.exchange import Table, TableError, export_table, read_table
from appserver.exchange import run as run_import
from appserver.jobs import Job, JobFailed, Progress

api = Api("Imports and exports")

MEDIA_TYPES = {
    "csv": "text/csv; charset=utf-8",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
TRUE, FALSE = ("true", "1", "yes", "on"), ("false", "0", "no", "")
SHOWN_CHANGES = 1000


class JobPath(Input):
    id: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")]


def head(job: Job) -> dict[str, Any]:
    """What all kinds of jobs show of themselves: whose it is, where it stands, what went wrong."""
    return {
        **{name: getattr(job, name) for name in ("id", "state", "done", "total", "error", "created_by")},
        "created_at": time_of(job.created_at_us),
    }


class RowErrorView(Output):
    """A fault in a row of the file."""

    row: int
    column: str
    detail: str


class ImportResult(Output):
    """What an import did, or would do."""

    rows: int
    applied: bool
    errors: list[RowErrorView]
    created: dict[str, int]
    changed: dict[str, int]
    unchanged: dict[str, int]
    ignored_columns: list[str]
    warnings: list[str]
    readings: int


class ImportJob(Output):
    """An import and how far it is."""

    id: str
    state: str
    done: int
    total: int
    error: str
    created_at: Time
    created_by: str
    filename: str
    dry_run: bool
    result: ImportResult | None


def import_view(job: Job) -> ImportJob:
    """The API's form of an import."""
    report = job.result
    result = None
    if report is not None:
        result = ImportResult.model_construct(
            rows=report.rows,
            applied=report.applied,
            errors=[RowErrorView(row=e.row, column=e.column, detail=e.detail) for e in report.errors],
            created=report.created,
            changed=report.changed,
            unchanged=report.unchanged,
            ignored_columns=report.ignored_columns,
            warnings=report.warnings,
            readings=report.readings,
        )
    return ImportJob.model_construct(
        **head(job),
        filename=job.parameters["filename"],
        dry_run=job.parameters["dry_run"],
        result=result,
    )


def start_import(call: Call, filename: str, data: bytes, dry_run: bool) -> Job:
    """Read the table and import it, or say what an import would do."""
    job = call.services.jobs.add("import", call.who.name, {"filename": filename, "dry_run": dry_run})
    call.services.jobs.start(job, lambda progress: _read_and_run(call, job, data, progress))
    return job


def apply_import(call: Call, job_id: str) -> Job:
    """Carry out what a dry run has shown. 404, or 409 when it had errors or is too old."""
    trial = find_job(call, job_id, "import")
    if trial.running or trial.result is None or trial.result.errors:
        raise Problem(409, "The trial run of this import is not without errors.")
    if trial.payload is None:
        raise Problem(409, "The file is not kept any more; upload it again.")
    table: Table = trial.payload
    job = call.services.jobs.add("import", call.who.name, trial.parameters | {"dry_run": False})
    call.services.jobs.start(job, lambda progress: _run(call, job, table, progress))
    return job


async def _read_and_run(call: Call, job: Job, data: bytes, progress: Progress) -> Any:
    try:
        table = await call.services.database.run(read_table, data, job.parameters["filename"])
    except TableError as error:
        raise JobFailed(str(error)) from error
    return await _run(call, job, table, progress)


async def _run(call: Call, job: Job, table: Table, progress: Progress) -> Any:
    services, total = call.services, len(table.rows)
    progress(0, total)
    dry_run, now_us = job.parameters["dry_run"], services.clock()
    report = await run_import(services.database, services.network, table, dry_run, now_us, call.who.name)
    progress(total, total)
    if job.parameters["dry_run"]:
        job.payload = table
    if report.applied:
        detail = {"file": job.parameters["filename"], "rows": total, "created": report.created}
        await call.audit("import.apply", f"import/{job.id}", detail)
    return report


def find_job(call: Call, job_id: str, kind: str) -> Job:
    """The job, or the 404 that names it."""
    job = call.services.jobs.get(job_id, kind)
    if job is None:
        raise not_found(kind, job_id)
    return job


async def read_upload(call: Call, limit: int) -> tuple[str, bytes, dict[str, str]]:
    """The file of a multipart form with its name, and the text fields before it. Raises Problem."""
    if call.request.content_type != "multipart/form-data":
        raise Problem(415, "Send the file as multipart/form-data with a field named file.")
    fields: dict[str, str] = {}
    found: tuple[str, bytes] | None = None
    try:
        async for part in await call.request.multipart():
            if not isinstance(part, BodyPartReader):
                raise Problem(422, "The form is nested; send plain fields.")
            is_file = part.name == "file"
            data = await _read_part(part, limit if is_file else 1000)
            if is_file:
                found = ((part.filename or "")[:200], data)
            elif part.name and len(fields) < 20:
                fields[part.name] = data.decode("utf-8", "replace").strip()
    except UNREADABLE as error:
        raise Problem(400, "The multipart form cannot be read.") from error
    if found is None:
        raise invalid("file", "is missing")
    return (*found, fields)


async def _read_part(part: BodyPartReader, limit: int) -> bytes:
    data = bytearray()
    while chunk := await part.read_chunk(65536):
        data += chunk
        if len(data) > limit:
            raise Problem(413, f"The field {(part.name or '')[:60]} is larger than {limit} bytes.")
    return bytes(data)


def yes(text: str) -> bool:
    """A form's field as a truth. Raises Problem."""
    if text.lower() in TRUE:
        return True
    if text.lower() in FALSE:
        return False
    raise invalid("dry_run", "must be true or false")


@api.add("GET", "/imports", answers=Page[ImportJob], summary="List imports since the start of the server")
async def list_imports(call: Call) -> Page[ImportJob]:
    return Page(items=[import_view(job) for job in call.services.jobs.of_kind("import")])


@api.add(
    "POST", "/imports", answers=ImportJob, status=202, upload=True, summary="Import a table of meters (CSV or XLSX)"
)
async def post_import(call: Call) -> ImportJob:
    limit = call.services.settings.http.max_import_mib * 1024 * 1024
    filename, data, fields = await read_upload(call, limit)
    unknown = sorted(set(fields) - {"dry_run"})
    if unknown:
        raise invalid(unknown[0][:60], "unknown field")
    return import_view(start_import(call, filename, data, yes(fields.get("dry_run", "false"))))


@api.add("GET", "/imports/{id}", answers=ImportJob, summary="Show an import")
async def get_import(call: Call, path: JobPath) -> ImportJob:
    return import_view(find_job(call, path.id, "import"))


@api.add("POST", "/imports/{id}/apply", answers=ImportJob, status=202, summary="Carry out a trial run")
async def post_import_apply(call: Call, path: JobPath) -> ImportJob:
    return import_view(apply_import(call, path.id))


# ----------------------------------------------------------------------------------------------------------- exports


class NewExport(Input):
    """The table of meters, as an import takes it back; without keys."""

    table: Literal["meters"] = "meters"
    format: Literal["csv", "xlsx"] = "xlsx"
    building_id: Id | None = None
    language: Literal["ru", "en"] = Field("ru")


class ExportJob(Output):
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


def export_view(job: Job) -> ExportJob:
    """The API's form of an export."""
    return ExportJob(
        **head(job),
        table=job.parameters["table"],
        format=job.parameters["format"],
        bytes=job.result,
    )


async def devices_by_eui(call: Call) -> dict[str, dict[str, str]]:
    """Name, profile and JoinEUI of every device."""
    devices: dict[str, dict[str, str]] = {}
    cursor: str | None = ""
    while cursor is not None:
        page = await call.services.network.devices(cursor=cursor, limit=1000)
        for item in page.items:
            devices[item.dev_eui] = {"name": item.name, "profile": item.profile, "join_eui": item.join_eui}
        cursor = page.next_cursor
    return devices


async def _export(call: Call, job: Job, body: NewExport, progress: Progress) -> int:
    progress(0, 2)
    devices = await devices_by_eui(call)
    progress(1, 2)
    db = call.services.database
    data = await db.run(export_table, db, body.format, body.building_id, body.language, devices)
    file = call.services.jobs.folder / f"{job.id}.{body.format}"
    await db.run(file.write_bytes, data)
    job.file, job.media_type = file, MEDIA_TYPES[body.format]
    await call.audit("export", f"building/{body.building_id or ''}", {"table": body.table, "bytes": len(data)})
    progress(2, 2)
    return len(data)


@api.add("GET", "/exports", answers=Page[ExportJob], summary="List exports since the start of the server")
async def list_exports(call: Call) -> Page[ExportJob]:
    return Page(items=[export_view(job) for job in call.services.jobs.of_kind("export")])


@api.add("POST", "/exports", answers=ExportJob, status=202, summary="Export a table")
async def post_export(call: Call, body: NewExport) -> ExportJob:
    job = call.services.jobs.add("export", call.who.name, {"table": body.table, "format": body.format})
    call.services.jobs.start(job, lambda progress: _export(call, job, body, progress))
    return export_view(job)


@api.add("GET", "/exports/{id}", answers=ExportJob, summary="Show an export")
async def get_export(call: Call, path: JobPath) -> ExportJob:
    return export_view(find_job(call, path.id, "export"))


@api.add("GET", "/exports/{id}/file", answers="application/octet-stream", summary="Fetch an export's file")
async def get_export_file(call: Call, path: JobPath) -> web.StreamResponse:
    job = find_job(call, path.id, "export")
    if job.file is None:
        raise Problem(409, "The export is not ready." if job.running else f"The export failed: {job.error}")
    headers = {
        "Content-Type": job.media_type,
        "Content-Disposition": f'attachment; filename="meters.{job.parameters["format"]}"',
        "Cache-Control": "no-store",
    }
    return web.FileResponse(job.file, headers=headers)
