"""LoRaWAN cryptography: MICs, payload encryption, join-accepts and key derivation of 1.0.x and 1.1.

The only module that imports `cryptography`. Keys are 16 bytes, most significant first; identifiers are integers.
The frame's own bytes (``message``) are MHDR | MACPayload, without MIC. Clauses: TS001-1.0.4 §4.3.3, §4.4, §6.2;
LoRaWAN 1.1 §4.3.1.6 (with the FOpts erratum), §4.4, §6.1, §6.2; TS005-1.0.0 and 2.0.0; TS011-1.0.1;
RFC 3394, RFC 4493.
"""

from __future__ import annotations

import hmac
import struct
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

from cryptography.hazmat.primitives import keywrap
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR, ECB
from cryptography.hazmat.primitives.cmac import CMAC

from lorawan.errors import FrameError, StateError

JOIN_REQUEST_TYPE = 0xFF
"""JoinReqType of a join-accept that answers a join-request; a rejoin-request gives its own type 0, 1 or 2."""

RELAY_F_PORT = 226
"""Frames that a relay forwards; the network server reads them (TS011-1.0.1)."""

_UP, _DOWN = 0, 1
# Every cipher block is six bytes of its own | DevAddr | FCnt | 00 | a number: the message's length in B0 and B1, 1 in A1
# (CTR mode counts the blocks on from there).
_pack_block = struct.Struct("<6sIIxB").pack
# The six bytes of B: 0x49 | ConfFCnt | TxDr | TxCh | Dir. Those of A: 0x01 | 000000 | T | Dir.
_pack_b1_head = struct.Struct("<BHBBB").pack
_B0_HEAD = (bytes((0x49, 0, 0, 0, 0, _UP)), bytes((0x49, 0, 0, 0, 0, _DOWN)))
_A_HEAD = (bytes((0x01, 0, 0, 0, 0, _UP)), bytes((0x01, 0, 0, 0, 0, _DOWN)))
_F_OPTS_HEAD = (bytes((0x01, 0, 0, 0, 1, _UP)), bytes((0x01, 0, 0, 0, 1, _DOWN)))
_F_OPTS_HEAD_A_F_CNT = (bytes((0x01, 0, 0, 0, 2, _UP)), bytes((0x01, 0, 0, 0, 2, _DOWN)))


class KeyEnvelope(NamedTuple):
    """A key wrapped under a KEK that the application knows by its label (TS002)."""

    kek_label: str
    aes_key: bytes
    """The wrapped key (RFC 3394)."""

    def __repr__(self) -> str:
        return f"<KeyEnvelope {self.kek_label}>"


@dataclass(slots=True, frozen=True, repr=False)
class SessionKeys:
    """The keys of one session. In 1.0.x the three network keys are one, the NwkSKey."""

    f_nwk_s_int_key: bytes
    """Forwarding network session integrity key."""
    s_nwk_s_int_key: bytes
    """Serving network session integrity key."""
    nwk_s_enc_key: bytes
    """Network session encryption key: FPort 0 and 226 (relay), and FOpts in 1.1."""
    app_s_key: bytes
    """Empty when only the application has it; then ``app_s_key_envelope`` is what the join server gave for it."""
    lorawan_1_1: bool = False
    app_s_key_envelope: KeyEnvelope | None = None

    @classmethod
    def for_1_0(cls, nwk_s_key: bytes, app_s_key: bytes) -> Self:
        """The keys of a 1.0.x session, or of a multicast group (McNwkSKey, McAppSKey)."""
        return cls(nwk_s_key, nwk_s_key, nwk_s_key, app_s_key)

    def shares_any(self, other: Self) -> bool:
        """Would frames of both, under one DevAddr and one counter, be encrypted alike?"""
        nwk = hmac.compare_digest(self.nwk_s_enc_key, other.nwk_s_enc_key)
        app = bool(self.app_s_key) and hmac.compare_digest(self.app_s_key, other.app_s_key)
        envelope = self.app_s_key_envelope is not None and self.app_s_key_envelope == other.app_s_key_envelope
        return nwk or app or envelope

    @property
    def nwk_s_key(self) -> bytes:
        """The one network key of 1.0.x; StateError in a 1.1 session."""
        if self.lorawan_1_1:
            raise StateError("a 1.1 session has three network keys and no NwkSKey")
        return self.f_nwk_s_int_key

    def __repr__(self) -> str:
        return f"<SessionKeys of LoRaWAN {'1.1' if self.lorawan_1_1 else '1.0'}>"  # keys never reach a log


