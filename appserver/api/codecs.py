"""Codecs: the program's own and the user's, trials of payloads, and decoding again after a change."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from appserver.api.fields import Base64, Eui, Id, Input, Output, Page, Slug, Time, Volume, microseconds_of
from appserver.api.jobs import JobPath, find_job, head
from appserver.api.problems import Problem, invalid, not_found
from appserver.api.router import Api, Call
from appserver.codecs import CODECS, CodecError, CommandError, decode, encode
from appserver.codecs.base import Decoded
from appserver.codecs.declared import RecordError
from appserver.codecs.declared.fields import Layout
from appserver.codecs.declared.record import MAX_SCRIPT, MAX_TEXT
from appserver.jobs import Job, Progress
from appserver.redecoding import Report, redecode_with_report

api = Api("Codecs")

Kind = Literal["built_in", "layout", "script", "broken"]


class CodecView(Output):
    """A codec: payload to measurements. ``broken``: a file of the folder with a fault, which ``error`` tells."""

    name: str
    version: int
    title: str
    clock: str
    label: str
    """What readings remember."""
    kind: Kind
    encodes: bool
    """Whether it makes downlinks of objects."""
    error: str


class CodecText(CodecView):
    """A codec with its file, when it is one of the user's own."""

    source: str | None
    script: str | None


class CodecPath(Input):
    name: Slug


class CodecBody(Input):
    """A codec's file (TOML), and the script it names."""

    source: Annotated[str, StringConstraints(min_length=1, max_length=MAX_TEXT)]
    script: Annotated[str, StringConstraints(max_length=MAX_SCRIPT)] | None = None


class CodecTrial(Input):
    """A payload to decode."""

    f_port: int = Field(ge=0, le=255)
    data: Annotated[Base64, Field(max_length=250)]
    received_at: Time | None = None


class CommandTrial(Input):
    """An object to encode."""

    object: dict[str, Any]


class CommandResult(Output):
    """The downlink that comes out."""

    f_port: int
    data: Base64


class MeasurementView(Output):
    """One register of one channel."""

    channel: int
    value: Volume
    unit: str
    variant: str
    at: str | None
    archive: bool


class CodecResult(Output):
    """What the payload says, or why it says nothing."""

    measurements: list[MeasurementView]
    object: dict[str, Any] | None
    flags: list[str] | None
    battery_pct: int | None
    error: str


def _view(call: Call, name: str) -> dict[str, Any]:
    codec = CODECS.get(name)
    if codec is None:
        broken = call.services.codecs.broken.get(name)
        if broken is None:
            raise not_found("codec", name)
        return {
            "name": name,
            "version": 0,
            "title": "",
            "clock": "",
            "label": "",
            "kind": "broken",
            "encodes": False,
            "error": broken.reason,
        }
    record = call.services.codecs.records.get(name)
    kind = "built_in" if record is None else "layout" if isinstance(record.body, Layout) else "script"
    return {
        "name": codec.name,
        "version": codec.version,
        "title": codec.title,
        "clock": codec.clock,
        "label": codec.label,
        "kind": kind,
        "encodes": codec.encode is not None,
        "error": "",
    }


def _text(call: Call, name: str) -> CodecText:
    record = call.services.codecs.records.get(name)
    script = None if record is None or isinstance(record.body, Layout) else record.body.text
    return CodecText(**_view(call, name), source=record.text if record is not None else None, script=script)


def _refused(error: RecordError) -> Problem:
    errors = [
        {"in": "body", "field": "source", "line": str(fault.line), "key": fault.key, "message": fault.text}
        for fault in error.faults
    ]
    return Problem(422, f"The codec has faults: {error}", errors=errors)


@api.add("GET", "/codecs", answers=Page[CodecView], summary="List codecs")
async def list_codecs(call: Call) -> Page[CodecView]:
    names = [*CODECS, *(name for name in call.services.codecs.broken if name not in CODECS)]
    return Page(items=[CodecView(**_view(call, name)) for name in names])


