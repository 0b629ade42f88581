"""The gate of every request: the Host, who it is, whether the role suffices, and that no other site sent it."""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable
from datetime import date, datetime
from typing import Any
from urllib.parse import quote, urlsplit
from zoneinfo import ZoneInfo

import structlog
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from multidict import MultiMapping
from sqlalchemy.exc import OperationalError

from appserver.api.problems import Problem
from appserver.auth.identity import Identity, identity_of, set_identity
from appserver.auth.members import PERSONAL, decide, json_values, rule_of
from appserver.auth.roles import PASSWORD_CHANGE, least_role
from appserver.auth.secrets import same
from appserver.db import TEMPORARY_ERRORS
from appserver.services import SERVICES, Services
from appserver.settings import HttpSettings

log = structlog.get_logger("application")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

COOKIE = "meterwan_session"
CSRF_FIELD = "_csrf"
CSRF_HEADER = "X-CSRF-Token"
UNREADABLE = (ValueError, LookupError, AssertionError, RuntimeError, HttpProcessingError)
"""What the reading of a form raises when its body is none."""
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
CHECKED_BY_HANDLER = frozenset(
    {"/cabinet/readings", "/meters/{id}/photos", "/houses/{id}/gis", "/import", "/registry-book", "/catalogue"}
)
"""Uploads: the form token stands in a body that only their handler reads."""


def today_of(services: Services) -> date:
    """The date in the zone of the settings."""
    return datetime.fromtimestamp(services.clock() / 1_000_000, ZoneInfo(services.settings.timezone)).date()


def client_address(request: web.Request) -> str:
    """The address of the browser or program: the peer's, or what a trusted proxy says it is."""
    peer = request.remote or ""
    proxies = request.app[SERVICES].settings.http.trusted_proxies
    if not proxies or not _within(peer, proxies):
        return peer
    for hop in reversed(request.headers.get("X-Forwarded-For", "").split(",")):
        hop = hop.strip()
        if hop and not _within(hop, proxies):
            return hop if _is_address(hop) else peer
    return peer


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _within(address: str, networks: list[str]) -> bool:
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(ip in ipaddress.ip_network(network, strict=False) for network in networks)


