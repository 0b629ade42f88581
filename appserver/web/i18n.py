"""Russian and English: message catalogues and the choice of language.

Message ids are the English text, so English needs no catalogue. The Russian one is ``appserver/locale/ru``; it is
compiled in memory at the start, so that a changed .po needs no further step.
"""

from __future__ import annotations

import gettext as stdlib_gettext
import io
from contextvars import ContextVar
from functools import cache
from pathlib import Path

from aiohttp import web
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

LANGUAGES = ("ru", "en")
DOMAIN = "meterwan"
LOCALE_DIR = Path(__file__).parent.parent / "locale"
COOKIE = "meterwan_language"

_current: ContextVar[str] = ContextVar("language", default="en")


@cache
def translations(language: str) -> stdlib_gettext.NullTranslations:
    """The catalogue of ``language``; ids themselves where there is none."""
    path = LOCALE_DIR / language / "LC_MESSAGES" / f"{DOMAIN}.po"
    if not path.exists():
        return stdlib_gettext.NullTranslations()
    with path.open("rb") as source:
        catalogue = read_po(source, locale=language, domain=DOMAIN)
    compiled = io.BytesIO()
    write_mo(compiled, catalogue)
    compiled.seek(0)
    return stdlib_gettext.GNUTranslations(compiled)


def use(language: str) -> None:
    """Set the language of the running request."""
    _current.set(language)


def language() -> str:
    """The language of the running request."""
    return _current.get()


def gettext(message: str) -> str:
    """``message`` in the language of the running request."""
    return translations(_current.get()).gettext(message)


def ngettext(singular: str, plural: str, number: int) -> str:
    """The form for ``number`` in the language of the running request."""
    return translations(_current.get()).ngettext(singular, plural, number)


def N_(message: str) -> str:
    """Mark ``message`` for the catalogue; it is translated where it is shown."""
    return message


def choose(request: web.Request, user_language: str, default: str) -> str:
    """User's setting, then cookie, then the browser's wish, then the server's default."""
    for wish in (user_language, request.cookies.get(COOKIE, "")):
        if wish in LANGUAGES:
            return wish
    return _accepted(request.headers.get("Accept-Language", "")) or default


def _accepted(header: str) -> str:
    """The best of our languages by an Accept-Language header, empty when it names none."""
    best, best_weight = "", 0.0
    for part in header.split(",")[:20]:
        tag, _, parameters = part.strip().partition(";")
        primary = tag.strip().lower().split("-")[0]
        try:
            weight = float(parameters.strip().removeprefix("q=")) if parameters else 1.0
        except ValueError:
            continue
        if primary in LANGUAGES and weight > best_weight:
            best, best_weight = primary, weight
    return best
