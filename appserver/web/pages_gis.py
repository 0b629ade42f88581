"""Readings of a house for ГИС ЖКХ: the file to upload there, and the file with its statuses to bring back."""

from __future__ import annotations

from datetime import timedelta

from aiohttp import web

from appserver import registry
from appserver.api.billing import MAX_EXPORT, gis_file, take_statuses
from appserver.api.fields import Day, Id, Input
from appserver.api.jobs import read_upload
from appserver.api.problems import Problem, from_registry
from appserver.auth.gate import CSRF_FIELD, today_of
from appserver.auth.secrets import same
from appserver.errors import RegistryError
from appserver.exchange import gis_status
from appserver.web.forms import call_of, check, seen_query
from appserver.web.i18n import N_
from appserver.web.render import page


class _Path(Input):
    id: Id


class _Query(Input):
    month: Day | None = None


def _id(request: web.Request) -> int:
    try:
        return check(_Path, {"id": request.match_info["id"]}).id
    except Problem as error:
        raise Problem(404, N_("There is no such house.")) from error


async def gis(request: web.Request) -> web.Response:
    """What was told of a month, and both forms."""
    return await _gis(request)


async def _gis(
    request: web.Request, problem: Problem | None = None, outcome: gis_status.Outcome | None = None
) -> web.Response:
    call, id_ = call_of(request), _id(request)
    db = call.services.database
    first = today_of(call.services).replace(day=1)
    month = (seen_query(request, _Query).month or first - timedelta(days=1)).replace(day=1)
    building = await db.run(registry.get, db, "building", id_)
    return page(
        request,
        "gis.html",
        status=problem.status if problem else 200,
        building=building,
        month=month,
        before=(month - timedelta(days=1)).replace(day=1),
        after=(month + timedelta(days=31)).replace(day=1),
        rows=await db.run(gis_status.sent, db, id_, month),
        outcome=outcome,
        problem=problem,
        zone=building.timezone,
    )


async def upload(request: web.Request) -> web.Response:
    """Make the file, or read the statuses. The form token is a field of the form and is checked here."""
    call, id_ = call_of(request), _id(request)
    try:
        _, data, fields = await read_upload(call, MAX_EXPORT)
        if not same(fields.pop(CSRF_FIELD, ""), call.who.csrf):
            raise Problem(403, N_("The form is out of date. Load the page again and repeat."))
        if not data:
            raise Problem(422, N_("Choose a file first."))
        action = fields.pop("action", "")
        fields["building_id"] = str(id_)
        if action == "statuses":
            fields.pop("month", None)
            return await _gis(request, outcome=await take_statuses(call, data, fields))
        return await gis_file(call, data, fields)
    except RegistryError as error:
        return await _gis(request, from_registry(error))
    except Problem as problem:
        return await _gis(request, problem)
