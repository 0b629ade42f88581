"""A multicast group: an address and keys that its members share, and a queue (TS001-1.0.4 §15, TS005)."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from lns.downlink.queue import Item
from lorawan.counters import MAX_F_CNT
from lorawan.crypto import SessionCipher
from lorawan.frames import DataFrame

if TYPE_CHECKING:
    from lorawan.crypto import SessionKeys
    from lorawan.identifiers import DevAddr


class Group:
    """One group. The keys stay sealed; its cipher is made when first needed."""

    __slots__ = (
        "cipher",
        "created_at_us",
        "device_class",
        "dr",
        "f_cnt_down",
        "frequency_hz",
        "gateways",
        "id",
        "mc_addr",
        "members",
        "name",
        "ping_periodicity",
        "queue",
        "sealed_keys",
    )

    def __init__(self, id: str, mc_addr: DevAddr, sealed_keys: bytes, device_class: str) -> None:
        self.id = id
        self.name = ""
        self.mc_addr = mc_addr
        self.sealed_keys = sealed_keys
        """McNwkSKey and McAppSKey under the key-encryption key."""
        self.device_class = device_class
        """``B`` or ``C``."""
        self.dr = 0
        self.frequency_hz = 0
        """0 in class B: the region's ping slot frequency."""
        self.ping_periodicity = 7
        """Class B: a ping slot every 2**ping_periodicity s."""
        self.f_cnt_down = 0
        """Next FCntDown, the full 32 bits."""
        self.gateways: tuple[int, ...] = ()
        """EUIs of the gateways that send it; none: the fewest that reach all members."""
        self.members: set[int] = set()
        """DevEUIs."""
        self.queue: deque[Item] = deque()
        """Items not yet at their end, oldest first."""
        self.created_at_us = 0
        self.cipher: SessionCipher | None = None

    @property
    def is_exhausted(self) -> bool:
        """True when the counter has been used to its end: the group needs new keys."""
        return self.f_cnt_down > MAX_F_CNT

    def encode(self, keys: SessionKeys, f_port: int, data: bytes) -> tuple[bytes, int]:
        """Burn a counter and make the bytes of a frame. Returns (PHYPayload, FCntDown)."""
        if self.cipher is None:
            self.cipher = SessionCipher(keys, self.mc_addr)
        f_cnt = self.f_cnt_down
        self.f_cnt_down += 1
        frame = DataFrame(
            uplink=False,
            confirmed=False,
            dev_addr=self.mc_addr,
            f_cnt=f_cnt & 0xFFFF,
            f_port=f_port,
            frm_payload=self.cipher.payload(f_port, data, f_cnt, uplink=False),
        )
        message = frame.encode_without_mic()
        return message + self.cipher.downlink_mic(message, f_cnt, 0), f_cnt
