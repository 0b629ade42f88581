"""Messages of the internal API.

Every method is one ``POST /internal/v1/<method>`` with a MessagePack body (the request struct) and a MessagePack
answer (the result named beside the method in :data:`METHODS`). Times are integers, microseconds since 1970-01-01 UTC
(``*_us``). EUIs, keys and DevAddr are lower-case hex text, most significant byte first. Payloads are bytes.

Errors: HTTP 4xx/5xx with a :class:`Problem` body; the client raises it as ``ApiError``.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType

from internalapi.adr import AdrReason
from internalapi.mac import MacReport, RelaySettings, RelayUse


class Problem(Struct, frozen=True):
    """What went wrong, for whom, and what to do."""

    code: str
    """Stable word: ``not_found``, ``conflict``, ``invalid``, ``unavailable``, ``unauthorised``."""
    detail: str
    field: str | None = None
    """Name of the request field at fault, when there is one."""


# ------------------------------------------------------------------------------------------------------- events


class Reception(Struct, frozen=True, omit_defaults=True):
    """How one gateway (or one of its antennas) heard a frame."""

    gateway_eui: str
    received_at_us: int
    """Arrival of the datagram at the server."""
    rssi_dbm: float | None = None
    snr_db: float | None = None
    tmst: int | None = None
    """Concentrator counter at the end of the reception, microseconds modulo 2**32."""
    channel: int | None = None
    rf_chain: int | None = None
    antenna: int | None = None
    gateway_time_us: int | None = None
    """The gateway's own UTC time of reception, a hint only."""
    frequency_hz: int | None = None
    """Only when it differs from the frame's (a ghost on a neighbouring channel)."""
    gps_us: int | None = None
    """GPS time of the reception, microseconds since 1980-01-06."""
    fine_ns: int | None = None
    """Nanoseconds since the last whole second of GPS time."""
    metadata: dict[str, str] | None = None
    """What the gateway adds of its own."""


class AppSKeyEnvelope(Struct, frozen=True):
    """An AppSKey that only the application can open, as the join server gave it (TS002 KeyEnvelope)."""

    kek_label: str
    aes_key: str
    """The wrapped key (RFC 3394), hex."""


class RelayReception(Struct, frozen=True):
    """How a relay (TS011) heard a device whose frame it forwarded."""

    dev_eui: str
    """The relay's."""
    dr: int
    frequency_hz: int
    snr_db: int
    rssi_dbm: int
    wor_channel: int


class Event(Struct, frozen=True, omit_defaults=True):
    """Something the network hands over. ``id`` rises strictly; the application keeps the last one it has taken."""

    id: int
    type: str
    """``up``, ``join``, ``ack``, ``txack``, ``status`` or ``log`` (the event names of ChirpStack v4)."""
    time_us: int
    dev_eui: str
    device_name: str = ""
    profile: str = ""
    codec: str = ""
    """Codec name of the device's profile at the time, empty when the profile has none."""
    dev_addr: str = ""
    frame_id: int = 0
    """Row of the frame log this event came from; 0 when there is none."""
    session_id: int = 0
    # up
    f_port: int | None = None
    f_cnt: int = 0
    """Full 32-bit FCntUp."""
    data: bytes = b""
    """Decrypted FRMPayload."""
    confirmed: bool = False
    adr: bool = False
    dr: int = 0
    frequency_hz: int = 0
    datr: str = ""
    """Modulation as gateways write it, e.g. ``SF7BW125``."""
    late: bool = False
    """Arrived after newer frames of this session: data only."""
    receptions: tuple[Reception, ...] = ()
    relay: RelayReception | None = None
    """The relay that forwarded the frame, when no gateway heard the device itself."""
    app_s_key: AppSKeyEnvelope | None = None
    """``data`` is still encrypted: this is its AppSKey for whoever can open it."""
    # ack, txack
    queue_item_id: str = ""
    acknowledged: bool = False
    f_cnt_down: int = 0
    gateway_eui: str = ""
    downlink_id: int = 0
    # status
    battery: int | None = None
    """DevStatusAns: 0 external power, 1..254 level, 255 unknown."""
    margin_db: int | None = None
    # log
    level: str = ""
    """``INFO``, ``WARNING`` or ``ERROR``."""
    code: str = ""
    """Code of ChirpStack's ``log`` event, e.g. ``UPLINK_MIC``, ``OTAA``, ``DOWNLINK_PAYLOAD_SIZE``."""
    text: str = ""
    context: dict[str, str] = {}


