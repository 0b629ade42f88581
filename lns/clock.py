"""Two clocks, always given, never asked for.

``mono_us`` orders things and measures intervals: it never jumps. ``wall_us`` is only for people and for stamps in the
log: an operator or NTP may move it at any time.
"""

from __future__ import annotations

import time
from typing import NamedTuple


class Now(NamedTuple):
    """One moment on both clocks, microseconds. ``wall_us`` counts from 1970-01-01 UTC."""

    mono_us: int
    wall_us: int


def system_now() -> Now:
    """Read the machine's clocks. Only shells call this; rules take ``Now`` as an argument."""
    return Now(time.monotonic_ns() // 1000, time.time_ns() // 1000)
