"""Codecs: the list, one's own layouts and scripts with a live check, makers' catalogues."""

from __future__ import annotations

import json
from typing import Any

from aiohttp import web

from appserver.api.codec_trials import MAX_ZIP, CodecCheck, apply_catalogue, start_catalogue, try_codec
from appserver.api.codecs import CodecBody, CodecPath, CodecTrial, get_codec, list_codecs, post_codec, put_codec
from appserver.api.codecs import delete_codec as api_delete_codec
from appserver.api.codecs import test_codec as api_test_codec
from appserver.api.jobs import JobPath, find_job, read_upload
from appserver.api.problems import Problem, invalid
from appserver.auth.gate import CSRF_FIELD
from appserver.auth.secrets import same
from appserver.web.forms import call_of, check, read_form
from appserver.web.i18n import N_
from appserver.web.render import page
from internalapi.client import ApiError, NetworkUnavailable

EXAMPLE = """\
name = "acme-water"
title = "ACME water meter"
clock = "utc"

[[packet]]
ports = [2]
fields = [
  { name = "battery", type = "u8", role = "battery" },
  { name = "time", type = "u32", time = "unix", role = "clock" },
  { name = "volume", type = "u32", scale = "0.001", unit = "m3", channel = 1, none = [0xFFFFFFFF] },
]

[[test]]
port = 2
hex = "5f 80 87 ec 65 d2 04 00 00"
values = { battery = 95, volume = "1.234" }
"""
SCRIPT_EXAMPLE = """\
name = "acme-valve"
clock = "utc"
script = "acme-valve.js"

[[measurement]]
path = "volume"
channel = 1
unit = "m3"
"""
JAVASCRIPT_EXAMPLE = """\
function decodeUplink(input) {
  return { data: { volume: input.bytes[0] / 10 } };
}
"""


async def codecs(request: web.Request) -> web.Response:
    """All codecs, with what each is and which profiles use it."""
    call = call_of(request)
    used: dict[str, list[str]] = {}
    try:
        for profile in (await call.services.network.profiles()).items:
            used.setdefault(profile.codec, []).append(profile.name)
    except (NetworkUnavailable, ApiError):
        used = {}
    waiting = await call.services.database.run(
        call.services.database.rows, "SELECT count(*) FROM uplink WHERE state <> 'decoded'"
    )
    items = (await list_codecs(call)).items
    items.sort(key=lambda codec: (("broken", "script", "layout", "built_in").index(codec.kind), codec.name))
    return page(request, "codecs.html", items=items, used=used, waiting=waiting[0][0])


def _path(request: web.Request) -> CodecPath:
    try:
        return check(CodecPath, {"name": request.match_info["name"]})
    except Problem as error:
        raise Problem(404, N_("There is no such codec.")) from error


async def codec(request: web.Request) -> web.Response:
    """One codec: try a payload; one's own also to be changed."""
    return await _codec(request)


async def _codec(request: web.Request, problem: Problem | None = None, **values: Any) -> web.Response:
    call = call_of(request)
    shown = await get_codec(call, _path(request))
    fields = {"source": shown.source or "", "script": shown.script or "", "f_port": "2", "hex": ""}
    return page(
        request,
        "codec.html",
        status=problem.status if problem else 200,
        codec=shown,
        own=shown.kind != "built_in",
        problem=problem,
        fields=fields | values.pop("fields", {}),
        result=values.pop("result", None),
        **values,
    )


async def test_codec(request: web.Request) -> web.Response:
    """Decode a payload with a codec that is there."""
    sent = await read_form(request)
    fields = {"f_port": sent.get("f_port", ""), "hex": sent.get("hex", "")}
    try:
        trial = check(CodecTrial, {"f_port": fields["f_port"], "data": _bytes(fields["hex"])})
        result = await api_test_codec(call_of(request), _path(request), trial)
    except Problem as problem:
        return await _codec(request, problem, fields=fields)
    return await _codec(request, fields=fields, result=result, written=_written(result.object))


def _written(values: dict[str, Any] | None) -> str:
    return "" if values is None else json.dumps(values, ensure_ascii=False, indent=2, default=str)


def _bytes(text: str) -> bytes:
    digits = text.replace(" ", "").replace(":", "").replace("-", "").replace("\n", "")
    try:
        return bytes.fromhex(digits)
    except ValueError as error:
        raise invalid("hex", N_("must be hexadecimal digits, two for each byte"), "form") from error


