"""Codecs before they are kept: a file checked with its samples and a payload, a catalogue tried, frames that wait."""

from __future__ import annotations

import asyncio
import io
import tempfile
import zipfile
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path, PurePosixPath
from typing import Annotated

from pydantic import Field

from appserver import undecoded
from appserver.api.codecs import CodecBody, CodecResult, result_of
from appserver.api.fields import Base64, Eui, Input, Limit, Output, Page, Slug, Time, microseconds_of, time_of
from appserver.api.jobs import JobPath, find_job, head, read_upload
from appserver.api.problems import Problem
from appserver.api.router import Api, Call
from appserver.codecs import CodecError
from appserver.codecs.catalogue import import_catalogue
from appserver.codecs.declared import RecordError
from appserver.codecs.library import Library
from appserver.jobs import Job, JobFailed

api = Api("Codecs")

MAX_ZIP = 50 * 1024 * 1024
MAX_UNPACKED = 400 * 1024 * 1024
MAX_FILES = 60_000
MAX_FILE = 1024 * 1024
WANTED = (".yaml", ".js")


# ---------------------------------------------------------------------------------------------------------- one file


class CodecCheck(CodecBody):
    """A codec's file as it is being written, and a payload to try it on."""

    f_port: int = Field(1, ge=0, le=255)
    data: Annotated[Base64, Field(max_length=250)] | None = None
    received_at: Time | None = None


class FaultView(Output):
    """What is wrong with a codec's file: the line, the key, what to write. ``test``: a sample that comes out otherwise."""

    line: int
    key: str
    message: str


class CodecVerdict(Output):
    """Whether the file is a codec whose samples come out, and what it makes of the payload."""

    ok: bool
    name: str
    samples: int
    faults: list[FaultView]
    result: CodecResult | None


async def try_codec(call: Call, body: CodecCheck) -> CodecVerdict:
    """Check a file with its samples, then decode the payload. Nothing is written."""
    library = call.services.codecs
    try:
        record = await asyncio.to_thread(library.check, body.source, body.script)
    except RecordError as error:
        faults = [FaultView(line=fault.line, key=fault.key, message=fault.text) for fault in error.faults]
        return CodecVerdict(ok=False, name="", samples=0, faults=faults, result=None)
    result = None
    if body.data:
        at_us = microseconds_of(body.received_at) if body.received_at else call.services.clock()
        try:
            result = result_of(await asyncio.to_thread(library.trial, record, body.f_port, body.data, at_us))
        except CodecError as error:
            result = CodecResult(measurements=[], object=None, flags=None, battery_pct=None, error=str(error))
    return CodecVerdict(ok=True, name=record.name, samples=len(record.samples), faults=[], result=result)


@api.add("POST", "/codecs/check", answers=CodecVerdict, summary="Check a codec's file and try it, without keeping it")
async def check_codec(call: Call, body: CodecCheck) -> CodecVerdict:
    return await try_codec(call, body)


# --------------------------------------------------------------------------------------------------------- catalogues


class ImportedView(Output):
    """What became of one codec of a catalogue: ``new``, ``changed``, ``unchanged`` or ``refused``."""

    name: str
    file: str
    state: str
    samples: int
    note: str


class CatalogueJob(Output):
    """An import of a catalogue and how far it is."""

    id: str
    state: str
    done: int
    total: int
    error: str
    created_at: Time
    created_by: str
    filename: str
    dry_run: bool
    codecs: list[ImportedView] | None


def _catalogue(job: Job) -> CatalogueJob:
    codecs = None if job.result is None else [ImportedView(**asdict(one)) for one in job.result]
    return CatalogueJob.model_construct(
        **head(job), filename=job.parameters["filename"], dry_run=job.parameters["dry_run"], codecs=codecs
    )


def start_catalogue(call: Call, filename: str, data: bytes, dry_run: bool) -> Job:
    """Take the codecs of a zipped folder laid out as the catalogue lorawan-devices is, or tell what would be taken."""
    job = call.services.jobs.add("catalogue", call.who.name, {"filename": filename, "dry_run": dry_run})
    if dry_run:
        job.payload = data

    async def work(progress: object) -> list[object]:
        found = await asyncio.to_thread(_import, call.services.codecs, data, dry_run)
        if not dry_run:
            taken = sum(one.state in ("new", "changed") for one in found)  # type: ignore[attr-defined]
            await call.audit("codec.catalogue", f"catalogue/{job.id}", {"file": filename, "taken": taken})
        return found

    call.services.jobs.start(job, work)
    return job


