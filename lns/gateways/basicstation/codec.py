"""Messages of the LNS protocol: read with ``parse``, written with the functions named after them.

A station takes frames apart and sends their fields as JSON; ``phy`` puts the PHYPayload together again, byte for byte.
Facts as of Basics Station 2.0.6 (lorabasics/basicstation, src/s2e.c and src/lora.c).
"""

from __future__ import annotations

import struct
from typing import Any

import msgspec
from msgspec import Struct, field

from lns.gateways.basicstation.eui import dashed, id6, parse_eui
from lorawan.errors import FrameError

MAX_MESSAGE = 65_536
"""Bytes of one WebSocket message; the longest that a station sends has under two thousand."""
MAX_PHY = 255
_DATA = struct.Struct("<BIBH")
_JOIN = struct.Struct("<BQQHI")
_INT64 = 1 << 63

encode = msgspec.json.Encoder().encode


class UpInfo(Struct, gc=False):
    """How and when a frame was received."""

    rctx: int = 0
    """The antenna; copied into the answer."""
    xtime: int = 0
    """Concentrator time in microseconds (bits 0 to 47), the session of the concentrator (48 to 55) and its number (56 up)."""
    gpstime: int = 0
    """GPS microseconds at the end of the frame; 0 without a GPS clock."""
    rssi: float | None = None
    snr: float | None = None


class Uplink(Struct, gc=False, tag_field="msgtype"):
    """What all received frames have besides their fields."""

    upinfo: UpInfo
    DR: int
    Freq: int
    RefTime: float = 0.0
    """Time of the last MuxTime plus what has gone by at the station since; 0 when it had none yet. Seconds."""
    pdu: str = ""
    """The whole frame in hex, from stations that do not take frames apart."""
    MIC: int = 0
    MHdr: int = 0


class UpDataFrame(Uplink, gc=False, tag="updf"):
    DevAddr: int = 0
    """As a signed number of 32 bits, like MIC."""
    FCtrl: int = 0
    FCnt: int = 0
    FOpts: str = ""
    FPort: int = -1
    """-1: there is none."""
    FRMPayload: str = ""


class JoinRequest(Uplink, gc=False, tag="jreq"):
    JoinEui: Any = None
    JoinEUI: Any = None
    DevEui: Any = None
    DevEUI: Any = None
    DevNonce: int = 0


class Rejoin(Uplink, gc=False, tag="rejoin"):
    """Only stations that send the whole frame can forward a rejoin-request: 2.0.6 knows no frame of its lengths."""


class Proprietary(Uplink, gc=False, tag="propdf"):
    FRMPayload: str = ""
    """The whole frame."""


class JoinAccept(Uplink, gc=False, tag="jacc"):
    """Another network's downlink, heard by a station in device mode."""

    FRMPayload: str = ""


class DownDataFrame(Uplink, gc=False, tag="dndf"):
    """Another network's downlink, heard by a station in device mode."""


class Version(Struct, gc=False, tag_field="msgtype", tag="version"):
    """The first message of a connection."""

    station: str = ""
    firmware: str | None = ""
    package: str | None = ""
    model: str | None = ""
    protocol: int = 2
    features: str | list[str] = ""


class TxDone(Struct, gc=False, tag_field="msgtype", tag="dntxed"):
    """A frame went on the air. There is no message for one that did not."""

    diid: int
    DR: int | None = None
    Freq: int | None = None
    xtime: int = 0


class TimeSync(Struct, gc=False, tag_field="msgtype", tag="timesync"):
    txtime: int = 0
    """The station's own microseconds when it sent this; echoed."""


Message = (
    UpDataFrame | JoinRequest | Rejoin | Proprietary | JoinAccept | DownDataFrame | Version | TxDone | TimeSync
)  # fmt: skip


class Discovery(Struct, gc=False):
    router: Any


_message = msgspec.json.Decoder(Message).decode
_discovery = msgspec.json.Decoder(Discovery).decode


def parse(text: bytes | str) -> Message:
    """Read one message. Raises FrameError that says what is wrong with it."""
    if len(text) > MAX_MESSAGE:
        raise FrameError(f"message of {len(text)} bytes: at most {MAX_MESSAGE}")
    try:
        message: Message = _message(text)
    except (msgspec.MsgspecError, RecursionError, ValueError) as error:
        raise FrameError(f"not a message of the LNS protocol: {error}") from None
    return message


def phy(message: Uplink) -> bytes:
    """The PHYPayload of an uplink, as it was on the air. Raises FrameError."""
    try:
        if message.pdu:
            frame = bytes.fromhex(message.pdu)
        elif isinstance(message, UpDataFrame):
            frame = _data_frame(message)
        elif isinstance(message, JoinRequest):
            frame = _join_request(message)
        elif isinstance(message, Proprietary):
            frame = bytes.fromhex(message.FRMPayload)
        else:
            raise FrameError("a frame that comes without its bytes and is neither data, join-request nor proprietary")
    except ValueError as error:
        if isinstance(error, FrameError):
            raise
        raise FrameError(f"not hex: {error}") from None
    except struct.error as error:
        raise FrameError(f"a field does not fit its frame: {error}") from None
    if not 0 < len(frame) <= MAX_PHY:
        raise FrameError(f"frame of {len(frame)} bytes: 1 to {MAX_PHY} fit")
    return frame


