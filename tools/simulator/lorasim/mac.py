"""A device's MAC layer: radio parameters, and how each command of the network changes and answers them.

One function a command; :data:`HANDLERS` is the table. What a device does not implement it does not answer
(TS001-1.0.4 §5).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

from lorasim import relay
from lorasim.manners import Manners
from lorawan import commands as mac
from lorawan.commands import Command
from regional import Plan


@dataclass(slots=True, frozen=True)
class Channel:
    """One of a device's channels. Devices share them: see :func:`channel`."""

    frequency_hz: int
    rx1_hz: int
    min_dr: int
    max_dr: int


channel = lru_cache(4096)(Channel)
"""One object for all devices that have this channel."""


@lru_cache(4096)
def _shared(enabled: frozenset[int]) -> frozenset[int]:
    return enabled


@dataclass(slots=True)
class MacState:
    """Radio parameters of a device as LoRaWAN names them."""

    plan: Plan
    dr: int
    lorawan_1_1: bool = False
    keeps_15: bool = False
    """1.0.4 and 1.1: DataRate or TXPower 15 in LinkADRReq means "as it is"."""
    tx_power: int = 0
    nb_trans: int = 1
    channels: dict[int, Channel] = field(default_factory=dict)
    enabled: frozenset[int] = frozenset()
    rx1_delay_s: int = 1
    rx1_dr_offset: int = 0
    rx2_dr: int = 0
    rx2_frequency_hz: int = 0
    max_duty_cycle: int = 0
    adr_ack_limit: int = 64
    adr_ack_delay: int = 32
    uplink_dwell: bool = False
    downlink_dwell: bool = False
    max_eirp_dbm: float = 0.0
    rejoin_time_n: int | None = None
    rejoin_count_n: int | None = None
    ping_slot_frequency_hz: int = 0
    ping_slot_dr: int | None = None
    beacon_frequency_hz: int = 0
    device_class: str = "A"
    stuck_adr: bool = False
    """A fault: it agrees to LinkADRReq and does nothing."""
    manners: Manners = field(default_factory=Manners)
    relay: relay.RelayState = field(default_factory=relay.RelayState)

    def __post_init__(self) -> None:
        self.reset_radio()

    def reset_radio(self) -> None:
        """Back to the region's defaults, as before a join."""
        plan = self.plan
        self.channels = {
            i: channel(c.frequency_hz, plan.rx1_frequency_hz(c.frequency_hz), c.min_dr, c.max_dr)
            for i, c in enumerate(plan.default_channels)
        }
        self.enabled = _shared(frozenset(self.channels))
        self.tx_power = self.max_duty_cycle = self.rx1_dr_offset = 0
        self.nb_trans = 1
        self.rx1_delay_s = plan.receive_delay1_s
        self.rx2_dr = plan.rx2_dr
        self.rx2_frequency_hz = plan.rx2_frequency_hz
        self.adr_ack_limit, self.adr_ack_delay = plan.adr_ack_limit, plan.adr_ack_delay
        self.uplink_dwell, self.downlink_dwell = plan.uplink_dwell_at_boot, False
        self.max_eirp_dbm = plan.max_eirp_dbm
        self.rejoin_time_n = self.rejoin_count_n = self.ping_slot_dr = None
        self.ping_slot_frequency_hz = self.beacon_frequency_hz = 0

    def apply_cflist(self, cflist: bytes) -> None:
        """Channels of a join-accept. Raises PlanError for garbage."""
        if not cflist:
            return
        frequencies = self.plan.parse_cflist(cflist)
        if self.plan.is_fixed:
            self.enabled = _shared(frozenset(i for i, c in self.channels.items() if c.frequency_hz in frequencies))
            return
        first = len(self.plan.default_channels)
        rates = self.plan.default_channels[0]
        for index, frequency_hz in enumerate(frequencies, start=first):
            if frequency_hz:
                self.channels[index] = channel(frequency_hz, frequency_hz, rates.min_dr, rates.max_dr)
                self.enabled = _shared(self.enabled | {index})

    def usable(self, dr: int) -> list[int]:
        """Enabled channels that allow a data rate."""
        return [i for i in sorted(self.enabled) if self.channels[i].min_dr <= dr <= self.channels[i].max_dr]

    def eirp_dbm(self) -> float:
        return min(self.max_eirp_dbm, self.plan.tx_power_dbm(self.tx_power))

    def allows(self, command: Command, part: str, fair: bool) -> bool:
        """Whether the device agrees to a part of a request: when it is fair, and its manners do not forbid it."""
        return fair and not self.manners.refuses(type(command).__name__, part)


