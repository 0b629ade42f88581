"""Users, API tokens and the audit record, for administrators."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from appserver.api.problems import Problem, not_found
from appserver.api.users import (
    AuditQuery,
    ChangedUser,
    IdPath,
    NewToken,
    NewUser,
    change_user,
    create_token,
    create_user,
    revoke_token,
)
from appserver.auth.passwords import one_time_password
from appserver.auth.roles import Role
from appserver.web.forms import call_of, check, link, read_form, seen_query
from appserver.web.i18n import N_
from appserver.web.render import page

PER_PAGE = 100
ROLES = [role.value for role in Role]
EXPIRIES = {"30": 30, "90": 90, "365": 365, "": 0}


def _id(request: web.Request) -> int:
    try:
        return check(IdPath, {"id": request.match_info["id"]}).id
    except Problem as error:
        raise Problem(404, N_("There is nothing at this address.")) from error


async def users(request: web.Request) -> web.Response:
    """The list."""
    return await _users(request)


async def _users(request: web.Request, status: int = 200, **values: Any) -> web.Response:
    found = await call_of(request).services.auth.users()
    shown: dict[str, Any] = {"problem": None, "fields": {}, "secret": "", "made": ""} | values
    return page(request, "users.html", status=status, users=found, roles=ROLES, **shown)


async def add_user(request: web.Request) -> web.Response:
    """Add a user with a one-time password, shown this once."""
    fields = await read_form(request)
    password = one_time_password()
    try:
        body = check(NewUser, {name: fields.get(name) for name in ("login", "name", "role")} | {"password": password})
        user = await create_user(call_of(request), body)
    except Problem as problem:
        return await _users(request, problem.status, problem=problem, fields=fields)
    return await _users(request, secret=password, made=user.login)


async def user(request: web.Request) -> web.Response:
    """One user's form."""
    return await _user(request)


async def _user(request: web.Request, status: int = 200, **values: Any) -> web.Response:
    row = await call_of(request).services.auth.user(_id(request))
    if row is None:
        raise not_found("user", _id(request))
    shown: dict[str, Any] = {"problem": None, "secret": ""} | values
    return page(request, "user.html", status=status, user=row, roles=ROLES, **shown)


async def save_user(request: web.Request) -> web.Response:
    """Change name, role, disabling; or give a new one-time password."""
    fields, call = await read_form(request), call_of(request)
    secret = ""
    try:
        if fields.get("action") == "password":
            if _id(request) == call.who.user_id:
                raise Problem(409, N_("Change your own password in your profile."))
            secret = one_time_password()
            await change_user(call, _id(request), ChangedUser(password=secret))
        else:
            wanted = {
                "name": fields.get("name", ""),
                "email": fields.get("email", ""),
                "role": fields.get("role"),
                "disabled": bool(fields.get("disabled")),
            }
            await change_user(call, _id(request), ChangedUser.model_validate(wanted))
    except Problem as problem:
        return await _user(request, problem.status, problem=problem)
    except ValueError as error:
        raise Problem(422, N_("Something is wrong in the form")) from error
    if secret:
        return await _user(request, secret=secret)
    raise web.HTTPSeeOther("/admin/users")


async def tokens(request: web.Request) -> web.Response:
    """The list."""
    return await _tokens(request)


async def _tokens(request: web.Request, status: int = 200, **values: Any) -> web.Response:
    found = await call_of(request).services.auth.tokens()
    shown: dict[str, Any] = {"problem": None, "fields": {}, "secret": "", "made": ""} | values
    return page(request, "tokens.html", status=status, tokens=found, roles=ROLES, **shown)


async def add_token(request: web.Request) -> web.Response:
    """Make a token and show it this once."""
    fields, call = await read_form(request), call_of(request)
    days = EXPIRIES.get(fields.get("days", ""), 90)
    expires_us = call.services.clock() + days * 86_400_000_000
    try:
        body = check(NewToken, {name: fields.get(name) for name in ("name", "role")})
        token, secret = await create_token(call, body, expires_us if days else None)
    except Problem as problem:
        return await _tokens(request, problem.status, problem=problem, fields=fields)
    return await _tokens(request, secret=secret, made=token.name)


async def revoke(request: web.Request) -> web.Response:
    """Make a token worthless."""
    await revoke_token(call_of(request), _id(request))
    raise web.HTTPSeeOther("/admin/tokens")


async def audit(request: web.Request) -> web.Response:
    """Who did what, newest first."""
    query = seen_query(request, AuditQuery)
    before = int(query.cursor) if query.cursor else None
    found = await call_of(request).services.auth.audit_page(before, PER_PAGE + 1, query.q)
    more = link(request, cursor=found[PER_PAGE - 1].id) if len(found) > PER_PAGE else None
    return page(request, "audit.html", records=found[:PER_PAGE], more=more, q=query.q)
