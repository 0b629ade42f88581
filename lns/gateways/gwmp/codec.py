"""Datagrams of the Semtech UDP protocol: read with ``parse``, written with ``pull_resp`` and ``ack``.

Layout: version (2), token (2 bytes, echoed), identifier, then for gateway → server the gateway's EUI (8 bytes, most
significant first) and JSON.

Two readers of the JSON: a strict typed one that every well-behaved forwarder passes in about a microsecond, and a patient
one for what real forwarders send besides (unpadded or url-safe base64, ``null``, numbers as text or with a fraction,
missing fields). The patient one runs only when the strict one refused.
"""

from __future__ import annotations

import base64
import binascii
import json
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct

from lns.gateways.frames import AfterUplink, AtGpsTime, TxFrame
from lorawan.errors import FrameError

PUSH_DATA, PUSH_ACK, PULL_DATA, PULL_RESP, PULL_ACK, TX_ACK = range(6)
MAX_DATAGRAM = 65_507
MAX_RXPK = 255
"""NB_PKT_MAX of the forwarders."""
MAX_PHY = 255
MAX_ANTENNAS = 16


class Header(NamedTuple):
    version: int
    token: bytes
    identifier: int
    eui: int


class Rsig(Struct, gc=False):
    """One antenna's view of a frame."""

    ant: int | None = None
    chan: int | None = None
    rssic: float | None = None
    rssis: float | None = None
    lsnr: float | None = None


class Rxpk(Struct, gc=False):
    """One received frame; fields as in PROTOCOL.TXT §4."""

    freq: float
    data: bytes
    datr: str | int
    tmst: int | None = None
    stat: int | None = None
    rssi: float | None = None
    lsnr: float | None = None
    chan: int | None = None
    rfch: int | None = None
    brd: int | None = None
    ant: int | None = None
    time: str | None = None
    codr: str | None = None
    rsig: list[Rsig] | None = None
    tmms: int | None = None
    """GPS time, milliseconds since 1980-01-06."""
    ftime: int | None = None
    """Nanoseconds since the last pulse of the GPS receiver."""
    meta: dict[str, Any] | None = None


class Push(Struct, gc=False):
    rxpk: list[Rxpk] | None = None
    stat: dict[str, Any] | None = None


_strict = msgspec.json.Decoder(Push).decode


def header(datagram: bytes) -> Header:
    """Read what every datagram begins with. Raises FrameError."""
    if len(datagram) < 12:
        raise FrameError(
            f"datagram of {len(datagram)} bytes: a gateway's datagram has at least 12", offset=len(datagram)
        )
    if datagram[0] not in (1, 2):
        raise FrameError(f"protocol version {datagram[0]}: expected 2", offset=0)
    return Header(datagram[0], datagram[1:3], datagram[3], int.from_bytes(datagram[4:12], "big"))


def push_data(datagram: bytes) -> Push:
    """Read the JSON of a PUSH_DATA. Raises FrameError that says what is wrong."""
    body = datagram[12:]
    try:
        push = _strict(body)
    except (msgspec.MsgspecError, RecursionError, ValueError):
        push = _patient(body)
    if push.rxpk is not None and len(push.rxpk) > MAX_RXPK:
        raise FrameError(f"{len(push.rxpk)} rxpk in one datagram: at most {MAX_RXPK}")
    return push


def _patient(body: bytes) -> Push:
    tree = _json_object(body)
    rxpk = tree.get("rxpk")
    stat = tree.get("stat")
    if rxpk is not None and not isinstance(rxpk, list):
        raise FrameError("rxpk is not a list")
    frames = [_patient_rxpk(entry) for entry in rxpk or ()]
    return Push(frames or None, stat if isinstance(stat, dict) else None)


