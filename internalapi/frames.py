"""The frame log and the state of the server."""

from __future__ import annotations

from msgspec import Struct

from internalapi.events import Reception


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
