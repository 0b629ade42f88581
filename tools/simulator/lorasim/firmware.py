"""What is wrong with a device's program. Every one of these has been met in the field."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True, frozen=True)
class Firmware:
    """Faults; none of them by default."""

    f_cnt_reset_after: int = 0
    """After so many uplinks FCntUp begins at 0 again, in the same session; 0 never."""
    repeats_dev_nonce: bool = False
    """Every join-request has the same DevNonce."""
    rx2_frequency_hz: int = 0
    """It listens there in RX2, whatever it was told; 0: where it was told."""
    rx2_dr: int = -1
    """It listens at that data rate in RX2; -1: at the right one."""
    stuck_adr: bool = False
    """It agrees to every LinkADRReq and changes nothing."""
    rx_shift_ms: float = 0.0
    """It opens its windows so much too late (below 0: too early)."""
    deaf: float = 0.0
    """It misses this share of all downlinks."""


SOUND = Firmware()