class EventsRequest(Struct):
    after: int = 0
    limit: int = 1000
    wait_s: float = 0.0
    """Long poll: when there is nothing yet, wait up to this long."""
    acknowledge: bool = False
    """The caller keeps everything up to ``after`` durably: old events up to there may be deleted."""


class EventsResult(Struct):
    events: list[Event]


# ------------------------------------------------------------------------------------------------------- gateways


class GatewayWrite(Struct):
    gateway_eui: str
    name: str = ""
    latitude: float | None = None
    longitude: float | None = None
    altitude_m: float | None = None
    antenna_gain_dbi: float = 0.0
    tags: dict[str, str] = {}
    private_to: str = ""
    """Serves only devices whose tag ``organisation`` says this; empty: all."""
    class_b: str = "off"
    """Who makes its beacons: ``off`` nobody, ``gateway`` its own forwarder, ``server`` we do (Semtech UDP with GPS)."""
    max_duty_cycle: float | None = None
    """The operator's own limit for all that it sends, as a share of an hour; None is none."""
    forwarder: str = "auto"
    """Generation of its packet forwarder: ``auto`` (learned from its behaviour), ``legacy`` (SX1301) or ``hal`` (SX1302)."""
    tx_ack: str = "auto"
    """Does its forwarder answer downlinks: ``auto`` and ``always`` say yes, ``never`` takes silence for "sent"."""
    allowed_sources: list[str] = []
    """Networks (CIDR) from which it may speak; empty: any."""


class SubBandUse(Struct):
    """Airtime of one duty-cycle sub-band over the last hour."""

    min_hz: int
    max_hz: int
    duty_cycle: float
    used_ms: float
    budget_ms: float


class GatewayClaim(Struct):
    """Another source that speaks in a gateway's name."""

    address: str
    first_seen_us: int
    last_seen_us: int
    datagrams: int


class StationSetup(Struct):
    """What a gateway is told if it is a Basics Station; unset fields: as ``[gateways.basicstation]`` says for all."""

    region: str = ""
    """Name of the region, which decides by whose rules the station sends."""
    max_eirp_dbm: float | None = None
    concentrator: str = ""
    """``sx1301`` or ``sx1302``."""


class StationSetupWrite(StationSetup, kw_only=True):
    gateway_eui: str


class StationState(Struct):
    """A gateway that is connected as a Basics Station."""

    version: str
    package: str
    model: str
    features: list[str]
    connected_at_us: int
    address: str
    tls: str
    """TLS version, empty without."""
    credential: str
    """``token``, ``certificate`` or ``open``."""
    last_timesync_us: int | None
    """When it last asked for the time, which only stations with PPS do."""
    region: str
    """The region's name that it was told."""


class GatewayGps(Struct, frozen=True):
    """GPS time of a gateway: without it no beacon and no downlink of class B goes through it."""

    state: str
    """``none`` (never told), ``locked``, ``stale``, ``lost``, ``wrong``."""
    age_s: float | None
    """How long ago the last believed time was told."""
    off_ms: float | None
    """How far it was ahead of the server's clock, delay included."""


class GatewayRecord(Struct):
    gateway_eui: str
    name: str
    latitude: float | None
    longitude: float | None
    altitude_m: float | None
    antenna_gain_dbi: float
    tags: dict[str, str]
    created_at_us: int
    online: bool
    last_seen_us: int | None
    address: str
    """Source ``ip:port`` of the last PULL_DATA, empty when there was none since the start."""
    rtt_ms: float | None
    uplinks: int
    """Frames received since the server's start (copies counted)."""
    downlinks: int
    tx_outcomes: dict[str, int]
    """TX_ACK outcome → count since the server's start; ``NONE`` is success, ``SILENT`` means no TX_ACK came."""
    sub_bands: list[SubBandUse]
    stat: dict[str, Any] = {}
    """The last ``stat`` object of the gateway, as it came."""
    max_duty_cycle: float | None = None
    airtime_ms: float = 0.0
    """Airtime of the last hour on all frequencies; so long it heard nothing, too."""
    forwarder: str = "auto"
    forwarder_seen: str = ""
    """The generation that its behaviour shows: ``legacy``, ``hal``, empty while nothing does."""
    tx_ack: str = "auto"
    silent_in_row: int = 0
    """Downlinks without TX_ACK since the last one with."""
    private_to: str = ""
    allowed_sources: list[str] = []
    location_source: str = ""
    """Which location counts: the ``operator``'s, else its own ``gps``; empty when there is none."""
    protocol: str = ""
    """How it is connected now: ``udp``, ``basicstation``, ``mqtt``; empty while no downlink can reach it."""
    lead_ms: float | None = None
    """A message must leave the server so long before its transmission."""
    bad_crc: int = 0
    """Frames with a wrong checksum since the start."""
    disputed: int = 0
    """Datagrams in its name from another source since the start."""
    claim: GatewayClaim | None = None
    """Who else speaks in its name."""
    clock_restarts: int = 0
    """How often its counter began anew since the server's start."""
    class_b: str = "off"
    gps: GatewayGps = GatewayGps("none", None, None)
    beacons: dict[str, int] = {}
    """Beacons made by the server, by outcome, since its start; ``NONE`` is success."""
    station_setup: StationSetup = msgspec.field(default_factory=StationSetup)
    station: StationState | None = None
    """None while it is not connected as a Basics Station."""
    station_tokens: int = 0
    """How many tokens it may show."""


