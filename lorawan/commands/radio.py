"""Windows and channels: RXParamSetup, NewChannel, RXTimingSetup, TxParamSetup, DlChannel (TS001-1.0.4 §5.4–§5.9)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from lorawan.commands.base import Command, StatusAnswer
from lorawan.layout import Layout, flag, frequency, rfu, uint

MAX_EIRP_DBM: Final = (8, 10, 12, 13, 14, 16, 18, 20, 21, 24, 26, 27, 29, 30, 33, 36)
"""EIRP by the code of TxParamSetupReq (§5.8)."""


@dataclass(frozen=True, slots=True)
class RXParamSetupReq(Command):
    """Set the RX1 data rate offset and RX2 (§5.4). The answer repeats until a class A downlink arrives."""

    rx1_dr_offset: int
    rx2_dr: int
    frequency_hz: int
    """RX2 frequency."""

    cid = 0x05
    layout = Layout(uint("rx2_dr", 4), uint("rx1_dr_offset", 3), rfu(1), frequency())
    words = "set RX2 to {frequency_hz} Hz, DR {rx2_dr}, and the RX1 offset to {rx1_dr_offset}"


@dataclass(frozen=True, slots=True)
class RXParamSetupAns(StatusAnswer):
    """What the device accepted of RXParamSetupReq (§5.4)."""

    channel_ack: bool
    rx2_data_rate_ack: bool
    rx1_dr_offset_ack: bool

    cid = 0x05
    layout = Layout(flag("channel_ack"), flag("rx2_data_rate_ack"), flag("rx1_dr_offset_ack"), rfu(5))


@dataclass(frozen=True, slots=True)
class NewChannelReq(Command):
    """Create, change or (frequency 0) remove an uplink channel of a dynamic plan (§5.6)."""

    ch_index: int
    frequency_hz: int
    max_dr: int
    min_dr: int
    """RP002-1.0.5 gives min_dr above max_dr a meaning of its own."""

    cid = 0x07
    layout = Layout(uint("ch_index", 8), frequency(), uint("min_dr", 4), uint("max_dr", 4))
    words = "set channel {ch_index} to {frequency_hz} Hz, DR {min_dr} to {max_dr}"


@dataclass(frozen=True, slots=True)
class NewChannelAns(StatusAnswer):
    """What the device accepted of NewChannelReq (§5.6)."""

    channel_frequency_ack: bool
    data_rate_range_ack: bool

    cid = 0x07
    layout = Layout(flag("channel_frequency_ack"), flag("data_rate_range_ack"), rfu(6))


@dataclass(frozen=True, slots=True)
class RXTimingSetupReq(Command):
    """Set the delay of RX1; RX2 follows a second later (§5.7)."""

    delay: int
    """Seconds 0..15; 0 and 1 both mean 1 s."""

    cid = 0x08
    layout = Layout(uint("delay", 4), rfu(4))
    words = "open RX1 {delay_s} s after the uplink"

    def values(self) -> dict[str, Any]:
        """With ``delay_s``: the seconds meant."""
        return Command.values(self) | {"delay_s": self.delay or 1}


@dataclass(frozen=True, slots=True)
class RXTimingSetupAns(Command):
    """The delay is set; repeated until a class A downlink arrives (§5.7)."""

    cid = 0x08
    words = "RX1 delay set"


@dataclass(frozen=True, slots=True)
class TxParamSetupReq(Command):
    """Set dwell times and the largest EIRP, where the region knows them (§5.8)."""

    downlink_dwell: bool
    """True: at most 400 ms."""
    uplink_dwell: bool
    max_eirp: int
    """Code 0..15 of :data:`MAX_EIRP_DBM`."""

    cid = 0x09
    layout = Layout(uint("max_eirp", 4), flag("uplink_dwell"), flag("downlink_dwell"), rfu(2))
    words = "at most {max_eirp_dbm} dBm EIRP; dwell time limited: up {uplink_dwell}, down {downlink_dwell}"

    @property
    def max_eirp_dbm(self) -> int:
        """The EIRP that the code stands for."""
        return MAX_EIRP_DBM[self.max_eirp]

    def values(self) -> dict[str, Any]:
        """With ``max_eirp_dbm``."""
        return Command.values(self) | {"max_eirp_dbm": self.max_eirp_dbm}


@dataclass(frozen=True, slots=True)
class TxParamSetupAns(Command):
    """Dwell times and EIRP are set (§5.8)."""

    cid = 0x09
    words = "dwell times and EIRP set"


@dataclass(frozen=True, slots=True)
class DlChannelReq(Command):
    """Answer this uplink channel on another RX1 frequency (§5.9)."""

    ch_index: int
    frequency_hz: int

    cid = 0x0A
    layout = Layout(uint("ch_index", 8), frequency())
    words = "listen on {frequency_hz} Hz in RX1 after an uplink on channel {ch_index}"


@dataclass(frozen=True, slots=True)
class DlChannelAns(StatusAnswer):
    """What the device accepted of DlChannelReq (§5.9)."""

    channel_frequency_ack: bool
    uplink_frequency_ack: bool
    """The uplink channel exists."""

    cid = 0x0A
    layout = Layout(flag("channel_frequency_ack"), flag("uplink_frequency_ack"), rfu(6))
