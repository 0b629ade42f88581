"""Join and rejoin as a device does them: nonces, requests, and what makes a join-accept acceptable."""

from __future__ import annotations

from dataclasses import dataclass

from lorasim import crypto
from lorasim.crypto import JOIN_REQUEST_TYPE, SessionKeys
from lorasim.dice import Random
from lorasim.session import Refused
from lorawan.frames import JoinAccept, JoinRequest, RejoinRequest0_2, RejoinRequest1
from lorawan.identifiers import EUI64, NetID


@dataclass(slots=True, frozen=True)
class Accepted:
    """A join-accept for this device, and the keys that follow from it."""

    accept: JoinAccept
    keys: SessionKeys
    join_req_type: int
    """0xFF after a join, else the type of the rejoin."""
    dev_nonce: int
    """DevNonce or RJcount of the request."""


@dataclass(slots=True)
class Joiner:
    """Identity, root keys and nonces of an OTAA device. In 1.0.x ``nwk_key`` is the AppKey."""

    dev_eui: int
    join_eui: int
    nwk_key: bytes
    app_key: bytes
    lorawan_1_1: bool
    counts_nonces: bool
    """1.0.4 and 1.1: DevNonce rises, JoinNonce must rise. Before, DevNonce is drawn and JoinNonce not looked at."""
    dev_nonce: int = 0
    """The next one, where it is counted. Survives restarts."""
    repeats: bool = False
    """A fault: every request has the first DevNonce."""
    join_nonce: int = -1
    rj_count0: int = 0
    rj_count1: int = 0
    _asked: int = 0
    _join_req_type: int = JOIN_REQUEST_TYPE

    @property
    def asked(self) -> int:
        """DevNonce or RJcount of the last request."""
        return self._asked

    @property
    def join_req_type(self) -> int:
        """Type of the last request: 0xFF a join, 0 to 2 a rejoin."""
        return self._join_req_type

    def request(self, rng: Random) -> bytes:
        """PHYPayload of a join-request with a fresh DevNonce."""
        if self.repeats:
            self._asked = self.dev_nonce
        elif self.counts_nonces:
            self._asked, self.dev_nonce = self.dev_nonce, (self.dev_nonce + 1) & 0xFFFF
        else:
            self._asked = rng.randrange(1 << 16)
        self._join_req_type = JOIN_REQUEST_TYPE
        message = JoinRequest(EUI64(self.join_eui), EUI64(self.dev_eui), self._asked).encode_without_mic()
        return message + crypto.join_request_mic(self.nwk_key, message)

    def rejoin_request(self, rejoin_type: int, net_id: NetID, keys: SessionKeys) -> bytes:
        """PHYPayload of a rejoin-request of type 0, 1 or 2."""
        self._join_req_type = rejoin_type
        if rejoin_type == 1:
            self._asked, self.rj_count1 = self.rj_count1, self.rj_count1 + 1
            message = RejoinRequest1(EUI64(self.join_eui), EUI64(self.dev_eui), self._asked).encode_without_mic()
            key = crypto.js_int_key(self.nwk_key, self.dev_eui)
        else:
            self._asked, self.rj_count0 = self.rj_count0, self.rj_count0 + 1
            message = RejoinRequest0_2(rejoin_type, net_id, EUI64(self.dev_eui), self._asked).encode_without_mic()
            key = keys.s_nwk_s_int_key
        return message + crypto.rejoin_request_mic(key, message)

    def open(self, phy: bytes) -> Accepted | None:
        """Read a join-accept; None when it is somebody else's. Raises :class:`Refused`."""
        rejoined = self._join_req_type != JOIN_REQUEST_TYPE
        key = crypto.js_enc_key(self.nwk_key, self.dev_eui) if rejoined else self.nwk_key
        plain = crypto.open_join_accept(key, phy)
        message, mic = plain[:-4], plain[-4:]
        accept = JoinAccept.parse(message[1:])
        opt_neg = self.lorawan_1_1 and accept.opt_neg
        if opt_neg:
            js_int_key = crypto.js_int_key(self.nwk_key, self.dev_eui)
            expected = crypto.join_accept_mic_1_1(js_int_key, self._join_req_type, self.join_eui, self._asked, message)
        else:
            expected = crypto.join_accept_mic_1_0(self.nwk_key, message)
        if mic != expected:
            return None
        if self.counts_nonces and accept.join_nonce <= self.join_nonce:
            raise Refused(f"JoinNonce {accept.join_nonce} is not above {self.join_nonce}")
        self.join_nonce, self.rj_count0 = accept.join_nonce, 0
        nonces = (accept.join_nonce, self.join_eui, self._asked)
        if opt_neg:
            keys = crypto.session_keys_1_1(self.nwk_key, self.app_key, *nonces)
        else:
            keys = crypto.session_keys_1_0(self.nwk_key, accept.join_nonce, accept.net_id, self._asked)
        return Accepted(accept, keys, self._join_req_type, self._asked)
