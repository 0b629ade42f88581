"""What a device should use: its profile's word, then the network's settings, then the region's defaults."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lns.mac import relay
from lns.mac.versions import plan_of
from lns.radio import ExtraChannel, RadioParameters, at_boot, extra_channels, mask_of
from regional import Plan

if TYPE_CHECKING:
    from lns.device import Device, Profile
    from lns.session import Session
    from lns.state import NetworkState

TOLD = ("ping_periodicity", "device_class", "beacon_locked")
"""Parameters that the device decides and tells."""


def desired(state: NetworkState, session: Session) -> RadioParameters:
    """The parameters that this session's device shall have. Shared; what only the device decides is as it told."""
    profile, radio = session.device.profile, session.radio
    wanted = state.desired_radio.get(profile.name)
    if wanted is None:
        wanted = state.desired_radio[profile.name] = state.radio(of_profile(state, profile))
    return wanted if radio is wanted else _with_the_devices_word(wanted, radio)


def _with_the_devices_word(wanted: RadioParameters, radio: RadioParameters) -> RadioParameters:
    told = {name: getattr(radio, name) for name in TOLD if getattr(radio, name) != getattr(wanted, name)}
    return wanted._replace(**told) if told else wanted


def of_profile(state: NetworkState, profile: Profile) -> RadioParameters:
    """What the profile, the settings and the region want together."""
    plan, boot = state.plan, at_boot(state.plan)
    channels, dl_channels, disabled = _channels(state, profile)
    return RadioParameters(
        max(profile.rx1_delay_s, state.settings.rx1_delay_s),
        _or(profile.rx1_dr_offset, 0),
        _or(profile.rx2_dr, plan.rx2_dr),
        _or(profile.rx2_frequency_hz, plan.rx2_frequency_hz),
        channels,
        dl_channels,
        disabled,
        _or(profile.max_duty_cycle, 0),
        boot.uplink_dwell if profile.uplink_dwell_time is None else profile.uplink_dwell_time,
        boot.downlink_dwell if profile.downlink_dwell_time is None else profile.downlink_dwell_time,
        profile.max_eirp_dbm,
        _or(profile.adr_ack_limit_exp, boot.adr_ack_limit_exp),
        _or(profile.adr_ack_delay_exp, boot.adr_ack_delay_exp),
        profile.rejoin_time_n,
        profile.rejoin_count_n,
        _or(profile.ping_slot_frequency_hz, 0),
        profile.ping_slot_dr,
        _or(profile.beacon_frequency_hz, 0),
        relay=relay.wanted(profile.relay, profile.relay_settings, profile.relay_use),
    )


def _or(value: int | None, default: int) -> int:
    return default if value is None else value


def _channels(
    state: NetworkState, profile: Profile
) -> tuple[tuple[ExtraChannel, ...], tuple[tuple[int, int], ...], int]:
    """Extra channels, RX1 frequencies of their own, and the channels to switch off."""
    plan, first = state.plan, len(state.plan.default_channels)
    if plan.is_fixed:
        on = {plan.channel_index(hz) for hz in state.extra_channels_hz}
        return (), (), mask_of(set(range(first)) - on) if on else 0
    if profile.channels is None:
        return extra_channels(plan, state.extra_channels_hz), (), 0
    rates = plan.default_channels[0]
    extra, downlinks = [], []
    for n, channel in enumerate(profile.channels):
        extra.append(
            ExtraChannel(channel.frequency_hz, _or(channel.min_dr, rates.min_dr), _or(channel.max_dr, rates.max_dr))
        )
        if channel.downlink_frequency_hz:
            downlinks.append((first + n, channel.downlink_frequency_hz))
    return tuple(extra), tuple(downlinks), 0


# ------------------------------------------------------------------------------------------------ what a join gives


def cflist(state: NetworkState, device: Device) -> bytes:
    """The CFList that a join-accept for this device carries; empty where its version or plan knows none."""
    wanted = of_profile(state, device.profile)
    plan = plan_of(state.plan, device.profile.mac_version)
    if plan.is_fixed:
        return plan.cflist(state.extra_channels_hz)
    return plan.cflist(wanted.channels_hz, list_type=0) if wanted.channels and 0 in plan.cflist_types else b""


def after_join(state: NetworkState, device: Device, join_frequency_hz: int) -> RadioParameters:
    """What a device uses after a join-accept of ours: its defaults, RxDelay, DLSettings and the CFList."""
    wanted = of_profile(state, device.profile)
    radio = at_boot(state.plan)._replace(
        rx1_delay_s=wanted.rx1_delay_s,
        rx1_dr_offset=wanted.rx1_dr_offset,
        rx2_dr=wanted.rx2_dr,
        rx2_frequency_hz=state.plan.rx2_frequency_after_join_hz(join_frequency_hz),
    )
    return state.radio(_with_cflist(state.plan, radio, cflist(state, device)))


def _with_cflist(plan: Plan, radio: RadioParameters, given: bytes) -> RadioParameters:
    if not given:
        return radio
    frequencies_hz = plan.parse_cflist(given)
    if not plan.is_fixed:
        return radio._replace(channels=extra_channels(plan, frequencies_hz))
    on = {plan.channel_index(hz) for hz in frequencies_hz}
    return radio._replace(disabled=mask_of(set(range(len(plan.default_channels))) - on))
