"""PHYPayload of every message type: parse and encode (TS001-1.0.4 §4, §6; LoRaWAN 1.1 §4, §6).

``parse(phy)`` gives one of the classes below or raises :class:`FrameError`. ``frame.encode()`` gives the bytes back,
with the MIC appended when it is set; ``frame.encode_without_mic()`` is what a MIC is computed over. Nothing here
decrypts: FOpts and FRMPayload are as they travel. The network server's fast path is :mod:`lorawan.hot`.

RFU bits are ignored on reception and zero on transmission (TS001-1.0.4 §1.1), so a frame that carries them parses but
its MIC must be computed over the received bytes.
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Self, TypeAlias

from lorawan.errors import FrameError, StateError
from lorawan.identifiers import EUI64, DevAddr, NetID

MAX_PHY_PAYLOAD: Final = 255
"""A LoRa packet's length field has eight bits."""
MIC_LENGTH: Final = 4
MAX_F_OPTS: Final = 15
"""FOptsLen has four bits (TS001-1.0.4 §4.3.1)."""

_FHDR = struct.Struct("<BIBH")  # MHDR, DevAddr, FCtrl, FCnt
_JOIN_REQUEST = struct.Struct("<BQQH")
_REJOIN_REQUEST_1 = struct.Struct("<BBQQH")


class MType(enum.IntEnum):
    """Message type, bits 7..5 of MHDR (FType since TS001-1.0.4)."""

    JOIN_REQUEST = 0
    JOIN_ACCEPT = 1
    UNCONFIRMED_DATA_UP = 2
    UNCONFIRMED_DATA_DOWN = 3
    CONFIRMED_DATA_UP = 4
    CONFIRMED_DATA_DOWN = 5
    REJOIN_REQUEST = 6
    PROPRIETARY = 7


def _check_mic(mic: bytes) -> bytes:
    if len(mic) not in (0, MIC_LENGTH):
        raise StateError(f"MIC of {len(mic)} bytes; give {MIC_LENGTH} or none")
    return mic


def _pack(layout: struct.Struct, *values: int) -> bytes:
    try:
        return layout.pack(*values)
    except struct.error as error:
        raise StateError(f"a field does not fit into its frame: {error}") from None