@api.add("POST", "/codecs", answers=CodecText, status=201, summary="Make a codec of a TOML file")
async def post_codec(call: Call, body: CodecBody) -> CodecText:
    return await _put(call, body, None)


@api.add("GET", "/codecs/{name}", answers=CodecText, summary="Show a codec")
async def get_codec(call: Call, path: CodecPath) -> CodecText:
    return _text(call, path.name)


@api.add("PUT", "/codecs/{name}", answers=CodecText, summary="Change a codec of one's own")
async def put_codec(call: Call, path: CodecPath, body: CodecBody) -> CodecText:
    library = call.services.codecs
    if path.name not in library.records and path.name not in library.broken:
        if path.name in CODECS:
            raise Problem(409, f"The codec {path.name} is one of the program; take another name for your own.")
        raise not_found("codec", path.name)
    return await _put(call, body, path.name)


async def _put(call: Call, body: CodecBody, name: str | None) -> CodecText:
    from appserver.codecs.declared import read_record

    library = call.services.codecs
    try:
        record = read_record(body.source, "codec.toml", body.script)
        if name is None and record.name in CODECS:
            raise Problem(409, f"The codec {record.name} exists already.")
        if name is not None and record.name != name:
            raise invalid("source", f"its name is {record.name}, which differs from the address")
        await asyncio.to_thread(library.put, body.source, body.script)
    except RecordError as error:
        raise _refused(error) from error
    except OSError as error:
        raise Problem(503, f"The codec cannot be written: {error.strerror or error}.") from error
    await call.audit("codec.change" if name else "codec.create", f"codec/{record.name}", {"label": record.digest})
    return _text(call, record.name)


@api.add("DELETE", "/codecs/{name}", answers=None, status=204, summary="Remove a codec of one's own")
async def delete_codec(call: Call, path: CodecPath) -> None:
    library = call.services.codecs
    _view(call, path.name)
    if path.name not in library.records and path.name not in library.broken:
        raise Problem(409, f"The codec {path.name} is one of the program and cannot be removed.")
    profiles = await call.services.network.profiles()
    users = [profile.name for profile in profiles.items if profile.codec == path.name]
    if users:
        raise Problem(
            409, f"The codec {path.name} is used by the device profile {users[0]}; give it another codec first."
        )
    await asyncio.to_thread(library.delete, path.name)
    await call.audit("codec.delete", f"codec/{path.name}")


@api.add("POST", "/codecs/{name}/test", answers=CodecResult, summary="Decode a payload")
async def test_codec(call: Call, path: CodecPath, body: CodecTrial) -> CodecResult:
    _view(call, path.name)
    at_us = microseconds_of(body.received_at) if body.received_at else call.services.clock()
    try:
        decoded = await asyncio.to_thread(decode, path.name, body.f_port, body.data, at_us)
    except CodecError as error:
        return CodecResult(measurements=[], object=None, flags=None, battery_pct=None, error=str(error))
    return result_of(decoded)


def result_of(decoded: Decoded) -> CodecResult:
    """The API's form of what a payload says."""
    measurements = [
        MeasurementView(
            channel=item.channel,
            value=item.value,
            unit=item.unit,
            variant=item.variant,
            at=item.at.isoformat() if item.at else None,
            archive=item.archive,
        )
        for item in decoded.measurements
    ]
    return CodecResult(
        measurements=measurements,
        object=decoded.values,
        flags=list(decoded.flags) if decoded.flags is not None else None,
        battery_pct=decoded.battery_pct,
        error="",
    )


