"""What a relay and the network server say to each other on FPort 226 (TS011-1.0.1, forwarding).

The frames between a device and its relay (wake-on-radio) never reach a gateway and are not here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from lorawan.errors import FrameError
from lorawan.layout import Layout, frequency, offset_uint, rfu, uint

_UPLINK = Layout(
    uint("dr", 4),
    offset_uint("snr_db", 5, lambda raw: raw - 20, lambda value: value + 20),
    offset_uint("rssi_dbm", 7, lambda raw: -raw - 15, lambda value: -value - 15),
    uint("wor_channel", 2),
    rfu(6),
    frequency(),
)


@dataclass(slots=True)
class ForwardUplinkReq:
    """A frame that a relay heard, and how."""

    dr: int
    """Data rate index of the device's uplink."""
    snr_db: int
    """-20..11."""
    rssi_dbm: int
    """-142..-15."""
    wor_channel: int
    """0 default, 1 second channel."""
    frequency_hz: int
    phy_payload: bytes
    """The device's own frame, whole."""

    def encode(self) -> bytes:
        """FRMPayload before its encryption."""
        return _UPLINK.encode(self) + self.phy_payload

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read a decrypted FRMPayload; FrameError when it is too short to carry a frame."""
        if len(data) <= _UPLINK.length:
            raise FrameError(f"relayed uplink of {len(data)} bytes; at least {_UPLINK.length + 1}", len(data))
        return cls(**_UPLINK.parse(data[: _UPLINK.length]), phy_payload=data[_UPLINK.length :])


@dataclass(slots=True)
class ForwardDownlinkReq:
    """A frame for the device behind a relay: the PHYPayload and nothing else."""

    phy_payload: bytes

    def encode(self) -> bytes:
        """FRMPayload before its encryption."""
        return self.phy_payload

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read a decrypted FRMPayload; FrameError when it is empty."""
        if not data:
            raise FrameError("relayed downlink without a frame", 0)
        return cls(data)