@dataclass(slots=True)
class DataFrame:
    """Confirmed or unconfirmed data, up or down (TS001-1.0.4 §4.2, §4.3)."""

    uplink: bool
    confirmed: bool
    dev_addr: DevAddr
    adr: bool = False
    """Adaptive data rate: the device follows (up), the network steers (down)."""
    adr_ack_req: bool = False
    """Uplink only: the device asks for any downlink."""
    ack: bool = False
    """Acknowledges the last confirmed frame of the other side."""
    f_pending: bool = False
    """Downlink only: more data waits."""
    class_b: bool = False
    """Uplink only: the device has opened its ping slots."""
    f_cnt: int = 0
    """The 16 least significant bits of the frame counter."""
    f_opts: bytes = b""
    """MAC commands, at most 15 bytes; encrypted in LoRaWAN 1.1."""
    f_port: int | None = None
    """0 MAC commands in FRMPayload, 1..223 application, 224 certification, 226 relay; None: absent."""
    frm_payload: bytes = b""
    """Encrypted; always empty when ``f_port`` is None."""
    mic: bytes = b""

    @property
    def m_type(self) -> MType:
        """Message type of this direction and confirmation."""
        return MType(2 + (not self.uplink) + 2 * self.confirmed)

    def encode_without_mic(self) -> bytes:
        """MHDR | MACPayload; StateError when a field does not fit or contradicts another."""
        if len(self.f_opts) > MAX_F_OPTS:
            raise StateError(f"FOpts of {len(self.f_opts)} bytes; at most {MAX_F_OPTS} fit, use FPort 0")
        if self.f_port is None:
            if self.frm_payload:
                raise StateError("FRMPayload without FPort; set f_port")
            tail = b""
        else:
            if self.f_port == 0 and self.f_opts:
                raise StateError("FPort 0 together with FOpts; put all MAC commands in one of them")
            if not 0 <= self.f_port <= 255:
                raise StateError(f"FPort {self.f_port} is not 0..255")
            tail = bytes((self.f_port,)) + self.frm_payload
        if self.uplink:
            if self.f_pending:
                raise StateError("FPending stands in downlinks only")
            bit_6, bit_4 = self.adr_ack_req, self.class_b
        else:
            if self.adr_ack_req or self.class_b:
                raise StateError("ADRACKReq and ClassB stand in uplinks only")
            bit_6, bit_4 = False, self.f_pending
        f_ctrl = self.adr << 7 | bit_6 << 6 | self.ack << 5 | bit_4 << 4 | len(self.f_opts)
        m_hdr = 0x40 + 0x20 * (not self.uplink) + 0x40 * self.confirmed
        message = _pack(_FHDR, m_hdr, self.dev_addr, f_ctrl, self.f_cnt) + self.f_opts + tail
        if len(message) > MAX_PHY_PAYLOAD - MIC_LENGTH:
            raise StateError(f"frame of {len(message) + MIC_LENGTH} bytes; at most {MAX_PHY_PAYLOAD} fit")
        return message

    def encode(self) -> bytes:
        """The PHYPayload, with its MIC when set."""
        return self.encode_without_mic() + _check_mic(self.mic)

    @classmethod
    def _from_phy(cls, phy: bytes) -> Self:
        if len(phy) < _FHDR.size + MIC_LENGTH:
            raise FrameError(f"data frame of {len(phy)} bytes; the shortest has {_FHDR.size + MIC_LENGTH}", len(phy))
        m_hdr, dev_addr, f_ctrl, f_cnt = _FHDR.unpack_from(phy)
        m_type = m_hdr >> 5
        uplink = not m_type & 1
        body_at = _FHDR.size + (f_ctrl & 0x0F)
        mic_at = len(phy) - MIC_LENGTH
        if body_at > mic_at:
            raise FrameError(f"FOptsLen {f_ctrl & 0x0F} reaches into the MIC", 5)
        f_port = phy[body_at] if body_at < mic_at else None
        if f_port == 0 and f_ctrl & 0x0F:
            raise FrameError("FPort 0 together with FOpts", body_at)
        return cls(
            uplink=uplink,
            confirmed=m_type >= MType.CONFIRMED_DATA_UP,
            dev_addr=DevAddr(dev_addr),
            adr=bool(f_ctrl & 0x80),
            adr_ack_req=uplink and bool(f_ctrl & 0x40),
            ack=bool(f_ctrl & 0x20),
            f_pending=not uplink and bool(f_ctrl & 0x10),
            class_b=uplink and bool(f_ctrl & 0x10),
            f_cnt=f_cnt,
            f_opts=phy[_FHDR.size : body_at],
            f_port=f_port,
            frm_payload=phy[body_at + 1 : mic_at],
            mic=phy[mic_at:],
        )


@dataclass(slots=True)
class JoinRequest:
    """Join-Request (TS001-1.0.4 §6.2.5)."""

    join_eui: EUI64
    """AppEUI before 1.0.4."""
    dev_eui: EUI64
    dev_nonce: int
    """16 bits: random up to 1.0.3, a rising counter in 1.0.4 and 1.1."""
    mic: bytes = b""

    def encode_without_mic(self) -> bytes:
        """MHDR | JoinEUI | DevEUI | DevNonce."""
        return _pack(_JOIN_REQUEST, MType.JOIN_REQUEST << 5, self.join_eui, self.dev_eui, self.dev_nonce)

    def encode(self) -> bytes:
        """The PHYPayload, with its MIC when set."""
        return self.encode_without_mic() + _check_mic(self.mic)

    @classmethod
    def _from_phy(cls, phy: bytes) -> Self:
        _expect_length("join-request", phy, _JOIN_REQUEST.size + MIC_LENGTH)
        _, join_eui, dev_eui, dev_nonce = _JOIN_REQUEST.unpack_from(phy)
        return cls(EUI64(join_eui), EUI64(dev_eui), dev_nonce, phy[-MIC_LENGTH:])