def _json_object(body: bytes) -> dict[str, Any]:
    if body.count(b"[") + body.count(b"{") > 4 * MAX_RXPK:
        raise FrameError("JSON with too many levels or members")
    try:
        tree = json.loads(body.rstrip(b"\0"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise FrameError(f"not JSON: {error}", offset=12) from None
    if not isinstance(tree, dict):
        raise FrameError("JSON is not an object", offset=12)
    return tree


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number of JSON")


def _patient_rxpk(entry: Any) -> Rxpk:
    """One entry; an unreadable one is empty, so that the others of its datagram are not lost with it."""
    try:
        return _readable_rxpk(entry)
    except FrameError:
        return Rxpk(freq=0.0, data=b"", datr="")


def _readable_rxpk(entry: Any) -> Rxpk:
    if not isinstance(entry, dict):
        raise FrameError("an rxpk is not an object")
    data, datr, freq = entry.get("data"), entry.get("datr"), _number(entry.get("freq"))
    if not isinstance(data, str):
        raise FrameError("rxpk without data")
    if isinstance(datr, float) and datr.is_integer():
        datr = int(datr)
    if not isinstance(datr, (str, int)) or isinstance(datr, bool):
        raise FrameError("rxpk without datr")
    if freq is None:
        raise FrameError("rxpk without freq")
    rsig = entry.get("rsig")
    when, codr, meta = entry.get("time"), entry.get("codr"), entry.get("meta")
    return Rxpk(
        freq=freq,
        data=lenient_base64(data),
        datr=datr,
        tmst=_integer(entry.get("tmst")),
        stat=_integer(entry.get("stat")),
        rssi=_number(entry.get("rssi")),
        lsnr=_number(entry.get("lsnr")),
        chan=_integer(entry.get("chan")),
        rfch=_integer(entry.get("rfch")),
        brd=_integer(entry.get("brd")),
        ant=_integer(entry.get("ant")),
        time=when if isinstance(when, str) else None,
        codr=codr if isinstance(codr, str) else None,
        tmms=_integer(entry.get("tmms"), 1e15),
        ftime=_integer(entry.get("ftime")),
        meta=meta if isinstance(meta, dict) else None,
        rsig=[_patient_rsig(one) for one in rsig[:MAX_ANTENNAS] if isinstance(one, dict)]
        if isinstance(rsig, list)
        else None,
    )


def _patient_rsig(entry: dict[str, Any]) -> Rsig:
    return Rsig(
        _integer(entry.get("ant")),
        _integer(entry.get("chan")),
        _number(entry.get("rssic")),
        _number(entry.get("rssis")),
        _number(entry.get("lsnr")),
    )


def _number(value: Any, below: float = 1e12) -> float | None:
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if abs(value) < below else None


def _integer(value: Any, below: float = 1e12) -> int | None:
    number = _number(value, below)
    return None if number is None or number != number else int(number)


def lenient_base64(text: str) -> bytes:
    """Decode base64 that may lack padding, use the url-safe letters or be wrapped. Raises FrameError."""
    compact = "".join(text.split()).rstrip("=").translate(_URL_SAFE)
    try:
        return base64.b64decode(compact + "=" * (-len(compact) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise FrameError(f"data is not base64: {error}") from None


_URL_SAFE = str.maketrans("-_", "+/")


def gateway_time_us(text: str) -> int | None:
    """A gateway's ``time`` (ISO 8601) as microseconds since 1970 UTC; None when it cannot be read."""
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        return None
    if when.tzinfo is None:
        return None
    return int(when.timestamp() * 1_000_000)


class TxAck(NamedTuple):
    """A forwarder's answer to PULL_RESP."""

    error: str
    """Empty when the frame was accepted."""
    warning: str
    value: float | None
    """With a warning: what was used instead (TX_POWER: dBm)."""


def tx_ack(datagram: bytes) -> TxAck:
    """Read a TX_ACK: no body (or one zero byte) means accepted. Raises FrameError."""
    body = datagram[12:].strip(b"\0 \r\n\t")
    if not body:
        return TxAck("", "", None)
    ack = _json_object(body).get("txpk_ack")
    if not isinstance(ack, dict):
        return TxAck("", "", None)
    error, warning = ack.get("error"), ack.get("warn")
    error = error.strip().upper() if isinstance(error, str) else ""
    return TxAck(
        "" if error == "NONE" else error[:40],
        warning[:40] if isinstance(warning, str) else "",
        _number(ack.get("value")),
    )


def ack(datagram: bytes, identifier: int) -> bytes:
    """PUSH_ACK or PULL_ACK for a datagram: the version and token that came, and nothing else."""
    return bytes((datagram[0], datagram[1], datagram[2], identifier))


def pull_resp(token: bytes, tx: TxFrame, power_dbm: int | None = None, version: int = 2) -> bytes:
    """A downlink for a forwarder: at a concentrator time (class A), a GPS time (class B), or at once (class C).

    ``powe`` (``power_dbm``, or the frame's own) is EIRP; the forwarder itself subtracts the antenna gain of its own
    configuration. ``freq`` carries six decimals, for the forwarders truncate ``1e6 * freq``. Version 1 has no tokens.
    """
    timing = tx.timing
    txpk: dict[str, Any] = {"imme": False}
    if isinstance(timing, AfterUplink):
        txpk["tmst"] = timing.tmst
    elif isinstance(timing, AtGpsTime):
        txpk["tmms"] = timing.gps_us // 1000
    else:
        txpk["imme"] = True
    txpk |= {
        "freq": round(tx.frequency_hz / 1e6, 6),
        "rfch": tx.rf_chain,
        "powe": int(tx.eirp_dbm) if power_dbm is None else power_dbm,
        "modu": "LORA",
        "datr": tx.datr,
        "codr": "4/5",
        "ipol": True,
        "ncrc": True,
        "size": len(tx.phy),
        "data": base64.b64encode(tx.phy).decode(),
    }
    if tx.beacon:
        txpk |= {"ipol": False, "nhdr": True, "prea": 10}
    if isinstance(tx.datr, int):
        del txpk["codr"], txpk["ipol"]
        txpk["modu"], txpk["fdev"] = "FSK", 25_000
    if tx.board is not None:
        txpk["brd"] = tx.board
    if tx.antenna is not None:
        txpk["ant"] = tx.antenna
    head = bytes((2, *token)) if version > 1 else b"\1\0\0"
    return head + bytes((PULL_RESP,)) + msgspec.json.encode({"txpk": txpk})
