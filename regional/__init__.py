"""LoRaWAN region plans as data: one file a region in `plans/`, one class that reads and answers.

    >>> import regional
    >>> ru864 = regional.plan("RU864")
    >>> ru864.dr_of("SF7BW125"), ru864.rx1_dr(5, 0), ru864.max_payload(0)
    (5, 5, 51)

How a plan is written and how to add one: docs/regions.md.
"""

from __future__ import annotations

from pathlib import Path

from regional.common import REVISION_OF_LORAWAN, REVISIONS
from regional.library import Library
from regional.plan import Plan
from regional.types import (
    Channel,
    ClassB,
    DataRate,
    Difference,
    JoinReply,
    LinkAdr,
    Modulation,
    NewChannel,
    PlanError,
    RelayChannel,
    SubBand,
)

__all__ = [
    "REVISIONS",
    "REVISION_OF_LORAWAN",
    "Channel",
    "ClassB",
    "DataRate",
    "Difference",
    "JoinReply",
    "Library",
    "LinkAdr",
    "Modulation",
    "NewChannel",
    "Plan",
    "PlanError",
    "RelayChannel",
    "SubBand",
    "library",
    "names",
    "plan",
    "use_folder",
]

_library = Library()


def plan(name: str, revision: str | None = None) -> Plan:
    """The plan of a region, as of a revision of the Regional Parameters. Raises PlanError for an unknown one."""
    return _library.plan(name, revision)


def names() -> list[str]:
    """The names of all plans, sorted."""
    return _library.names()


def library() -> Library:
    """The plans that `plan` and `names` look in."""
    return _library


def use_folder(folder: Path | None) -> None:
    """Look for plans in an operator's folder too (None: only the shipped ones). Called once, at start.

    Raises PlanError when there is no such folder. Plans already given out stay as they are.
    """
    global _library
    _library = Library(folder)