@dataclass(slots=True)
class JoinAccept:
    """The plain fields of a Join-Accept, without MHDR and MIC (TS001-1.0.4 §6.2.6, LoRaWAN 1.1 §6.2.3).

    On the air it is an :class:`EncryptedJoinAccept`; :mod:`lorawan.crypto` goes between the two.
    """

    join_nonce: int
    """24 bits (AppNonce before 1.0.4)."""
    net_id: NetID
    dev_addr: DevAddr
    opt_neg: bool = False
    """Set by a 1.1 network towards a 1.1 device: selects the 1.1 keys; RFU in 1.0.x."""
    rx1_dr_offset: int = 0
    rx2_dr: int = 0
    rx_delay: int = 0
    """Seconds from the end of the uplink to RX1; 0 and 1 both mean 1 s."""
    cflist: bytes = b""
    """16 bytes as the region plan wrote them, or none."""

    @property
    def dl_settings(self) -> int:
        """OptNeg | RX1DROffset | RX2DataRate in one byte; StateError when a part does not fit."""
        if not (0 <= self.rx1_dr_offset <= 7 and 0 <= self.rx2_dr <= 15):
            raise StateError(f"RX1DROffset {self.rx1_dr_offset} or RX2DataRate {self.rx2_dr} does not fit DLSettings")
        return self.opt_neg << 7 | self.rx1_dr_offset << 4 | self.rx2_dr

    def encode(self) -> bytes:
        """JoinNonce | NetID | DevAddr | DLSettings | RxDelay | CFList, 12 or 28 bytes."""
        if not 0 <= self.join_nonce < 1 << 24:
            raise StateError(f"JoinNonce {self.join_nonce} does not fit into 24 bits")
        if not 0 <= self.rx_delay <= 15:
            raise StateError(f"RxDelay {self.rx_delay} is not 0..15 s")
        if len(self.cflist) not in (0, 16):
            raise StateError(f"CFList of {len(self.cflist)} bytes; it has 16 or is absent")
        return (
            self.join_nonce.to_bytes(3, "little")
            + self.net_id.to_wire()
            + self.dev_addr.to_wire()
            + bytes((self.dl_settings, self.rx_delay))
            + self.cflist
        )

    @classmethod
    def parse(cls, plain: bytes) -> Self:
        """Read decrypted fields (without MHDR and MIC); FrameError unless there are 12 or 28 bytes."""
        if len(plain) not in (12, 28):
            raise FrameError(f"join-accept of {len(plain)} plain bytes, not 12 or 28", len(plain))
        return cls(
            join_nonce=int.from_bytes(plain[:3], "little"),
            net_id=NetID.from_wire(plain[3:6]),
            dev_addr=DevAddr.from_wire(plain[6:10]),
            opt_neg=bool(plain[10] & 0x80),
            rx1_dr_offset=plain[10] >> 4 & 0x07,
            rx2_dr=plain[10] & 0x0F,
            rx_delay=plain[11] & 0x0F,
            cflist=plain[12:],
        )


@dataclass(slots=True)
class EncryptedJoinAccept:
    """Join-Accept as it travels: fields and MIC under one encryption (TS001-1.0.4 §6.2.6)."""

    encrypted: bytes
    """16 bytes, or 32 with a CFList."""

    def encode(self) -> bytes:
        """The PHYPayload."""
        if len(self.encrypted) not in (16, 32):
            raise StateError(f"encrypted join-accept of {len(self.encrypted)} bytes; it has 16 or 32")
        return bytes((MType.JOIN_ACCEPT << 5,)) + self.encrypted

    @classmethod
    def _from_phy(cls, phy: bytes) -> Self:
        if len(phy) not in (17, 33):
            raise FrameError(f"join-accept of {len(phy)} bytes, not 17 or 33", min(len(phy), 33))
        return cls(phy[1:])


@dataclass(slots=True)
class RejoinRequest0_2:
    """Rejoin-Request type 0 (new session and radio parameters) or 2 (new keys only) (LoRaWAN 1.1 §6.2.4.1)."""

    rejoin_type: int
    """0 or 2."""
    net_id: NetID
    dev_eui: EUI64
    rj_count0: int
    """16 bits, counts types 0 and 2 together; starts at 0 with each join-accept."""
    mic: bytes = b""

    def encode_without_mic(self) -> bytes:
        """MHDR | type | NetID | DevEUI | RJcount0."""
        if self.rejoin_type not in (0, 2):
            raise StateError(f"rejoin type {self.rejoin_type}; this class is for 0 and 2")
        if not 0 <= self.rj_count0 <= 0xFFFF:
            raise StateError(f"RJcount0 {self.rj_count0} does not fit into 16 bits")
        head = bytes((MType.REJOIN_REQUEST << 5, self.rejoin_type))
        return head + self.net_id.to_wire() + self.dev_eui.to_wire() + self.rj_count0.to_bytes(2, "little")

    def encode(self) -> bytes:
        """The PHYPayload, with its MIC when set."""
        return self.encode_without_mic() + _check_mic(self.mic)


