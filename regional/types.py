"""The small values of which a region plan is made, and its one error."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


class PlanError(ValueError):
    """A plan that does not exist, a plan file that is wrong, or a question a plan has no answer to.

    The text says which file and key, or which plan and value, and what to do.
    """


class Modulation(StrEnum):
    """How a data rate is sent."""

    LORA = "LORA"
    FSK = "FSK"
    LR_FHSS = "LR_FHSS"


@dataclass(frozen=True, slots=True)
class DataRate:
    """One row of a plan's data-rate table.

    `datr` and `codr` are the words of the Semtech UDP protocol ("SF7BW125", 50000, "M0CW137"). `sf` and `bw_hz` are 0
    where they have no meaning (FSK), for LR-FHSS `bw_hz` is the nominal operating channel width. `bitrate` is in bit/s.
    """

    modulation: Modulation
    sf: int
    bw_hz: int
    bitrate: int
    datr: str | int
    codr: str = ""


DataRates = tuple[DataRate | None, ...]
PerDataRate = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class DirectionLimits:
    """The largest MACPayload by data rate (0: nothing may be sent), without and with a dwell-time limit of 400 ms."""

    m: PerDataRate
    m_repeater: PerDataRate
    m_dwell: PerDataRate
    m_dwell_repeater: PerDataRate


@dataclass(frozen=True, slots=True)
class ClassB:
    """Beacon and ping-slot channels; more than one frequency means hopping. Empty where a plan defines none."""

    beacon_frequencies_hz: tuple[int, ...] = ()
    beacon_dr: int | None = None
    beacon_layout: tuple[tuple[str, int], ...] = ()
    ping_slot_frequencies_hz: tuple[int, ...] = ()
    ping_slot_dr: int | None = None


class Channel(NamedTuple):
    """An uplink channel: its centre and the data rates allowed on it."""

    frequency_hz: int
    min_dr: int
    max_dr: int


class JoinReply(NamedTuple):
    """RX1 of a join on a channel where the plan's usual rule does not hold, and the RX2 that follows (CN470)."""

    rx1_frequency_hz: int
    rx2_frequency_hz: int


class SubBand(NamedTuple):
    """A stretch of spectrum with one limit of time on air and of power for each transmitter.

    `duty_cycle` is a share (0.01 = 1 %), 1 where there is no such limit; `max_eirp_dbm` is the limit of radiated
    power.
    """

    min_hz: int
    max_hz: int
    duty_cycle: float
    max_eirp_dbm: float

    def airtime_us(self, window_us: int = 3_600_000_000) -> int:
        """Time on air one transmitter may spend here in a window (an hour if not told), µs."""
        return round(self.duty_cycle * window_us)


class RelayChannel(NamedTuple):
    """A wake-on-radio channel of TS011 and the channel of its acknowledgement."""

    frequency_hz: int
    ack_frequency_hz: int
    dr: int


class LinkAdr(NamedTuple):
    """The fields of one LinkADRReq (LoRaWAN 1.0.4, clause 5.2)."""

    dr: int
    tx_power: int
    ch_mask: int
    ch_mask_cntl: int
    nb_trans: int


class NewChannel(NamedTuple):
    """The fields of one NewChannelReq (LoRaWAN 1.0.4, clause 5.6)."""

    ch_index: int
    frequency_hz: int
    min_dr: int
    max_dr: int


class Difference(NamedTuple):
    """What was otherwise in a revision of the Regional Parameters and in those before it."""

    until: str
    what: str
