"""Jinja2 templates with what every page needs."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

from aiohttp import web
from jinja2 import Environment, PackageLoader, StrictUndefined

from appserver.auth.grants import Operation
from appserver.auth.identity import Identity, identity_of, signed_in
from appserver.auth.roles import Role
from appserver.services import SERVICES
from appserver.web import adr, explanations, formats, i18n, incident_words, registry_words, sentences, words

FILTERS = """
    number volume percent unit moment minute clock iso day isoday day_short month month_name day_before ago interval
    eui frequency local_minute
""".split()  # noqa: SIM905
STATIC_DIR = Path(__file__).parent / "static"


@cache
def static_url(name: str) -> str:
    """The address of a static file; it changes with the content, so browsers may keep it for ever."""
    digest = hashlib.sha256((STATIC_DIR / name).read_bytes()).hexdigest()[:10]
    return f"/static/{name}?v={digest}"


@cache
def environment() -> Environment:
    """Templates, filters and translations."""
    env = Environment(
        loader=PackageLoader("appserver.web"),
        autoescape=True,
        undefined=StrictUndefined,
        extensions=["jinja2.ext.i18n"],
        trim_blocks=True,
        lstrip_blocks=True,
    )
    env.install_gettext_callables(i18n.gettext, i18n.ngettext, newstyle=True)  # type: ignore[attr-defined]
    for name in FILTERS:
        env.filters[name] = getattr(formats, name)
    for name, table in (
        ("incident", incident_words.KINDS),
        ("layer", incident_words.LAYERS),
        ("severity", incident_words.SEVERITIES),
    ):
        env.filters[name] = partial(_word_of, table)
    for name in words.TABLES:
        env.filters[name] = partial(words.word, name)
    registry_words.enter(env)
    for say in (adr.adr_algorithm, adr.adr_reason, adr.adr_numbers):
        env.filters[say.__name__] = say
    env.filters["waterfall"] = explanations.waterfall
    env.filters["course"] = explanations.course
    env.filters["cause"] = explanations.cause
    env.filters["confidence"] = explanations.confidence
    env.filters["reason"] = explanations.sentence
    env.filters["outcome"] = words.outcome
    env.filters["basis"] = words.basis
    env.filters["evidence"] = incident_words.evidence
    env.filters["tr"] = sentences.said
    env.globals["static"] = static_url
    env.globals["Role"] = Role
    return env


def _word_of(table: dict[str, str], key: str) -> str:
    return i18n.gettext(table[key])


def may(who: Identity, role: str) -> bool:
    """Whether the reader of the page has this role."""
    return who.role.includes(Role(role))


def enter(request: web.Request) -> None:
    """Set the language of this request."""
    services = request.app[SERVICES]
    i18n.use(i18n.choose(request, identity_of(request).language, services.settings.language))


@web.middleware
async def speak(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Set the language before a page is made."""
    enter(request)
    return await handler(request)


def zone_of(request: web.Request) -> str:
    """The zone of pages that belong to no building."""
    return identity_of(request).timezone or request.app[SERVICES].settings.timezone


def text(request: web.Request, template: str, **values: Any) -> str:
    """The HTML of a template."""
    services, who = request.app[SERVICES], identity_of(request)
    enter(request)
    return (
        environment()
        .get_template(template)
        .render(
            request=request,
            who=who,
            signed_in=signed_in(request),
            may=lambda role: may(who, role),
            can=lambda operation: who.scope is not None and who.scope.may(Operation(operation)),
            lang=i18n.language(),
            csrf=who.csrf,
            zone=values.pop("zone", None) or zone_of(request),
            now_us=services.clock(),
            **values,
        )
    )


def page(request: web.Request, template: str, status: int = 200, **values: Any) -> web.Response:
    """A whole page."""
    return web.Response(
        text=text(request, template, **values),
        status=status,
        content_type="text/html",
        headers={"Cache-Control": "no-store"},
    )
