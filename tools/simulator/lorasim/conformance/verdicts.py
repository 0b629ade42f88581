"""How a case ends."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Verdict(Enum):
    PASS = "pass"
    FAIL = "fail"
    NOT_SUPPORTED = "not supported"
    """The server, or the adapter that speaks to it, cannot do what the case needs."""
    NOT_PROVOKED = "not provoked"
    """The server never did what the case judges, and need not have."""


class Ended(Exception):
    """A case is over before its end; the text says why."""

    verdict = Verdict.FAIL


class Failed(Ended):
    """The server did something wrong, or left undone what it must do."""


class NotSupported(Ended):
    verdict = Verdict.NOT_SUPPORTED


class NotProvoked(Ended):
    verdict = Verdict.NOT_PROVOKED


def expect(condition: object, text: str) -> None:
    """Raises :class:`Failed` with the text unless the condition holds."""
    if not condition:
        raise Failed(text)


@dataclass(slots=True, frozen=True)
class Result:
    """One line of the table."""

    name: str
    group: str
    title: str
    clause: str
    verdict: Verdict
    reason: str
    """Why, or what was seen."""
    seconds: float
