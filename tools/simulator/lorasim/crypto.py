"""LoRaWAN's cryptography as a device sees it, for 1.0.x and 1.1, on pycryptodome.

This is a second implementation on purpose: it shares no line with the server's, so a mistake on either side shows as a
frame that the other refuses. EUIs, addresses and nonces are plain integers, keys are 16 bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from Crypto.Cipher import AES

_ZERO = bytes(16)
JOIN_REQUEST_TYPE = 0xFF
"""JoinReqType of a plain join in the MIC of a 1.1 join-accept (1.1 §6.2.3); rejoins use 0, 1 and 2."""


@dataclass(frozen=True, slots=True)
class SessionKeys:
    """The keys of one session. In 1.0.x the three network keys are one and the same NwkSKey."""

    f_nwk_s_int_key: bytes
    s_nwk_s_int_key: bytes
    nwk_s_enc_key: bytes
    app_s_key: bytes
    lorawan_1_1: bool = False

    @classmethod
    def of_1_0(cls, nwk_s_key: bytes, app_s_key: bytes) -> SessionKeys:
        return cls(nwk_s_key, nwk_s_key, nwk_s_key, app_s_key)


def _double(value: int) -> int:
    """Subkey arithmetic of CMAC in GF(2^128)."""
    return (value << 1 & (1 << 128) - 1) ^ (0x87 if value >> 127 else 0)


@lru_cache(32_768)
def _subkeys(key: bytes) -> tuple[int, int]:
    """K1 and K2 (RFC 4493 §2.3)."""
    first = _double(int.from_bytes(encrypt_block(key, bytes(16)), "big"))
    return first, _double(first)


def cmac(key: bytes, message: bytes) -> bytes:
    """AES-CMAC (RFC 4493), all 16 bytes: one CBC call over the message, whose last block a subkey whitens."""
    whole, padded = _subkeys(key)
    rest = len(message) % 16
    subkey = whole
    if rest or not message:
        message += b"\x80" + bytes(15 - rest)
        subkey = padded
    last = (int.from_bytes(message[-16:], "big") ^ subkey).to_bytes(16, "big")
    return bytes(AES.new(key, AES.MODE_CBC, iv=_ZERO).encrypt(message[:-16] + last)[-16:])


def encrypt_block(key: bytes, block: bytes) -> bytes:
    return bytes(AES.new(key, AES.MODE_ECB).encrypt(block))


# ---------------------------------------------------------------------------------------------------------- joining


def join_request_mic(key: bytes, message: bytes) -> bytes:
    """MIC of MHDR | JoinEUI | DevEUI | DevNonce: AppKey in 1.0.x, NwkKey in 1.1 (§6.2.5)."""
    return cmac(key, message)[:4]


def open_join_accept(key: bytes, phy: bytes) -> bytes:
    """MHDR | fields | MIC in the clear. The network *decrypts* to seal: a device needs AES encryption only (§6.2.5)."""
    return phy[:1] + AES.new(key, AES.MODE_ECB).encrypt(phy[1:])


def seal_join_accept(key: bytes, plain: bytes) -> bytes:
    """The network's side of :func:`open_join_accept`; for test servers."""
    return plain[:1] + AES.new(key, AES.MODE_ECB).decrypt(plain[1:])


def join_accept_mic_1_0(key: bytes, message: bytes) -> bytes:
    """MIC of MHDR | fields | CFList with OptNeg = 0: AppKey in 1.0.x, NwkKey in 1.1."""
    return cmac(key, message)[:4]


def join_accept_mic_1_1(js_int_key: bytes, join_req_type: int, join_eui: int, dev_nonce: int, message: bytes) -> bytes:
    """MIC with OptNeg = 1: it also covers what was asked (1.1 §6.2.3). For rejoins ``dev_nonce`` is RJcount."""
    asked = bytes([join_req_type]) + join_eui.to_bytes(8, "little") + dev_nonce.to_bytes(2, "little")
    return cmac(js_int_key, asked + message)[:4]


def rejoin_request_mic(key: bytes, message: bytes) -> bytes:
    """SNwkSIntKey for types 0 and 2, JSIntKey for type 1 (1.1 §6.2.4)."""
    return cmac(key, message)[:4]


def session_keys_1_0(root_key: bytes, join_nonce: int, net_id: int, dev_nonce: int) -> SessionKeys:
    """AppKey (or NwkKey when a 1.1 device met a 1.0 network) gives NwkSKey and AppSKey (1.0.x §6.2.5)."""
    seed = join_nonce.to_bytes(3, "little") + net_id.to_bytes(3, "little") + dev_nonce.to_bytes(2, "little") + bytes(7)
    return SessionKeys.of_1_0(encrypt_block(root_key, b"\x01" + seed), encrypt_block(root_key, b"\x02" + seed))


