"""Messages of ChirpStack's MQTT Forwarder and Gateway Bridge: topics, protobuf, and the same as JSON.

Source: chirpstack/api/proto/gw/gw.proto and the topics of chirpstack-mqtt-forwarder. A gateway uses one of the two forms; JSON
begins with a brace, which is no first byte of any of these messages in protobuf.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple, TypeVar

from google.protobuf import json_format
from google.protobuf.message import DecodeError, Message

from lns.gateways.frames import AfterUplink, AtGpsTime, TxFrame
from lns.gateways.mqtt.gateway_pb2 import (
    BAD_CRC,
    CR_4_5,
    CR_LI_4_5,
    IGNORED,
    OK,
    CodeRate,
    ConnState,
    DownlinkFrame,
    DownlinkFrameItem,
    DownlinkTxAck,
    GatewayStats,
    Modulation,
    TxAckStatus,
    UplinkFrame,
)
from lorawan.errors import FrameError

MAX_MESSAGE = 64 * 1024
TOPIC = re.compile(r"gateway/([0-9a-fA-F]{16})/(event/(?:up|stats|ack)|state/conn)$")
LR_FHSS_CODE_RATES = {"CR_2_6": "1/3", "CR_4_6": "2/3"}
_DATR = re.compile(r"SF(\d+)BW(\d+)$")
M = TypeVar("M", bound=Message)


class Topic(NamedTuple):
    eui: int
    kind: str
    """``event/up``, ``event/stats``, ``event/ack`` or ``state/conn``."""


class Uplink(NamedTuple):
    """One frame of an ``up`` event."""

    phy: bytes
    frequency_hz: int
    datr: str | int
    codr: str
    rssi_dbm: float
    snr_db: float
    channel: int
    rf_chain: int
    board: int
    antenna: int
    context: bytes
    """Goes back with the answer, untouched."""
    gateway_time_us: int | None
    gps_us: int | None
    """Time of reception by GPS, microseconds since 1980-01-06, when the gateway has it."""
    crc_failed: bool
    location: tuple[float, float, float] | None
    """Latitude, longitude, altitude in metres."""


class Ack(NamedTuple):
    downlink_id: int
    statuses: tuple[str, ...]
    """One for each item that was offered: ``OK``, ``IGNORED`` (an earlier one was taken), or an error."""

    @property
    def chosen(self) -> int | None:
        """Which item the gateway took; None when it took none."""
        return self.statuses.index("OK") if "OK" in self.statuses else None

    @property
    def error(self) -> str:
        """Why none was taken."""
        return next((status for status in reversed(self.statuses) if status != "IGNORED"), "UNKNOWN")


def topic(text: str, prefix: str) -> Topic:
    """Read a topic below ``prefix`` (empty, or ending in a slash). Raises FrameError for another."""
    found = TOPIC.match(text.removeprefix(prefix)) if text.startswith(prefix) else None
    if found is None:
        raise FrameError(f"{text!r} is not the topic of a gateway's event")
    return Topic(int(found[1], 16), found[2])


def is_json(payload: bytes) -> bool:
    return payload[:1] == b"{"


def _parse(kind: type[M], payload: bytes) -> M:
    if len(payload) > MAX_MESSAGE:
        raise FrameError(f"a message of {len(payload)} bytes; at most {MAX_MESSAGE} are taken")
    try:
        if is_json(payload):
            return json_format.Parse(payload, kind(), ignore_unknown_fields=True, max_recursion_depth=16)
        message = kind()
        message.ParseFromString(payload)
    except (DecodeError, json_format.Error, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise FrameError(f"not a {kind.__name__}: {error}") from error
    return message


def uplink(payload: bytes) -> Uplink:
    """Read an ``up`` event. Raises FrameError."""
    frame = _parse(UplinkFrame, payload)
    rx, tx = frame.rx_info, frame.tx_info
    datr, codr = _modulation(tx.modulation)
    location = rx.location
    return Uplink(
        frame.phy_payload,
        tx.frequency,
        datr,
        codr,
        float(rx.rssi),
        round(rx.snr, 2),
        rx.channel,
        rx.rf_chain,
        rx.board,
        rx.antenna,
        rx.context,
        _microseconds(rx.gw_time) if rx.HasField("gw_time") else None,
        _microseconds(rx.time_since_gps_epoch) if rx.HasField("time_since_gps_epoch") else None,
        rx.crc_status == BAD_CRC,
        (location.latitude, location.longitude, location.altitude) if rx.HasField("location") else None,
    )


def _microseconds(moment: object) -> int:
    """A Timestamp or Duration. Microseconds are what its whole and fractional seconds give."""
    return int(moment.seconds) * 1_000_000 + int(moment.nanos) // 1000  # type: ignore[attr-defined]


def _modulation(modulation: Modulation) -> tuple[str | int, str]:
    """The gateway's word for the data rate, and the code rate."""
    which = modulation.WhichOneof("parameters")
    if which == "lora":
        lora = modulation.lora
        return f"SF{lora.spreading_factor}BW{lora.bandwidth // 1000}", _code_rate(lora.code_rate)
    if which == "fsk":
        return modulation.fsk.datarate, ""
    if which == "lr_fhss":
        fhss = modulation.lr_fhss
        name = _name(CodeRate, fhss.code_rate)
        return f"M0CW{fhss.operating_channel_width // 1000}", LR_FHSS_CODE_RATES.get(name, "")
    raise FrameError("an uplink without its modulation")


