"""What several parts of the internal API share."""

from __future__ import annotations

from msgspec import Struct


class Problem(Struct, frozen=True):
    """What went wrong, for whom, and what to do."""

    code: str
    """Stable word: ``not_found``, ``conflict``, ``invalid``, ``unavailable``, ``unauthorised``."""
    detail: str
    field: str | None = None
    """Name of the request field at fault, when there is one."""


class ListRequest(Struct):
    """A page by key: records after ``cursor`` in key order."""

    cursor: str = ""
    limit: int = 100
    q: str = ""
    """Part of the name or of the EUI, case-insensitive."""


class Key(Struct):
    """The name of one thing: an EUI, a profile name."""

    key: str


class Empty(Struct):
    pass


class Ok(Struct):
    ok: bool = True


class PutResult(Struct):
    created: int = 0
    changed: int = 0
    unchanged: int = 0
    warnings: list[str] = []
    """What was done as asked and is better looked at: root keys that are guessable, or shared by several devices."""
