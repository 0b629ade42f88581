"""The commands that set a parameter, in the order in which they are asked, and the versions that know them."""

from __future__ import annotations

from lns.mac import (
    adr_param_setup,
    beacon_freq,
    configure_fwd_limit,
    dl_channel,
    duty_cycle,
    end_device_conf,
    filter_list,
    new_channel,
    ping_slot_channel,
    rejoin_param_setup,
    relay_conf,
    rx_param_setup,
    rx_timing_setup,
    tx_param_setup,
)
from lns.mac.setting import Setting
from lns.mac.versions import ALL, ONLY_1_1, VERSIONS, since

KNOWN_IN: tuple[tuple[Setting, frozenset[str]], ...] = (
    (rx_param_setup.SETTING, ALL),
    (rx_timing_setup.SETTING, ALL),
    (tx_param_setup.SETTING, since("1.0.2")),
    (new_channel.SETTING, ALL),
    (dl_channel.SETTING, since("1.0.2")),
    (duty_cycle.SETTING, ALL),
    (adr_param_setup.SETTING, ONLY_1_1),
    (rejoin_param_setup.SETTING, ONLY_1_1),
    (ping_slot_channel.SETTING, ALL),
    (beacon_freq.SETTING, ALL),
    (end_device_conf.SETTING, since("1.0.4")),
    (relay_conf.SETTING, since("1.0.4")),
    (filter_list.SETTING, since("1.0.4")),
    (configure_fwd_limit.SETTING, since("1.0.4")),
)

SETTINGS: dict[type, Setting] = {setting.request: setting for setting, _ in KNOWN_IN}
"""By request."""
SETTINGS_OF: dict[str, tuple[Setting, ...]] = {
    version: tuple(setting for setting, versions in KNOWN_IN if version in versions) for version in VERSIONS
}
"""By LoRaWAN version."""
WINDOW_CIDS: frozenset[int] = frozenset(setting.request.cid for setting, _ in KNOWN_IN if setting.moves_windows)  # type: ignore[misc]