@dataclass(slots=True)
class RejoinRequest1:
    """Rejoin-Request type 1: find the home network again (LoRaWAN 1.1 §6.2.4.2)."""

    join_eui: EUI64
    dev_eui: EUI64
    rj_count1: int
    """16 bits, never reset, not even by a join."""
    mic: bytes = b""

    @property
    def rejoin_type(self) -> int:
        """Always 1."""
        return 1

    def encode_without_mic(self) -> bytes:
        """MHDR | 1 | JoinEUI | DevEUI | RJcount1."""
        return _pack(_REJOIN_REQUEST_1, MType.REJOIN_REQUEST << 5, 1, self.join_eui, self.dev_eui, self.rj_count1)

    def encode(self) -> bytes:
        """The PHYPayload, with its MIC when set."""
        return self.encode_without_mic() + _check_mic(self.mic)


@dataclass(slots=True)
class Proprietary:
    """A frame outside the standard: everything after MHDR is its maker's (TS001-1.0.4 §4.2.1)."""

    payload: bytes
    m_hdr: int = MType.PROPRIETARY << 5
    """Kept whole: the lower five bits are the maker's too."""

    def encode(self) -> bytes:
        """The PHYPayload."""
        if self.m_hdr >> 5 != MType.PROPRIETARY:
            raise StateError(f"MHDR {self.m_hdr:#x} is not a proprietary one")
        return bytes((self.m_hdr,)) + self.payload


Frame: TypeAlias = DataFrame | JoinRequest | EncryptedJoinAccept | RejoinRequest0_2 | RejoinRequest1 | Proprietary


def parse(phy: bytes) -> Frame:
    """Read any PHYPayload; FrameError says at which byte it is wrong and why."""
    if not phy:
        raise FrameError("empty frame", 0)
    if len(phy) > MAX_PHY_PAYLOAD:
        raise FrameError(f"frame of {len(phy)} bytes; at most {MAX_PHY_PAYLOAD} fit", MAX_PHY_PAYLOAD)
    m_type = phy[0] >> 5
    if phy[0] & 0x03 and m_type != MType.PROPRIETARY:
        raise FrameError(f"major version {phy[0] & 0x03}; only LoRaWAN R1 (0) is known", 0)
    return _PARSERS[m_type](phy)


def _parse_rejoin_request(phy: bytes) -> RejoinRequest0_2 | RejoinRequest1:
    rejoin_type = phy[1] if len(phy) > 1 else None
    if rejoin_type in (0, 2):
        _expect_length(f"rejoin-request type {rejoin_type}", phy, 19)
        net_id, dev_eui = NetID.from_wire(phy[2:5]), EUI64.from_wire(phy[5:13])
        return RejoinRequest0_2(rejoin_type, net_id, dev_eui, int.from_bytes(phy[13:15], "little"), phy[15:])
    if rejoin_type == 1:
        _expect_length("rejoin-request type 1", phy, _REJOIN_REQUEST_1.size + MIC_LENGTH)
        _, _, join_eui, dev_eui, rj_count1 = _REJOIN_REQUEST_1.unpack_from(phy)
        return RejoinRequest1(EUI64(join_eui), EUI64(dev_eui), rj_count1, phy[-MIC_LENGTH:])
    raise FrameError(f"rejoin-request of type {rejoin_type}; 0, 1 and 2 are known", 1)


def _parse_proprietary(phy: bytes) -> Proprietary:
    return Proprietary(phy[1:], phy[0])


def _expect_length(what: str, phy: bytes, length: int) -> None:
    if len(phy) != length:
        raise FrameError(f"{what} of {len(phy)} bytes, not {length}", min(len(phy), length))


_PARSERS: tuple[Callable[[bytes], Frame], ...] = (
    JoinRequest._from_phy,
    EncryptedJoinAccept._from_phy,
    DataFrame._from_phy,
    DataFrame._from_phy,
    DataFrame._from_phy,
    DataFrame._from_phy,
    _parse_rejoin_request,
    _parse_proprietary,
)
