"""The radio parameters of a profile: only what the region's devices can be told may be wished for."""

from __future__ import annotations

from internalapi import messages as m
from internalapi.mac import RelaySettings
from lns.api.errors import invalid
from lns.mac.relay import ACTIONS, MODES
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
    _check_relay(plan, request)
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


def _check_relay(plan: Plan, request: m.ProfileWrite) -> None:
    for field in ("relay_settings", "relay_use"):
        given = getattr(request, field)
        if given is None:
            continue
        if request.mac_version not in since("1.0.4"):
            raise invalid(f"{field}: relays need LoRaWAN 1.0.4 or later", field)
        if given.second_channel_hz:
            _check_frequency(plan, given.second_channel_hz, field)
        if not 0 <= given.second_channel_ack_offset <= 5 or not plan.max_payload(given.second_channel_dr):
            raise invalid(f"{field}: the second channel has an uplink data rate and an offset of 0 to 5", field)
    settings, use = request.relay_settings, request.relay_use
    if settings is not None:
        if not request.relay:
            raise invalid("relay_settings: the profile is no relay's; set relay too", "relay_settings")
        if not 0 <= settings.cad_periodicity <= 5 or settings.default_channel not in (0, 1):
            raise invalid("relay_settings: cad_periodicity 0 to 5, default_channel 0 or 1", "relay_settings")
        rates = (settings.joins_per_hour, settings.notices_per_hour, settings.uplinks_per_hour, settings.total_per_hour)
        if any(rate is not None and not 0 <= rate <= 126 for rate in rates):
            raise invalid("relay_settings: 0 to 126 frames an hour; null is no limit", "relay_settings")
        rate = settings.uplinks_per_hour_of_a_device
        if rate is not None and not 0 <= rate <= 62:
            raise invalid("relay_settings: 0 to 62 uplinks an hour of a device; null is no limit", "relay_settings")
        _check_filters(settings)
    if use is not None and (
        use.mode not in MODES or not 0 <= use.smart_enable_level <= 3 or not 0 <= use.back_off <= 63
    ):
        raise invalid(
            f"relay_use: mode is one of {', '.join(MODES)}, smart_enable_level 0 to 3, back_off 0 to 63", "relay_use"
        )


def _check_filters(settings: RelaySettings) -> None:
    if len([rule for rule in settings.filters if rule.eui]) > 15 or len([r for r in settings.filters if not r.eui]) > 1:
        raise invalid("relay_settings: at most 15 filters, and one for all others", "relay_settings")
    for rule in settings.filters:
        try:
            length = len(bytes.fromhex(rule.eui))
        except ValueError:
            length = 99
        if rule.action not in ACTIONS or length > 16:
            raise invalid(
                f"relay_settings: a filter's action is one of {', '.join(ACTIONS)}, its eui up to 32 hex digits",
                "relay_settings",
            )