class _Untouched:
    """In place of AES-CTR where the key is not here."""

    def reset_nonce(self, nonce: bytes) -> None:
        pass

    def update(self, data: bytes) -> bytes:
        return data


class SessionCipher:
    """MIC and encryption of one session with cached cipher state, built on first use.

    Not thread-safe: the contexts are stateful and belong to the thread that owns the session. About 1.3 KB per key in
    use, so a server keeps only as many as it needs. A counter above 32 bits or a key of a wrong length is a StateError.
    """

    __slots__ = ("_app_ctr", "_f_cmac", "_lorawan_1_1", "_nwk_ctr", "_s_cmac", "dev_addr", "keys")

    def __init__(self, keys: SessionKeys, dev_addr: int) -> None:
        self.keys = keys
        self.dev_addr = int(dev_addr)
        self._lorawan_1_1 = keys.lorawan_1_1
        self._f_cmac: CMAC | None = None
        self._s_cmac: CMAC | None = None
        self._app_ctr: Any = None
        self._nwk_ctr: Any = None

    def uplink_mic(self, message: bytes, f_cnt: int, conf_f_cnt: int = 0, tx_dr: int = 0, tx_ch: int = 0) -> bytes:
        """MIC of an uplink (TS001-1.0.4 §4.4, LoRaWAN 1.1 §4.4).

        The last three arguments matter in 1.1 only: ``conf_f_cnt`` is the counter of the confirmed downlink that an
        uplink with ACK acknowledges (0 without ACK), ``tx_dr`` and ``tx_ch`` the data rate and channel of this
        transmission.
        """
        try:
            b0 = _pack_block(_B0_HEAD[_UP], self.dev_addr, f_cnt, len(message))
            mac = (self._f_cmac or self._make_f_cmac()).copy()
            mac.update(b0 + message)
            if not self._lorawan_1_1:
                return mac.finalize()[:4]
            b1_head = _pack_b1_head(0x49, conf_f_cnt & 0xFFFF, tx_dr, tx_ch, _UP)
        except struct.error as error:
            raise _misfit(error) from None
        return self._cmac_s(b1_head + b0[6:] + message)[:2] + mac.finalize()[:2]

    def downlink_mic(self, message: bytes, f_cnt: int, conf_f_cnt: int = 0) -> bytes:
        """MIC of a downlink; ``conf_f_cnt`` (1.1): counter of the confirmed uplink that an ACK answers, else 0."""
        head = _B0_HEAD[_DOWN]
        if conf_f_cnt and self._lorawan_1_1:
            head = _pack_b1_head(0x49, conf_f_cnt & 0xFFFF, 0, 0, _DOWN)
        try:
            b0 = _pack_block(head, self.dev_addr, f_cnt, len(message))
        except struct.error as error:
            raise _misfit(error) from None
        return self._cmac_s(b0 + message)[:4]

    def payload(self, f_port: int, data: bytes, f_cnt: int, uplink: bool) -> bytes:
        """Encrypt or decrypt FRMPayload (one is the other): FPorts 0 and 226 with NwkSEncKey, others with AppSKey.

        Without an AppSKey application data stays as it is: encrypted from device to application.
        """
        if f_port and f_port != RELAY_F_PORT:
            ctr = self._app_ctr or self._make_app_ctr()
        else:
            ctr = self._nwk_ctr or self._make_nwk_ctr()
        try:
            ctr.reset_nonce(_pack_block(_A_HEAD[not uplink], self.dev_addr, f_cnt, 1))
        except struct.error as error:
            raise _misfit(error) from None
        result: bytes = ctr.update(data)
        return result

    def f_opts(self, data: bytes, f_cnt: int, uplink: bool, a_f_cnt: bool = False) -> bytes:
        """Encrypt or decrypt FOpts of a 1.1 session, as the erratum to LoRaWAN 1.1 §4.3.1.6 corrects it.

        ``a_f_cnt``: the downlink counts with AFCntDown (FPort above 0) and not with NFCntDown.
        """
        ctr = self._nwk_ctr or self._make_nwk_ctr()
        head = (_F_OPTS_HEAD_A_F_CNT if a_f_cnt else _F_OPTS_HEAD)[not uplink]
        try:
            ctr.reset_nonce(_pack_block(head, self.dev_addr, f_cnt, 1))
        except struct.error as error:
            raise _misfit(error) from None
        result: bytes = ctr.update(data)
        return result

    def _cmac_s(self, data: bytes) -> bytes:
        mac = (self._s_cmac or self._make_s_cmac()).copy()
        mac.update(data)
        return mac.finalize()

    def _make_f_cmac(self) -> CMAC:
        self._f_cmac = CMAC(_aes(self.keys.f_nwk_s_int_key))
        return self._f_cmac

    def _make_s_cmac(self) -> CMAC:
        # In 1.0.x both integrity keys are one, and so is the state.
        keys = self.keys
        same = keys.s_nwk_s_int_key == keys.f_nwk_s_int_key
        self._s_cmac = self._f_cmac or self._make_f_cmac() if same else CMAC(_aes(keys.s_nwk_s_int_key))
        return self._s_cmac

    def _make_app_ctr(self) -> Any:
        self._app_ctr = _ctr(self.keys.app_s_key) if self.keys.app_s_key_envelope is None else _Untouched()
        return self._app_ctr

    def _make_nwk_ctr(self) -> Any:
        self._nwk_ctr = _ctr(self.keys.nwk_s_enc_key)
        return self._nwk_ctr


