"""A device's half of joining, written from the specification with pycryptodome: the oracle for the join server.

It shares nothing with ``lorawan``: a mistake made on both sides alike cannot hide (TS001-1.0.4 §6.2, LoRaWAN 1.1 §6.2).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from Crypto.Cipher import AES
from Crypto.Hash import CMAC


def cmac4(key: bytes, message: bytes) -> bytes:
    """The first four bytes of AES-CMAC."""
    return CMAC.new(key, message, ciphermod=AES).digest()[:4]


def aes(key: bytes, block: bytes) -> bytes:
    """AES-128 encryption of a block filled up with zeros."""
    return AES.new(key, AES.MODE_ECB).encrypt(block.ljust(16, b"\0"))


@dataclass
class Accepted:
    """What the device has read from a join-accept whose MIC is right."""

    join_nonce: int
    net_id: int
    dev_addr: int
    dl_settings: int
    rx_delay: int
    cflist: bytes
    keys: dict[str, bytes]
    """``NwkSKey``, or ``FNwkSIntKey``, ``SNwkSIntKey``, ``NwkSEncKey``; and ``AppSKey``."""


@dataclass
class OtaaDevice:
    """Keys and identifiers of one device; ``nwk_key`` makes it a 1.1 device."""

    dev_eui: int = 0x0202030405060708
    join_eui: int = 0x0102030405060708
    app_key: bytes = bytes.fromhex("8a3f0c5be1f2d4790613aa7be9d05c12")
    nwk_key: bytes | None = None
    accepted: list[Accepted] = field(default_factory=list)

    @property
    def root(self) -> bytes:
        return self.nwk_key or self.app_key

    @property
    def js_int_key(self) -> bytes:
        return aes(self.root, b"\x06" + self.dev_eui.to_bytes(8, "little"))

    @property
    def js_enc_key(self) -> bytes:
        return aes(self.root, b"\x05" + self.dev_eui.to_bytes(8, "little"))

    def join_request(self, dev_nonce: int) -> bytes:
        head = b"\x00" + self.join_eui.to_bytes(8, "little") + self.dev_eui.to_bytes(8, "little")
        message = head + dev_nonce.to_bytes(2, "little")
        return message + cmac4(self.root, message)

    def rejoin_request(self, rejoin_type: int, count: int, net_id: int = 0, s_nwk_s_int_key: bytes = b"") -> bytes:
        """Type 0 or 2 is signed with the session's SNwkSIntKey, type 1 with JSIntKey."""
        first = self.join_eui.to_bytes(8, "little") if rejoin_type == 1 else net_id.to_bytes(3, "little")
        message = bytes((0xC0, rejoin_type)) + first + self.dev_eui.to_bytes(8, "little") + count.to_bytes(2, "little")
        return message + cmac4(self.js_int_key if rejoin_type == 1 else s_nwk_s_int_key, message)

    def accept(self, phy: bytes, nonce: int, rejoin_type: int | None = None) -> Accepted:
        """Read the accept to the request with this DevNonce or RJcount; AssertionError when its MIC is wrong."""
        assert len(phy) in (17, 33) and phy[0] == 0x20, phy.hex()
        key = self.root if rejoin_type is None else self.js_enc_key
        plain = AES.new(key, AES.MODE_ECB).encrypt(phy[1:])
        fields, mic = plain[:-4], plain[-4:]
        opt_neg = bool(fields[10] & 0x80)
        if opt_neg:
            kind = 0xFF if rejoin_type is None else rejoin_type
            head = bytes((kind,)) + self.join_eui.to_bytes(8, "little") + nonce.to_bytes(2, "little")
            assert mic == cmac4(self.js_int_key, head + b"\x20" + fields)
        else:
            assert mic == cmac4(self.root, b"\x20" + fields)
        accepted = Accepted(
            join_nonce=int.from_bytes(fields[:3], "little"),
            net_id=int.from_bytes(fields[3:6], "little"),
            dev_addr=int.from_bytes(fields[6:10], "little"),
            dl_settings=fields[10],
            rx_delay=fields[11],
            cflist=fields[12:],
            keys=self._derive(fields, nonce, opt_neg),
        )
        self.accepted.append(accepted)
        return accepted

    def _derive(self, fields: bytes, nonce: int, opt_neg: bool) -> dict[str, bytes]:
        nonce_bytes = nonce.to_bytes(2, "little")
        if not opt_neg:
            tail = fields[:3] + fields[3:6] + nonce_bytes
            return {"NwkSKey": aes(self.root, b"\x01" + tail), "AppSKey": aes(self.root, b"\x02" + tail)}
        tail = fields[:3] + self.join_eui.to_bytes(8, "little") + nonce_bytes
        return {
            "FNwkSIntKey": aes(self.root, b"\x01" + tail),
            "AppSKey": aes(self.app_key, b"\x02" + tail),
            "SNwkSIntKey": aes(self.root, b"\x03" + tail),
            "NwkSEncKey": aes(self.root, b"\x04" + tail),
        }
