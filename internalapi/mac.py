"""The MAC layer of a device as the internal API shows it: what it uses, what it should use, and what stands between."""

from __future__ import annotations

from msgspec import Struct


class MacChannel(Struct):
    """An uplink channel of the device."""

    index: int
    frequency_hz: int
    min_dr: int
    max_dr: int
    downlink_frequency_hz: int
    """RX1 after an uplink on it."""
    enabled: bool


class MacParameters(Struct):
    """Everything that MAC commands set."""

    rx1_delay_s: int
    rx1_dr_offset: int
    rx2_dr: int
    rx2_frequency_hz: int
    channels: list[MacChannel]
    max_duty_cycle: int
    uplink_dwell_time: bool
    downlink_dwell_time: bool
    max_eirp_dbm: float
    adr_ack_limit: int
    adr_ack_delay: int
    rejoin_time_s: int | None
    """None: the device was told nothing."""
    rejoin_count: int | None
    ping_slot_frequency_hz: int
    """0: the region's."""
    ping_slot_dr: int | None
    ping_slot_period_s: int | None
    """As the device told; None: it told nothing."""
    beacon_frequency_hz: int


class MacRequest(Struct):
    """A request that was sent and not answered yet."""

    request: str
    answer: str
    text: str
    """In words."""
    tries: int
    """Since the server's start; 0: it was sent before."""


class MacRefusal(Struct):
    """A request that the device refused."""

    request: str
    parts: list[str]
    text: str
    count: int
    """In a row."""
    until_us: int | None
    """It is not asked again before; None: it will be soon."""


class MacReport(Struct):
    """Where a device and the server stand."""

    state: str
    """``in_step``, ``waiting`` (for answers), ``to_ask`` (something is wanted and not asked yet), ``refused``."""
    text: str
    """The same in words."""
    current: MacParameters
    """What the device has acknowledged."""
    desired: MacParameters
    """What profile, network and region want."""
    under_way: list[MacRequest]
    to_ask: list[str]
    """Requests that wait for their turn, in words."""
    refusals: list[MacRefusal]
    unsupported: int = 0
    """Commands of the device that its LoRaWAN version does not have, since the server's start."""


class RelayFilter(Struct):
    """A rule of a relay for join-requests of devices that it does not know (TS011 §10.3)."""

    action: str
    """``forward`` or ``filter`` (out)."""
    eui: str = ""
    """Beginning of JoinEUI and DevEUI as they travel, hexadecimal; empty: all others."""


class RelaySettings(Struct):
    """What a relay is told (TS011-1.0.1 §10); its trusted devices are those of ours that it reports."""

    cad_periodicity: int = 0
    """How often it listens: 0 to 5 = 1000, 500, 250, 100, 50, 20 ms."""
    default_channel: int = 0
    second_channel_hz: int = 0
    """0: none."""
    second_channel_dr: int = 0
    second_channel_ack_offset: int = 0
    """0 to 5 = 0, 200, 400, 800, 1600, 3200 kHz."""
    filters: list[RelayFilter] = []
    joins_per_hour: int | None = None
    """None: no limit."""
    notices_per_hour: int | None = None
    uplinks_per_hour: int | None = None
    total_per_hour: int | None = None
    uplinks_per_hour_of_a_device: int | None = None


class RelayUse(Struct):
    """How a device uses relays (TS011-1.0.1 §10.2)."""

    mode: str = "dynamic"
    """``off``, ``on``, ``dynamic`` or ``device`` (as it decides itself)."""
    smart_enable_level: int = 0
    """Dynamic: after 8, 16, 32 or 64 uplinks without an answer (0 to 3)."""
    back_off: int = 0
    second_channel_hz: int = 0
    second_channel_dr: int = 0
    second_channel_ack_offset: int = 0
