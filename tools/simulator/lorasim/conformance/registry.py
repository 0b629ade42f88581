"""The cases, in the order in which their groups were written."""

from __future__ import annotations

import importlib
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lorasim.conformance.ground import Ground

if TYPE_CHECKING:
    from lorasim.conformance.lab import Lab

GROUPS = (
    "join",
    "windows",
    "counters",
    "frames",
    "downlinks",
    "adr",
    "asked_by_device",
    "asked_by_server",
    "class_b",
    "class_c",
    "gateways",
)
"""Modules of :mod:`lorasim.conformance.groups`."""

Play = Callable[["Lab"], Awaitable[str | None]]
"""Plays a case. What it returns is shown beside ``pass``."""


@dataclass(slots=True, frozen=True)
class Case:
    """One question to a server."""

    name: str
    """``group.word-word``."""
    group: str
    title: str
    clause: str
    play: Play
    short: bool = False
    """Part of the short form."""
    seconds: float = 10.0
    """About how long it takes: long ones begin first."""
    fits: Callable[[Ground], bool] = lambda _: True
    """Whether the region has what the case is about."""


CASES: dict[str, Case] = {}


def case(
    title: str,
    clause: str,
    short: bool = False,
    seconds: float = 10.0,
    fits: Callable[[Ground], bool] = lambda _: True,
) -> Callable[[Play], Play]:
    """Register the decorated coroutine under its group and its own name."""

    def register(play: Play) -> Play:
        group = play.__module__.rpartition(".")[2]
        name = f"{group}.{play.__name__}".replace("_", "-")
        if name in CASES:
            raise ValueError(f"two cases are called {name}")
        CASES[name] = Case(name, group.replace("_", " "), title, clause, play, short, seconds, fits)
        return play

    return register


def load() -> dict[str, Case]:
    """All cases."""
    for group in GROUPS:
        importlib.import_module(f"lorasim.conformance.groups.{group}")
    return CASES


def choose(patterns: Iterable[str] = (), short: bool = False, ground: Ground | None = None) -> list[Case]:
    """Cases whose name begins with one of the patterns; none: all. Raises ValueError for a pattern without a case.

    ``ground``: only those that the region has a place for.
    """
    cases, wanted = load(), tuple(patterns)
    for pattern in wanted:
        if not any(name.startswith(pattern) for name in cases):
            raise ValueError(f"no case is called {pattern!r}")
    return [
        one
        for one in cases.values()
        if one.name.startswith(wanted or "") and (one.short or not short) and (ground is None or one.fits(ground))
    ]
