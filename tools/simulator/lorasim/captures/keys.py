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


@dataclass(slots=True, frozen=True)
class _Root:
    """Root keys of a device; before 1.1 there is the AppKey alone."""

    app_key: bytes
    nwk_key: bytes | None = None

    @property
    def joins_with(self) -> bytes:
        return self.nwk_key or self.app_key


@dataclass(slots=True)
class _Session:
    keys: SessionKeys
    high: dict[str, int] = field(default_factory=dict)
    """Upper 16 bits of the last counter: FCntUp, NFCntDown, AFCntDown."""
    confirmed_up: int = 0
    """FCntUp of the last confirmed uplink, which a 1.1 MIC with ACK covers."""


@dataclass(slots=True, frozen=True)
class Opened:
    """A data frame in the clear."""

    lorawan_1_1: bool
    f_cnt: int
    f_opts: bytes
    payload: bytes


@dataclass(slots=True)
class KeyRing:
    """Session keys by DevAddr, root keys by DevEUI; sessions are derived from joins that the capture holds."""

    sessions: dict[int, list[_Session]] = field(default_factory=dict)
    roots: dict[int, _Root] = field(default_factory=dict)
    _asked: list[JoinRequest] = field(default_factory=list)

    @classmethod
    def of(cls, lines: list[str]) -> KeyRing:
        """Keys in hex, one a line; empty lines and ``# …`` are left out.

        ``DevAddr:NwkSKey:AppSKey`` or ``DevEUI:AppKey``; for LoRaWAN 1.1
        ``DevAddr:FNwkSIntKey:SNwkSIntKey:NwkSEncKey:AppSKey`` or ``DevEUI:AppKey:NwkKey``.
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
                case [4, 16, 16, 16, 16]:
                    ring.add(int.from_bytes(parts[0], "big"), SessionKeys(*parts[1:], lorawan_1_1=True))
                case [8, 16] | [8, 16, 16]:
                    ring.roots[int.from_bytes(parts[0], "big")] = _Root(*parts[1:])
                case _:
                    raise CaptureError(
                        f"key {number}: write DevAddr:NwkSKey:AppSKey or DevEUI:AppKey in hex digits; for 1.1 "
                        "DevAddr:FNwkSIntKey:SNwkSIntKey:NwkSEncKey:AppSKey or DevEUI:AppKey:NwkKey"
                    )
        return ring

    def add(self, dev_addr: int, keys: SessionKeys) -> None:
        self.sessions.setdefault(dev_addr, []).append(_Session(keys))

    def asked(self, request: JoinRequest) -> bool | None:
        """Remember a join-request; whether its MIC fits, None without its key."""
        root = self.roots.get(int(request.dev_eui))
        if root is None:
            return None
        fits = crypto.join_request_mic(root.joins_with, request.encode_without_mic()) == request.mic
        if fits:
            self._asked.append(request)
        return fits

    def accepted(self, phy: bytes) -> tuple[JoinRequest, JoinAccept] | None:
        """Open a join-accept and keep the session that follows from it."""
        for request in reversed(self._asked):
            root, eui = self.roots[int(request.dev_eui)], int(request.dev_eui)
            plain = crypto.open_join_accept(root.joins_with, phy)
            try:
                accept = JoinAccept.parse(plain[1:-4])
            except FrameError:
                continue
            nonces = accept.join_nonce, int(request.join_eui), request.dev_nonce
            if root.nwk_key is not None and accept.opt_neg:
                key, kind = crypto.js_int_key(root.nwk_key, eui), crypto.JOIN_REQUEST_TYPE
                mic = crypto.join_accept_mic_1_1(key, kind, *nonces[1:], plain[:-4])
                keys = crypto.session_keys_1_1(root.nwk_key, root.app_key, *nonces)
            else:
                mic = crypto.join_accept_mic_1_0(root.joins_with, plain[:-4])
                keys = crypto.session_keys_1_0(root.joins_with, accept.join_nonce, accept.net_id, request.dev_nonce)
            if mic == plain[-4:]:
                self.add(int(accept.dev_addr), keys)
                return request, accept
        return None

    def open(self, phy: bytes, frame: DataFrame) -> Opened | None:
        """Decrypt a data frame with the session whose MIC fits; None when there is none."""
        address = int(frame.dev_addr)
        for session in reversed(self.sessions.get(address, [])):
            keys, by_application = session.keys, bool(frame.f_port) and session.keys.lorawan_1_1
            counter = "up" if frame.uplink else "a" if by_application else "n"
            last = session.high.get(counter, 0)
            for high in (*range(last, ROLL_OVERS), *range(last)):
                f_cnt = (high << 16) | frame.f_cnt
                if not _fits(session, phy, frame, f_cnt):
                    continue
                session.high[counter] = high
                if frame.uplink and frame.confirmed:
                    session.confirmed_up = f_cnt
                f_opts = frame.f_opts
                if keys.lorawan_1_1:
                    f_opts = crypto.crypt_f_opts(
                        keys.nwk_s_enc_key, frame.uplink, address, f_cnt, f_opts, counter == "a"
                    )
                key = keys.nwk_s_enc_key if frame.f_port == 0 else keys.app_s_key
                payload = crypto.crypt_payload(key, frame.uplink, address, f_cnt, frame.frm_payload)
                return Opened(keys.lorawan_1_1, f_cnt, f_opts, payload)
        return None


def _fits(session: _Session, phy: bytes, frame: DataFrame, f_cnt: int) -> bool:
    """Whether the MIC is right. Of an uplink of 1.1 its second half alone: the first covers what no capture tells."""
    keys, address = session.keys, int(frame.dev_addr)
    if frame.uplink:
        mic = crypto.uplink_mic(keys, address, f_cnt, phy[:-4])
        return mic[2:] == phy[-2:] if keys.lorawan_1_1 else mic == phy[-4:]
    covers = session.confirmed_up if frame.ack else 0
    return crypto.downlink_mic(keys, address, f_cnt, phy[:-4], covers) == phy[-4:]
