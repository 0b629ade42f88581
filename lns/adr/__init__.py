"""ADR: which data rate, power and number of transmissions a device should use.

An algorithm is a function ``(samples, current, limits) -> Decision`` without state and without I/O. ``ALGORITHMS`` names
them; a profile or the network's settings choose one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lns.adr.interface import Current, Decision, Limits
from lns.adr.off import off
from lns.adr.recommended import recommended
from lns.mac.state import Sample

__all__ = ["ALGORITHMS", "Current", "Decision", "Limits", "chosen"]

ALGORITHMS: dict[str, Callable[[Sequence[Sample], Current, Limits], Decision]] = {
    "recommended": recommended,
    "off": off,
}
DEFAULT = "recommended"


def chosen(profile: str, settings: str) -> str:
    """The algorithm's name: the profile's word counts before the network's; ``default`` leaves it to the next."""
    for name in (profile, settings):
        if name != "default":
            return name
    return DEFAULT
