"""The one class that answers for a region: what its plan file says, and the tables made from it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import log10
from typing import Final

from regional import cflist, common, link_adr
from regional.types import (
    Channel,
    ClassB,
    DataRate,
    DataRates,
    Difference,
    DirectionLimits,
    JoinReply,
    LinkAdr,
    Modulation,
    NewChannel,
    PerDataRate,
    PlanError,
    RelayChannel,
    SubBand,
)


@dataclass(eq=False, kw_only=True, slots=True)
class Plan:
    """A region plan in one revision of the Regional Parameters.

    Frequencies are in Hz, powers in dBm, data rates are the indices 0 to 15. `is_fixed` tells the two kinds apart: a
    dynamic plan has default channels to which a network adds others; a fixed plan has all its channels from the start
    and a network only switches them. The data rates of the two directions differ in some fixed plans, hence the
    `downlink` arguments.
    """

    name: str
    title: str
    revision: str
    official: bool
    note: str
    sources: tuple[str, ...]
    differences: tuple[Difference, ...]
    is_fixed: bool
    frequency_range_hz: tuple[int, int] | None
    frequency_step_hz: int
    max_channels: int
    max_eirp_dbm: float
    tx_power_offsets_db: tuple[float, ...]
    rx2_frequency_hz: int
    rx2_dr: int
    data_rates: DataRates
    downlink_data_rates: DataRates
    uplink_limits: DirectionLimits
    downlink_limits: DirectionLimits
    rx1_drs: tuple[PerDataRate, ...]
    rx1_drs_dwell: tuple[PerDataRate, ...]
    back_off: Mapping[int, int]
    default_channels: tuple[Channel, ...]
    join_channels: tuple[Channel, ...]
    downlink_frequencies_hz: tuple[int, ...]
    join_replies: Mapping[int, JoinReply]
    presets: Mapping[str, tuple[int, ...]]
    sub_bands: tuple[SubBand, ...]
    whole_channel_in_sub_band: bool
    cflist_types: tuple[int, ...]
    cflist_fixed_list: str
    ch_mask_cntl: tuple[str, ...]
    class_b: ClassB
    relay_channels: tuple[RelayChannel, ...]
    tx_param_setup: bool
    uplink_dwell_at_boot: bool
    receive_delay1_s: int = common.RECEIVE_DELAY1_S
    receive_delay2_s: int = common.RECEIVE_DELAY2_S
    join_accept_delay1_s: int = common.JOIN_ACCEPT_DELAY1_S
    join_accept_delay2_s: int = common.JOIN_ACCEPT_DELAY2_S
    adr_ack_limit: int = common.ADR_ACK_LIMIT
    adr_ack_delay: int = common.ADR_ACK_DELAY
    max_fcnt_gap: int = common.MAX_FCNT_GAP

    # Tables made from the facts above, so that the daily questions are lookups.
    _dr_of: tuple[dict[object, int], dict[object, int]] = field(init=False, repr=False)
    _max_m: tuple[tuple[PerDataRate, ...], tuple[PerDataRate, ...]] = field(init=False, repr=False)
    _max_n: tuple[tuple[PerDataRate, ...], tuple[PerDataRate, ...]] = field(init=False, repr=False)
    _rx1_hz: dict[int, int] = field(init=False, repr=False)
    _index_of: dict[int, int] = field(init=False, repr=False)
    _band_edges_hz: list[int] = field(init=False, repr=False)
    _snr_db: tuple[float | None, ...] = field(init=False, repr=False)
    _cflists: dict[tuple[tuple[int, ...], int | None], bytes] = field(init=False, repr=False)
    _masks: link_adr.MaskPlanner = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.sub_bands = tuple(sorted(self.sub_bands))
        self._dr_of = (_words(self.data_rates), _words(self.downlink_data_rates))
        self._max_m = (_by_condition(self.uplink_limits), _by_condition(self.downlink_limits))
        self._max_n = (_without_overhead(self._max_m[0]), _without_overhead(self._max_m[1]))
        self._index_of = {channel.frequency_hz: n for n, channel in enumerate(self.default_channels)}
        self._rx1_hz = {}
        if self.is_fixed:
            down = self.downlink_frequencies_hz
            self._rx1_hz = {frequency_hz: down[n % len(down)] for frequency_hz, n in self._index_of.items()}
        self._band_edges_hz = [band.min_hz for band in self.sub_bands]
        self._snr_db = tuple(_floor_db(rate) for rate in self.data_rates)
        self._cflists = {}
        self._masks = link_adr.MaskPlanner(self.ch_mask_cntl, len(self.default_channels) if self.is_fixed else None)

    # Data rates

    def dr_of(self, datr: str | int, codr: str = "", *, downlink: bool = False) -> int | None:
        """The data rate that a gateway calls `datr` ("SF7BW125"; 50000 for FSK), None when the plan has none such.

        LR-FHSS needs `codr` too ("1/3", "2/3", or "2/6", "4/6" as gateways write them).
        """
        table = self._dr_of[downlink]
        dr = table.get(datr)
        return table.get((datr, codr)) if dr is None and codr else dr

    def datr(self, dr: int, *, downlink: bool = False) -> str | int:
        """The gateway's word for a data rate. Raises PlanError for one that the plan does not have."""
        return self.data_rate(dr, downlink=downlink).datr

    def data_rate(self, dr: int, *, downlink: bool = False) -> DataRate:
        """The data rate of an index. Raises PlanError for one that the plan does not have."""
        rates = self.downlink_data_rates if downlink else self.data_rates
        rate = rates[dr] if 0 <= dr < len(rates) else None
        if rate is None:
            known = [n for n, row in enumerate(rates) if row]
            raise PlanError(f"{self.name} has no {'downlink' if downlink else 'uplink'} data rate {dr}; it has {known}")
        return rate

    def next_lower_dr(self, dr: int, *, dwell: bool = False) -> int | None:
        """One step of the device's ADR back-off, None at the slowest data rate that may carry anything."""
        lower = self.back_off.get(dr)
        return None if lower is None or not self.max_payload(lower, dwell=dwell) else lower

    def required_snr_db(self, dr: int) -> float | None:
        """The demodulation floor of an uplink data rate, dB; None for FSK, LR-FHSS and undefined data rates."""
        return self._snr_db[dr] if 0 <= dr < len(self._snr_db) else None

    # Payload

    def max_mac_payload(self, dr: int, repeater: bool = False, dwell: bool = False, *, downlink: bool = False) -> int:
        """M: the largest MACPayload in bytes; 0 when nothing may be sent at this data rate."""
        limits = self._max_m[downlink][repeater + 2 * dwell]
        return limits[dr] if 0 <= dr < len(limits) else 0

    def max_payload(self, dr: int, repeater: bool = False, dwell: bool = False, *, downlink: bool = False) -> int:
        """N: the largest FRMPayload in bytes with empty FOpts; 0 when nothing may be sent at this data rate.

        `repeater`: the frame must fit a repeater; `dwell`: the 400 ms dwell-time limit holds.
        """
        limits = self._max_n[downlink][repeater + 2 * dwell]
        return limits[dr] if 0 <= dr < len(limits) else 0

    # Receive windows

    def rx1_dr(self, uplink_dr: int, rx1_dr_offset: int, dwell: bool = False) -> int:
        """The data rate of RX1 (`dwell`: DownlinkDwellTime is set). Raises PlanError for a pair not in the table."""
        try:
            return (self.rx1_drs_dwell if dwell else self.rx1_drs)[uplink_dr][rx1_dr_offset]
        except IndexError:
            raise PlanError(f"{self.name} has no RX1 data rate for DR{uplink_dr} with offset {rx1_dr_offset}") from None

    @property
    def max_rx1_dr_offset(self) -> int:
        """The largest RX1DROffset that the plan defines."""
        return max(len(row) for row in self.rx1_drs) - 1

    def rx1_frequency_hz(self, uplink_frequency_hz: int) -> int:
        """The frequency of RX1. Raises PlanError for a frequency that is no uplink channel of a fixed plan."""
        if not self.is_fixed:
            return uplink_frequency_hz
        try:
            return self._rx1_hz[uplink_frequency_hz]
        except KeyError:
            raise PlanError(f"{uplink_frequency_hz} Hz is no uplink channel of {self.name}") from None

    def join_rx1_frequency_hz(self, uplink_frequency_hz: int) -> int:
        """The frequency of the join-accept in RX1; differs from the usual rule in CN470 only."""
        reply = self.join_replies.get(uplink_frequency_hz)
        return reply.rx1_frequency_hz if reply else self.rx1_frequency_hz(uplink_frequency_hz)

    def rx2_frequency_after_join_hz(self, join_frequency_hz: int) -> int:
        """The default RX2 frequency after a join on a channel; differs from `rx2_frequency_hz` in CN470 only."""
        reply = self.join_replies.get(join_frequency_hz)
        return reply.rx2_frequency_hz if reply else self.rx2_frequency_hz

    # Power and spectrum

    def tx_power_dbm(self, index: int) -> float:
        """The EIRP of a TXPower index, dBm. Raises PlanError for an index that is RFU here."""
        if not 0 <= index < len(self.tx_power_offsets_db):
            raise PlanError(f"{self.name} has TXPower 0 to {self.max_tx_power_index}, not {index}")
        return round(self.max_eirp_dbm + self.tx_power_offsets_db[index], 2)

    @property
    def max_tx_power_index(self) -> int:
        """The TXPower index of the lowest power."""
        return len(self.tx_power_offsets_db) - 1

    def sub_band(self, frequency_hz: int) -> SubBand | None:
        """The sub-band that holds a frequency (an edge belongs to the upper neighbour), None where none is defined."""
        n = bisect_right(self._band_edges_hz, frequency_hz) - 1
        return self.sub_bands[n] if n >= 0 and frequency_hz <= self.sub_bands[n].max_hz else None

    def may_transmit(self, frequency_hz: int, bw_hz: int = 125_000) -> bool:
        """Whether a channel lies in the plan's range and in a sub-band (entirely, where the regulator means so)."""
        if self.frequency_range_hz and not self.frequency_range_hz[0] <= frequency_hz <= self.frequency_range_hz[1]:
            return False
        if not self.sub_bands:
            return True
        half_hz = bw_hz // 2 if self.whole_channel_in_sub_band else 0
        low, high = frequency_hz - half_hz, frequency_hz + half_hz
        return any(band.min_hz <= low and high <= band.max_hz for band in self.sub_bands)

    def with_sub_bands(self, sub_bands: Sequence[SubBand]) -> Plan:
        """The same plan under other limits, such as an operator's own licence."""
        return replace(self, sub_bands=tuple(sub_bands))

    # Channels

    def channel_index(self, frequency_hz: int, extra_channels: Sequence[int] = ()) -> int | None:
        """The number a device gives to an uplink channel: the plan's own first, then the extras in order."""
        index = self._index_of.get(frequency_hz)
        if index is None and frequency_hz in extra_channels:
            index = len(self.default_channels) + extra_channels.index(frequency_hz)
        return index

    def cflist(self, extra_channels_hz: Sequence[int], *, list_type: int | None = None) -> bytes:
        """The CFList that gives a joining device its channels: 16 bytes, or b"" when there is nothing to say.

        A dynamic plan sends the first five extra channels (type 0); what is beyond is for `new_channels`. With
        `list_type=1`, for devices of RP002-1.0.5, it sends all channels as numbers of the plan's fixed list. A fixed
        plan sends a mask of the channels that shall be on (type 1), or nothing in revisions that know no CFList. Raises
        PlanError for a channel that the plan cannot have and for a type that it does not know.
        """
        key = (tuple(extra_channels_hz), list_type)
        known = self._cflists.get(key)
        if known is None:
            known = self._cflists[key] = self._make_cflist(*key)
        return known

    def parse_cflist(self, data: bytes) -> tuple[int, ...]:
        """The channels a CFList gives, Hz: the extra ones of a dynamic plan, the enabled ones of a fixed plan.

        A 0 keeps the place of an undefined channel before a defined one. Raises PlanError for garbage.
        """
        list_type, content = cflist.parse(data, self.frequency_step_hz)
        if self.is_fixed:
            if list_type not in self.cflist_types:
                raise PlanError(f"{self.name} in {self.revision} has no CFList of type {list_type}")
            numbers: Sequence[int] = [channel.frequency_hz for channel in self.default_channels]
        elif list_type == 0:
            while content and content[-1] == 0:
                content = content[:-1]
            return content
        else:
            numbers = self._fixed_list()
        if any(number >= len(numbers) for number in content):
            raise PlanError(f"{self.name}: the CFList names channel {max(content)}, there are {len(numbers)}")
        frequencies = tuple(numbers[number] for number in content)
        return frequencies if self.is_fixed else tuple(hz for hz in frequencies if hz not in self._index_of)

    def new_channels(self, extra_channels_hz: Sequence[int], *, after_cflist: bool = True) -> list[NewChannel]:
        """The NewChannelReq contents for the extra channels that no CFList brought (ABP, `after_cflist=False`: all)."""
        if self.is_fixed:
            return []
        first = cflist.TYPE0_CHANNELS if after_cflist else 0
        rates = self.default_channels[0]
        base = len(self.default_channels)
        self._check_extra(extra_channels_hz)
        return [
            NewChannel(base + n, frequency_hz, rates.min_dr, rates.max_dr)
            for n, frequency_hz in enumerate(extra_channels_hz)
            if n >= first
        ]

    def link_adr_commands(
        self,
        current: Collection[int],
        wanted: Collection[int],
        *,
        dr: int,
        tx_power: int,
        nb_trans: int = 1,
        defined: Collection[int] | None = None,
        at_least_one: bool = False,
    ) -> list[LinkAdr]:
        """The fewest LinkADRReq that bring a device from the channels `current` to the channels `wanted` (indices).

        All carry the same `dr`, `tx_power` and `nb_trans`, as devices obey the last of a block. None are needed when
        the sets are equal, unless `at_least_one` (something else changes). `defined`: all channels the device knows,
        where that is known; it lets a dynamic plan use "all defined channels on". Raises PlanError when `wanted` is
        empty or holds channels that are not defined.
        """
        masks = self._masks.commands(frozenset(current), frozenset(wanted), defined, at_least_one)
        return [LinkAdr(dr, tx_power, ch_mask, ch_mask_cntl, nb_trans) for ch_mask_cntl, ch_mask in masks]

    def apply_ch_mask(
        self, enabled: Collection[int], ch_mask: int, ch_mask_cntl: int, defined: Collection[int] | None = None
    ) -> frozenset[int] | None:
        """What a device's enabled channels become under one mask, None when it must refuse (RFU, undefined channel)."""
        return self._masks.apply(frozenset(enabled), ch_mask_cntl, ch_mask, defined)

    # Class B

    def beacon_frequency_hz(self, beacon_time_s: int) -> int:
        """The frequency of the beacon at a GPS time, s. Raises PlanError where the plan defines no beacon."""
        return self._hop(self.class_b.beacon_frequencies_hz, beacon_time_s // common.BEACON_PERIOD_S, "beacon")

    def ping_slot_frequency_hz(self, dev_addr: int, beacon_time_s: int) -> int:
        """The frequency of a device's ping slots in the beacon period of a GPS time, s. PlanError where none is."""
        period = beacon_time_s // common.BEACON_PERIOD_S
        return self._hop(self.class_b.ping_slot_frequencies_hz, dev_addr + period, "ping slot")

    def _hop(self, frequencies_hz: tuple[int, ...], n: int, what: str) -> int:
        if not frequencies_hz:
            raise PlanError(f"{self.name} defines no {what} channel")
        return frequencies_hz[n % len(frequencies_hz)]

    def _make_cflist(self, wanted: tuple[int, ...], list_type: int | None) -> bytes:
        if list_type is None:
            list_type = self.cflist_types[0] if self.cflist_types else None
        elif list_type not in self.cflist_types:
            raise PlanError(f"{self.name} in {self.revision} has no CFList of type {list_type}")
        if not wanted or list_type is None:
            return b""
        if self.is_fixed:
            return cflist.encode_type1(self._numbers(wanted, [c.frequency_hz for c in self.default_channels]))
        self._check_extra(wanted)
        if list_type == 1:
            default = [channel.frequency_hz for channel in self.default_channels]
            return cflist.encode_type1(self._numbers((*default, *wanted), self._fixed_list()))
        return cflist.encode_type0(wanted[: cflist.TYPE0_CHANNELS], self.frequency_step_hz)

    def _fixed_list(self) -> Sequence[int]:
        if 1 not in self.cflist_types:
            raise PlanError(f"{self.name} in {self.revision} has no CFList of type 1")
        return common.FIXED_CHANNEL_LISTS_HZ[self.cflist_fixed_list]

    def _numbers(self, frequencies_hz: Sequence[int], numbered: Sequence[int]) -> list[int]:
        missing = [frequency_hz for frequency_hz in frequencies_hz if frequency_hz not in numbered]
        if missing:
            raise PlanError(f"{self.name}: {missing[0]} Hz is none of the channels that a CFList of type 1 can name")
        return [numbered.index(frequency_hz) for frequency_hz in frequencies_hz]

    def _check_extra(self, extra_channels_hz: Sequence[int]) -> None:
        room = self.max_channels - len(self.default_channels)
        if len(extra_channels_hz) > room:
            raise PlanError(
                f"{self.name}: a device holds {room} channels beside the default ones, not {len(extra_channels_hz)}"
            )
        for n, frequency_hz in enumerate(extra_channels_hz):
            if frequency_hz in self._index_of:
                raise PlanError(f"{self.name}: {frequency_hz} Hz is a default channel: leave it out of the extra ones")
            if frequency_hz in extra_channels_hz[:n]:
                raise PlanError(f"{self.name}: {frequency_hz} Hz is given twice")
            if not self.may_transmit(frequency_hz):
                allowed = ", ".join(f"{b.min_hz / 1e6:g}-{b.max_hz / 1e6:g}" for b in self.sub_bands) or "its range"
                raise PlanError(f"{self.name}: a 125 kHz channel at {frequency_hz} Hz is not within {allowed} MHz")


_CODR_WORDS: Final = {"1/3": ("1/3", "2/6"), "2/3": ("2/3", "4/6")}


def _words(rates: DataRates) -> dict[object, int]:
    words: dict[object, int] = {}
    for dr, rate in enumerate(rates):
        if rate is None:
            continue
        if rate.modulation is Modulation.LR_FHSS:
            words.update({(rate.datr, codr): dr for codr in _CODR_WORDS.get(rate.codr, (rate.codr,))})
        else:
            words.setdefault(rate.datr, dr)
    return words


def _by_condition(limits: DirectionLimits) -> tuple[PerDataRate, ...]:
    """Indexed by repeater + 2 * dwell."""
    return limits.m, limits.m_repeater, limits.m_dwell, limits.m_dwell_repeater


def _without_overhead(limits: tuple[PerDataRate, ...]) -> tuple[PerDataRate, ...]:
    return tuple(tuple(max(0, m - common.MAC_PAYLOAD_OVERHEAD) for m in row) for row in limits)


def _floor_db(rate: DataRate | None) -> float | None:
    if rate is None or rate.modulation is not Modulation.LORA:
        return None
    return round(common.REQUIRED_SNR_DB[rate.sf] + 10 * log10(rate.bw_hz / 125_000), 1)
