"""Lost frames that are no fault of the link: their gateways were off, or the server was."""

from __future__ import annotations

from collections.abc import Iterable

Outage = tuple[int, int]
"""From when to when a gateway was silent, µs of UTC."""


def excused(missing: int, since_us: int, until_us: int, outages_by_gateway: Iterable[Iterable[Outage]]) -> int:
    """How many of ``missing`` frames, spread evenly between two times, none of the gateways could have heard.

    The gateways are those that hear the device now. A frame counts as lost when one of them was there to hear it, so the
    gateway with the shortest darkness decides.
    """
    if missing <= 0 or until_us <= since_us:
        return 0
    dark_us = min(
        (
            sum(max(0, min(end, until_us) - max(begin, since_us)) for begin, end in outages)
            for outages in outages_by_gateway
        ),
        default=0,
    )
    return min(missing, round(missing * dark_us / (until_us - since_us) + 0.499)) if dark_us else 0