class GatewayStatisticsRequest(Struct):
    key: str
    from_us: int
    to_us: int


class GatewayHour(Struct):
    """What a gateway did in one hour of the wall clock."""

    hour_us: int
    """When it began."""
    uplinks: int
    bad_crc: int
    online_s: int
    rtt_least_ms: float | None
    rtt_mean_ms: float | None
    rtt_most_ms: float | None
    ackr_percent: float | None
    """Mean of what it told: the share of its datagrams that were answered."""
    outcomes: dict[str, int]
    """TX_ACK outcome → count, as in :class:`GatewayRecord`."""
    airtime_ms: dict[str, float]
    """Lower edge of the sub-band in Hz (``0``: none) → airtime."""


class GatewayStatistics(Struct):
    items: list[GatewayHour]


class UnknownGateway(Struct):
    gateway_eui: str
    address: str
    first_seen_us: int
    last_seen_us: int
    datagrams: int
    protocol: str = "udp"


class StationCredentialsRequest(Struct):
    """New tokens for a Basics Station."""

    gateway_eui: str
    uri: str = ""
    """``wss://host:port`` by which the station reaches this server; empty: ``[gateways.basicstation] uri``."""


class StationCredentials(Struct):
    """What goes into the files of a Basics Station. The tokens are shown this one time."""

    lns_uri: str
    """``tc.uri``"""
    cups_uri: str
    """``cups.uri``"""
    trust: str
    """``tc.trust`` and ``cups.trust``: PEM; empty without TLS."""
    lns_token: str
    """``tc.key`` is ``Authorization: Bearer `` and this."""
    cups_token: str


class Revoked(Struct):
    tokens: int


class FirmwareWrite(Struct):
    """An update that CUPS hands out; its file lies in the folder ``firmware`` of the data folder."""

    name: str
    package: str
    """What a station calls its version once it has run the update: who has it gets nothing."""
    file: str
    size: int
    sha512: str
    model: str = ""
    """Only for stations that call themselves so; empty: any."""
    gateways: list[str] = []
    """Only for these; empty: all of the model."""
    signature: str = ""
    """Hex: ECDSA over P-256 of the file's SHA-512, in DER; empty: for stations that have no key."""
    key_crc: int = 0
    """CRC32 of the public key (64 bytes) that the signature belongs to."""


class FirmwareRecord(FirmwareWrite):
    created_at_us: int = 0


class FirmwarePage(Struct):
    items: list[FirmwareRecord]


# ------------------------------------------------------------------------------------------------------- devices


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
    """ABP devices of this kind may begin FCntUp anew: a guarded exception, see docs/lorawan.md."""
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


class ListRequest(Struct):
    """A page by key: records after ``cursor`` in key order."""

    cursor: str = ""
    limit: int = 100
    q: str = ""
    """Part of the name or of the EUI, case-insensitive."""


class DevicesRequest(ListRequest):
    dev_euis: list[str] | None = None
    """Only these, when given."""


class Key(Struct):
    """The name of one thing: an EUI, a profile name."""

    key: str


class GatewayPage(Struct):
    items: list[GatewayRecord]
    next_cursor: str | None = None


class DevicePage(Struct):
    items: list[DeviceRecord]
    next_cursor: str | None = None


class UnknownGateways(Struct):
    items: list[UnknownGateway]


class ProfilePage(Struct):
    items: list[ProfileRecord]


class DevicesPut(Struct):
    """Create or change many devices in one transaction: all or none."""

    items: list[DeviceWrite]
    dry_run: bool = False
    create_only: bool = False
    """Refuse (``conflict``) when one exists."""


