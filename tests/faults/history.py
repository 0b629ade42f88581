"""What went over the air and the wire, in memory: the one source of every verdict.

The lines are those of ``lorasim.recording`` and a few of the harness's own: ``wire_up`` and ``wire_down`` (a datagram's
frame as it passes the server's socket), ``event`` (what the application was handed), ``fault`` (what was done to the server).
"""

from __future__ import annotations

import base64
import json
from typing import Any

from lorasim.recording import Recorder

Line = dict[str, Any]


class History(Recorder):
    """A recording that stays in memory."""

    def __init__(self) -> None:
        super().__init__(None)
        self.lines: list[Line] = []

    def write(self, t: int, kind: str, fields: dict[str, Any]) -> None:
        self.lines.append({"t": t, "type": kind, **fields})

    def of(self, *kinds: str) -> list[Line]:
        return [line for line in self.lines if line["type"] in kinds]

    def sent(self, t: int, datagram: bytes, gateway: str) -> None:
        """A datagram leaves the server: a promise or a frame, whether or not it arrives."""
        if datagram[3] == 1:
            self.write(t, "wire_ack", {"gateway": gateway, "token": datagram[1:3].hex()})
        elif datagram[3] == 3:
            txpk = json.loads(datagram[4:])["txpk"]
            phy = base64.b64decode(txpk["data"]).hex()
            self.write(t, "wire_down", {"gateway": gateway, "phy": phy, "tmst": txpk.get("tmst")})

    def arrived(self, t: int, datagram: bytes, gateway: str) -> None:
        """A datagram reaches the server: its frames are noted."""
        if datagram[3] == 0:
            body = json.loads(datagram[12:])
            for rxpk in body.get("rxpk", ()):
                phy = base64.b64decode(rxpk["data"]).hex()
                fields = {"gateway": gateway, "token": datagram[1:3].hex(), "phy": phy, "tmst": rxpk.get("tmst")}
                self.write(t, "wire_up", fields)


def short(lines: list[Line], dev_eui: str, dev_addr: str, around_us: int, begin_us: int, most: int = 40) -> list[str]:
    """The story of one device near a moment, as text: what a person needs to see of a violation."""
    told = []
    little_endian = bytes.fromhex(dev_addr)[::-1].hex() if dev_addr else "-"
    for line in lines:
        if line["type"] in ("run", "gateway", "pull_data", "pull_ack", "push_ack", "transmit"):
            continue
        phy = line.get("phy", "")
        about = (
            line["type"] == "fault"
            or (dev_eui and line.get("dev_eui") == dev_eui)
            or phy[2:10] == little_endian
            or (line["type"] == "push_data" and any(one[2:10] == little_endian for one in line["phys"]))
        )
        if about and abs(line["t"] - around_us) < 120_000_000:
            rest = {
                key: value for key, value in line.items() if key not in ("t", "type", "dev_eui", "app_key", "nwk_key")
            }
            told.append((line["t"], f"{(line['t'] - begin_us) / 1e6:10.3f} {line['type']:16} {rest}"))
    told.sort(key=lambda one: abs(one[0] - around_us))
    return [text for _, text in sorted(told[:most])]
