"""Keys that somebody who looks at a capture has, and what they open."""

from __future__ import annotations

from dataclasses import dataclass, field

from lorasim import crypto
from lorasim.captures import CaptureError
from lorasim.crypto import SessionKeys
from lorawan.errors import FrameError
from lorawan.frames import DataFrame, JoinAccept, JoinRequest

ROLL_OVERS = 256
"""The upper half of a counter is looked for up to this."""


@dataclass(slots=True)
class _Session:
    keys: SessionKeys
    high: dict[bool, int] = field(default_factory=lambda: {True: 0, False: 0})
    """Upper 16 bits of the last counter, up and down."""


@dataclass(slots=True, frozen=True)
class Opened:
    """A data frame in the clear."""

    f_cnt: int
    f_opts: bytes
    payload: bytes


@dataclass(slots=True)
class KeyRing:
    """Session keys by DevAddr, root keys by DevEUI; sessions are derived from joins that the capture holds."""

    sessions: dict[int, list[_Session]] = field(default_factory=dict)
    roots: dict[int, bytes] = field(default_factory=dict)
    _asked: list[JoinRequest] = field(default_factory=list)

    @classmethod
    def of(cls, lines: list[str]) -> KeyRing:
        """``DevAddr:NwkSKey:AppSKey`` or ``DevEUI:AppKey`` in hex; empty lines and ``# …`` are left out.

        Raises :class:`CaptureError`, without the key.
        """
        ring = cls()
        for number, line in enumerate(lines, 1):
            text = line.partition("#")[0].strip()
            if not text:
                continue
            try:
                parts = [bytes.fromhex(part) for part in text.split(":")]
            except ValueError:
                parts = []
            match [len(part) for part in parts]:
                case [4, 16, 16]:
                    ring.add(int.from_bytes(parts[0], "big"), SessionKeys.of_1_0(parts[1], parts[2]))
                case [8, 16]:
                    ring.roots[int.from_bytes(parts[0], "big")] = parts[1]
                case _:
                    raise CaptureError(f"key {number}: write DevAddr:NwkSKey:AppSKey or DevEUI:AppKey in hex digits")
        return ring

    def add(self, dev_addr: int, keys: SessionKeys) -> None:
        self.sessions.setdefault(dev_addr, []).append(_Session(keys))

    def asked(self, request: JoinRequest) -> bool | None:
        """Remember a join-request; whether its MIC fits, None without its key."""
        root = self.roots.get(int(request.dev_eui))
        if root is None:
            return None
        fits = crypto.join_request_mic(root, request.encode_without_mic()) == request.mic
        if fits:
            self._asked.append(request)
        return fits

    def accepted(self, phy: bytes) -> tuple[JoinRequest, JoinAccept] | None:
        """Open a join-accept of LoRaWAN 1.0.x and keep the session that follows from it."""
        for request in reversed(self._asked):
            root = self.roots[int(request.dev_eui)]
            plain = crypto.open_join_accept(root, phy)
            if crypto.join_accept_mic_1_0(root, plain[:-4]) != plain[-4:]:
                continue
            try:
                accept = JoinAccept.parse(plain[1:-4])
            except FrameError:
                return None
            keys = crypto.session_keys_1_0(root, accept.join_nonce, accept.net_id, request.dev_nonce)
            self.add(int(accept.dev_addr), keys)
            return request, accept
        return None

    def open(self, phy: bytes, frame: DataFrame) -> Opened | None:
        """Decrypt a data frame of 1.0.x with the session whose MIC fits; None when there is none."""
        address = int(frame.dev_addr)
        for session in reversed(self.sessions.get(address, [])):
            last = session.high[frame.uplink]
            for high in (*range(last, ROLL_OVERS), *range(last)):
                f_cnt = (high << 16) | frame.f_cnt
                mic = crypto.uplink_mic if frame.uplink else crypto.downlink_mic
                if mic(session.keys, address, f_cnt, phy[:-4]) != phy[-4:]:
                    continue
                session.high[frame.uplink] = high
                key = session.keys.nwk_s_enc_key if frame.f_port == 0 else session.keys.app_s_key
                payload = crypto.crypt_payload(key, frame.uplink, address, f_cnt, frame.frm_payload)
                return Opened(f_cnt, frame.f_opts, payload)
        return None
