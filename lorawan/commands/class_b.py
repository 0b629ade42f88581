"""Class B commands: PingSlotInfo, PingSlotChannel, BeaconTiming, BeaconFreq (TS001-1.0.4 §12)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lorawan.commands.base import Command, StatusAnswer
from lorawan.layout import Layout, flag, frequency, rfu, uint


@dataclass(frozen=True, slots=True)
class PingSlotInfoReq(Command):
    """The device tells how often it opens ping slots (§12.1)."""

    periodicity: int
    """A ping slot every 2**periodicity seconds, 0..7: 128 down to 1 in a beacon period."""

    cid = 0x10
    layout = Layout(uint("periodicity", 3), rfu(5))
    words = "opens a ping slot every {period_s} s"

    def values(self) -> dict[str, Any]:
        """With ``period_s``."""
        return Command.values(self) | {"period_s": 1 << self.periodicity}


@dataclass(frozen=True, slots=True)
class PingSlotInfoAns(Command):
    """The network knows the periodicity (§12.1)."""

    cid = 0x10
    words = "ping slot period confirmed"


@dataclass(frozen=True, slots=True)
class PingSlotChannelReq(Command):
    """Set frequency and data rate of the ping slots (§12.3)."""

    frequency_hz: int
    """0 returns to the region's default."""
    dr: int

    cid = 0x11
    layout = Layout(frequency(), uint("dr", 4), rfu(4))
    words = "listen in ping slots on {frequency_hz} Hz, DR {dr}"


@dataclass(frozen=True, slots=True)
class PingSlotChannelAns(StatusAnswer):
    """What the device accepted of PingSlotChannelReq (§12.3)."""

    channel_frequency_ack: bool
    data_rate_ack: bool

    cid = 0x11
    layout = Layout(flag("channel_frequency_ack"), flag("data_rate_ack"), rfu(6))


@dataclass(frozen=True, slots=True)
class BeaconTimingReq(Command):
    """The device asks when the next beacon comes; replaced by DeviceTimeReq since 1.0.3 (LoRaWAN 1.0.2 §14.4)."""

    cid = 0x12
    words = "asks when the next beacon comes"


@dataclass(frozen=True, slots=True)
class BeaconTimingAns(Command):
    """When and where the next beacon comes (LoRaWAN 1.0.2 §14.4)."""

    delay: int
    """The beacon starts between 30 * delay and 30 * (delay + 1) ms after the end of this downlink."""
    channel: int
    """Index of the beacon's channel, 0 where there is one only."""

    cid = 0x12
    layout = Layout(uint("delay", 16), uint("channel", 8))
    words = "the next beacon comes in {delay_ms} ms on channel {channel}"

    def values(self) -> dict[str, Any]:
        """With ``delay_ms``."""
        return Command.values(self) | {"delay_ms": 30 * self.delay}


@dataclass(frozen=True, slots=True)
class BeaconFreqReq(Command):
    """Set the beacon's frequency (§12.2)."""

    frequency_hz: int
    """0 returns to the region's default."""

    cid = 0x13
    layout = Layout(frequency())
    words = "look for beacons on {frequency_hz} Hz"


@dataclass(frozen=True, slots=True)
class BeaconFreqAns(StatusAnswer):
    """Whether the device can use that frequency (§12.2)."""

    beacon_frequency_ack: bool

    cid = 0x13
    layout = Layout(flag("beacon_frequency_ack"), rfu(7))
