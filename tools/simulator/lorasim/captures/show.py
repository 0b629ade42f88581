"""A capture in words: each datagram, and each frame in it as LoRaWAN."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from lorasim.captures.keys import KeyRing
from lorasim.captures.semtech import NAMES, Message, phy_of
from lorasim.gwmp import PULL_RESP, PUSH_DATA, TX_ACK
from lorawan import commands, frames
from lorawan.errors import FrameError


def show(messages: Iterable[Message], ring: KeyRing) -> Iterator[str]:
    """Lines of text, in the order of the capture."""
    for message in messages:
        at = datetime.fromtimestamp(message.captured.t / 1e6, UTC)
        way = "→" if message.upward else "←"
        gateway = f"{message.gateway:016x}" if message.gateway is not None else "unknown gateway"
        fault = f"  ({message.fault})" if message.fault else ""
        yield f"{at:%Y-%m-%d %H:%M:%S.%f} {gateway} {way} {NAMES[message.kind]} {message.token:04x}{_body(message)}{fault}"
        if message.kind in (PUSH_DATA, PULL_RESP):
            for packet in message.packets:
                yield from _packet(packet, message.kind == PUSH_DATA, ring)


def _body(message: Message) -> str:
    if message.kind == TX_ACK:
        ack = message.body.get("txpk_ack")
        error = ack.get("error", "NONE") if isinstance(ack, dict) else "NONE"
        return f" {error}"
    stat = message.body.get("stat")
    if not isinstance(stat, dict):
        return ""
    return " stat " + " ".join(
        f"{name}={stat[name]}" for name in ("rxnb", "rxok", "ackr", "dwnb", "txnb") if name in stat
    )


def _packet(packet: dict[str, Any], uplink: bool, ring: KeyRing) -> Iterator[str]:
    when = "immediately" if packet.get("imme") else f"tmst {packet['tmst']}" if "tmst" in packet else ""
    if not uplink and "tmms" in packet and not when:
        when = f"GPS {packet['tmms']} ms"
    radio = [f"{packet.get('freq', '?')} MHz", str(packet.get("datr", "?"))]
    radio += [f"{packet['rssi']} dBm", f"SNR {packet['lsnr']}"] if "rssi" in packet and "lsnr" in packet else []
    radio += [f"{packet['powe']} dBm"] if "powe" in packet else []
    radio += ["bad CRC"] if packet.get("stat") == -1 else []
    yield "    " + ", ".join([*radio, when] if when else radio)
    phy = phy_of(packet)
    if phy is None:
        yield "      no data that can be read"
        return
    for line in _frame(phy, ring):
        yield "      " + line


def _frame(phy: bytes, ring: KeyRing) -> Iterator[str]:
    try:
        frame = frames.parse(phy)
    except FrameError as error:
        yield f"not LoRaWAN: {error}: {phy.hex()}"
        return
    if isinstance(frame, frames.DataFrame):
        yield from _data(phy, frame, ring)
    elif isinstance(frame, frames.JoinRequest):
        mic = {True: "", False: ", wrong MIC", None: ""}[ring.asked(frame)]
        yield f"join-request of {frame.dev_eui}, JoinEUI {frame.join_eui}, DevNonce {frame.dev_nonce}{mic}"
    elif isinstance(frame, frames.EncryptedJoinAccept):
        found = ring.accepted(phy)
        if found is None:
            yield f"join-accept, encrypted, {len(phy)} bytes"
        else:
            request, accept = found
            yield (
                f"join-accept for {request.dev_eui}: DevAddr {accept.dev_addr}, JoinNonce {accept.join_nonce}, "
                f"NetID {accept.net_id}, RX1 after {accept.rx_delay or 1} s, RX1DROffset {accept.rx1_dr_offset}, "
                f"RX2 DR{accept.rx2_dr}"
            )
    elif isinstance(frame, frames.RejoinRequest0_2 | frames.RejoinRequest1):
        kind = 1 if isinstance(frame, frames.RejoinRequest1) else frame.rejoin_type
        yield f"rejoin-request of type {kind} of {frame.dev_eui}"
    else:
        yield f"proprietary, {len(phy) - 1} bytes: {phy[1:].hex()}"


def _data(phy: bytes, frame: frames.DataFrame, ring: KeyRing) -> Iterator[str]:
    kind = f"{'confirmed' if frame.confirmed else 'unconfirmed'} {'uplink' if frame.uplink else 'downlink'}"
    names = {
        "ADR": frame.adr,
        "ADRACKReq": frame.uplink and frame.adr_ack_req,
        "ACK": frame.ack,
        "class B": frame.uplink and frame.class_b,
        "more follows": not frame.uplink and frame.f_pending,
    }
    flags = "".join(f", {name}" for name, there in names.items() if there)
    opened = ring.open(phy, frame)
    known = int(frame.dev_addr) in ring.sessions
    f_cnt = opened.f_cnt if opened is not None else frame.f_cnt
    port = f", port {frame.f_port}" if frame.f_port is not None else ""
    mic = ", wrong MIC" if known and opened is None else ""
    yield f"{kind} of {frame.dev_addr}, FCnt {f_cnt}{port}{flags}{mic}"
    f_opts = opened.f_opts if opened is not None else frame.f_opts
    lorawan_1_1 = opened is not None and opened.lorawan_1_1
    for command in commands.parse_commands(f_opts, uplink=frame.uplink, lorawan_1_1=lorawan_1_1):
        yield f"  {commands.describe(command)}"
    if opened is None:
        if frame.frm_payload:
            yield f"  {len(frame.frm_payload)} bytes, encrypted: {frame.frm_payload.hex()}"
    elif frame.f_port == 0:
        for command in commands.parse_commands(opened.payload, uplink=frame.uplink, lorawan_1_1=lorawan_1_1):
            yield f"  {commands.describe(command)}"
    elif opened.payload:
        yield f"  {len(opened.payload)} bytes: {opened.payload.hex()}"
