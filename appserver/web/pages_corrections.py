"""What a meter showed at a moment, before and after: the correction of a reading, its history, and conflicts to decide."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from aiohttp import web
from pydantic import Field

from appserver import registry
from appserver.api.fields import Id, Input, Name, RequiredName, Volume
from appserver.api.problems import Problem, from_registry, invalid
from appserver.db import Database
from appserver.errors import RegistryError
from appserver.metering.closed import closings_of_meter
from appserver.metering.corrections import CorrectionRow, correct, corrections, open_conflicts
from appserver.models.columns import from_micro
from appserver.models.registry import REGISTERS
from appserver.services import SERVICES
from appserver.web.forms import back_path, call_of, check, read_form, seen_query
from appserver.web.i18n import N_
from appserver.web.render import page, zone_of

SHOWN = 200
NEAR = 12
"""Readings before and after the moment that are shown beside it."""


class _Path(Input):
    id: Id


class _Query(Input):
    at: int | None = Field(None, ge=0, le=2**62)
    """Microseconds since 1970."""
    register_name: str = Field("", alias="register", pattern=r"^[a-z0-9_]{0,40}$")


class _Correction(Input):
    measured_at: str = Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,6})?)?$")
    register_name: str = Field("", alias="register", pattern=r"^[a-z0-9_]{0,40}$")
    value: Volume | None = None
    reason: RequiredName
    document: Name = ""


@dataclass(frozen=True, slots=True)
class Moment:
    """A moment of a register: what came for it, and what counts."""

    at_us: int
    readings: list[tuple[Decimal, str, str, int]] = field(default_factory=list)
    """Value, quality, source, when received."""
    said: CorrectionRow | None = None
    """The last correction of it."""


async def history(request: web.Request) -> web.Response:
    """All corrections of a meter, the readings about a moment, and the form."""
    return await _history(request)


async def _history(
    request: web.Request, problem: Problem | None = None, fields: dict[str, str] | None = None
) -> web.Response:
    db: Database = request.app[SERVICES].database
    meter_id = _meter_id(request)
    meter = await db.run(registry.get, db, "meter", meter_id)
    query = seen_query(request, _Query)
    register = query.register_name or REGISTERS[meter.resource]
    zone = await db.run(_zone, db, meter_id) or zone_of(request)
    near = await db.run(_near, db, meter_id, register, query.at)
    chosen = next((moment for moment in near if moment.at_us == query.at), None)
    if fields is None:
        value = _counting(chosen)
        fields = {
            "measured_at": "" if query.at is None else _written(query.at, zone),
            "value": "" if value is None else format(value, "f"),
            "reason": "",
            "document": "",
        }
    touched = [] if query.at is None else await db.run(closings_of_meter, db, meter_id, register, query.at)
    return page(
        request,
        "corrections.html",
        status=problem.status if problem else 200,
        meter=meter,
        register=register,
        near=near,
        at=query.at,
        corrections=await db.run(corrections, db, meter_id, None, SHOWN),
        closings=touched,
        fields=fields,
        problem=problem,
        zone=zone,
    )


async def correct_reading(request: web.Request) -> web.Response:
    """Keep a person's word on a moment."""
    call, meter_id = call_of(request), _meter_id(request)
    db: Database = call.services.database
    sent = await read_form(request)
    fields = {name: sent.get(name, "") for name in ("measured_at", "register", "value", "reason", "document")}
    try:
        given = fields | {"value": fields["value"].replace(",", ".").replace(" ", "")}
        form = check(_Correction, given)
        if not form.value and "value" not in form.model_fields_set and sent.get("none") != "1":
            raise invalid("value", N_("write the reading, or say that nothing known for the moment counts"), "form")
        zone = await db.run(_zone, db, meter_id) or zone_of(request)
        row = await db.run(
            correct,
            db,
            meter_id,
            _moment_of(form.measured_at, zone),
            None if sent.get("none") == "1" else form.value,
            author=call.who.name,
            reason=form.reason,
            document=form.document,
            now_us=call.services.clock(),
            register_name=form.register_name,
        )
    except Problem as problem:
        return await _history(request, problem, fields)
    except RegistryError as error:
        if error.code == "not_found":
            raise
        return await _history(request, from_registry(error), fields)
    detail = {"value": str(row.value), "supersedes": str(row.supersedes), "reason": row.reason}
    await call.audit("reading.correct", f"meter/{meter_id}", detail)
    raise web.HTTPSeeOther(
        f"/meters/{meter_id}/corrections?register={row.register_name}&at={row.measured_at_us}#c{row.id}"
    )


def _meter_id(request: web.Request) -> int:
    try:
        return check(_Path, {"id": request.match_info["id"]}).id
    except Problem as error:
        raise Problem(404, N_("There is no such meter.")) from error


def _zone(db: Database, meter_id: int) -> str:
    rows = db.rows(
        "SELECT b.timezone FROM installation i JOIN point p ON p.id = i.point_id JOIN building b ON b.id = p.building_id"
        " WHERE i.meter_id = ? ORDER BY i.installed_at_us DESC LIMIT 1",
        (meter_id,),
    )
    return rows[0][0] if rows else ""