@dataclass(slots=True)
class Answers:
    """What a block of commands asks the device to say and do."""

    commands: list[Command] = field(default_factory=list)
    sticky: list[Command] = field(default_factory=list)
    """Repeated in every uplink until a class A downlink comes."""
    rekeyed: bool = False
    reset_confirmed: bool = False
    mode_confirmed: bool = False
    rejoin: tuple[int, int] | None = None
    """Type and data rate of a forced rejoin."""
    link_check: tuple[int, int] | None = None
    device_time: tuple[int, int] | None = None
    ignored: list[str] = field(default_factory=list)


@dataclass(slots=True, frozen=True)
class Condition:
    """What DevStatusAns reports."""

    battery: int
    margin_db: int


def handle(state: MacState, block: Sequence[Command], condition: Condition) -> Answers:
    """Apply a downlink's commands in order."""
    answers = Answers()
    index = 0
    while index < len(block):
        command = block[index]
        if isinstance(command, mac.LinkADRReq):
            end = index
            while end < len(block) and isinstance(block[end], mac.LinkADRReq):
                end += 1
            if state.manners.ignores("LinkADRReq"):
                index = end
                continue
            _link_adr(state, [c for c in block[index:end] if isinstance(c, mac.LinkADRReq)], answers)
            index = end
            continue
        handler = HANDLERS.get(type(command)) or relay.HANDLERS.get(type(command))
        if state.manners.ignores(type(command).__name__):
            handler = None
        if handler is None:
            answers.ignored.append(type(command).__name__)
            if isinstance(command, mac.UnknownCommand):
                break
        else:
            handler(state, command, condition, answers)
        index += 1
    return answers


def _link_adr(state: MacState, block: list[mac.LinkADRReq], answers: Answers) -> None:
    """A contiguous block is one request: it takes effect whole or not at all (1.0.2+ §5.2)."""
    enabled: frozenset[int] | None = state.enabled
    for request in block:
        if enabled is not None:
            masked = state.plan.apply_ch_mask(set(enabled), request.ch_mask, request.ch_mask_cntl, set(state.channels))
            enabled = None if masked is None else frozenset(masked)
    last = block[-1]
    dr = state.dr if last.dr == 15 and state.keeps_15 else last.dr
    power = state.tx_power if last.tx_power == 15 and state.keeps_15 else last.tx_power
    mask_ok = state.allows(last, "channel_mask_ack", bool(enabled))
    on = [state.channels[i] for i in enabled or state.enabled]
    fair = any(c.min_dr <= dr <= c.max_dr for c in on) and state.plan.max_payload(dr) > 0
    dr_ok = state.allows(last, "data_rate_ack", fair)
    power_ok = state.allows(last, "power_ack", 0 <= power <= state.plan.max_tx_power_index)
    if mask_ok and dr_ok and power_ok:
        assert enabled is not None
        if not state.stuck_adr:
            state.enabled, state.dr, state.tx_power = _shared(enabled), dr, power
            state.nb_trans = last.nb_trans or (state.nb_trans if state.keeps_15 else 1)
    answer = mac.LinkADRAns(channel_mask_ack=mask_ok, data_rate_ack=dr_ok, power_ack=power_ok)
    # 1.1 §5.3 answers a block once, 1.0.x each request with the same status
    answers.commands += [answer] * (1 if state.lorawan_1_1 else len(block))


def _duty_cycle(state: MacState, command: mac.DutyCycleReq, _: Condition, answers: Answers) -> None:
    state.max_duty_cycle = command.max_duty_cycle
    answers.commands.append(mac.DutyCycleAns())


