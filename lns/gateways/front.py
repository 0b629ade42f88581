"""What the downlink side needs of a gateway protocol, whichever it is.

A front sets ``gateway.front`` to itself whenever it has a path to that gateway, and to None when the path is gone. It tells
what became of a transmission through ``Engine.tx_done(transmission, error, warning, now, chosen)``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

if TYPE_CHECKING:
    from lns.clock import Now
    from lns.gateways.frames import TxFrame
    from lns.gateways.gateway import Gateway


class Front(Protocol):
    """A gateway protocol, as the transmitter sees it."""

    protocol: ClassVar[str]
    """``udp``, ``basicstation`` or ``mqtt``: for people."""
    alternatives: ClassVar[int]
    """How many frames of one transmission a gateway takes at once: it sends the first that its radio has room for."""
    answers_after_sending: ClassVar[bool]
    """True when the gateway tells the outcome once the frame has been on the air, False when it tells on queueing it."""
    sends_beacons: ClassVar[bool]
    """True when the server can have a gateway send a beacon (``TxFrame.beacon``); other protocols know only downlinks."""

    def transmit(self, gateway: Gateway, frames: Sequence[TxFrame], transmission: Any, now: Now) -> bool:
        """Hand one transmission to a gateway; False when there is no way to reach it."""