async def new_codec(request: web.Request) -> web.Response:
    """The form of a new codec; ``?script=1`` begins with a script."""
    script = request.query.get("script") == "1"
    fields = {
        "source": SCRIPT_EXAMPLE if script else EXAMPLE,
        "script": JAVASCRIPT_EXAMPLE if script else "",
        "f_port": "2",
        "hex": "",
    }
    return _new(request, fields)


def _new(request: web.Request, fields: dict[str, str], problem: Problem | None = None) -> web.Response:
    return page(request, "codec_new.html", status=problem.status if problem else 200, fields=fields, problem=problem)


def _fields(sent: dict[str, str]) -> dict[str, str]:
    return {name: sent.get(name, "") for name in ("source", "script", "f_port", "hex")}


def _body(fields: dict[str, str]) -> CodecBody:
    # A browser sends lines with CR LF; a codec's digest must not depend on who wrote the file.
    source, script = (fields[name].replace("\r\n", "\n") for name in ("source", "script"))
    return check(CodecBody, {"source": source + "\n", "script": script})


async def save_new_codec(request: web.Request) -> web.Response:
    """Keep a new codec, if its samples come out."""
    fields = _fields(await read_form(request))
    try:
        made = await post_codec(call_of(request), _body(fields))
    except Problem as problem:
        return _new(request, fields, problem)
    raise web.HTTPSeeOther(f"/codecs/{made.name}")


async def save_codec(request: web.Request) -> web.Response:
    """Change one's own codec, if its samples come out."""
    path, fields = _path(request), _fields(await read_form(request))
    try:
        await put_codec(call_of(request), path, _body(fields))
    except Problem as problem:
        return await _codec(request, problem, fields=fields)
    raise web.HTTPSeeOther(f"/codecs/{path.name}?saved=1")


async def delete_codec(request: web.Request) -> web.Response:
    """Remove one's own codec."""
    await read_form(request)
    try:
        await api_delete_codec(call_of(request), _path(request))
    except Problem as problem:
        if problem.status == 404:
            raise
        return await _codec(request, problem)
    raise web.HTTPSeeOther("/codecs")


async def check_codec(request: web.Request) -> web.Response:
    """What is wrong with the file as it is being written, or what it makes of the payload: a piece of a page."""
    fields = _fields(await read_form(request))
    problem, verdict = None, None
    try:
        body = _body(fields)
        data = _bytes(fields["hex"]) if fields["hex"] else None
        trial = check(CodecCheck, {"f_port": fields["f_port"] or "1", "data": data, **body.model_dump()})
        verdict = await try_codec(call_of(request), trial)
    except Problem as found:
        problem = found
    written = _written(verdict.result.object) if verdict is not None and verdict.result is not None else ""
    return page(request, "codec_verdict.html", verdict=verdict, problem=problem, written=written)


# --------------------------------------------------------------------------------------------------------- catalogues


async def catalogue(request: web.Request) -> web.Response:
    """The form and the last imports."""
    return _catalogue(request)


def _catalogue(request: web.Request, problem: Problem | None = None) -> web.Response:
    jobs = call_of(request).services.jobs.of_kind("catalogue")
    return page(request, "catalogue.html", status=problem.status if problem else 200, jobs=jobs[:20], problem=problem)


async def upload_catalogue(request: web.Request) -> web.Response:
    """Take the archive and begin the trial run. The form token is a field of the form and is checked here."""
    call = call_of(request)
    try:
        filename, data, fields = await read_upload(call, MAX_ZIP)
        if not same(fields.get(CSRF_FIELD, ""), call.who.csrf):
            raise Problem(403, N_("The form is out of date. Load the page again and repeat."))
        if not data:
            raise Problem(422, N_("Choose a file first."))
    except Problem as problem:
        return _catalogue(request, problem)
    job = start_catalogue(call, filename, data, dry_run=True)
    raise web.HTTPSeeOther(f"/catalogue/{job.id}")


async def catalogue_job(request: web.Request) -> web.Response:
    """What would be taken, or was."""
    try:
        path = check(JobPath, {"id": request.match_info["id"]})
        job = find_job(call_of(request), path.id, "catalogue")
    except Problem as error:
        raise Problem(404, N_("This import is not known any more; the server was restarted since.")) from error
    return page(request, "catalogue_job.html", job=job)


async def take_catalogue(request: web.Request) -> web.Response:
    """Take what the trial run has shown."""
    await read_form(request)
    path = check(JobPath, {"id": request.match_info["id"]})
    job = apply_catalogue(call_of(request), path.id)
    raise web.HTTPSeeOther(f"/catalogue/{job.id}")
