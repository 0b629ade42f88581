"""The resident's own pages: signing in by account and code, the flat, readings by hand, requests. They need no script."""

from __future__ import annotations

import asyncio
import math
from datetime import timedelta

import structlog
from aiohttp import web

from appserver.api.fields import Day, Id, Input
from appserver.api.jobs import read_upload
from appserver.api.problems import Problem, from_registry
from appserver.api.residents import NewTicket, add_to_own, ask, own_scope, send_reading
from appserver.api.users import Email
from appserver.auth.gate import COOKIE, CSRF_FIELD, client_address, today_of
from appserver.auth.identity import identity_of, signed_in
from appserver.auth.secrets import same
from appserver.errors import RegistryError
from appserver.incidents.letters import Letter
from appserver.incidents.notices import NotSent, send_mail
from appserver.models.cabinet import TICKET_KINDS
from appserver.residents import codes, homes, photos
from appserver.residents import tickets as desk
from appserver.services import SERVICES, Services
from appserver.web import i18n
from appserver.web.forms import call_of, check, read_form, seen_query
from appserver.web.i18n import N_
from appserver.web.render import page

log = structlog.get_logger("residents")
MAX_ACCOUNT = 40
_letters: set[asyncio.Task[None]] = set()


# ------------------------------------------------------------------------------------------------------------- sign-in


async def sign_in_page(request: web.Request) -> web.Response:
    """The form: account and code."""
    if signed_in(request):
        raise web.HTTPSeeOther("/")
    return _form(request)


def _form(
    request: web.Request,
    status: int = 200,
    account: str = "",
    refusal: str = "",
    wait_minutes: int = 0,
    sent: bool = False,
) -> web.Response:
    return page(
        request,
        "cabinet_sign_in.html",
        status=status,
        account=account,
        refusal=refusal,
        wait_minutes=wait_minutes,
        sent=sent,
        mail=bool(request.app[SERVICES].settings.notifications.smtp_host),
    )


async def sign_in(request: web.Request) -> web.Response:
    """Check the code. Whether an account exists or has a code shows neither in the answer nor in its time."""
    services, form = request.app[SERVICES], await read_form(request)
    account, code = form.get("account", "")[:MAX_ACCOUNT], codes.normal(form.get("code", ""))
    address, now = client_address(request), services.clock()
    refused = await _slow_down(request, account, address, now)
    if refused is not None:
        return refused
    found = await services.database.run(codes.candidates, services.database, account, now)
    right: tuple[int, int] | None = None
    for number in range(codes.CANDIDATES):
        id_, user_id, stored = found[number] if number < len(found) else (0, 0, None)
        if await services.passwords.verify(stored, code) and right is None:
            right = (id_, user_id)
    user = await services.auth.user(right[1]) if right else None
    if right is None or user is None or not await services.database.run(codes.use, services.database, right[0], now):
        await services.auth.audit("resident", address, "resident.sign_in.failed", "user/")
        return _form(request, 401, account, "wrong")
    services.throttle.succeeded(_key(account), address)
    services.throttle.succeeded(_key(account), EVERYWHERE)
    secret = await services.auth.open_session(user, address, request.headers.get("User-Agent", ""))
    await services.auth.audit(user.login, address, "resident.sign_in", f"user/{user.id}")
    http = services.settings.http
    response = web.HTTPSeeOther("/cabinet")
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


EVERYWHERE = "*"
"""In place of an address: guesses of one account's code from wherever."""


def _key(account: str) -> str:
    return f"account {account}"


async def _slow_down(request: web.Request, account: str, address: str, now: int) -> web.Response | None:
    """Count the attempt; the refusal when there were too many for this account or from this address."""
    throttle, key = request.app[SERVICES].throttle, _key(account)
    wait_s = max(throttle.wait_s(key, address, now), throttle.wait_everywhere_s(key, now))
    if wait_s > 0:
        response = _form(request, 429, account, "throttled", math.ceil(wait_s / 60))
        response.headers["Retry-After"] = str(math.ceil(wait_s))
        return response
    delay_s = throttle.delay_s(key, address, now)
    throttle.failed(key, address, now)
    throttle.failed_everywhere(key, now)
    if delay_s:
        await asyncio.sleep(delay_s)
    return None


async def send_code(request: web.Request) -> web.Response:
    """Send a code to the address that the resident left. The answer is the same whether there is one."""
    services, form = request.app[SERVICES], await read_form(request)
    account = form.get("account", "")[:MAX_ACCOUNT]
    refused = await _slow_down(request, f"mail {account}", client_address(request), services.clock())
    if refused is not None:
        return refused
    if services.settings.notifications.smtp_host and account:
        task = asyncio.create_task(_mail(services, account, services.clock()))
        _letters.add(task)
        task.add_done_callback(_letters.discard)
    return _form(request, account=account, sent=True)


