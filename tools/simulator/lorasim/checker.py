"""Judges a network server by a recording alone: what was acknowledged, and what went over the air twice.

It knows the wire by its own few lines and the crypto of :mod:`lorasim.crypto`, and trusts nothing that a server keeps:
sessions are derived again from the root keys, the join-requests and the join-accepts that the recording holds.
"""

from __future__ import annotations

import json
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lorasim import crypto
from lorasim.crypto import JOIN_REQUEST_TYPE, SessionKeys

Line = dict[str, Any]

ANSWER_US = 60_000_000
"""No accept comes later than this after its request."""
OPTIONS_US = 6_000_000
"""All options of one accept lie within JOIN_ACCEPT_DELAY2."""


@dataclass(slots=True, frozen=True)
class Violation:
    """Something that must never happen."""

    rule: str
    t: int
    dev_eui: str
    text: str


@dataclass(slots=True, frozen=True)
class Acknowledged:
    """A data frame of which a gateway holds a PUSH_ACK: the server has promised to keep it."""

    dev_eui: str
    dev_addr: str
    f_cnt: int
    f_port: int | None
    data: bytes
    """The payload in the clear."""
    phy: bytes
    pushed_us: int
    """When the first acknowledged copy left its gateway."""
    tag: Any = None
    """What the meter meant: serial, resource, measured_us, units (0.0001 m³)."""


@dataclass(slots=True, frozen=True)
class _Request:
    """A join or rejoin request as a device sent it."""

    t: int
    dev_eui: str
    kind: int
    """JoinReqType: 0xFF a join, 0 to 2 a rejoin."""
    nonce: int


@dataclass(slots=True)
class _Session:
    dev_eui: str
    dev_addr: int
    keys: SessionKeys
    downlinks: dict[str, dict[int, bytes]] = field(default_factory=lambda: {"n": {}, "a": {}})
    """By counter: FCntDown → first bytes seen."""
    highest: dict[str, int] = field(default_factory=lambda: {"n": -1, "a": -1})


def read(path: str | Path) -> list[Line]:
    """The lines of a recording, in the order of their times. A line cut off at the end is left out."""
    with Path(path).open(encoding="utf-8") as file:
        lines = [json.loads(text) for text in file if text.endswith("\n")]
    return sorted(lines, key=lambda line: line["t"])


def acknowledged(lines: Iterable[Line]) -> list[Acknowledged]:
    """Every data frame that was acknowledged by at least one PUSH_ACK, once, in the order of the first copy."""
    by_phy = {line["phy"]: line for line in lines if line["type"] == "uplink"}
    found: dict[tuple[str, str, int], Acknowledged] = {}
    for phy, pushed_us in acknowledged_phys(lines):
        line = by_phy.get(phy)
        if line is None:
            continue
        key = (line["dev_eui"], line["dev_addr"], line["f_cnt"])
        if key not in found or pushed_us < found[key].pushed_us:
            found[key] = Acknowledged(
                *key, line["f_port"], bytes.fromhex(line["data"]), bytes.fromhex(phy), pushed_us, line["tag"]
            )
    return sorted(found.values(), key=lambda frame: frame.pushed_us)


def acknowledged_phys(lines: Iterable[Line]) -> Iterator[tuple[str, int]]:
    """(PHYPayload in hex, time of its PUSH_DATA) for each PUSH_ACK."""
    waiting: dict[tuple[str, int], Line] = {}
    for line in lines:
        if line["type"] == "push_data":
            waiting[line["gateway"], line["token"]] = line
        elif line["type"] == "push_ack":
            pushed = waiting.get((line["gateway"], line["token"]))
            for phy in pushed["phys"] if pushed else ():
                yield phy, pushed["t"]  # type: ignore[index]


def unacknowledged(lines: Iterable[Line]) -> list[str]:
    """PHYPayloads of data frames that were forwarded without a PUSH_ACK: a server may or may not have them."""
    lines = list(lines)
    promised = {phy for phy, _ in acknowledged_phys(lines)}
    data = {line["phy"] for line in lines if line["type"] == "uplink"}
    pushed = {phy for line in lines if line["type"] == "push_data" for phy in line["phys"]}
    return sorted((pushed & data) - promised)


def check(lines: Iterable[Line]) -> list[Violation]:
    """All rules; an empty list is a server without fault."""
    lines = list(lines)
    return sorted(
        [*check_air(lines), *check_transmitters(lines), *check_devices(lines)], key=lambda violation: violation.t
    )


def check_air(lines: Iterable[Line]) -> list[Violation]:
    """FCntDown: never two frames under one counter, always rising; JoinNonce: rising, one accept for one request.

    What counts is what a gateway radiated.
    """
    return _AirCheck().run(lines)


