"""Who is told of incidents: by mail, by a webhook, on the pages of a role."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from appserver import registry
from appserver.api.incidents import NewSubscription, delete_subscription, list_subscriptions, post_subscription
from appserver.api.problems import Problem, from_registry
from appserver.api.registry import IdPath
from appserver.auth.gate import posted
from appserver.auth.roles import Role
from appserver.errors import RegistryError
from appserver.incidents import KINDS
from appserver.incidents.kinds import SEVERITIES
from appserver.incidents.subscriptions import CHANNELS
from appserver.web.forms import call_of, check, read_form
from appserver.web.i18n import LANGUAGES, N_
from appserver.web.render import page

TEXTS = ("channel", "role", "building_id", "severity", "target", "chat", "language", "digest_minutes")


async def subscriptions(request: web.Request) -> web.Response:
    """The list and the form."""
    return await _subscriptions(request)


async def _subscriptions(
    request: web.Request, problem: Problem | None = None, fields: dict[str, Any] | None = None
) -> web.Response:
    call = call_of(request)
    db = call.services.database
    buildings = await db.run(registry.page, db, "building", limit=1000)
    return page(
        request,
        "subscriptions.html",
        status=problem.status if problem else 200,
        items=(await list_subscriptions(call)).items,
        buildings=buildings.items,
        addresses={building.id: building.address for building in buildings.items},
        kinds=list(KINDS),
        severities=SEVERITIES,
        channels=CHANNELS,
        roles=[role.value for role in Role],
        languages=LANGUAGES,
        mail=bool(call.services.settings.notifications.smtp_host),
        problem=problem,
        fields=fields
        or {"channel": "email", "severity": "warning", "language": "ru", "role": "dispatcher", "kinds": []},
    )


async def subscribe(request: web.Request) -> web.Response:
    """Tell somebody."""
    call = call_of(request)
    data = await posted(request)
    fields: dict[str, Any] = {name: str(data.get(name, "")).strip() for name in TEXTS}
    fields["kinds"] = [str(kind) for kind in data.getall("kinds", [])]
    try:
        await post_subscription(call, check(NewSubscription, fields))
    except Problem as problem:
        return await _subscriptions(request, problem, fields)
    except RegistryError as error:
        return await _subscriptions(request, from_registry(error), fields)
    raise web.HTTPSeeOther("/admin/subscriptions")


async def unsubscribe(request: web.Request) -> web.Response:
    """Tell somebody no more."""
    await read_form(request)
    try:
        path = check(IdPath, {"id": request.match_info["id"]})
    except Problem as error:
        raise Problem(404, N_("There is no such subscription.")) from error
    await delete_subscription(call_of(request), path)
    raise web.HTTPSeeOther("/admin/subscriptions")