def host_allowed(host: str, settings: HttpSettings) -> bool:
    """Whether we answer to this Host header. Plain addresses cannot be rebound by somebody's DNS, so they may."""
    try:
        name = (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return False
    allowed = {"localhost", settings.host.lower(), *(item.lower() for item in settings.allowed_hosts)}
    if settings.public_url:
        allowed.add((urlsplit(settings.public_url).hostname or "").lower())
    return bool(name) and (name in allowed or _is_address(name))


def from_our_pages(request: web.Request) -> bool:
    """Whether the browser says that the request comes from a page of this server."""
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None and site not in ("same-origin", "none"):
        return False
    origin = request.headers.get("Origin")
    if origin is None:
        return True
    public = request.app[SERVICES].settings.http.public_url
    try:
        return urlsplit(origin).netloc.lower() in {
            request.host.lower(),
            urlsplit(public).netloc.lower() or request.host.lower(),
        }
    except ValueError:
        return False


async def find_identity(request: web.Request, touch: bool = True) -> Identity | None:
    """Who sends this request, by its token or its cookie; None when that is nobody we know."""
    auth = request.app[SERVICES].auth
    header = request.headers.get("Authorization", "")
    scheme, _, token = header.partition(" ")
    if header:
        return await auth.by_token(token.strip()) if scheme.lower() == "bearer" else None
    cookie = request.cookies.get(COOKIE)
    return await auth.by_session(cookie, touch) if cookie else None


async def posted(request: web.Request) -> MultiMapping[Any]:
    """The fields of a form. Raises Problem for a body that is none."""
    try:
        return await request.post()
    except UNREADABLE as error:
        raise Problem(400, "The form cannot be read.") from error


async def _check_csrf(request: web.Request, who: Identity, pattern: str) -> None:
    if not who.session_id:
        return
    token = request.headers.get(CSRF_HEADER, "")
    if not token and pattern in CHECKED_BY_HANDLER:
        return
    if not token and request.content_type in ("application/x-www-form-urlencoded", "multipart/form-data"):
        token = str((await posted(request)).get(CSRF_FIELD, ""))
    if not token or not same(token, who.csrf):
        raise Problem(403, "The form is out of date. Load the page again and repeat.")


def _turned_away(request: web.Request) -> Exception:
    if request.path.startswith("/api/"):
        return Problem(
            401,
            "Sign in, or send a token: Authorization: Bearer …",
            headers={"WWW-Authenticate": 'Bearer realm="meterwan"'},
        )
    if request.headers.get("HX-Request"):
        return Problem(401, "Sign in again.", headers={"HX-Redirect": "/sign-in"})
    target = (
        "" if request.path == "/" or request.method not in SAFE_METHODS else f"?next={quote(request.path_qs, safe='')}"
    )
    return web.HTTPSeeOther("/sign-in" + target)


@web.middleware
async def gate(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Default deny: what the role table does not name cannot be reached by anybody."""
    services = request.app[SERVICES]
    if not host_allowed(request.host, services.settings.http):
        raise Problem(421, "This server does not answer to that host name; add it to http.allowed_hosts.")
    match = request.match_info
    if match.http_exception is not None:
        return await handler(request)
    resource = match.route.resource
    pattern = resource.canonical if resource is not None else ""
    known, least = least_role(pattern, request.method)
    if not known:
        raise Problem(403, "Nobody may do this.")
    who = await find_identity(request)
    if who is not None:
        set_identity(request, who)
    if least is not None:
        if who is None:
            raise _turned_away(request)
        if who.must_change_password and pattern not in PASSWORD_CHANGE and pattern != "/profile":
            if request.path.startswith("/api/"):
                raise Problem(403, "Change the one-time password first.")
            raise web.HTTPSeeOther("/profile")
        if who.scope is not None:
            await _ask_grants(request, who, pattern)
        elif not who.role.includes(least):
            raise Problem(403, f"This needs the role {least.value}; yours is {who.role.value}.")
    if request.method not in SAFE_METHODS:
        if not from_our_pages(request):
            raise Problem(403, "The request came from another site.")
        if least is not None:
            await _check_csrf(request, identity_of(request), pattern)
    response = await handler(request)
    if who is not None and pattern in PERSONAL and response.status < 300:
        await _write_down(request, who, pattern)
    return response


async def _ask_grants(request: web.Request, who: Identity, pattern: str) -> None:
    """Whether the member's grants cover what the request is about."""
    rule = rule_of(pattern, request.method)
    if rule is None or (rule.operation is None and who.user_id is None):
        raise Problem(403, "This is not for people of other organisations.")
    given = {f"path.{name}": value for name, value in request.match_info.items()}
    for name, value in request.query.items():
        if f"query.{name}" in given:
            raise Problem(422, f"Query parameter {name} is given twice.")
        given[f"query.{name}"] = value
    if any(place.startswith("body.") for place in rule.places):
        given |= {f"body.{name}": value for name, value in json_values(await request.read()).items()}
    services = request.app[SERVICES]
    today = today_of(services)
    assert who.scope is not None
    await services.database.run(decide, services.database, who.scope, rule, given, today)


async def _write_down(request: web.Request, who: Identity, pattern: str) -> None:
    """152-ФЗ: who looked at whose data. On a full disk the server's log has it instead."""
    services = request.app[SERVICES]
    kind, _, name = PERSONAL[pattern].partition(" ")
    source, _, field = name.partition(".")
    values = {"path": request.match_info, "query": request.query, "": {}}[source]
    subject = f"{kind}/{values.get(field, '')[:40]}"
    try:
        await services.auth.audit(who.name, client_address(request), "personal.read", subject, {"at": pattern})
    except (OperationalError, *TEMPORARY_ERRORS) as error:
        log.error("look at personal data not recorded", who=who.name, at=pattern, subject=subject, error=str(error))
