"""ADR: which data rate, power and number of transmissions a device should use.

An algorithm is a function ``(samples, current, limits) -> Decision`` without state and without I/O. ``ALGORITHMS`` names
them; a profile or the network's settings choose one. What is remembered between frames is in :class:`Memory`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lns.adr.interface import Current, Decision, Limits, Rate, Sample
from lns.adr.measured import measured
from lns.adr.memory import Memory, heard_in_step
from lns.adr.off import off
from lns.adr.recommended import recommended
from lns.adr.static import static

__all__ = [
    "ALGORITHMS",
    "DECIDE_AT_ONCE",
    "Algorithm",
    "Current",
    "Decision",
    "Limits",
    "Memory",
    "Rate",
    "Sample",
    "chosen",
    "heard_in_step",
]

Algorithm = Callable[[Sequence[Sample], Current, Limits], Decision]
ALGORITHMS: dict[str, Algorithm] = {
    "default": measured,
    "recommended": recommended,
    "static": static,
    "off": off,
}
DECIDE_AT_ONCE = frozenset({"recommended", "static"})
"""Algorithms that a session's first frame is enough for."""


def chosen(profile: str, settings: str) -> str:
    """The algorithm's name: the profile's word counts before the network's; ``default`` leaves it to the next."""
    return settings if profile == "default" else profile