async def _mail(services: Services, account: str, now_us: int) -> None:
    try:
        for email, language, code in await services.database.run(
            codes.for_mail, services.database, services.passwords, account, now_us
        ):
            i18n.use(language or services.settings.language)
            subject = i18n.gettext("Code for signing in")
            text = i18n.gettext(
                "Your code: %(code)s. It is good once, for 15 minutes. If you did not ask for it, do nothing."
            )
            letter = Letter("email", email, "", subject, text % {"code": code})
            await asyncio.to_thread(send_mail, services.settings.notifications, letter)
    except (NotSent, RegistryError) as error:
        log.warning("code not sent", reason=str(error))


# ------------------------------------------------------------------------------------------------------------ the flat


class _CabinetQuery(Input):
    month: Day | None = None


async def cabinet(request: web.Request) -> web.Response:
    """The flat with its meters in a month."""
    return await _cabinet(request)


async def _cabinet(
    request: web.Request, problem: Problem | None = None, sent: dict[str, str] | None = None
) -> web.Response:
    call = call_of(request)
    services, db, scope = call.services, call.services.database, own_scope(call)
    today = today_of(services)
    month = (seen_query(request, _CabinetQuery).month or today).replace(day=1)
    shown = []
    for home in await db.run(homes.homes, db, scope, today):
        meters = await db.run(homes.meters_of, db, home, month, services.clock())
        told = await db.run(desk.told_to, db, home.premises_id, today) if home.stay.now else []
        shown.append((home, meters, told))
    user = await services.auth.user(call.who.user_id or 0)
    following = (month + timedelta(days=31)).replace(day=1)
    return page(
        request,
        "cabinet.html",
        status=problem.status if problem else 200,
        homes=shown,
        month=month,
        before=(month - timedelta(days=1)).replace(day=1),
        after=following if following <= today else None,
        today=today.isoformat(),
        soon=(today + timedelta(days=60)).isoformat(),
        open_tickets=await db.run(desk.tickets, db, "", call.who.user_id, "open", None, 5),
        email=user.email if user else "",
        problem=problem,
        sent=sent or {},
        done=request.query.get("done", "") in ("reading", "email"),
    )


async def save_email(request: web.Request) -> web.Response:
    """Where codes are to be sent from now on."""
    call, form = call_of(request), await read_form(request)
    try:
        email = check(_EmailForm, form).email
    except Problem as problem:
        return await _cabinet(request, problem, form)
    await call.services.auth.change_user(call.who.user_id or 0, email=email)
    await call.audit("user.change", f"user/{call.who.user_id}", {"fields": ["email"]})
    raise web.HTTPSeeOther("/cabinet?done=email")


class _EmailForm(Input):
    email: Email = ""


async def enter(request: web.Request) -> web.Response:
    """A reading with a photo. The form token is a field of the form and is checked here."""
    call = call_of(request)
    fields: dict[str, str] = {}
    try:
        _, photo, fields = await read_upload(call, photos.MAX_BYTES)
        if not same(fields.pop(CSRF_FIELD, ""), call.who.csrf):
            raise Problem(403, N_("The form is out of date. Load the page again and repeat."))
        await send_reading(call, fields, photo)
    except RegistryError as error:
        return await _cabinet(request, from_registry(error), fields)
    except Problem as problem:
        return await _cabinet(request, problem, fields)
    raise web.HTTPSeeOther("/cabinet?done=reading")


# ------------------------------------------------------------------------------------------------------------ requests


class _Path(Input):
    id: Id


def _id(request: web.Request) -> int:
    try:
        return check(_Path, {"id": request.match_info["id"]}).id
    except Problem as error:
        raise Problem(404, N_("There is no such request.")) from error


async def tickets(request: web.Request) -> web.Response:
    """The resident's requests and the form for another."""
    return await _tickets(request)


async def _tickets(
    request: web.Request, problem: Problem | None = None, sent: dict[str, str] | None = None
) -> web.Response:
    call = call_of(request)
    db, today = call.services.database, today_of(call.services)
    own = [home for home in await db.run(homes.homes, db, own_scope(call), today) if home.stay.now]
    return page(
        request,
        "cabinet_tickets.html",
        status=problem.status if problem else 200,
        tickets=await db.run(desk.tickets, db, "", call.who.user_id),
        homes=own,
        kinds=TICKET_KINDS,
        problem=problem,
        sent=sent or {},
    )


async def new_ticket(request: web.Request) -> web.Response:
    """Ask those who look after the house."""
    form = await read_form(request)
    try:
        id_ = await ask(call_of(request), check(NewTicket, form))
    except RegistryError as error:
        return await _tickets(request, from_registry(error), form)
    except Problem as problem:
        return await _tickets(request, problem, form)
    raise web.HTTPSeeOther(f"/cabinet/tickets/{id_}")


async def ticket(request: web.Request) -> web.Response:
    """One request and what was said."""
    own_scope(call_of(request))
    db = call_of(request).services.database
    row, said = await db.run(desk.ticket, db, _id(request), identity_of(request).user_id)
    return page(request, "ticket.html", ticket=row, said=said, staff=False, states=(), problem=None)


async def add(request: web.Request) -> web.Response:
    """Add to an own request."""
    form, id_ = await read_form(request), _id(request)
    own_scope(call_of(request))
    await add_to_own(call_of(request), id_, form.get("text", "")[:4000])
    raise web.HTTPSeeOther(f"/cabinet/tickets/{id_}")