class PutResult(Struct):
    created: int = 0
    changed: int = 0
    unchanged: int = 0
    warnings: list[str] = []
    """What was done as asked and is better looked at: root keys that are guessable, or shared by several devices."""


class Ok(Struct):
    ok: bool = True


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


class QueueWrite(Struct):
    dev_eui: str
    f_port: int
    data: bytes
    confirmed: bool = False
    expires_at_us: int | None = None
    idempotency_key: str = ""
    attempts: int | None = None
    """How often a confirmed item is sent, each time anew, until it is acknowledged; None: as the profile says."""
    at_most_once: bool = False
    """Once it may have been on the air it is never sent again: for valves and relays. Not together with ``confirmed``."""
    encrypted_f_cnt: int | None = None
    """``data`` is encrypted already, with this FCntDown: for sessions whose AppSKey only the application has."""


class QueueItem(Struct):
    id: str
    dev_eui: str
    f_port: int
    data: bytes
    confirmed: bool
    state: str
    """``queued``, ``scheduled``, ``sent``, ``unknown``, ``acked``, ``failed``, ``expired``, ``cancelled``."""
    reason: str
    created_at_us: int
    expires_at_us: int | None
    f_cnt_down: int | None
    attempts: int = 1
    at_most_once: bool = False
    attempts_made: int = 0


class QueuePage(Struct):
    items: list[QueueItem]


class GroupWrite(Struct):
    """A multicast group as it is made (empty ``id``) or changed; keys left UNSET keep their value."""

    name: str
    mc_addr: str
    id: str = ""
    device_class: str = "C"
    """``B`` or ``C``."""
    dr: int = 0
    frequency_hz: int = 0
    """0 in class B: the region's ping slot frequency."""
    ping_periodicity: int = 7
    """Class B: a ping slot every 2**n s."""
    mc_nwk_s_key: str | UnsetType = UNSET
    mc_app_s_key: str | UnsetType = UNSET
    f_cnt_down: int | UnsetType = UNSET
    """Next FCntDown; lower than before only together with new keys."""
    gateways: list[str] = []
    """EUIs of the gateways that send; empty: the fewest that reach all members."""


class GroupRecord(Struct):
    """A multicast group; its keys are never told."""

    id: str
    name: str
    mc_addr: str
    device_class: str
    dr: int
    frequency_hz: int
    ping_periodicity: int
    f_cnt_down: int
    gateways: list[str]
    created_at_us: int
    members: int
    queued: int
    """Items that wait or are being sent."""
    gateways_now: list[str]
    """Those that would send now: the chosen or fewest ones with a path to them."""
    unreached: int
    """Members that none of these is known to reach."""


class GroupPage(Struct):
    items: list[GroupRecord]
    next_cursor: str | None = None


class GroupMembers(Struct):
    """Members to add to a group and to take from it, by DevEUI."""

    group: str
    add: list[str] = []
    remove: list[str] = []


class GroupMemberList(Struct):
    dev_euis: list[str]


class GroupQueueWrite(Struct):
    group: str
    f_port: int
    data: bytes
    expires_at_us: int | None = None
    idempotency_key: str = ""


class GroupItem(Struct):
    id: str
    group: str
    f_port: int
    data: bytes
    state: str
    """``queued``, ``scheduled``, ``sent``, ``unknown``, ``failed``, ``expired``, ``cancelled``."""
    reason: str
    created_at_us: int
    expires_at_us: int | None
    f_cnt_down: int | None


class GroupQueuePage(Struct):
    items: list[GroupItem]


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


# ------------------------------------------------------------------------------------------------------- frame log


class FramesRequest(Struct):
    """The frame log, newest first, or (``after`` given) oldest first from there: the live view."""

    before: int | None = None
    after: int | None = None
    limit: int = 100
    wait_s: float = 0.0
    dev_eui: str = ""
    gateway_eui: str = ""
    type: str = ""
    """``up``, ``down``, ``join`` (requests and accepts), ``rejected``, empty for all."""
    since_us: int | None = None
    until_us: int | None = None
    q: str = ""
    """A device's name or DevEUI (or a part), a DevAddr, bytes of the frame or of its payload in hex, or words of what
    became of it."""


