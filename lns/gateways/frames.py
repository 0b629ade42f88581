"""What every gateway protocol speaks of: a frame heard, a frame to send, and when to send it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from lns.gateways.gateway import Gateway
    from lns.uplink.relay import Via


class RxFrame:
    """A PHYPayload as one gateway (one antenna of it) heard it."""

    __slots__ = (
        "antenna",
        "board",
        "channel",
        "codr",
        "context",
        "datr",
        "fine_ns",
        "frequency_hz",
        "gateway",
        "gateway_time_us",
        "gps_us",
        "heard_us",
        "metadata",
        "mono_us",
        "phy",
        "rf_chain",
        "rssi_dbm",
        "snr_db",
        "tmst",
        "via",
        "wall_us",
    )

    def __init__(
        self,
        gateway: Gateway,
        phy: bytes,
        frequency_hz: int,
        datr: str | int,
        rssi_dbm: float | None,
        snr_db: float | None,
        tmst: int | None,
        mono_us: int,
        wall_us: int,
        channel: int | None = None,
        rf_chain: int | None = None,
        antenna: int | None = None,
        board: int | None = None,
        gateway_time_us: int | None = None,
        codr: str = "",
        context: Any = None,
        gps_us: int | None = None,
        fine_ns: int | None = None,
        metadata: dict[str, str] | None = None,
    ) -> None:
        self.gateway = gateway
        self.phy = phy
        self.frequency_hz = frequency_hz
        self.datr = datr
        """Modulation as gateways write it: ``SF7BW125``, bits per second for FSK, ``M0CW137`` for LR-FHSS."""
        self.rssi_dbm = rssi_dbm
        self.snr_db = snr_db
        self.tmst = tmst
        """Concentrator counter at the end of the frame, microseconds modulo 2**32."""
        self.mono_us = mono_us
        """Arrival at the server, both clocks."""
        self.wall_us = wall_us
        self.heard_us = mono_us if tmst is None else gateway.clock.observe(tmst, mono_us)
        """When the gateway heard it, on the server's monotonic clock: the arrival less what is known to be delay."""
        self.channel = channel
        self.rf_chain = rf_chain
        self.antenna = antenna
        self.board = board
        self.gateway_time_us = gateway_time_us
        self.codr = codr
        """Code rate; tells the data rates of LR-FHSS apart."""
        self.context = context
        """What the gateway wants back with an answer to this frame, in its protocol's own form; None: nothing, or no answer
        is possible without ``tmst``."""
        self.gps_us = gps_us
        """GPS time at the end of the frame, microseconds since 1980-01-06, of a gateway whose GPS is locked."""
        self.fine_ns = fine_ns
        """Nanoseconds since the last whole second of GPS time, of concentrators that stamp so finely."""
        self.metadata = metadata
        """What the gateway adds of its own, for people."""
        self.via: Via | None = None
        """The relay that heard the device, when it was not the gateway itself."""
        gps = gateway.gps
        if gps_us is not None:
            gps.observe(gps_us, self.heard_us, wall_us)
        elif gps.trusted:
            gps.lost()

    @property
    def is_answerable(self) -> bool:
        """True when a downlink can be timed by this reception."""
        return self.tmst is not None or self.context is not None


class AfterUplink(NamedTuple):
    """Class A: so long after the end of an uplink, by the concentrator that heard it."""

    rx: RxFrame
    delay_us: int

    @property
    def tmst(self) -> int:
        """When the transmission starts, concentrator microseconds modulo 2**32. The reception must have told its ``tmst``."""
        assert self.rx.tmst is not None
        return (self.rx.tmst + self.delay_us) % (1 << 32)


class Immediately(NamedTuple):
    """Class C: as soon as the gateway can."""


class AtGpsTime(NamedTuple):
    """Class B and beacons: at a GPS time; the gateway must have a GPS clock."""

    gps_us: int
    """Microseconds since 1980-01-06, leap seconds not counted (GPS time)."""


Timing = AfterUplink | Immediately | AtGpsTime


@dataclass(slots=True, frozen=True)
class TxFrame:
    """A PHYPayload for one gateway to send."""

    phy: bytes
    frequency_hz: int
    datr: str | int
    eirp_dbm: float
    timing: Timing
    rf_chain: int = 0
    antenna: int | None = None
    board: int | None = None
    beacon: bool = False
    """A beacon goes out as no downlink does: ten preamble symbols, no header, not inverted (TS001-1.0.4 §13.1)."""
