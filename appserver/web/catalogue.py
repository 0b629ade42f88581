"""What is to be translated: every message of the console's code and templates."""

from __future__ import annotations

from pathlib import Path

from babel.messages.extract import extract_from_dir

METHODS = [("web/**.py", "python"), ("api/**.py", "python"), ("web/templates/**.html", "jinja2")]
OPTIONS = {"web/templates/**.html": {"newstyle": "true"}}
KEYWORDS = {"_": None, "gettext": None, "ngettext": (1, 2), "N_": None}

Message = str | tuple[str, ...]


def extracted() -> list[Message]:
    """Messages in order of their first use; a tuple is a singular and a plural."""
    found = extract_from_dir(
        str(Path(__file__).parent.parent), method_map=METHODS, options_map=OPTIONS, keywords=KEYWORDS
    )
    return list(dict.fromkeys(message for _, _, message, _, _ in found))