def _data_frame(message: UpDataFrame) -> bytes:
    f_opts = bytes.fromhex(message.FOpts)
    payload = bytes.fromhex(message.FRMPayload)
    if len(f_opts) != message.FCtrl & 0x0F:
        raise FrameError(f"FOpts of {len(f_opts)} bytes, but FCtrl says {message.FCtrl & 0x0F}")
    head = _DATA.pack(message.MHdr, _unsigned(message.DevAddr), message.FCtrl, message.FCnt)
    if message.FPort < 0:
        if payload:
            raise FrameError("FRMPayload without FPort")
        tail = b""
    else:
        tail = message.FPort.to_bytes(1, "big") + payload if message.FPort < 256 else b""
        if not tail:
            raise FrameError(f"FPort {message.FPort} does not fit a byte")
    return head + f_opts + tail + _unsigned(message.MIC).to_bytes(4, "little")


def _join_request(message: JoinRequest) -> bytes:
    join_eui = parse_eui(message.JoinEui if message.JoinEui is not None else message.JoinEUI)
    dev_eui = parse_eui(message.DevEui if message.DevEui is not None else message.DevEUI)
    return _JOIN.pack(message.MHdr, join_eui, dev_eui, message.DevNonce, _unsigned(message.MIC))


def _unsigned(value: int) -> int:
    """A number of 32 bits that may have been written with its sign. Raises FrameError when it has more."""
    if not -(1 << 31) <= value < 1 << 32:
        raise FrameError(f"{value} does not fit 32 bits")
    return value & 0xFFFF_FFFF


def discovery(text: bytes | str) -> int:
    """The EUI of a station that asks where to connect. Raises FrameError."""
    if len(text) > 1024:
        raise FrameError(f"a question of {len(text)} bytes")
    try:
        asked = _discovery(text)
    except (msgspec.MsgspecError, RecursionError, ValueError) as error:
        raise FrameError(f"not a question of a station: {error}") from None
    return parse_eui(asked.router)


def router_info(eui: int, uri: str, error: str = "") -> bytes:
    """The answer to the discovery: where to connect, or why not."""
    answer = {"router": id6(eui), "muxs": "muxs-::0"}
    return encode(answer | ({"error": error} if error else {"uri": uri}))


class Window(Struct, frozen=True, gc=False):
    """One way to send a frame: a data rate of the station's table and a frequency."""

    dr: int
    frequency_hz: int


class Downlink(Struct, gc=False, omit_defaults=True, tag_field="msgtype", tag="dnmsg"):
    """A frame to send (``dnmsg``). Which fields it needs depends on the class; see the functions below."""

    DevEui: str
    dC: int
    """0 class A, 1 class B, 2 class C. Always written: the station refuses a message without it."""
    diid: int
    pdu: str
    priority: int
    MuxTime: float
    RxDelay: int = field(default=-1)
    """Seconds from the end of the uplink to RX1."""
    RX1DR: int = field(default=-1)
    RX1Freq: int = 0
    RX2DR: int = field(default=-1)
    RX2Freq: int = 0
    DR: int = field(default=-1)
    Freq: int = 0
    gpstime: int = 0
    xtime: int = 0
    rctx: int = field(default=-1)


def after_uplink(
    message: Downlink, delay_s: int, rx1: Window | None, rx2: Window | None, xtime: int, rctx: int
) -> bytes:
    """Class A (``dC`` 0): RX1 ``delay_s`` after the uplink of ``xtime``, or else RX2 a second later; either may be missing.

    With ``dC`` 2 the station tries ``rx1`` at its time and otherwise sends with ``rx2`` as soon as it can.
    """
    message.RxDelay, message.xtime, message.rctx = delay_s, xtime, rctx
    if rx1 is not None:
        message.RX1DR, message.RX1Freq = rx1.dr, rx1.frequency_hz
    if rx2 is not None:
        message.RX2DR, message.RX2Freq = rx2.dr, rx2.frequency_hz
    return encode(message)


def immediately(message: Downlink, window: Window, rctx: int) -> bytes:
    """Class C: as soon as the transmitter is free."""
    message.RxDelay, message.rctx = 1, rctx
    message.RX2DR, message.RX2Freq = window.dr, window.frequency_hz
    return encode(message)


def at_gps_time(message: Downlink, window: Window, gps_us: int, rctx: int) -> bytes:
    """Class B: at a GPS time, microseconds since 1980-01-06. The station needs PPS and a GPS time."""
    message.gpstime, message.rctx = gps_us, rctx
    message.DR, message.Freq = window.dr, window.frequency_hz
    return encode(message)


def downlink(dev_eui: int, device_class: int, diid: int, pdu: bytes, priority: int, mux_time_s: float) -> Downlink:
    """What every ``dnmsg`` has. A DevEui of 0 would keep the station from telling the outcome."""
    return Downlink(dashed(dev_eui or 1), device_class, diid, pdu.hex().upper(), priority, mux_time_s)


def time_answer(txtime: int, gps_us: int, mux_time_s: float) -> bytes:
    """The answer to ``timesync``: GPS time now, in microseconds."""
    return encode({"msgtype": "timesync", "txtime": txtime, "gpstime": gps_us, "MuxTime": mux_time_s})


def mux_time(mux_time_s: float) -> bytes:
    """Only the server's clock: with it the station's RefTime stays a measure of the round trip."""
    return encode({"msgtype": "timesync", "MuxTime": mux_time_s})


def features(version: Version) -> tuple[str, ...]:
    """The station's features as words."""
    given = version.features
    words = given.split() if isinstance(given, str) else [word for word in given if isinstance(word, str)]
    return tuple(word[:32] for word in words[:32])
