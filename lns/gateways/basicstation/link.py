"""One station's connection: who it is, what it told about itself, and the downlinks that it has yet to report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from lns.gateways.frames import AfterUplink, Immediately, Timing, TxFrame

if TYPE_CHECKING:
    from lns.clock import Now
    from lns.gateways.basicstation.router_config import RadioSetup
    from lns.gateways.gateway import Gateway

RX2_AFTER_RX1_US = 1_000_000
SESSION_SHIFT = 48
"""Above these bits of an xtime stand the session of the concentrator and its number."""


class Peer(NamedTuple):
    """Who is at the other end of a connection, and how it proved that."""

    address: str
    """``host:port``."""
    credential: str
    """What it showed: ``token …`` or ``certificate …`` with what tells one from another, ``open …`` for nothing."""
    tls: str
    """TLS version, empty without."""


class Wire(Protocol):
    """The socket of a connection."""

    def send(self, message: bytes) -> None:
        """Send a text message; nothing happens when the connection is closed."""

    def ping(self, payload: bytes) -> None: ...

    def close(self, why: str) -> None: ...


class Context(NamedTuple):
    """What an answer to an uplink must carry, and by which concentrator session it was heard."""

    xtime: int
    rctx: int
    epoch: int


class Pending(NamedTuple):
    """A downlink that the station may report."""

    transmission: Any
    frames: tuple[TxFrame, ...]
    windows: tuple[tuple[int, int], ...]
    """(data rate, frequency) of each frame."""
    xtime: int
    """Of the uplink that it answers; 0 for none."""
    sent_us: int

    def chosen(self, dr: int | None, frequency_hz: int | None, xtime: int) -> int:
        """Which of the frames went out. Windows that look the same are told apart by their time."""
        same = [n for n, window in enumerate(self.windows) if window == (dr, frequency_hz)]
        if len(same) == 1:
            return same[0]
        candidates = same or range(len(self.frames))
        return min(candidates, key=lambda n: abs(xtime - self._expected(n)))

    def _expected(self, n: int) -> int:
        timing = self.frames[n].timing
        return self.xtime + timing.delay_us if isinstance(timing, AfterUplink) else self.xtime


class Link:
    """The state of one connection."""

    __slots__ = (
        "_mux_mono_us",
        "_mux_wall_us",
        "answered_us",
        "connected_us",
        "epoch",
        "features",
        "gateway",
        "model",
        "mux_sent_us",
        "package",
        "peer",
        "pending",
        "pinged_us",
        "sessions",
        "setup",
        "station",
        "timesync_us",
        "wire",
    )

    def __init__(self, gateway: Gateway, peer: Peer, wire: Wire, epoch: int, now: Now) -> None:
        self.gateway = gateway
        self.peer = peer
        self.wire = wire
        self.epoch = epoch
        """Rises with every connection and every restart of the concentrator: uplinks of another one cannot be answered."""
        self.connected_us = now.wall_us
        self.answered_us = now.mono_us
        """When it was last heard."""
        self.pinged_us: int | None = None
        """When the ping that waits for its answer was sent."""
        self.setup: RadioSetup | None = None
        """None until the station has told its version."""
        self.station = self.package = self.model = ""
        self.features: tuple[str, ...] = ()
        self.timesync_us: int | None = None
        """When the station last asked for the time, wall clock."""
        self.sessions: dict[int, int] = {}
        """Concentrator → its session, as its uplinks tell."""
        self.pending: dict[int, Pending] = {}
        """diid → the downlink."""
        self._mux_mono_us = now.mono_us
        self._mux_wall_us = now.wall_us
        self.mux_sent_us = now.mono_us

    def mux_time_us(self, now: Now) -> int:
        """The clock of this connection: UTC as it was at its begin, and from there on monotonic."""
        return self._mux_wall_us + now.mono_us - self._mux_mono_us

    def mux_time_s(self, now: Now) -> float:
        """The same in seconds, about to be told to the station."""
        self.mux_sent_us = now.mono_us
        return self.mux_time_us(now) / 1e6

    def hear(self, xtime: int) -> bool:
        """Note the concentrator's session of an uplink; True when the concentrator was restarted."""
        unit, session = xtime >> 56, xtime >> SESSION_SHIFT & 0xFF
        known = self.sessions.setdefault(unit, session)
        if known == session:
            return False
        self.sessions[unit] = session
        return True


def windows_of(frames: Sequence[TxFrame], drs: dict[str | int, int]) -> tuple[tuple[int, int], ...]:
    """Data rate and frequency, by the station's table, of the frames that fit into one message, from the first on.

    The second must be RX2 of the first one's RX1, or go out at once if that fails.
    """
    windows: list[tuple[int, int]] = []
    for frame in frames[:2]:
        dr = drs.get(frame.datr)
        if dr is None or (windows and not _is_second(frames[0].timing, frame.timing)):
            break
        windows.append((dr, frame.frequency_hz))
    return tuple(windows)


def _is_second(first: Timing, second: Timing) -> bool:
    if not isinstance(first, AfterUplink):
        return False
    if isinstance(second, AfterUplink):
        return second.rx is first.rx and second.delay_us == first.delay_us + RX2_AFTER_RX1_US
    return isinstance(second, Immediately)