def apply_catalogue(call: Call, job_id: str) -> Job:
    """Take what a dry run has shown. 404, or 409 when it is too old."""
    trial = find_job(call, job_id, "catalogue")
    if trial.running or trial.result is None or trial.payload is None:
        raise Problem(409, "The file is not kept any more; upload it again.")
    return start_catalogue(call, trial.parameters["filename"], trial.payload, dry_run=False)


def _import(library: Library, data: bytes, dry_run: bool) -> list[object]:
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except (zipfile.BadZipFile, ValueError, OSError) as error:
        raise JobFailed("The file is no ZIP archive.") from error
    with archive, tempfile.TemporaryDirectory(prefix="catalogue-") as name:
        folder = Path(name)
        entries = [entry for entry in archive.infolist() if _wanted(entry)]
        if len(entries) > MAX_FILES or sum(entry.file_size for entry in entries) > MAX_UNPACKED:
            raise JobFailed("The archive is larger than a catalogue may be; zip one vendor's folder.")
        if not entries:
            raise JobFailed("The archive has no scripts with their descriptions (.yaml and .js).")
        try:
            _unpack(archive, entries, folder)
        except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError, RuntimeError) as error:
            raise JobFailed("The archive is damaged or encrypted.") from error
        return list(import_catalogue(library, folder, dry_run))


def _wanted(entry: zipfile.ZipInfo) -> bool:
    path = PurePosixPath(entry.filename)
    safe = not path.is_absolute() and ".." not in path.parts and "\\" not in entry.filename
    return safe and path.suffix in WANTED and entry.file_size <= MAX_FILE


def _unpack(archive: zipfile.ZipFile, entries: Iterable[zipfile.ZipInfo], folder: Path) -> None:
    for entry in entries:
        target = folder / entry.filename
        target.parent.mkdir(parents=True, exist_ok=True)
        with archive.open(entry) as source:
            target.write_bytes(source.read(MAX_FILE))


@api.add(
    "POST",
    "/codecs/catalogue",
    answers=CatalogueJob,
    status=202,
    upload=True,
    summary="Try a zipped catalogue of makers' codecs",
)
async def post_catalogue(call: Call) -> CatalogueJob:
    filename, data, _ = await read_upload(call, MAX_ZIP)
    return _catalogue(start_catalogue(call, filename, data, dry_run=True))


@api.add("GET", "/codecs/catalogue/{id}", answers=CatalogueJob, summary="Show an import of a catalogue")
async def get_catalogue(call: Call, path: JobPath) -> CatalogueJob:
    return _catalogue(find_job(call, path.id, "catalogue"))


@api.add(
    "POST",
    "/codecs/catalogue/{id}/apply",
    answers=CatalogueJob,
    status=202,
    summary="Take the codecs that a trial has shown",
)
async def post_apply_catalogue(call: Call, path: JobPath) -> CatalogueJob:
    return _catalogue(apply_catalogue(call, path.id))


# --------------------------------------------------------------------------------------------------- frames that wait


class WaitingView(Output):
    """A frame that is not decoded (``undecoded``), or whose channels belong to no meter (``unbound``)."""

    id: int
    dev_eui: Eui
    f_port: int | None
    data: Base64
    received_at: Time
    codec: str
    state: str
    reason: str
    frame_id: int


class WaitingQuery(Input):
    """Newest first; ``cursor`` is the id of the last one seen."""

    codec: Slug | None = None
    dev_eui: Eui | None = None
    limit: Limit = 100
    cursor: Annotated[str, Field(pattern=r"^\d{0,18}$")] = ""


@api.add("GET", "/undecoded", answers=Page[WaitingView], summary="List frames that no codec could read")
async def list_undecoded(call: Call, query: WaitingQuery) -> Page[WaitingView]:
    db = call.services.database
    before = int(query.cursor) if query.cursor else None
    rows = await db.run(undecoded.frames, db, query.codec or "", query.dev_eui or "", before, query.limit)
    same = ("id", "dev_eui", "f_port", "data", "codec", "state", "reason", "frame_id")
    items = [
        WaitingView.model_construct(
            **{name: getattr(row, name) for name in same}, received_at=time_of(row.received_at_us)
        )
        for row in rows
    ]
    return Page(items=items, next_cursor=str(rows[-1].id) if len(rows) == query.limit else None)