def _near(db: Database, meter_id: int, register: str, at_us: int | None) -> list[Moment]:
    """The moments about ``at_us`` (the newest without one), newest first, with what came and what was said of each."""
    key = (meter_id, register, 2**62 if at_us is None else at_us)
    where = "FROM (SELECT measured_at_us FROM reading WHERE meter_id = ?1 AND register = ?2 UNION"
    where += " SELECT measured_at_us FROM correction WHERE meter_id = ?1 AND register = ?2) AS moments"
    before = db.rows(f"SELECT measured_at_us {where} WHERE measured_at_us <= ?3 ORDER BY 1 DESC LIMIT {NEAR}", key)
    after = db.rows(f"SELECT measured_at_us {where} WHERE measured_at_us > ?3 ORDER BY 1 LIMIT {NEAR}", key)
    moments = {row[0]: Moment(row[0]) for row in [*reversed(after), *before]}
    if not moments:
        return []
    span = (meter_id, register, min(moments), max(moments))
    for at, value, quality, source, received in db.rows(
        "SELECT measured_at_us, value_micro, quality, source, received_at_us FROM reading WHERE meter_id = ?"
        " AND register = ? AND measured_at_us BETWEEN ? AND ? ORDER BY recorded_at_us, value_micro",
        span,
    ):
        moments[at].readings.append((from_micro(value), quality, source, received))
    said = {row.measured_at_us: row for row in reversed(_said(db, span))}
    return [Moment(at, moment.readings, said.get(at)) for at, moment in sorted(moments.items(), reverse=True)]


def _said(db: Database, span: tuple[int, str, int, int]) -> Sequence[CorrectionRow]:
    meter_id, register, first, last = span
    found = corrections(db, meter_id, None, SHOWN)
    return [row for row in found if row.register_name == register and first <= row.measured_at_us <= last]


def _counting(moment: Moment | None) -> Decimal | None:
    """The value that stands for a moment, to begin with in the form."""
    if moment is None:
        return None
    if moment.said is not None:
        return moment.said.value
    return moment.readings[0][0] if moment.readings else None


def _written(at_us: int, zone: str) -> str:
    local = datetime.fromtimestamp(at_us // 1_000_000, ZoneInfo(zone)).replace(microsecond=at_us % 1_000_000)
    return local.strftime("%Y-%m-%dT%H:%M:%S") + (f".{at_us % 1_000_000:06d}" if at_us % 1_000_000 else "")


def _moment_of(text: str, zone: str) -> int:
    try:
        local = datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone))
        if not 1990 <= local.year <= 2200:
            raise ValueError(text)
        return int(local.replace(microsecond=0).timestamp()) * 1_000_000 + local.microsecond
    except ValueError as error:
        raise invalid("measured_at", N_("this is not a date with a time"), "form") from error


# ----------------------------------------------------------------------------------------------------------- conflicts


async def conflicts(request: web.Request) -> web.Response:
    """Values that contradict each other, until a person decides."""
    return await _conflicts(request)


async def _conflicts(request: web.Request, problem: Problem | None = None) -> web.Response:
    db: Database = request.app[SERVICES].database
    found = await db.run(open_conflicts, db, None, SHOWN)
    ids = sorted({conflict.meter_id for conflict in found})
    return page(
        request,
        "conflicts.html",
        status=problem.status if problem else 200,
        items=found,
        places=await db.run(_places, db, ids),
        problem=problem,
        full=len(found) == SHOWN,
    )


def _places(db: Database, meters: Sequence[int]) -> dict[int, tuple[Any, ...]]:
    """Resource, address, flat and zone of meters, where each hangs or hung last."""
    if not meters:
        return {}
    rows = db.rows(
        "SELECT i.meter_id, p.resource, b.address, coalesce(pr.number, ''), b.timezone, b.id FROM installation i"
        " JOIN point p ON p.id = i.point_id JOIN building b ON b.id = p.building_id"
        " LEFT JOIN premises pr ON pr.id = p.premises_id"
        f" WHERE i.meter_id IN ({', '.join('?' * len(meters))}) ORDER BY i.installed_at_us",
        meters,
    )
    return {row[0]: tuple(row[1:]) for row in rows}


class _Decision(Input):
    meter_id: Id
    register_name: str = Field(alias="register", pattern=r"^[a-z0-9_]{1,40}$")
    at: int = Field(ge=0, le=2**62)
    value: Volume
    reason: RequiredName


async def decide(request: web.Request) -> web.Response:
    """Say which of the values holds."""
    call = call_of(request)
    db: Database = call.services.database
    sent = await read_form(request)
    if sent.get("value") == "other":
        sent["value"] = sent.get("other", "").replace(",", ".").replace(" ", "")
    sent.pop("other", None)
    back = back_path(sent.pop("back", "/conflicts"))
    try:
        form = check(_Decision, sent)
        row = await db.run(
            correct,
            db,
            form.meter_id,
            form.at,
            form.value,
            author=call.who.name,
            reason=form.reason,
            now_us=call.services.clock(),
            register_name=form.register_name,
        )
    except Problem as problem:
        return await _conflicts(request, problem)
    except RegistryError as error:
        return await _conflicts(request, from_registry(error))
    detail = {"value": str(row.value), "reason": row.reason}
    await call.audit("reading.decide", f"meter/{form.meter_id}", detail)
    raise web.HTTPSeeOther(back)