# ------------------------------------------------------------------------------------------------------ primitives


def _misfit(error: struct.error) -> StateError:
    return StateError(f"a counter, data rate, channel or message length does not fit its cipher block: {error}")


def _aes(key: bytes) -> AES:
    if len(key) != 16:
        raise StateError(f"AES key of {len(key)} bytes; LoRaWAN keys have 16")
    return AES(key)


def _ctr(key: bytes) -> Any:
    # Typed Any: reset_nonce belongs to the CTR context only and the stubs give the general one.
    return Cipher(_aes(key), CTR(bytes(16))).encryptor()


def aes_encrypt(key: bytes, blocks: bytes) -> bytes:
    """AES-128 of whole blocks, each on its own (ECB), as the specification's ``aes128_encrypt``."""
    return Cipher(_aes(key), ECB()).encryptor().update(_whole_blocks(blocks))


def aes_decrypt(key: bytes, blocks: bytes) -> bytes:
    """The inverse of :func:`aes_encrypt`."""
    return Cipher(_aes(key), ECB()).decryptor().update(_whole_blocks(blocks))


def _whole_blocks(blocks: bytes) -> bytes:
    if len(blocks) % 16:
        raise StateError(f"{len(blocks)} bytes are not whole AES blocks")
    return blocks


def cmac(key: bytes, data: bytes) -> bytes:
    """AES-CMAC (RFC 4493), all 16 bytes."""
    mac = CMAC(_aes(key))
    mac.update(data)
    return mac.finalize()


def wrap_key(kek: bytes, key: bytes) -> bytes:
    """Wrap a key under a key-encryption key of 16, 24 or 32 bytes (RFC 3394): 8 bytes longer than the key."""
    try:
        return keywrap.aes_key_wrap(kek, key)
    except ValueError as error:
        raise StateError(f"cannot wrap {len(key)} bytes under a key of {len(kek)}: {error}") from None