class _AirCheck:
    def __init__(self) -> None:
        self.violations: list[Violation] = []
        self._devices: dict[str, Line] = {}
        self._asked: deque[_Request] = deque()
        """Newest first."""
        self._accepts: dict[_Request, bytes] = {}
        self._told_us: dict[bytes, int] = {}
        """When the bytes of an accept came first."""
        self._confirmed_up: dict[str, set[int]] = defaultdict(set)
        self._join_nonce: dict[str, int] = {}
        self._sessions: dict[int, list[_Session]] = defaultdict(list)

    def run(self, lines: Iterable[Line]) -> list[Violation]:
        for line in lines:
            kind = line["type"]
            if kind == "device":
                self._devices[line["dev_eui"]] = line
                if line.get("dev_addr"):
                    self._add(line["dev_eui"], int(line["dev_addr"], 16), _given_keys(line))
            elif kind == "join_request":
                self._asked.appendleft(_Request(line["t"], line["dev_eui"], JOIN_REQUEST_TYPE, line["dev_nonce"]))
            elif kind == "rejoin_request":
                self._asked.appendleft(_Request(line["t"], line["dev_eui"], line["rejoin_type"], line["rj_count"]))
            elif kind == "uplink" and line["confirmed"]:
                self._confirmed_up[line["dev_eui"]].add(line["f_cnt"] & 0xFFFF)
            elif kind == "on_air":
                phy = bytes.fromhex(line["phy"])
                m_type = phy[0] >> 5
                if m_type == 1:
                    self._accept(phy, line["t"])
                elif m_type in (3, 5):
                    self._data(phy, line["t"])
        return self.violations

    def _add(self, dev_eui: str, dev_addr: int, keys: SessionKeys) -> None:
        self._sessions[dev_addr].append(_Session(dev_eui, dev_addr, keys))

    def _fault(self, rule: str, t: int, dev_eui: str, text: str) -> None:
        self.violations.append(Violation(rule, t, dev_eui, text))

    # ------------------------------------------------------------------------------------------------- joins

    def _accept(self, phy: bytes, t: int) -> None:
        """Find the device and the request that a join-accept answers."""
        for request in self._asked:
            if t - request.t > ANSWER_US:
                break
            opened = self._open(request, phy)
            if opened is not None:
                self._accepted(request, opened, phy, t)
                return
        self._fault("join-accept", t, "", f"nobody asked for the join-accept {phy.hex()}")

    def _open(self, request: _Request, phy: bytes) -> bytes | None:
        """MHDR and fields in the clear when the accept is for this request."""
        device = self._devices[request.dev_eui]
        root, eui, rejoined = self._root(device), int(request.dev_eui, 16), request.kind != JOIN_REQUEST_TYPE
        plain = crypto.open_join_accept(crypto.js_enc_key(root, eui) if rejoined else root, phy)
        message, mic = plain[:-4], plain[-4:]
        if _opt_neg(device, message):
            js_int_key, join_eui = crypto.js_int_key(root, eui), int(device["join_eui"], 16)
            expected = crypto.join_accept_mic_1_1(js_int_key, request.kind, join_eui, request.nonce, message)
        else:
            expected = crypto.join_accept_mic_1_0(root, message)
        return message if mic == expected else None

    @staticmethod
    def _root(device: Line) -> bytes:
        return bytes.fromhex(device["nwk_key"] or device["app_key"])

    def _accepted(self, request: _Request, message: bytes, phy: bytes, t: int) -> None:
        # The same bytes at another option. A 1.0 device may have asked anew meanwhile, and they do not say what they answer.
        if self._accepts.get(request) == phy or t - self._told_us.get(phy, -OPTIONS_US) < OPTIONS_US:
            return
        self._told_us.setdefault(phy, t)
        dev_eui, device = request.dev_eui, self._devices[request.dev_eui]
        if request in self._accepts:
            self._fault("join-accept", t, dev_eui, f"two different accepts for one request, nonce {request.nonce}")
        join_nonce = int.from_bytes(message[1:4], "little")
        last = self._join_nonce.get(dev_eui, -1)
        if join_nonce <= last:
            self._fault("JoinNonce", t, dev_eui, f"JoinNonce {join_nonce} after {last}")
        self._join_nonce[dev_eui] = max(last, join_nonce)
        self._accepts[request] = phy
        root, dev_addr = self._root(device), int.from_bytes(message[7:11], "little")
        if _opt_neg(device, message):
            app_key, join_eui = bytes.fromhex(device["app_key"]), int(device["join_eui"], 16)
            self._add(dev_eui, dev_addr, crypto.session_keys_1_1(root, app_key, join_nonce, join_eui, request.nonce))
            return
        # Whichever of them it answers: only the keys of that one will sign downlinks.
        net_id = int.from_bytes(message[4:7], "little")
        for nonce in {one.nonce for one in self._asked if one.dev_eui == dev_eui and t - one.t <= ANSWER_US}:
            self._add(dev_eui, dev_addr, crypto.session_keys_1_0(root, join_nonce, net_id, nonce))

    # ------------------------------------------------------------------------------------------------- data

    def _data(self, phy: bytes, t: int) -> None:
        dev_addr = int.from_bytes(phy[1:5], "little")
        for session in reversed(self._sessions.get(dev_addr, [])):
            counter = "a" if session.keys.lorawan_1_1 and _f_port(phy) else "n"
            f_cnt = self._f_cnt(session, counter, phy)
            if f_cnt is not None:
                self._counted(session, counter, f_cnt, phy, t)
                return
        self._fault("MIC", t, "", f"a downlink to {dev_addr:08x} that no session signs: {phy.hex()}")

    def _f_cnt(self, session: _Session, counter: str, phy: bytes) -> int | None:
        """The 32-bit counter under which the MIC fits, tried around the highest one seen."""
        low = int.from_bytes(phy[6:8], "little")
        base = max(0, session.highest[counter]) & ~0xFFFF
        # a 1.1 MIC with ACK also covers the counter of the confirmed uplink that it acknowledges
        covers = self._confirmed_up[session.dev_eui] if session.keys.lorawan_1_1 and phy[5] & 0x20 else {0}
        for f_cnt in (base + low, base + 0x10000 + low, base - 0x10000 + low):
            if f_cnt >= 0 and any(
                crypto.downlink_mic(session.keys, session.dev_addr, f_cnt, phy[:-4], conf) == phy[-4:]
                for conf in covers
            ):
                return f_cnt
        return None

    def _counted(self, session: _Session, counter: str, f_cnt: int, phy: bytes, t: int) -> None:
        first = session.downlinks[counter].setdefault(f_cnt, phy)
        name = {"n": "FCntDown", "a": "AFCntDown"}[counter] if session.keys.lorawan_1_1 else "FCntDown"
        if first != phy:
            text = f"{name} {f_cnt} of {session.dev_addr:08x} twice: {first.hex()} and {phy.hex()}"
            self._fault("FCntDown reused", t, session.dev_eui, text)
        elif f_cnt < session.highest[counter]:
            text = f"{name} {f_cnt} of {session.dev_addr:08x} after {session.highest[counter]}"
            self._fault("FCntDown falls", t, session.dev_eui, text)
        session.highest[counter] = max(session.highest[counter], f_cnt)


