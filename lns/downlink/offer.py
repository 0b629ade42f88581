"""What a class has to offer for a frame that answers nothing."""

from __future__ import annotations

from typing import NamedTuple

from lns.downlink.options import Option


class Offer(NamedTuple):
    """Ways to speak to a device now, or when to ask again."""

    options: list[Option]
    again_us: int | None = None
    """Without options: when there may be some, monotonic; None: not before something else changes."""
    reason: str = ""
    """Without options: why, for people."""