def _rx_param_setup(state: MacState, command: mac.RXParamSetupReq, _: Condition, answers: Answers) -> None:
    channel_ok = state.allows(command, "channel_ack", _in_range(state, command.frequency_hz))
    dr_ok = state.allows(command, "rx2_data_rate_ack", state.plan.max_payload(command.rx2_dr, downlink=True) > 0)
    offset_ok = state.allows(command, "rx1_dr_offset_ack", command.rx1_dr_offset <= state.plan.max_rx1_dr_offset)
    if channel_ok and dr_ok and offset_ok:
        state.rx2_frequency_hz, state.rx2_dr = command.frequency_hz, command.rx2_dr
        state.rx1_dr_offset = command.rx1_dr_offset
    answers.sticky.append(
        mac.RXParamSetupAns(channel_ack=channel_ok, rx2_data_rate_ack=dr_ok, rx1_dr_offset_ack=offset_ok)
    )


def _dev_status(_: MacState, __: Command, condition: Condition, answers: Answers) -> None:
    margin = max(-32, min(31, condition.margin_db))
    answers.commands.append(mac.DevStatusAns(battery=condition.battery, margin=margin))


def _new_channel(state: MacState, command: mac.NewChannelReq, _: Condition, answers: Answers) -> None:
    if state.plan.is_fixed:
        return
    index, first = command.ch_index, len(state.plan.default_channels)
    free = first <= index < state.plan.max_channels
    off = command.frequency_hz == 0
    frequency_ok = free and (off or _in_range(state, command.frequency_hz))
    rates_ok = free and (off or all(state.plan.max_payload(dr) > 0 for dr in (command.min_dr, command.max_dr)))
    rates_ok = rates_ok and (off or command.min_dr <= command.max_dr)
    frequency_ok = state.allows(command, "channel_frequency_ack", frequency_ok)
    rates_ok = state.allows(command, "data_rate_range_ack", rates_ok)
    if frequency_ok and rates_ok:
        if off:
            state.channels.pop(index, None)
            state.enabled -= {index}
        else:
            hz = command.frequency_hz
            state.channels[index] = channel(hz, hz, command.min_dr, command.max_dr)
            state.enabled |= {index}
    answers.commands.append(mac.NewChannelAns(channel_frequency_ack=frequency_ok, data_rate_range_ack=rates_ok))


def _rx_timing_setup(state: MacState, command: mac.RXTimingSetupReq, _: Condition, answers: Answers) -> None:
    state.rx1_delay_s = command.delay or 1
    answers.sticky.append(mac.RXTimingSetupAns())


def _tx_param_setup(state: MacState, command: mac.TxParamSetupReq, __: Condition, answers: Answers) -> None:
    if state.plan.tx_param_setup:  # elsewhere a device does not know the command
        state.uplink_dwell, state.downlink_dwell = command.uplink_dwell, command.downlink_dwell
        state.max_eirp_dbm = command.max_eirp_dbm
        answers.sticky.append(mac.TxParamSetupAns())
    else:
        answers.ignored.append("TxParamSetupReq")


def _dl_channel(state: MacState, command: mac.DlChannelReq, _: Condition, answers: Answers) -> None:
    if state.plan.is_fixed:
        return
    frequency_ok = state.allows(command, "channel_frequency_ack", _in_range(state, command.frequency_hz))
    exists = state.allows(command, "uplink_frequency_ack", command.ch_index in state.channels)
    if frequency_ok and exists:
        state.channels[command.ch_index] = replace(state.channels[command.ch_index], rx1_hz=command.frequency_hz)
    answers.sticky.append(mac.DlChannelAns(channel_frequency_ack=frequency_ok, uplink_frequency_ack=exists))


def _adr_param_setup(state: MacState, command: mac.ADRParamSetupReq, _: Condition, answers: Answers) -> None:
    state.adr_ack_limit, state.adr_ack_delay = 1 << command.limit_exp, 1 << command.delay_exp
    answers.commands.append(mac.ADRParamSetupAns())


