"""Semtech UDP (GWMP) version 2 as a gateway writes and reads it (PROTOCOL.TXT of packet_forwarder and sx1302_hal)."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Any

from lorawan.errors import FrameError

VERSION = 2
PUSH_DATA, PUSH_ACK, PULL_DATA, PULL_RESP, PULL_ACK, TX_ACK = range(6)


def _header(kind: int, token: int, eui: int) -> bytes:
    return bytes([VERSION]) + token.to_bytes(2, "little") + bytes([kind]) + eui.to_bytes(8, "big")


def _json(body: dict[str, Any]) -> bytes:
    return json.dumps(body, separators=(",", ":")).encode()


def push_data(token: int, eui: int, body: dict[str, Any]) -> bytes:
    """``{"rxpk": […]}`` and/or ``{"stat": {…}}``."""
    return _header(PUSH_DATA, token, eui) + _json(body)


def pull_data(token: int, eui: int) -> bytes:
    return _header(PULL_DATA, token, eui)


def tx_ack(token: int, eui: int, outcome: dict[str, Any] | None = None) -> bytes:
    """An empty body is success, as real forwarders do; otherwise ``{"error": …}`` or ``{"warn": …, "value": …}``."""
    return _header(TX_ACK, token, eui) + (_json({"txpk_ack": outcome}) if outcome else b"")


@dataclass(slots=True, frozen=True)
class FromServer:
    """PUSH_ACK, PULL_ACK or PULL_RESP."""

    kind: int
    token: int
    body: bytes = b""


@dataclass(slots=True, frozen=True)
class TxPacket:
    """``txpk``: what the server asks a gateway to transmit."""

    frequency_hz: int
    datr: str | int
    data: bytes
    power_dbm: float
    immediately: bool = False
    tmst: int | None = None
    tmms: int | None = None
    inverted: bool = True
    """``ipol``: true for downlinks, or devices do not hear them."""
    no_crc: bool = False
    no_header: bool = False
    """``nhdr``: a beacon."""
    preamble: int = 8


def parse(datagram: bytes) -> FromServer:
    """Read a datagram of a server. Raises :class:`FrameError` when it is none."""
    if len(datagram) < 4:
        raise FrameError(f"datagram of {len(datagram)} bytes: a header needs 4", len(datagram))
    if datagram[0] != VERSION:
        raise FrameError(f"protocol version {datagram[0]}: expected {VERSION}", 0)
    if datagram[3] not in (PUSH_ACK, PULL_ACK, PULL_RESP):
        raise FrameError(f"identifier {datagram[3]:#04x}: a server sends 0x01, 0x03 or 0x04", 3)
    return FromServer(datagram[3], int.from_bytes(datagram[1:3], "little"), datagram[4:])


def parse_txpk(body: bytes) -> TxPacket:
    """Read the JSON of a PULL_RESP the way a forwarder does. Raises :class:`FrameError`."""
    try:
        txpk = json.loads(body)["txpk"]
        data = base64.b64decode(txpk["data"] + "=" * (-len(txpk["data"]) % 4), validate=True)
        packet = TxPacket(
            # (uint32_t)(1e6 * x) in the real programs: it truncates
            frequency_hz=int(1e6 * txpk["freq"]),
            datr=txpk["datr"],
            data=data,
            power_dbm=float(txpk.get("powe", 14)),
            immediately=bool(txpk.get("imme", False)),
            tmst=None if txpk.get("tmst") is None else int(txpk["tmst"]) & 0xFFFFFFFF,
            tmms=None if txpk.get("tmms") is None else int(txpk["tmms"]),
            inverted=bool(txpk.get("ipol", False)),
            no_crc=bool(txpk.get("ncrc", False)),
            no_header=bool(txpk.get("nhdr", False)),
            preamble=max(6, int(txpk.get("prea", 8))),
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, binascii.Error) as error:
        raise FrameError(f"PULL_RESP: txpk cannot be read: {type(error).__name__} {error}") from error
    if not isinstance(packet.datr, str | int):
        raise FrameError(f"PULL_RESP: datr {packet.datr!r} is neither text nor a number")
    if not packet.immediately and packet.tmst is None and packet.tmms is None:
        raise FrameError("PULL_RESP: txpk has none of imme, tmst, tmms")
    if txpk.get("size", len(data)) != len(data):
        raise FrameError(f"PULL_RESP: size {txpk['size']} but data has {len(data)} bytes")
    return packet


def rxpk(
    tmst: int, frequency_hz: int, datr: str, rssi_dbm: float, snr_db: float, data: bytes, channel: int, **more: Any
) -> dict[str, Any]:
    """One received LoRa packet."""
    return {
        "tmst": tmst,
        "chan": channel,
        "rfch": 0 if channel >= 2 else 1,
        "freq": round(frequency_hz / 1e6, 6),
        "stat": 1,
        "modu": "LORA",
        "datr": datr,
        "codr": "4/5",
        "rssi": round(rssi_dbm),
        "lsnr": round(snr_db, 1),
        "size": len(data),
        "data": base64.b64encode(data).decode(),
        **more,
    }
