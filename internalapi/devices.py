"""Devices, their profiles and sessions."""

from __future__ import annotations

from msgspec import UNSET, Struct, UnsetType

from internalapi.adr import AdrReason
from internalapi.common import ListRequest
from internalapi.events import AppSKeyEnvelope
from internalapi.mac import MacReport, RelaySettings, RelayUse


class ChannelWrite(Struct):
    """An uplink channel beyond the region's own."""

    frequency_hz: int
    min_dr: int | None = None
    """None: the region's."""
    max_dr: int | None = None
    downlink_frequency_hz: int | None = None
    """RX1 after an uplink on this channel; None: on the uplink's frequency."""


class ProfileWrite(Struct):
    """A device profile: what all devices of one kind share."""

    name: str
    """Stable identifier, e.g. ``karat-926lw``."""
    title: str = ""
    mac_version: str = "1.0.3"
    region: str = "RU864"
    device_class: str = "A"
    codec: str = ""
    adr: str = "default"
    """ADR algorithm: ``default``, ``recommended``, ``static`` or ``off``."""
    adr_margin_db: float = 10.0
    adr_min_dr: int = 0
    adr_max_dr: int | None = None
    """None: the highest that every channel of the region allows."""
    adr_min_tx_power: int = 0
    """TXPower index: 0 is the most power."""
    adr_max_tx_power: int | None = None
    """TXPower index of the least power; None: the region's last."""
    adr_max_nb_trans: int = 3
    adr_static_dr: int = 0
    """Values of algorithm ``static``."""
    adr_static_tx_power: int = 0
    adr_static_nb_trans: int = 1
    relaxed_f_cnt_reset: bool = False
    """ABP devices of this kind may begin FCntUp anew: a guarded exception, see docs/reliability.md."""
    expected_interval_s: int = 86400
    """How often the device is expected to send; silent devices are found with it."""
    rx1_delay_s: int = 1
    # Parameters that devices are asked to use, by MAC commands; None leaves them to the network and the region.
    rx1_dr_offset: int | None = None
    rx2_dr: int | None = None
    rx2_frequency_hz: int | None = None
    channels: list[ChannelWrite] | None = None
    """Extra channels in their order, in a plan that has such."""
    max_duty_cycle: int | None = None
    """Aggregated duty cycle at most 1/2**n."""
    uplink_dwell_time: bool | None = None
    """True: at most 400 ms on air; in regions that know TxParamSetupReq."""
    downlink_dwell_time: bool | None = None
    max_eirp_dbm: int | None = None
    adr_ack_limit_exp: int | None = None
    """1.1: the device asks for a downlink after 2**n uplinks without one."""
    adr_ack_delay_exp: int | None = None
    rejoin_time_n: int | None = None
    """1.1: rejoin at least every 2**(n + 10) seconds."""
    rejoin_count_n: int | None = None
    """1.1: rejoin at least every 2**(n + 4) uplinks."""
    ping_slot_frequency_hz: int | None = None
    ping_slot_dr: int | None = None
    beacon_frequency_hz: int | None = None
    ping_slot_periodicity: int | None = None
    """Class B: a ping slot every 2**n s, for devices that do not tell it (PingSlotInfoReq); null: they must."""
    class_b_timeout_s: int | None = None
    """Class B: a confirmed downlink is acknowledged within so long or sent anew; null: as the settings say for B and C."""
    relay: bool = False
    """The device is a relay (TS011): what it sends on FPort 226 are other devices' frames."""
    relay_settings: RelaySettings | None = None
    """What a relay is told; None: nothing."""
    relay_use: RelayUse | None = None
    """How devices use relays; None: as they were made."""
    dev_status_interval_s: int = 86400
    """How often the battery is asked for with DevStatusReq; 0 is never."""
    confirmed_attempts: int = 3
    """How often a confirmed downlink is sent until it is acknowledged, unless the item says otherwise."""


class ProfileRecord(ProfileWrite):
    built_in: bool = False


class DeviceWrite(Struct):
    """A device as it is created or changed; fields left UNSET keep their value."""

    dev_eui: str
    join_eui: str | UnsetType = UNSET
    name: str | UnsetType = UNSET
    profile: str | UnsetType = UNSET
    activation: str | UnsetType = UNSET
    """``OTAA`` or ``ABP``."""
    app_key: str | UnsetType = UNSET
    nwk_key: str | UnsetType = UNSET
    tags: dict[str, str] | UnsetType = UNSET
    disabled: bool | UnsetType = UNSET


