"""Devices and their profiles as the running server holds them."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from internalapi.mac import RelaySettings, RelayUse
from internalapi.messages import ChannelWrite

if TYPE_CHECKING:
    from lns.downlink.listener import Listener
    from lns.downlink.queue import Item
    from lns.mac.state import MacState
    from lns.session import Session


@dataclass(slots=True)
class Profile:
    """What all devices of one kind share. Fields as in ``internalapi.messages.ProfileWrite``."""

    name: str
    title: str = ""
    mac_version: str = "1.0.3"
    region: str = "RU864"
    device_class: str = "A"
    codec: str = ""
    adr: str = "default"
    adr_margin_db: float = 10.0
    adr_min_dr: int = 0
    adr_max_dr: int | None = None
    """None: the region's."""
    adr_min_tx_power: int = 0
    """TXPower index: 0 is the most power."""
    adr_max_tx_power: int | None = None
    adr_max_nb_trans: int = 3
    adr_static_dr: int = 0
    adr_static_tx_power: int = 0
    adr_static_nb_trans: int = 1
    relaxed_f_cnt_reset: bool = False
    expected_interval_s: int = 86_400
    rx1_delay_s: int = 1
    dev_status_interval_s: int = 86_400
    rx1_dr_offset: int | None = None
    rx2_dr: int | None = None
    rx2_frequency_hz: int | None = None
    channels: list[ChannelWrite] | None = None
    max_duty_cycle: int | None = None
    uplink_dwell_time: bool | None = None
    downlink_dwell_time: bool | None = None
    max_eirp_dbm: int | None = None
    adr_ack_limit_exp: int | None = None
    adr_ack_delay_exp: int | None = None
    rejoin_time_n: int | None = None
    rejoin_count_n: int | None = None
    ping_slot_frequency_hz: int | None = None
    ping_slot_dr: int | None = None
    beacon_frequency_hz: int | None = None
    relay: bool = False
    relay_settings: RelaySettings | None = None
    relay_use: RelayUse | None = None
    confirmed_attempts: int = 3
    ping_slot_periodicity: int | None = None
    class_b_timeout_s: int | None = None
    built_in: bool = False

    @property
    def lorawan_1_1(self) -> bool:
        return self.mac_version.startswith("1.1")

    @property
    def has_max_f_cnt_gap(self) -> bool:
        """MAX_FCNT_GAP = 16384 holds up to LoRaWAN 1.0.3 and in 1.1 is gone with 1.0.4 (TS001-1.0.4 §4.3.1.5)."""
        return self.mac_version in ("1.0.0", "1.0.1", "1.0.2", "1.0.3", "1.1.0")


class Device:
    """A registered device and its sessions."""

    __slots__ = (
        "activation",
        "battery",
        "created_at_us",
        "dev_eui",
        "disabled",
        "id",
        "join_eui",
        "listener",
        "mac",
        "margin_db",
        "name",
        "pending",
        "profile",
        "queue",
        "session",
        "status_us",
        "superseded",
        "tags",
    )

    def __init__(self, id: int, dev_eui: int, join_eui: int, name: str, profile: Profile) -> None:
        self.id = id
        self.dev_eui = dev_eui
        self.join_eui = join_eui
        self.name = name
        self.profile = profile
        self.activation = "OTAA"
        self.tags: dict[str, str] | None = None
        self.disabled = False
        self.created_at_us = 0
        self.session: Session | None = None
        """The session in use."""
        self.pending: Session | None = None
        """The newest session that the device has not used yet."""
        self.superseded: tuple[Session, ...] = ()
        """Older sessions that it has not used either: it may have heard any of their accepts. Oldest first."""
        self.queue: deque[Item] | None = None
        """Downlink items not yet at their end, oldest first."""
        self.mac: MacState | None = None
        """What the server waits for from this device's MAC layer; None is nothing."""
        self.listener: Listener | None = None
        """How a device of class B or C is spoken to without an uplink; None for class A."""
        self.battery: int | None = None
        self.margin_db: int | None = None
        self.status_us: int | None = None
        """When the battery was last heard of or asked for."""

    @property
    def sessions(self) -> list[Session]:
        """All its sessions, oldest first."""
        return [one for one in (self.session, *self.superseded, self.pending) if one is not None]

    @property
    def dev_eui_text(self) -> str:
        return f"{self.dev_eui:016x}"


BUILT_IN_PROFILES = (
    Profile(
        "karat-926lw",
        "НПО КАРАТ 926LW, модуль счётчика воды",
        mac_version="1.0.2",
        codec="karat",
        expected_interval_s=86_400,
        built_in=True,
    ),
    Profile(
        "vega-si-11",
        "Вега СИ-11, счётчик импульсов",
        mac_version="1.0.2",
        codec="vega-si-11",
        expected_interval_s=86_400,
        built_in=True,
    ),
    Profile("lorawan-1.0.2", "LoRaWAN 1.0.2, class A", mac_version="1.0.2", built_in=True),
    Profile("lorawan-1.0.3", "LoRaWAN 1.0.3, class A", mac_version="1.0.3", built_in=True),
    Profile("lorawan-1.0.4", "LoRaWAN 1.0.4, class A", mac_version="1.0.4", built_in=True),
    Profile("lorawan-1.1", "LoRaWAN 1.1, class A", mac_version="1.1.0", built_in=True),
)
