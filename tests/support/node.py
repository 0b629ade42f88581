"""A device's half of a session: frames up, frames down, on pycryptodome (``lorasim.crypto``) and ``struct``.

It shares no line with ``lorawan``: the oracle for what the network server takes and sends.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from lorasim import crypto
from lorasim.crypto import SessionKeys


@dataclass(frozen=True)
class Down:
    """A data downlink as the device reads it, its MIC checked."""

    confirmed: bool
    adr: bool
    ack: bool
    f_pending: bool
    f_cnt: int
    f_opts: bytes
    f_port: int | None
    data: bytes


@dataclass
class Node:
    """One session of one device. ``f_cnt`` is the next FCntUp, the full 32 bits."""

    dev_addr: int
    keys: SessionKeys
    f_cnt: int = 0
    dev_eui: str = ""

    def up(
        self,
        data: bytes = b"",
        port: int | None = 1,
        *,
        confirmed: bool = False,
        f_cnt: int | None = None,
        f_opts: bytes = b"",
        adr: bool = False,
        adr_ack_req: bool = False,
        ack: bool = False,
        conf_f_cnt: int = 0,
        tx_dr: int = 3,
        tx_ch: int = 0,
        class_b: bool = False,
    ) -> bytes:
        """The PHYPayload of the next uplink (or of ``f_cnt``). ``tx_dr`` and ``tx_ch`` enter the MIC of 1.1."""
        if f_cnt is None:
            f_cnt, self.f_cnt = self.f_cnt, self.f_cnt + 1
        if f_opts and self.keys.lorawan_1_1:
            f_opts = crypto.crypt_f_opts(self.keys.nwk_s_enc_key, True, self.dev_addr, f_cnt, f_opts, False)
        f_ctrl = adr << 7 | adr_ack_req << 6 | ack << 5 | class_b << 4 | len(f_opts)
        message = struct.pack("<BIBH", 0x80 if confirmed else 0x40, self.dev_addr, f_ctrl, f_cnt & 0xFFFF) + f_opts
        if port is not None:
            key = self.keys.app_s_key if port else self.keys.nwk_s_enc_key
            message += bytes((port,)) + crypto.crypt_payload(key, True, self.dev_addr, f_cnt, data)
        return message + crypto.uplink_mic(self.keys, self.dev_addr, f_cnt, message, conf_f_cnt, tx_dr, tx_ch)

    def read(self, phy: bytes, *, base: int = 0, conf_f_cnt: int = 0) -> Down:
        """Read a downlink; AssertionError when its MIC is wrong.

        ``base``: the upper 16 bits of FCntDown, in place. ``conf_f_cnt``: the FCntUp that its ACK acknowledges.
        """
        m_hdr, dev_addr, f_ctrl, f_cnt16 = struct.unpack("<BIBH", phy[:8])
        assert m_hdr in (0x60, 0xA0) and dev_addr == self.dev_addr, phy.hex()
        f_cnt, ack = base | f_cnt16, bool(f_ctrl & 0x20)
        mic = crypto.downlink_mic(self.keys, dev_addr, f_cnt, phy[:-4], conf_f_cnt if ack else 0)
        assert phy[-4:] == mic, f"MIC of {phy.hex()} should be {mic.hex()}"
        f_opts, rest = phy[8 : 8 + (f_ctrl & 0x0F)], phy[8 + (f_ctrl & 0x0F) : -4]
        port, data = (rest[0], rest[1:]) if rest else (None, b"")
        if f_opts and self.keys.lorawan_1_1:
            f_opts = crypto.crypt_f_opts(self.keys.nwk_s_enc_key, False, dev_addr, f_cnt, f_opts, bool(port))
        key = self.keys.app_s_key if port else self.keys.nwk_s_enc_key
        return Down(
            m_hdr == 0xA0,
            bool(f_ctrl & 0x80),
            ack,
            bool(f_ctrl & 0x10),
            f_cnt,
            f_opts,
            port,
            crypto.crypt_payload(key, False, dev_addr, f_cnt, data),
        )


def keys_1_0(number: int = 1) -> SessionKeys:
    """Session keys of a 1.0 device, different for each number."""
    return SessionKeys.of_1_0(bytes((number,)) * 15 + b"\x01", bytes((number,)) * 15 + b"\x02")


def keys_1_1(number: int = 1) -> SessionKeys:
    return SessionKeys(*(bytes((number,)) * 15 + bytes((last,)) for last in (1, 2, 3, 4)), lorawan_1_1=True)
