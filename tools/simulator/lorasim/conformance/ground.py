"""What of a region plan the cases play on: data rates and channels that the run's gateways and every device of it have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from regional import Plan

NARROW_HZ = 125_000
"""The ordinary LoRa channel; fixed plans have wider ones beside."""
FIXED_OTHER_DOWN_DR = 10
"""In the plans with 72 channels downlinks have data rates of their own, 8 to 13."""


@dataclass(slots=True, frozen=True)
class Ground:
    """A plan, and the uplink channels that the gateways of the run hear."""

    plan: Plan
    channels_hz: Sequence[int]

    @property
    def rates(self) -> list[int]:
        """LoRa data rates of ordinary channels that carry something before a device was told anything, the slowest first."""
        plan, first = self.plan, self.plan.default_channels[0]
        usable = range(first.min_dr, first.max_dr + 1)
        dwell = plan.uplink_dwell_at_boot
        return [
            dr
            for dr in usable
            if (rate := plan.data_rates[dr]) is not None
            and rate.sf
            and rate.bw_hz == NARROW_HZ
            and plan.max_payload(dr, dwell=dwell)
        ]

    @property
    def slow(self) -> int:
        return self.rates[0]

    @property
    def fast(self) -> int:
        return self.rates[-1]

    @property
    def join_dr(self) -> int:
        """Join-requests: fixed plans fix it for each width of a channel (RP002, join procedure)."""
        return self.slow if self.plan.is_fixed else self.fast

    @property
    def downlink_hz(self) -> Sequence[int]:
        """Frequencies that a device may be told to listen on."""
        plan = self.plan
        return plan.downlink_frequencies_hz or [channel.frequency_hz for channel in plan.default_channels]

    @property
    def other_rx2(self) -> tuple[int, int]:
        """Data rate and frequency of an RX2, and of ping slots, that are not the region's own."""
        return (FIXED_OTHER_DOWN_DR if self.plan.is_fixed else 3), self.downlink_hz[1]

    def fits_rx1(self, dr: int) -> int:
        """Bytes of the largest payload in RX1 behind an uplink at a data rate."""
        return self.plan.max_payload(self.plan.rx1_dr(dr, 0), downlink=True)

    def fits_rx2(self) -> int:
        return self.plan.max_payload(self.plan.rx2_dr, downlink=True)


def extra_channel(ground: Ground) -> bool:
    """The network gives channels, and the gateways hear one that a device does not have from the start."""
    first = {channel.frequency_hz for channel in ground.plan.default_channels}
    return not ground.plan.is_fixed and ground.channels_hz[-1] not in first


def fixed(ground: Ground) -> bool:
    """The network switches channels."""
    return ground.plan.is_fixed


def narrow_sub_band(ground: Ground) -> bool:
    """A channel in a sub-band of 0.1 % or less, whose limit a few frames reach."""
    bands = [ground.plan.sub_band(hz) for hz in ground.channels_hz]
    return any(band is not None and band.duty_cycle is not None and band.duty_cycle <= 0.001 for band in bands)


def no_tx_param_setup(ground: Ground) -> bool:
    return not ground.plan.tx_param_setup


def uneven_windows(ground: Ground) -> bool:
    """What RX1 carries behind a fast uplink fits neither window of a slow one."""
    return max(ground.fits_rx1(ground.slow), ground.fits_rx2()) < ground.fits_rx1(ground.fast)
