"""Events: what the network hands over to the application."""

from __future__ import annotations

from msgspec import Struct


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
    """More of it. ``audit``: an exception to the rules was made; the application keeps it in its audit log as this action."""


class EventsRequest(Struct):
    after: int = 0
    limit: int = 1000
    wait_s: float = 0.0
    """Long poll: when there is nothing yet, wait up to this long."""
    acknowledge: bool = False
    """The caller keeps everything up to ``after`` durably: old events up to there may be deleted."""


class EventsResult(Struct):
    events: list[Event]
