"""Relay commands at the device: what a relay and a device behind one keep of them (TS011-1.0.1 §10)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lorawan import commands as mac

if TYPE_CHECKING:
    from lorasim.mac import Answers, Condition, MacState


@dataclass(slots=True)
class Trusted:
    """A device that a relay forwards."""

    dev_addr: int
    reload_rate: int
    bucket_size: int
    w_f_cnt: int
    key: bytes


@dataclass(slots=True)
class RelayState:
    """What the commands have set; None is never."""

    conf: mac.RelayConfReq | None = None
    end_device: mac.EndDeviceConfReq | None = None
    limits: mac.ConfigureFwdLimitReq | None = None
    filters: dict[int, tuple[int, bytes]] = field(default_factory=dict)
    """Rule → (action, beginning of JoinEUI and DevEUI)."""
    trusted: dict[int, Trusted] = field(default_factory=dict)


def _relay_conf(state: MacState, command: mac.RelayConfReq, _: Condition, answers: Answers) -> None:
    def ok(part: str, fair: bool = True) -> bool:
        return state.allows(command, part, fair)

    has_second = command.second_ch_idx > 0
    answer = mac.RelayConfAns(
        second_ch_frequency_ack=ok("second_ch_frequency_ack", not has_second or command.second_ch_frequency_hz > 0),
        second_ch_ack_offset_ack=ok("second_ch_ack_offset_ack", command.second_ch_ack_offset <= 5),
        second_ch_dr_ack=ok("second_ch_dr_ack"),
        second_ch_idx_ack=ok("second_ch_idx_ack", command.second_ch_idx <= 1),
        default_ch_idx_ack=ok("default_ch_idx_ack"),
        cad_periodicity_ack=ok("cad_periodicity_ack", command.cad_periodicity <= 5),
    )
    if answer.accepted:
        state.relay.conf = command
    answers.commands.append(answer)


def _end_device_conf(state: MacState, command: mac.EndDeviceConfReq, _: Condition, answers: Answers) -> None:
    def ok(part: str, fair: bool = True) -> bool:
        return state.allows(command, part, fair)

    answer = mac.EndDeviceConfAns(
        second_ch_frequency_ack=ok("second_ch_frequency_ack"),
        second_ch_dr_ack=ok("second_ch_dr_ack"),
        second_ch_idx_ack=ok("second_ch_idx_ack", command.second_ch_idx <= 1),
        second_ch_ack_offset_ack=ok("second_ch_ack_offset_ack", command.second_ch_ack_offset <= 5),
    )
    if answer.accepted:
        state.relay.end_device = command
    answers.commands.append(answer)


def _filter_list(state: MacState, command: mac.FilterListReq, _: Condition, answers: Answers) -> None:
    action_ok = state.allows(command, "action_ack", command.action <= 2)
    combined_ok = state.allows(command, "combined_rules_ack", command.index > 0 or not command.eui)
    if action_ok and combined_ok:
        state.relay.filters[command.index] = command.action, command.eui
    answers.commands.append(mac.FilterListAns(action_ack=action_ok, length_ack=True, combined_rules_ack=combined_ok))


def _update_uplink_list(state: MacState, command: mac.UpdateUplinkListReq, _: Condition, answers: Answers) -> None:
    state.relay.trusted[command.index] = Trusted(
        command.dev_addr, command.reload_rate, command.bucket_size, command.w_f_cnt, command.root_wor_s_key
    )
    answers.commands.append(mac.UpdateUplinkListAns())


def _ctrl_uplink_list(state: MacState, command: mac.CtrlUplinkListReq, _: Condition, answers: Answers) -> None:
    entry = state.relay.trusted.get(command.index)
    if entry is not None and command.action == 1:
        del state.relay.trusted[command.index]
    answers.commands.append(mac.CtrlUplinkListAns(entry is not None, entry.w_f_cnt if entry is not None else 0))


def _configure_fwd_limit(state: MacState, command: mac.ConfigureFwdLimitReq, _: Condition, answers: Answers) -> None:
    state.relay.limits = command
    answers.commands.append(mac.ConfigureFwdLimitAns())


HANDLERS: dict[type[mac.Command], Callable[..., None]] = {
    mac.RelayConfReq: _relay_conf,
    mac.EndDeviceConfReq: _end_device_conf,
    mac.FilterListReq: _filter_list,
    mac.UpdateUplinkListReq: _update_uplink_list,
    mac.CtrlUplinkListReq: _ctrl_uplink_list,
    mac.ConfigureFwdLimitReq: _configure_fwd_limit,
}