def _opt_neg(device: Line, message: bytes) -> bool:
    """Whether a join-accept starts a 1.1 session."""
    return bool(device["mac_version"].startswith("1.1") and message[11] & 0x80)


def _f_port(phy: bytes) -> int:
    """FPort of a data frame; 0 also when there is none."""
    at = 8 + (phy[5] & 0x0F)
    return phy[at] if at < len(phy) - 4 else 0


def check_transmitters(lines: Iterable[Line]) -> list[Violation]:
    """A unicast frame is radiated by one gateway at a time, and not again after its success was reported."""
    violations = []
    last: dict[str, Line] = {}
    for line in lines:
        if line["type"] != "on_air":
            continue
        before = last.get(line["phy"])
        if before is not None:
            later_s = (line["t"] - before["t"]) / 1e6
            text = f"radiated by {before['gateway']} and again by {line['gateway']} {later_s:.3f} s later"
            violations.append(Violation("radiated twice", line["t"], "", f"{line['phy']} {text}"))
        last[line["phy"]] = line
    return violations


def check_devices(lines: Iterable[Line]) -> list[Violation]:
    """What devices refused or gateways could not read: the server's fault unless somebody tampered."""
    violations = []
    for line in lines:
        if line["type"] == "downlink_refused":
            violations.append(Violation("refused by the device", line["t"], line["dev_eui"], line["why"]))
        elif line["type"] == "bad_datagram":
            violations.append(Violation("datagram", line["t"], "", line["why"]))
        elif line["type"] == "pull_resp" and "fault" in line:
            violations.append(Violation("PULL_RESP", line["t"], "", f"{line['fault']}: {line['txpk']}"))
    return violations


def _given_keys(line: Line) -> SessionKeys:
    """The keys of a session that a device was given (ABP)."""
    nwk_s_key, app_s_key = bytes.fromhex(line["nwk_s_key"]), bytes.fromhex(line["app_s_key"])
    if "s_nwk_s_int_key" not in line:
        return SessionKeys.of_1_0(nwk_s_key, app_s_key)
    others = bytes.fromhex(line["s_nwk_s_int_key"]), bytes.fromhex(line["nwk_s_enc_key"])
    return SessionKeys(nwk_s_key, *others, app_s_key, lorawan_1_1=True)
