"""Why a radio module may be silent: the first cause that what is known of it bears out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from appserver.metering.timebase import HOUR_US

WEAK_RSSI_DBM = -120.0
"""A frame that was heard no louder is lost with the next car that parks before the window."""


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a silent module beside its silence. What nobody could say is None."""

    now_us: int
    hours: int
    """Silent is who sent nothing for so long."""
    heard_at_us: int | None
    """Its last uplink in the application."""
    bound_at_us: int = 0
    network: bool = False
    """Whether the network process answered: only then the fields down to the gateway say something."""
    registered: bool = False
    disabled: bool = False
    joined: bool = False
    seen_at_us: int | None = None
    """Its last frame in the network."""
    interval_s: int = 0
    """How often it is to send."""
    rssi_dbm: float | None = None
    """Of its last frame."""
    gateway_online: bool | None = None
    """Of the gateway that heard the last frame best; None: not known which one."""
    battery_pct: int | None = None
    battery_limit_pct: int = 10
    neighbours: int = 0
    """Silent modules of its building, itself included."""
    group: int = 5
    """So many of one building are one fault."""

    @property
    def since_us(self) -> int:
        return self.now_us - self.hours * HOUR_US


_REASONS: tuple[tuple[str, Callable[[Known], bool]], ...] = (
    ("not_registered", lambda k: k.network and not k.registered),
    ("disabled", lambda k: k.network and k.disabled),
    ("not_handed_over", lambda k: k.seen_at_us is not None and k.seen_at_us >= k.since_us),
    ("new", lambda k: k.heard_at_us is None and k.bound_at_us > k.since_us),
    ("not_joined", lambda k: k.network and not k.joined),
    ("gateway", lambda k: k.gateway_online is False),
    ("building", lambda k: k.neighbours >= k.group),
    ("sends_rarely", lambda k: k.interval_s > k.hours * 3600),
    ("battery", lambda k: k.battery_pct is not None and k.battery_pct < k.battery_limit_pct),
    ("weak_signal", lambda k: k.rssi_dbm is not None and k.rssi_dbm <= WEAK_RSSI_DBM),
    ("never_heard", lambda k: k.heard_at_us is None),
)
REASONS = (*(name for name, _ in _REASONS), "unknown")
"""From what is certain and mended at the desk to what needs a visit; ``unknown``: nothing speaks for any cause."""


def reason_of(known: Known) -> str:
    """The first of :data:`REASONS` that holds."""
    return next((name for name, holds in _REASONS if holds(known)), "unknown")