def unwrap_key(kek: bytes, wrapped: bytes) -> bytes:
    """Undo :func:`wrap_key`; FrameError when the check value is wrong (another KEK, or damaged bytes)."""
    if len(kek) not in (16, 24, 32):
        raise StateError(f"key-encryption key of {len(kek)} bytes; it has 16, 24 or 32")
    try:
        return keywrap.aes_key_unwrap(kek, wrapped)
    except (keywrap.InvalidUnwrap, ValueError):
        raise FrameError(f"{len(wrapped)} wrapped bytes do not open: another key-encryption key or damage") from None


# ------------------------------------------------------------------------------------------------------------ join


def join_request_mic(key: bytes, message: bytes) -> bytes:
    """MIC of a join-request: AppKey in 1.0.x, NwkKey in 1.1 (TS001-1.0.4 §6.2.5)."""
    return cmac(key, message)[:4]


def rejoin_request_mic(key: bytes, message: bytes) -> bytes:
    """MIC of a rejoin-request: SNwkSIntKey for types 0 and 2, JSIntKey for type 1 (LoRaWAN 1.1 §6.2.4)."""
    return cmac(key, message)[:4]


def join_accept_mic(key: bytes, fields: bytes) -> bytes:
    """MIC of a join-accept without OptNeg: AppKey (1.0.x) or NwkKey (1.1 device on a 1.0 network).

    ``fields`` is :meth:`lorawan.frames.JoinAccept.encode`, without MHDR and MIC.
    """
    return cmac(key, b"\x20" + fields)[:4]


def join_accept_mic_1_1(
    js_int_key: bytes, fields: bytes, join_eui: int, dev_nonce: int, join_req_type: int = JOIN_REQUEST_TYPE
) -> bytes:
    """MIC of a join-accept with OptNeg (LoRaWAN 1.1 §6.2.3).

    ``dev_nonce`` is the DevNonce of the join-request or the RJcount of the rejoin-request that is answered,
    ``join_req_type`` 0xFF or the rejoin type.
    """
    head = _bytes_le(join_req_type, 1) + _bytes_le(join_eui, 8) + _bytes_le(dev_nonce, 2)
    return cmac(js_int_key, head + b"\x20" + fields)[:4]


def encrypt_join_accept(key: bytes, fields: bytes, mic: bytes) -> bytes:
    """The PHYPayload of a join-accept: AppKey (1.0.x), NwkKey (1.1), or JSEncKey when it answers a rejoin.

    AES *decryption* is used, so that a device needs only the encrypting half (TS001-1.0.4 §6.2.6).
    """
    if len(fields) not in (12, 28) or len(mic) != 4:
        raise StateError(f"join-accept of {len(fields)} bytes and MIC of {len(mic)}; give 12 or 28, and 4")
    return b"\x20" + aes_decrypt(key, fields + mic)


def decrypt_join_accept(key: bytes, phy: bytes) -> tuple[bytes, bytes]:
    """Fields and MIC of an encrypted join-accept; FrameError unless it has 17 or 33 bytes. Check the MIC yourself."""
    if len(phy) not in (17, 33) or phy[0] >> 5 != 1:
        raise FrameError(f"{len(phy)} bytes are not a join-accept of 17 or 33", 0)
    plain = aes_encrypt(key, phy[1:])
    return plain[:-4], plain[-4:]


# -------------------------------------------------------------------------------------------------- key derivation


def _bytes_le(value: int, length: int) -> bytes:
    try:
        return int(value).to_bytes(length, "little")
    except OverflowError:
        raise StateError(f"{value} does not fit into {length} bytes") from None


def _derive(key: bytes, block: bytes) -> bytes:
    return aes_encrypt(key, block.ljust(16, b"\x00"))


def derive_session_keys_1_0(app_key: bytes, join_nonce: int, net_id: int, dev_nonce: int) -> SessionKeys:
    """Session keys without OptNeg: from the AppKey, or the NwkKey of a 1.1 device (TS001-1.0.4 §6.2.6)."""
    tail = _bytes_le(join_nonce, 3) + _bytes_le(net_id, 3) + _bytes_le(dev_nonce, 2)
    return SessionKeys.for_1_0(_derive(app_key, b"\x01" + tail), _derive(app_key, b"\x02" + tail))