class FrameRecord(Struct, omit_defaults=True):
    id: int
    type: str
    """``up``, ``down``, ``join_request``, ``join_accept``, ``rejoin_request``, ``rejected``."""
    time_us: int
    phy: bytes
    dev_eui: str = ""
    device_name: str = ""
    dev_addr: str = ""
    f_cnt: int | None = None
    f_port: int | None = None
    confirmed: bool = False
    frequency_hz: int = 0
    datr: str = ""
    receptions: tuple[Reception, ...] = ()
    mac_commands: tuple[str, ...] = ()
    """MAC commands in words, both FOpts and port 0."""
    outcome: str = ""
    """Uplink: ``accepted``, ``handed_over``. Downlink: ``scheduled``, ``sent``, ``failed: <reason>``, ``unknown``."""
    timeline: tuple[tuple[str, int], ...] = ()
    """(step, microseconds since ``time_us``): ``committed``, ``closed``, ``handed over``, ``sent``, ``tx_ack``."""
    gateway_eui: str = ""
    """Downlink: the gateway it was given to."""
    reply_to: int = 0
    """Downlink: the uplink frame that it answers."""
    silence: str = ""
    """Uplink: why no downlink answers it."""
    downlink_id: int = 0
    """Uplink: the frame that answers it."""


class FramePage(Struct):
    items: list[FrameRecord]
    next_before: int | None = None
    """Cursor; a page may be shorter than asked for and still have one, when much was looked through."""


# ------------------------------------------------------------------------------------------------------- state


class Empty(Struct):
    pass


class FrameLogStatus(Struct):
    """What the frame log takes on the disk, and what it will take."""

    frames: int
    bytes: int
    """Packed months and the journal."""
    bytes_per_frame: float
    oldest_us: int | None
    frames_per_day: float
    """Of the last week, or since the log began."""
    bytes_when_full: int
    """When its term is over and it grows no more, at this rate; or its limit, when that is less."""
    disk_free_bytes: int
    days_left: float | None
    """Until the disk is full at this rate; None when the log stops growing before."""


class NetworkStatus(Struct):
    version: str
    started_at_us: int
    region: str
    devices: int
    sessions: int
    gateways: int
    gateways_online: int
    last_event_id: int
    storage: str
    """``ok`` or, while frames are not acknowledged, what is wrong (``disk full: …``)."""
    counters: dict[str, int]
    """Totals since the start: datagrams, frames, accepted, duplicates, late, mic_failed, replayed, joins, downlinks …"""
    frame_log: FrameLogStatus | None = None


METHODS: dict[str, tuple[type[Any], type[Any]]] = {
    "events": (EventsRequest, EventsResult),
    "status": (Empty, NetworkStatus),
    "gateways": (ListRequest, GatewayPage),
    "gateway": (Key, GatewayRecord),
    "gateway_put": (GatewayWrite, PutResult),
    "gateway_delete": (Key, Ok),
    "gateways_unknown": (Empty, UnknownGateways),
    "station_setup_put": (StationSetupWrite, PutResult),
    "station_credentials_put": (StationCredentialsRequest, StationCredentials),
    "station_credentials_delete": (Key, Revoked),
    "firmware": (Empty, FirmwarePage),
    "firmware_put": (FirmwareWrite, PutResult),
    "firmware_delete": (Key, Ok),
    "gateway_statistics": (GatewayStatisticsRequest, GatewayStatistics),
    "profiles": (Empty, ProfilePage),
    "profile_put": (ProfileWrite, PutResult),
    "profile_delete": (Key, Ok),
    "devices": (DevicesRequest, DevicePage),
    "device": (Key, DeviceRecord),
    "devices_put": (DevicesPut, PutResult),
    "device_delete": (Key, Ok),
    "session": (Key, SessionRecord),
    "session_put": (SessionWrite, Ok),
    "session_delete": (Key, Ok),
    "groups": (ListRequest, GroupPage),
    "group": (Key, GroupRecord),
    "group_put": (GroupWrite, GroupRecord),
    "group_delete": (Key, Ok),
    "group_members": (Key, GroupMemberList),
    "group_members_put": (GroupMembers, GroupRecord),
    "group_queue": (Key, GroupQueuePage),
    "group_queue_put": (GroupQueueWrite, GroupItem),
    "group_queue_delete": (Key, Ok),
    "queue": (Key, QueuePage),
    "queue_put": (QueueWrite, QueueItem),
    "queue_delete": (Key, Ok),
    "rejoin": (RejoinWish, Ok),
    "nonces_forget": (NoncesForget, Forgotten),
    "frames": (FramesRequest, FramePage),
}

encode = msgspec.msgpack.Encoder().encode


def decoder(of: type[Any]) -> msgspec.msgpack.Decoder[Any]:
    """A reader of one message type. Raises ``msgspec.ValidationError`` when the bytes are not such a message."""
    return msgspec.msgpack.Decoder(of)
