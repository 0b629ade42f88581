"""Sign-in, sign-out, language and the profile."""

from __future__ import annotations

import asyncio
import math
from zoneinfo import available_timezones

from aiohttp import web

from appserver.api.problems import Problem, invalid
from appserver.auth.gate import COOKIE, client_address
from appserver.auth.identity import identity_of, signed_in
from appserver.auth.passwords import PasswordRefused, check_strength
from appserver.services import SERVICES
from appserver.web import i18n
from appserver.web.forms import back_path, call_of, read_form
from appserver.web.i18n import N_
from appserver.web.render import page

MAX_LOGIN = 100


async def sign_in_page(request: web.Request) -> web.Response:
    """The form."""
    if signed_in(request):
        raise web.HTTPSeeOther(back_path(request.query.get("next", "/")))
    return page(request, "sign_in.html", login="", next=request.query.get("next", ""), refusal="", wait_minutes=0)


async def sign_in(request: web.Request) -> web.Response:
    """Check the password, slowly when it was wrong before; a new session every time."""
    services = request.app[SERVICES]
    form = await read_form(request)
    login, password = form.get("login", "").lower()[:MAX_LOGIN], form.get("password", "")
    address, now = client_address(request), services.clock()
    wait_s = services.throttle.wait_s(login, address, now)
    if wait_s > 0:
        response = _refused(request, form, 429, wait_minutes=math.ceil(wait_s / 60))
        response.headers["Retry-After"] = str(math.ceil(wait_s))
        return response
    delay_s = services.throttle.delay_s(login, address, now)
    services.throttle.failed(login, address, now)
    if delay_s:
        await asyncio.sleep(delay_s)
    user = await services.auth.user_by_login(login)
    right = await services.passwords.verify(user.password_hash if user else None, password)
    if user is None or not right or user.disabled:
        await services.auth.audit(login, address, "sign_in.failed", "user/")
        return _refused(request, form, 401)
    services.throttle.succeeded(login, address)
    if signed_in(request):
        await services.auth.close_session(identity_of(request).session_id)
    secret = await services.auth.open_session(user, address, request.headers.get("User-Agent", ""))
    await services.auth.audit(user.login, address, "sign_in", f"user/{user.id}")
    response = web.HTTPSeeOther("/profile" if user.must_change_password else back_path(form.get("next", "/") or "/"))
    http = services.settings.http
    response.set_cookie(
        COOKIE,
        secret,
        max_age=http.session_absolute_hours * 3600,
        path="/",
        httponly=True,
        samesite="Lax",
        secure=http.secure,
    )
    raise response


def _refused(request: web.Request, form: dict[str, str], status: int, wait_minutes: int = 0) -> web.Response:
    return page(
        request,
        "sign_in.html",
        status=status,
        login=form.get("login", ""),
        next=form.get("next", ""),
        refusal="throttled" if wait_minutes else "wrong",
        wait_minutes=wait_minutes,
    )


async def sign_out(request: web.Request) -> web.Response:
    """End this session."""
    call = call_of(request)
    await call.services.auth.close_session(call.who.session_id)
    await call.audit("sign_out", f"user/{call.who.user_id}")
    response = web.HTTPSeeOther("/sign-in")
    response.del_cookie(COOKIE, path="/")
    raise response


async def choose_language(request: web.Request) -> web.Response:
    """Set the language: in a cookie, and in the user's settings when signed in."""
    form = await read_form(request)
    language = form.get("language", "")
    if language not in i18n.LANGUAGES:
        raise invalid("language", "must be ru or en", "form")
    who = identity_of(request)
    if who.user_id is not None:
        await request.app[SERVICES].auth.change_user(who.user_id, language=language)
    response = web.HTTPSeeOther(back_path(form.get("back", "/")))
    secure = request.app[SERVICES].settings.http.secure
    response.set_cookie(
        i18n.COOKIE, language, max_age=365 * 86400, path="/", samesite="Lax", httponly=True, secure=secure
    )
    raise response


async def profile_page(request: web.Request) -> web.Response:
    """Password, language, time zone."""
    return await _profile(request)


async def _profile(request: web.Request, problem: Problem | None = None, done: str = "") -> web.Response:
    who = identity_of(request)
    if who.user_id is None:
        raise Problem(403, "A token has no profile.")
    user = await request.app[SERVICES].auth.user(who.user_id)
    status = problem.status if problem else 200
    zones = [("", "–")] + [(zone, zone) for zone in sorted(available_timezones()) if "/" in zone or zone == "UTC"]
    return page(request, "profile.html", status=status, user=user, zones=zones, problem=problem, done=done)


async def save_profile(request: web.Request) -> web.Response:
    """Change one's own name and zone."""
    form, call = await read_form(request), call_of(request)
    zone = form.get("timezone", "")
    if zone and zone not in available_timezones():
        return await _profile(
            request, invalid("timezone", N_("must be an IANA time zone such as Europe/Moscow"), "form")
        )
    assert call.who.user_id is not None
    await call.services.auth.change_user(call.who.user_id, name=form.get("name", "")[:200], timezone=zone)
    await call.audit("user.change", f"user/{call.who.user_id}", {"fields": ["name", "timezone"]})
    raise web.HTTPSeeOther("/profile")


async def change_password(request: web.Request) -> web.Response:
    """Change one's own password: the old one is asked for, all sessions end, this browser gets a new one."""
    form, call = await read_form(request), call_of(request)
    services, who = call.services, call.who
    user = await services.auth.user(who.user_id or 0)
    if user is None:
        raise Problem(403, "A token has no password.")
    old, new = form.get("old_password", ""), form.get("new_password", "")
    address, now = client_address(request), services.clock()
    if services.throttle.wait_s(user.login, address, now) > 0:
        return await _profile(request, Problem(429, N_("Too many wrong passwords; wait a few minutes.")))
    if not await services.passwords.verify(user.password_hash, old):
        services.throttle.failed(user.login, address, now)
        return await _profile(request, invalid("old_password", N_("this is not the password"), "form"))
    try:
        check_strength(new, user.login)
    except PasswordRefused as refusal:
        return await _profile(request, invalid("new_password", str(refusal), "form"))
    if new == old:
        return await _profile(request, invalid("new_password", N_("must differ from the old one"), "form"))
    if new != form.get("repeated_password", ""):
        return await _profile(request, invalid("repeated_password", N_("differs from the new password"), "form"))
    changed = await services.auth.change_user(
        user.id or 0, password_hash=await services.passwords.hash(new), must_change_password=False
    )
    assert changed is not None
    await call.audit("password.change", f"user/{user.id}")
    secret = await services.auth.open_session(changed, address, request.headers.get("User-Agent", ""))
    response = web.HTTPSeeOther("/" if user.must_change_password else "/profile?done=password")
    http = services.settings.http
    response.set_cookie(
        COOKIE,
        secret,
        max_age=http.session_absolute_hours * 3600,
        path="/",
        httponly=True,
        samesite="Lax",
        secure=http.secure,
    )
    raise response


async def sign_out_everywhere(request: web.Request) -> web.Response:
    """End all other sessions of this user."""
    call = call_of(request)
    await call.services.auth.close_sessions(call.who.user_id or 0, but=call.who.session_id)
    await call.audit("sign_out.everywhere", f"user/{call.who.user_id}")
    raise web.HTTPSeeOther("/profile")