class DeviceRecord(Struct):
    dev_eui: str
    join_eui: str
    name: str
    profile: str
    codec: str
    mac_version: str
    region: str
    device_class: str
    activation: str
    tags: dict[str, str]
    disabled: bool
    created_at_us: int
    dev_addr: str | None = None
    """None until the device has a session."""
    joined_at_us: int | None = None
    last_seen_us: int | None = None
    f_cnt_up: int | None = None
    """Last accepted FCntUp of the session."""
    f_cnt_down: int | None = None
    """Next FCntDown."""
    rssi_dbm: float | None = None
    snr_db: float | None = None
    dr: int | None = None
    gateways: int = 0
    """How many gateways heard the last frame."""
    battery: int | None = None
    """DevStatusAns battery: 0 external power, 1..254 level, 255 unknown; None never asked."""
    margin_db: int | None = None
    expected_interval_s: int = 86400


class DevicesRequest(ListRequest):
    dev_euis: list[str] | None = None
    """Only these, when given."""


class DevicePage(Struct):
    items: list[DeviceRecord]
    next_cursor: str | None = None


class ProfilePage(Struct):
    items: list[ProfileRecord]


class DevicesPut(Struct):
    """Create or change many devices in one transaction: all or none."""

    items: list[DeviceWrite]
    dry_run: bool = False
    create_only: bool = False
    """Refuse (``conflict``) when one exists."""


class SessionWrite(Struct):
    """An ABP session, or a session taken over from another server. For 1.0.x give ``nwk_s_key`` and ``app_s_key``."""

    dev_eui: str
    dev_addr: str
    app_s_key: str = ""
    nwk_s_key: str = ""
    f_nwk_s_int_key: str = ""
    s_nwk_s_int_key: str = ""
    nwk_s_enc_key: str = ""
    f_cnt_up: int = 0
    """Next expected FCntUp."""
    f_cnt_down: int = 0
    """Next FCntDown (1.1: NFCntDown)."""
    a_f_cnt_down: int = 0
    app_s_key_envelope: AppSKeyEnvelope | None = None
    """In place of ``app_s_key``: payloads stay encrypted between the device and the application."""


class AdrDecision(Struct):
    time_us: int
    reason: AdrReason


class AdrState(Struct):
    """ADR of a session."""

    algorithm: str
    last: AdrReason | None = None
    """The last change asked for."""
    decisions: list[AdrDecision] = []
    """The last changes, newest first."""
    present: AdrReason | None = None
    """What it would decide now; None when it is off or has heard nothing yet."""
    waiting: bool = False
    """A request is under way."""
    uncertain: bool = False
    """The device may use another power than agreed: it is asked again."""
    pause: int = 0
    """The device refused or ignored several requests: it is left in peace for so many uplinks."""


class ClassBState(Struct):
    """A device of class B: does it have the beacon, and when does it listen?"""

    locked: bool
    """Its newest uplink said that it has the beacon."""
    ping_slot_periodicity: int | None
    """A ping slot every 2**n s; None: it has not told."""
    ping_slot_frequency_hz: int
    """0: as the region has it, which hops in some."""
    ping_slot_dr: int | None
    next_ping_slot_us: int | None
    """UTC; None without beacon, or while no gateway has GPS time."""
    gateways: int
    """So many gateways could speak to it in a ping slot now."""


class SessionRecord(Struct):
    """A session without its keys."""

    dev_eui: str
    dev_addr: str
    mac_version: str
    activated_at_us: int
    confirmed_by_uplink: bool
    """False between the join-accept and the first uplink with the new keys."""
    f_cnt_up: int | None
    f_cnt_down: int
    a_f_cnt_down: int
    rx1_delay_s: int
    rx1_dr_offset: int
    rx2_dr: int
    rx2_frequency_hz: int
    channels_hz: list[int]
    dr: int | None
    tx_power_index: int
    nb_trans: int
    adr_reason: str
    """The last change of ADR, in English."""
    adr: AdrState | None = None
    device_class: str = "A"
    """How the device listens now: B only with the beacon, C of a 1.1 device only when it has said so."""
    class_b: ClassBState | None = None
    """Of a device whose profile is of class B."""
    mac: MacReport | None = None
    """What the device uses, what it should use, and what stands between."""


class RejoinWish(Struct):
    """Have a 1.1 device join anew; answered when the wish is durable, it goes down with the next answer."""

    dev_eui: str
    rejoin_type: int = 0
    """0 new session and radio parameters, 2 new keys only."""
    dr: int | None = None
    """Data rate of the rejoin-request; None: that of the last uplink."""


class NoncesForget(Struct):
    """Forget used DevNonces of these devices, or of all devices of a profile."""

    dev_euis: list[str] = []
    profile: str = ""


class Forgotten(Struct):
    devices: int
