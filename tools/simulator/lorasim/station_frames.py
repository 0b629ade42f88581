"""Frames as a Basics Station writes them: taken apart into JSON fields (lorabasics/basicstation 2.0.6, ``src/lora.c``)."""

from __future__ import annotations

import struct
from typing import Any


def eui_text(eui: int) -> str:
    """``01-23-45-67-89-AB-CD-EF``."""
    text = f"{eui:016X}"
    return "-".join(text[n : n + 2] for n in range(0, 16, 2))


def fields_of(phy: bytes) -> dict[str, Any] | None:
    """The fields of an uplink; None when a station would not forward it: other majors, wrong lengths, downlinks."""
    kind = phy[0] & 0xE0 if phy else 0x20
    if kind == 0xE0:
        return {"msgtype": "propdf", "FRMPayload": phy.hex().upper()}
    if len(phy) < 12 or phy[0] & 0x1F:
        return None
    if kind == 0x00:
        return _join_request(phy) if len(phy) == 23 else None
    return _data(phy) if kind in (0x40, 0x80) else None


def _mic(phy: bytes) -> int:
    return int(struct.unpack("<i", phy[-4:])[0])


def _join_request(phy: bytes) -> dict[str, Any]:
    join_eui, dev_eui, dev_nonce = struct.unpack("<QQH", phy[1:19])
    return {
        "msgtype": "jreq",
        "MHdr": phy[0],
        "JoinEui": eui_text(join_eui),
        "DevEui": eui_text(dev_eui),
        "DevNonce": dev_nonce,
        "MIC": _mic(phy),
    }


def _data(phy: bytes) -> dict[str, Any] | None:
    port_at = 8 + (phy[5] & 0x0F)
    if port_at > len(phy) - 4:
        return None
    has_port = port_at < len(phy) - 4
    return {
        "msgtype": "updf",
        "MHdr": phy[0],
        "DevAddr": struct.unpack("<i", phy[1:5])[0],
        "FCtrl": phy[5],
        "FCnt": int.from_bytes(phy[6:8], "little"),
        "FOpts": phy[8:port_at].hex().upper(),
        "FPort": phy[port_at] if has_port else -1,
        "FRMPayload": phy[port_at + 1 : -4].hex().upper() if has_port else "",
        "MIC": _mic(phy),
    }