def session_keys_1_1(nwk_key: bytes, app_key: bytes, join_nonce: int, join_eui: int, dev_nonce: int) -> SessionKeys:
    """The four session keys of 1.1 (§6.2.5)."""
    seed = (
        join_nonce.to_bytes(3, "little") + join_eui.to_bytes(8, "little") + dev_nonce.to_bytes(2, "little") + bytes(2)
    )
    return SessionKeys(
        f_nwk_s_int_key=encrypt_block(nwk_key, b"\x01" + seed),
        s_nwk_s_int_key=encrypt_block(nwk_key, b"\x03" + seed),
        nwk_s_enc_key=encrypt_block(nwk_key, b"\x04" + seed),
        app_s_key=encrypt_block(app_key, b"\x02" + seed),
        lorawan_1_1=True,
    )


def js_enc_key(nwk_key: bytes, dev_eui: int) -> bytes:
    """Seals join-accepts that answer rejoins (1.1 §6.1.1.3)."""
    return encrypt_block(nwk_key, b"\x05" + dev_eui.to_bytes(8, "little") + bytes(7))


def js_int_key(nwk_key: bytes, dev_eui: int) -> bytes:
    return encrypt_block(nwk_key, b"\x06" + dev_eui.to_bytes(8, "little") + bytes(7))


# ------------------------------------------------------------------------------------------------------ data frames


def _block(head: bytes, uplink: bool, dev_addr: int, f_cnt: int, last: int) -> bytes:
    """The shape shared by B0, B1 and A_i: five bytes of head, direction, address, 32-bit counter, 0, last byte."""
    return head + bytes([not uplink]) + dev_addr.to_bytes(4, "little") + f_cnt.to_bytes(4, "little") + bytes([0, last])


def uplink_mic(
    keys: SessionKeys, dev_addr: int, f_cnt: int, message: bytes, conf_f_cnt: int = 0, tx_dr: int = 0, tx_ch: int = 0
) -> bytes:
    """MIC of an uplink (§4.4), in 1.1 halves of two; ``conf_f_cnt`` is the confirmed downlink being acknowledged."""
    b0 = _block(b"\x49\0\0\0\0", True, dev_addr, f_cnt, len(message))
    by_forwarding = cmac(keys.f_nwk_s_int_key, b0 + message)
    if not keys.lorawan_1_1:
        return by_forwarding[:4]
    head = b"\x49" + (conf_f_cnt & 0xFFFF).to_bytes(2, "little") + bytes([tx_dr, tx_ch])
    b1 = _block(head, True, dev_addr, f_cnt, len(message))
    return cmac(keys.s_nwk_s_int_key, b1 + message)[:2] + by_forwarding[:2]


def downlink_mic(keys: SessionKeys, dev_addr: int, f_cnt: int, message: bytes, conf_f_cnt: int = 0) -> bytes:
    """MIC of a downlink (§4.4); ``conf_f_cnt`` only counts in 1.1, and only when the frame has ACK set."""
    confirmed = (conf_f_cnt & 0xFFFF) if keys.lorawan_1_1 else 0
    head = b"\x49" + confirmed.to_bytes(2, "little") + b"\0\0"
    return cmac(keys.s_nwk_s_int_key, _block(head, False, dev_addr, f_cnt, len(message)) + message)[:4]


def crypt_payload(key: bytes, uplink: bool, dev_addr: int, f_cnt: int, data: bytes) -> bytes:
    """FRMPayload encryption, which is its own inverse (§4.3.3)."""
    if not data:
        return b""
    counters = range(1, -(-len(data) // 16) + 1)
    stream = encrypt_block(key, b"".join(_block(b"\x01\0\0\0\0", uplink, dev_addr, f_cnt, i) for i in counters))
    sealed = int.from_bytes(data, "big") ^ int.from_bytes(stream[: len(data)], "big")
    return sealed.to_bytes(len(data), "big")


def crypt_f_opts(nwk_s_enc_key: bytes, uplink: bool, dev_addr: int, f_cnt: int, data: bytes, a_f_cnt: bool) -> bytes:
    """FOpts encryption of 1.1 in its corrected form (erratum on FOpts); ``a_f_cnt`` when AFCntDown counts the frame."""
    head = bytes([1, 0, 0, 0, 2 if a_f_cnt else 1])
    stream = encrypt_block(nwk_s_enc_key, _block(head, uplink, dev_addr, f_cnt, 1))
    return bytes(a ^ b for a, b in zip(data, stream, strict=False))