@api.add("POST", "/codecs/{name}/encode", answers=CommandResult, summary="Encode a downlink without sending it")
async def encode_command(call: Call, path: CodecPath, body: CommandTrial) -> CommandResult:
    _view(call, path.name)
    try:
        f_port, data = await asyncio.to_thread(encode, path.name, body.object)
    except CommandError as error:
        raise invalid(".".join(filter(None, ("object", error.key))), error.reason) from error
    return CommandResult.model_construct(f_port=f_port, data=data)


# ------------------------------------------------------------------------------------------------------- decode again


class NewRedecoding(Input):
    """Which frames: those that wait, and those that a codec's former content decoded."""

    dry_run: bool = True
    """Only tell what would change."""
    codec: Slug | None = None
    dev_euis: Annotated[list[Eui], Field(max_length=10_000)] | None = None


class StatementView(Output):
    """A month of a point whose consumption comes out otherwise; null: not known at one of the month's ends."""

    building_id: Id
    address: str
    premises: str
    point_id: Id
    resource: str
    month: str
    before: Volume | None
    after: Volume | None
    days: int
    closed: bool


class RedecodingResult(Output):
    """What decoding again brought, or would bring."""

    frames: int
    decoded: int
    undecoded: int
    unbound: int
    readings: int
    withdrawn: int
    complete: bool
    statements: list[StatementView]


class Redecoding(Output):
    """A run of decoding again and how far it is."""

    id: str
    state: str
    done: int
    total: int
    error: str
    created_at: Time
    created_by: str
    dry_run: bool
    codec: str
    dev_euis: list[str]
    """Only of these devices; empty: of all."""
    result: RedecodingResult | None


def _redecoding(job: Job) -> Redecoding:
    report: Report | None = job.result
    result = None
    if report is not None:
        names = [name for name in RedecodingResult.model_fields if name != "statements"]
        result = RedecodingResult.model_construct(
            **{name: getattr(report, name) for name in names},
            statements=[
                StatementView.model_construct(**{name: getattr(one, name) for name in StatementView.model_fields})
                for one in report.statements
            ],
        )
    return Redecoding.model_construct(
        **head(job),
        dry_run=job.parameters["dry_run"],
        codec=job.parameters["codec"],
        dev_euis=job.parameters["dev_euis"],
        result=result,
    )


def start_redecoding(call: Call, body: NewRedecoding) -> Job:
    """Begin to decode again, or to tell what that would change."""
    if body.codec is not None:
        _view(call, body.codec)
    parameters = {"dry_run": body.dry_run, "codec": body.codec or "", "dev_euis": body.dev_euis or []}
    job = call.services.jobs.add("redecoding", call.who.name, parameters)
    call.services.jobs.start(job, lambda progress: _redecode(call, job, body, progress))
    return job


async def _redecode(call: Call, job: Job, body: NewRedecoding, progress: Progress) -> Report:
    services = call.services
    report = await services.database.run(
        redecode_with_report,
        services.database,
        services.clock(),
        body.codec or "",
        body.dev_euis,
        body.dry_run,
        progress,
    )
    if not body.dry_run:
        detail = {"codec": body.codec or "", "frames": report.frames, "statements": len(report.statements)}
        await call.audit("codec.redecode", f"redecoding/{job.id}", detail)
    return report


@api.add(
    "GET", "/redecodings", answers=Page[Redecoding], summary="List runs of decoding again since the server's start"
)
async def list_redecodings(call: Call) -> Page[Redecoding]:
    return Page(items=[_redecoding(job) for job in call.services.jobs.of_kind("redecoding")])


@api.add(
    "POST",
    "/redecodings",
    answers=Redecoding,
    status=202,
    summary="Decode kept frames again, or tell what would change",
)
async def post_redecoding(call: Call, body: NewRedecoding) -> Redecoding:
    return _redecoding(start_redecoding(call, body))


@api.add("GET", "/redecodings/{id}", answers=Redecoding, summary="Show a run of decoding again")
async def get_redecoding(call: Call, path: JobPath) -> Redecoding:
    return _redecoding(find_job(call, path.id, "redecoding"))
