"""A Basics Station of version 2.0.6, as far as its radio and its messages go, written after its source; the caller is its clock.

Shares nothing with the server's code: frames are taken apart here with ``struct``, downlinks are placed by the station's own
rules (RX1, else RX2, else dropped in silence; EU868 with its duty cycle; unknown region names drop every downlink).
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass, field
from typing import Any

AIM_GAP_US = 60_000
MIN_GAP_US = 10_000
MAX_AHEAD_US = 600_000_000
CLASS_C_BACKOFF_US = 100_000
CLASS_C_TRIES = 10
REGIONS = {"EU868", "EU863", "IL915", "KR920", "AS923-1", "AS923JP", "US915", "US902", "AU915"}
POWER_DBM = {"EU868": 16, "EU863": 16, "US915": 26, "AU915": 30, "KR920": 23, "AS923-1": 13, "IL915": 14}


def eui_text(eui: str) -> str:
    return "-".join(eui[n : n + 2] for n in range(0, 16, 2)).upper()


def fields_of(phy: bytes) -> dict[str, Any]:
    """A frame as a station describes it; empty when it would not forward it."""
    kind = phy[0] & 0xE0
    if phy[0] & 0x1F or (kind != 0xE0 and len(phy) < 12):
        return {}
    if kind == 0xE0:
        return {"msgtype": "propdf", "FRMPayload": phy.hex().upper()}
    signed = struct.unpack("<i", phy[-4:])[0]
    if kind == 0x00:
        if len(phy) != 23:
            return {}
        join_eui, dev_eui, nonce = struct.unpack("<QQH", phy[1:19])
        return {
            "msgtype": "jreq",
            "MHdr": phy[0],
            "JoinEui": eui_text(f"{join_eui:016x}"),
            "DevEui": eui_text(f"{dev_eui:016x}"),
            "DevNonce": nonce,
            "MIC": signed,
        }
    port_at = 8 + (phy[5] & 15)
    if kind not in (0x40, 0x80) or port_at > len(phy) - 4:
        return {}
    return {
        "msgtype": "updf",
        "MHdr": phy[0],
        "DevAddr": struct.unpack("<i", phy[1:5])[0],
        "FCtrl": phy[5],
        "FCnt": struct.unpack("<H", phy[6:8])[0],
        "FOpts": phy[8:port_at].hex().upper(),
        "FPort": phy[port_at] if port_at < len(phy) - 4 else -1,
        "FRMPayload": phy[port_at + 1 : -4].hex().upper(),
        "MIC": signed,
    }


@dataclass
class Aired:
    """A downlink that went on the air."""

    phy: bytes
    start_us: int
    airtime_us: int
    dr: int
    frequency_hz: int
    window: str
    power_dbm: float
    message: dict[str, Any]
    reported: bool = False

    @property
    def end_us(self) -> int:
        return self.start_us + self.airtime_us


@dataclass
class Radio:
    """The transmitter of one station. Times are the station's own microseconds."""

    config: dict[str, Any]
    gps_offset_us: int | None = None
    """GPS time less the station's own; None: no PPS."""
    air: list[Aired] = field(default_factory=list)
    dropped: list[dict[str, Any]] = field(default_factory=list)
    band_free_us: dict[int, int] = field(default_factory=dict)

    @property
    def region(self) -> str:
        name = str(self.config["region"])
        return name if name in REGIONS else ""

    @property
    def power_dbm(self) -> float:
        return min(POWER_DBM.get(self.region, 14), float(self.config["max_eirp"]))

    def airtime_us(self, dr: int, length: int) -> int:
        sf, bw_khz, _ = self.config["DRs"][dr]
        if sf == 0:
            return (length + 11) * 8 * 20
        symbol_us = (1 << sf) * 1000 // bw_khz
        low = 2 if symbol_us > 16_000 else 0
        symbols = 8 + max(-(-(8 * length - 4 * sf + 28) // (4 * (sf - low))) * 5, 0)
        return (symbols * 4 + 8 * 4 + 17) * symbol_us // 4

    def take(self, message: dict[str, Any], now_us: int, session: int) -> Aired | None:
        """Place a ``dnmsg``; None when it is dropped, as ever without a word to the server."""
        placed = self._place(message, now_us, session) if self.region else None
        if placed is None:
            self.dropped.append(message)
        else:
            self.air.append(placed)
            if self.region in ("EU868", "EU863"):
                band = _eu_band(placed.frequency_hz)
                self.band_free_us[band] = placed.start_us + placed.airtime_us * band
        return placed

    def _place(self, message: dict[str, Any], now_us: int, session: int) -> Aired | None:
        assert {"DevEui", "dC", "diid", "pdu"} <= message.keys(), message
        phy = bytes.fromhex(message["pdu"])
        rx1 = (message["RX1DR"], message["RX1Freq"]) if "RX1DR" in message else None
        rx2 = (message["RX2DR"], message["RX2Freq"]) if "RX2DR" in message else None
        xtime = message.get("xtime", 0)
        tries: list[tuple[str, int, tuple[int, int]]] = []
        if message["dC"] == 1:
            if self.gps_offset_us is None:
                return None
            tries = [("ping slot", message["gpstime"] - self.gps_offset_us, (message["DR"], message["Freq"]))]
        else:
            if xtime and xtime >> 48 != session:
                return None  # an xtime of another session converts to no time
            start_us = (xtime & (1 << 48) - 1) + max(1, message["RxDelay"]) * 1_000_000
            if rx1 is not None:
                assert xtime
                tries.append(("RX1", start_us, rx1))
            if rx2 is not None and message["dC"] == 0:
                assert xtime
                tries.append(("RX2", start_us + 1_000_000, rx2))
            elif rx2 is not None:
                tries += [
                    ("class C", now_us + AIM_GAP_US + n * CLASS_C_BACKOFF_US, rx2) for n in range(CLASS_C_TRIES + 1)
                ]
        for window, start_us, (dr, frequency_hz) in tries:
            low, high = self.config["freq_range"]
            if not low <= frequency_hz <= high or self.config["DRs"][dr][0] < 0:
                return None
            airtime_us = self.airtime_us(dr, len(phy))
            if start_us < now_us + AIM_GAP_US or start_us > now_us + MAX_AHEAD_US:
                continue
            if any(
                one.start_us - MIN_GAP_US < start_us + airtime_us and start_us < one.end_us + MIN_GAP_US
                for one in self.air
            ):
                continue
            if self.region in ("EU868", "EU863") and start_us < self.band_free_us.get(_eu_band(frequency_hz), 0):
                continue
            return Aired(phy, start_us, airtime_us, dr, frequency_hz, window, self.power_dbm, message)
        return None


def _eu_band(frequency_hz: int) -> int:
    """How many times its airtime a frame blocks its band."""
    if 869_400_000 <= frequency_hz <= 869_650_000:
        return 10
    if 868_000_000 <= frequency_hz <= 868_600_000 or 869_700_000 <= frequency_hz <= 870_000_000:
        return 100
    return 1000


class StationState:
    """What a station keeps between its messages: its configuration, its radio, its times."""

    def __init__(self, eui: str, session: int = 0x17, features: str = "rmtsh gps", has_gps: bool = False) -> None:
        self.eui = eui
        self.session = session
        self.features = features
        self.has_gps = has_gps
        self.radio: Radio | None = None
        self.mux: tuple[float, int] | None = None
        """(MuxTime, when it came)."""
        self.time_answers: list[dict[str, Any]] = []
        self.other: list[dict[str, Any]] = []

    def version(self) -> str:
        return json.dumps(
            {
                "msgtype": "version",
                "station": "2.0.6(linux/std)",
                "firmware": "1.2.3",
                "package": "1.2.3",
                "model": "linux",
                "protocol": 2,
                "features": self.features,
            }
        )

    def uplink(self, phy: bytes, heard_us: int, now_us: int, **fields: Any) -> str:
        """The message for a frame whose reception ended at ``heard_us`` of the station's clock."""
        gps_us = heard_us + self.radio.gps_offset_us if self.radio is not None and self.radio.gps_offset_us else 0
        upinfo = {
            "rctx": 0,
            "xtime": self.session << 48 | heard_us,
            "gpstime": gps_us if self.has_gps else 0,
            "fts": -1,
            "rssi": -77,
            "snr": 8.25,
            "rxtime": 1_700_000_000.25,
        }
        upinfo |= fields.pop("upinfo", {})
        ref_time = self.mux[0] + (now_us - self.mux[1]) / 1e6 if self.mux is not None else 0.0
        message = {"RefTime": ref_time, "DR": 5, "Freq": 868_900_000, "upinfo": upinfo}
        return json.dumps(fields_of(phy) | message | fields)

    def take(self, message: dict[str, Any], now_us: int) -> Aired | None:
        """A message of the server. Returns the downlink that will go out, if it is one."""
        if "MuxTime" in message:
            self.mux = (message["MuxTime"], now_us)
        kind = message["msgtype"]
        if kind == "router_config":
            assert message["hwspec"] == "sx1301/1" and message["sx1301_conf"]
            air = self.radio.air if self.radio is not None else []
            self.radio = Radio(message, air=air)
        elif kind == "dnmsg":
            assert self.radio is not None
            return self.radio.take(message, now_us, self.session)
        elif kind == "timesync":
            self.time_answers.append(message)
        else:
            self.other.append(message)
        return None

    def dntxed(self, aired: Aired) -> str:
        aired.reported = True
        return json.dumps(
            {
                "msgtype": "dntxed",
                "seqno": aired.message["diid"],
                "diid": aired.message["diid"],
                "DR": aired.dr,
                "Freq": aired.frequency_hz,
                "DevEui": aired.message["DevEui"],
                "rctx": 0,
                "xtime": self.session << 48 | aired.start_us,
                "txtime": aired.start_us / 1e6,
                "gpstime": 0,
            }
        )
