"""The way of an uplink through the server, as the frame log keeps it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from lns.state import pack, unpack

if TYPE_CHECKING:
    from lns.clock import Now
    from lns.uplink.gather import Gathered

NOTHING_TO_SAY = "nothing to say"


class Way(NamedTuple):
    """Times in microseconds after the first gateway's datagram."""

    durable_us: int | None
    """On the disk and so acknowledged; None when the server stopped in between."""
    handed_over_us: int
    downlink_id: int
    """Frame that answers it, 0 for none."""
    silence: str
    """Why no downlink answers it; empty when one does."""


def to_bytes(gathered: Gathered, downlink_id: int, silence: str, now: Now) -> bytes:
    """The way of a frame that is handed over now."""
    first_us = gathered.copies[0].mono_us
    batch = gathered.batch
    durable_us = None if batch is None or batch.durable_us is None else batch.durable_us - first_us
    if not first_us:  # heard before the server's start
        return pack((None, 0, downlink_id, silence))
    return pack((durable_us, now.mono_us - first_us, downlink_id, silence))


def from_bytes(packed: bytes) -> Way | None:
    """None for frames of versions that did not keep it."""
    return Way(*unpack(packed)) if packed else None
