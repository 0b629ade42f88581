"""The radio parameters of a profile: only what the region's devices can be told may be wished for."""

from __future__ import annotations

from internalapi import messages as m
from lns.api.errors import invalid
from lns.mac.versions import ONLY_1_1, since
from lorawan.commands import MAX_EIRP_DBM
from regional import Plan, PlanError

FOUR_BITS = (
    "max_duty_cycle",
    "adr_ack_limit_exp",
    "adr_ack_delay_exp",
    "rejoin_time_n",
    "rejoin_count_n",
)
OF_1_1 = ("adr_ack_limit_exp", "adr_ack_delay_exp", "rejoin_time_n", "rejoin_count_n")
OF_TX_PARAM_SETUP = ("uplink_dwell_time", "downlink_dwell_time", "max_eirp_dbm")
DOWNLINK_DATA_RATES = ("rx2_dr", "ping_slot_dr")
FREQUENCIES = ("rx2_frequency_hz", "ping_slot_frequency_hz", "beacon_frequency_hz")


def check(plan: Plan, request: m.ProfileWrite) -> None:
    """Raises Refused that names the field and what is possible."""

    def given(*names: str) -> list[str]:
        return [name for name in names if getattr(request, name) is not None]

    for name in given(*FOUR_BITS):
        if not 0 <= getattr(request, name) <= 15:
            raise invalid(f"{name}: 0 to 15", name)
    for name in given(*OF_1_1):
        if request.mac_version not in ONLY_1_1:
            raise invalid(f"{name}: only LoRaWAN 1.1 devices can be told; leave it out", name)
    for name in given(*OF_TX_PARAM_SETUP):
        if not plan.tx_param_setup:
            raise invalid(f"{name}: devices in {plan.name} do not know TxParamSetupReq; leave it out", name)
    if request.max_eirp_dbm is not None and request.max_eirp_dbm not in MAX_EIRP_DBM:
        raise invalid(f"max_eirp_dbm: one of {', '.join(map(str, MAX_EIRP_DBM))}", "max_eirp_dbm")
    if request.rx1_dr_offset is not None and not 0 <= request.rx1_dr_offset <= plan.max_rx1_dr_offset:
        raise invalid(f"rx1_dr_offset: 0 to {plan.max_rx1_dr_offset} in {plan.name}", "rx1_dr_offset")
    possible = [dr for dr in range(16) if plan.max_mac_payload(dr, downlink=True)]
    for name in given(*DOWNLINK_DATA_RATES):
        if getattr(request, name) not in possible:
            raise invalid(f"{name}: one of {', '.join(map(str, possible))} in {plan.name}", name)
    for name in given(*FREQUENCIES):
        _check_frequency(plan, getattr(request, name), name)
    if request.channels is not None:
        _check_channels(plan, request.channels, request.mac_version)


def _check_frequency(plan: Plan, frequency_hz: int, field: str) -> None:
    if frequency_hz % 100 or not plan.may_transmit(frequency_hz):
        bands = ", ".join(f"{band.min_hz / 1e6:g}-{band.max_hz / 1e6:g}" for band in plan.sub_bands)
        where = bands or "-".join(f"{hz / 1e6:g}" for hz in plan.frequency_range_hz or ())
        raise invalid(f"{field}: {frequency_hz} Hz; a multiple of 100 Hz within {where} MHz of {plan.name}", field)


def _check_channels(plan: Plan, channels: list[m.ChannelWrite], mac_version: str) -> None:
    if plan.is_fixed:
        raise invalid(f"channels: {plan.name} has all its channels from the start; leave it out", "channels")
    rates = plan.default_channels[0]
    try:
        plan.new_channels([channel.frequency_hz for channel in channels], after_cflist=False)
    except PlanError as error:
        raise invalid(f"channels: {error}", "channels") from None
    for channel in channels:
        low = rates.min_dr if channel.min_dr is None else channel.min_dr
        high = rates.max_dr if channel.max_dr is None else channel.max_dr
        if not 0 <= low <= high <= 15 or not plan.max_payload(low) or not plan.max_payload(high):
            raise invalid(
                f"channels: {channel.frequency_hz} Hz: no data rates DR{low} to DR{high} in {plan.name}", "channels"
            )
        if channel.downlink_frequency_hz is not None:
            if mac_version not in since("1.0.2"):
                raise invalid("channels: devices before LoRaWAN 1.0.2 do not know DlChannelReq", "channels")
            _check_frequency(plan, channel.downlink_frequency_hz, "channels")