def derive_session_keys_1_1(
    nwk_key: bytes, app_key: bytes, join_nonce: int, join_eui: int, dev_nonce: int
) -> SessionKeys:
    """Session keys with OptNeg (LoRaWAN 1.1 §6.2.3); ``dev_nonce`` is the RJcount when a rejoin is answered."""
    tail = _bytes_le(join_nonce, 3) + _bytes_le(join_eui, 8) + _bytes_le(dev_nonce, 2)
    return SessionKeys(
        f_nwk_s_int_key=_derive(nwk_key, b"\x01" + tail),
        s_nwk_s_int_key=_derive(nwk_key, b"\x03" + tail),
        nwk_s_enc_key=_derive(nwk_key, b"\x04" + tail),
        app_s_key=_derive(app_key, b"\x02" + tail),
        lorawan_1_1=True,
    )


def derive_js_enc_key(nwk_key: bytes, dev_eui: int) -> bytes:
    """JSEncKey: encrypts the join-accept that answers a rejoin-request (LoRaWAN 1.1 §6.1.1.4)."""
    return _derive(nwk_key, b"\x05" + _bytes_le(dev_eui, 8))


def derive_js_int_key(nwk_key: bytes, dev_eui: int) -> bytes:
    """JSIntKey: MIC of rejoin-requests type 1 and of join-accepts with OptNeg (LoRaWAN 1.1 §6.1.1.4)."""
    return _derive(nwk_key, b"\x06" + _bytes_le(dev_eui, 8))


# -------------------------------------------------------------------------------------------- multicast and relay


def derive_mc_root_key_1_0(gen_app_key: bytes) -> bytes:
    """McRootKey of a 1.0.x device, from its GenAppKey (TS005, McGroupSetupReq)."""
    return _derive(gen_app_key, b"\x00")


def derive_mc_root_key_1_1(app_key: bytes) -> bytes:
    """McRootKey of a 1.1 device, from its AppKey (TS005, McGroupSetupReq)."""
    return _derive(app_key, b"\x20")


def derive_mc_ke_key(mc_root_key: bytes) -> bytes:
    """McKEKey, under which a group's McKey travels to the device (TS005, McGroupSetupReq)."""
    return _derive(mc_root_key, b"\x00")


def encrypt_mc_key(mc_ke_key: bytes, mc_key: bytes) -> bytes:
    """McKey_encrypted of McGroupSetupReq; AES decryption, so that the device encrypts (TS005, McGroupSetupReq)."""
    return aes_decrypt(mc_ke_key, mc_key)


def derive_mc_session_keys(mc_key: bytes, mc_addr: int) -> SessionKeys:
    """McNwkSKey and McAppSKey of a group as the keys of a 1.0.x session (TS005, McGroupSetupReq)."""
    address = _bytes_le(mc_addr, 4)
    return SessionKeys.for_1_0(_derive(mc_key, b"\x02" + address), _derive(mc_key, b"\x01" + address))


def derive_root_wor_s_key(nwk_s_enc_key: bytes) -> bytes:
    """RootWorSKey of a relayed device, from NwkSEncKey (1.1) or NwkSKey (1.0.x) (TS011-1.0.1)."""
    return _derive(nwk_s_enc_key, b"\x01")


def derive_wor_session_keys(root_wor_s_key: bytes, dev_addr: int) -> tuple[bytes, bytes]:
    """WorSIntKey and WorSEncKey of a relayed device (TS011-1.0.1)."""
    address = _bytes_le(dev_addr, 4)
    return _derive(root_wor_s_key, b"\x01" + address), _derive(root_wor_s_key, b"\x02" + address)


def ping_offset(beacon_time_s: int, dev_addr: int, ping_period_slots: int) -> int:
    """Slot of a device's first ping slot in a beacon period (TS001-1.0.4 §11.2; :mod:`lorawan.class_b`)."""
    rand = _derive(bytes(16), _bytes_le(beacon_time_s, 4) + _bytes_le(dev_addr, 4))
    return (rand[0] + 256 * rand[1]) % ping_period_slots