def _rejoin_param_setup(state: MacState, command: mac.RejoinParamSetupReq, _: Condition, answers: Answers) -> None:
    """A device without a clock counts its uplinks only."""
    time_ok = state.allows(command, "time_ok", state.manners.has_clock)
    state.rejoin_count_n = command.max_count_n
    if time_ok:
        state.rejoin_time_n = command.max_time_n
    answers.commands.append(mac.RejoinParamSetupAns(time_ok=time_ok))


def _ping_slot_channel(state: MacState, command: mac.PingSlotChannelReq, _: Condition, answers: Answers) -> None:
    fair = command.frequency_hz == 0 or _in_range(state, command.frequency_hz)
    frequency_ok = state.allows(command, "channel_frequency_ack", fair)
    dr_ok = state.allows(command, "data_rate_ack", state.plan.max_payload(command.dr, downlink=True) > 0)
    if frequency_ok and dr_ok:
        state.ping_slot_frequency_hz, state.ping_slot_dr = command.frequency_hz, command.dr
    answers.sticky.append(mac.PingSlotChannelAns(channel_frequency_ack=frequency_ok, data_rate_ack=dr_ok))


def _beacon_freq(state: MacState, command: mac.BeaconFreqReq, _: Condition, answers: Answers) -> None:
    fair = command.frequency_hz == 0 or _in_range(state, command.frequency_hz)
    ok = state.allows(command, "beacon_frequency_ack", fair)
    if ok:
        state.beacon_frequency_hz = command.frequency_hz
    answers.commands.append(mac.BeaconFreqAns(beacon_frequency_ack=ok))


def _reset_conf(_: MacState, __: Command, ___: Condition, answers: Answers) -> None:
    answers.reset_confirmed = True


def _device_mode_conf(state: MacState, command: mac.DeviceModeConf, _: Condition, answers: Answers) -> None:
    state.device_class = command.device_class or state.device_class
    answers.mode_confirmed = True


def _nothing(_: MacState, __: Command, ___: Condition, ____: Answers) -> None:
    """A confirmation that changes nothing."""


def _force_rejoin(_: MacState, command: mac.ForceRejoinReq, __: Condition, answers: Answers) -> None:
    answers.rejoin = (2 if command.rejoin_type == 2 else 0, command.dr)


def _rekey_conf(_: MacState, __: Command, ___: Condition, answers: Answers) -> None:
    answers.rekeyed = True


def _link_check(_: MacState, command: mac.LinkCheckAns, __: Condition, answers: Answers) -> None:
    answers.link_check = (command.margin, command.gw_cnt)


def _device_time(_: MacState, command: mac.DeviceTimeAns, __: Condition, answers: Answers) -> None:
    answers.device_time = (command.seconds, command.fraction)


def _in_range(state: MacState, frequency_hz: int) -> bool:
    limits = state.plan.frequency_range_hz
    return limits is None or limits[0] <= frequency_hz <= limits[1]


HANDLERS: dict[type[Command], Callable[..., None]] = {
    mac.DutyCycleReq: _duty_cycle,
    mac.RXParamSetupReq: _rx_param_setup,
    mac.DevStatusReq: _dev_status,
    mac.NewChannelReq: _new_channel,
    mac.RXTimingSetupReq: _rx_timing_setup,
    mac.TxParamSetupReq: _tx_param_setup,
    mac.DlChannelReq: _dl_channel,
    mac.ADRParamSetupReq: _adr_param_setup,
    mac.RejoinParamSetupReq: _rejoin_param_setup,
    mac.ForceRejoinReq: _force_rejoin,
    mac.RekeyConf: _rekey_conf,
    mac.ResetConf: _reset_conf,
    mac.DeviceModeConf: _device_mode_conf,
    mac.PingSlotChannelReq: _ping_slot_channel,
    mac.BeaconFreqReq: _beacon_freq,
    mac.PingSlotInfoAns: _nothing,
    mac.BeaconTimingAns: _nothing,
    mac.LinkCheckAns: _link_check,
    mac.DeviceTimeAns: _device_time,
}