def _name(enum: type, value: int) -> str:
    """The name of an enum value; newer gateways may have values that this file does not."""
    try:
        return str(enum.Name(value))  # type: ignore[attr-defined]
    except ValueError:
        return f"UNKNOWN_{value}"


def _code_rate(value: int) -> str:
    if value >= CR_LI_4_5:
        return _name(CodeRate, value).removeprefix("CR_LI_").replace("_", "/") + "LI"
    return _name(CodeRate, value).removeprefix("CR_").replace("_", "/") if value else ""


def stats(payload: bytes) -> tuple[dict[str, int | str], tuple[float, float, float] | None]:
    """Read a ``stats`` event: counters by the names of the Semtech protocol with the metadata, and the location."""
    said = _parse(GatewayStats, payload)
    counters: dict[str, int | str] = {
        "rxnb": said.rx_packets_received,
        "rxok": said.rx_packets_received_ok,
        "dwnb": said.tx_packets_received,
        "txnb": said.tx_packets_emitted,
    }
    counters |= {key[:32]: value[:200] for key, value in sorted(said.metadata.items())[:24]}
    location = said.location
    return counters, ((location.latitude, location.longitude, location.altitude) if said.HasField("location") else None)


def is_online(payload: bytes) -> bool:
    """Read a connection state. Raises FrameError."""
    return _parse(ConnState, payload).state == ConnState.ONLINE


def ack(payload: bytes) -> Ack:
    """Read an ``ack`` event. Raises FrameError."""
    said = _parse(DownlinkTxAck, payload)
    statuses = tuple(_name(TxAckStatus, item.status) for item in said.items)
    return Ack(said.downlink_id, statuses or (_name(TxAckStatus, IGNORED),))


def downlink(eui_text: str, downlink_id: int, frames: Sequence[TxFrame], as_json: bool) -> bytes:
    """Write the ``down`` command: the gateway tries the frames in their order and sends the first that it can."""
    message = DownlinkFrame(downlink_id=downlink_id, items=[_item(frame) for frame in frames], gateway_id=eui_text)
    return json_format.MessageToJson(message, indent=None).encode() if as_json else message.SerializeToString()


def _item(tx: TxFrame) -> DownlinkFrameItem:
    item = DownlinkFrameItem(phy_payload=tx.phy)
    info = item.tx_info
    info.frequency = tx.frequency_hz
    info.power = int(tx.eirp_dbm)
    info.board, info.antenna = tx.board or 0, tx.antenna or 0
    if isinstance(tx.datr, int):
        info.modulation.fsk.datarate = tx.datr
        info.modulation.fsk.frequency_deviation = 25_000
    else:
        found = _DATR.match(tx.datr)
        if found is None:
            raise FrameError(f"{tx.datr} is no modulation of a downlink")
        lora = info.modulation.lora
        lora.spreading_factor, lora.bandwidth = int(found[1]), int(found[2]) * 1000
        lora.code_rate = CR_4_5
        lora.polarization_inversion = True
        lora.no_crc = True
    if isinstance(tx.timing, AfterUplink):
        if isinstance(tx.timing.rx.context, bytes):
            info.context = tx.timing.rx.context
        delay = info.timing.delay.delay
        delay.seconds, delay.nanos = divmod(tx.timing.delay_us, 1_000_000)
        delay.nanos *= 1000
    elif isinstance(tx.timing, AtGpsTime):
        gps = info.timing.gps_epoch.time_since_gps_epoch
        gps.seconds, gps.nanos = divmod(tx.timing.gps_us, 1_000_000)
        gps.nanos *= 1000
    else:
        info.timing.immediately.SetInParent()
    return item


__all__ = ["OK", "Ack", "Topic", "Uplink", "ack", "downlink", "is_json", "is_online", "stats", "topic", "uplink"]
