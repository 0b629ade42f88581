"""EUI-64, DevAddr and NetID as types of their own.

They are integers (cheap dictionary keys, one comparison), read and written in both forms: text is hexadecimal, most
significant byte first; the wire is little endian (TS001-1.0.4 §1.1).
"""

from __future__ import annotations

from typing import ClassVar, NamedTuple, Self

from lorawan.errors import FrameError, StateError

_HEX = frozenset("0123456789abcdefABCDEF")
_SEPARATORS = str.maketrans("", "", " :-._\t\r\n")


class _Identifier(int):
    """An unsigned integer of a fixed width."""

    __slots__ = ()
    WIDTH: ClassVar[int]
    """Length on the wire, bytes."""

    def __new__(cls, value: int) -> Self:
        """Make an identifier from a number; StateError when it does not fit."""
        if not 0 <= value < 1 << 8 * cls.WIDTH:
            raise StateError(f"{cls.__name__} of {value:#x} does not fit into {cls.WIDTH} bytes")
        return super().__new__(cls, value)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read hexadecimal text, with or without ``0x`` and separators (``:``, ``-``, ``.``, ``_``, spaces).

        FrameError when it is not exactly as many digits as the identifier has.
        """
        digits = text.strip().removeprefix("0x").removeprefix("0X").translate(_SEPARATORS)
        if len(digits) != 2 * cls.WIDTH:
            raise FrameError(f"{cls.__name__} {text!r} has {len(digits)} hex digits, not {2 * cls.WIDTH}")
        if not _HEX.issuperset(digits):
            raise FrameError(f"{cls.__name__} {text!r} is not hexadecimal")
        return super().__new__(cls, int(digits, 16))

    @classmethod
    def from_wire(cls, data: bytes) -> Self:
        """Read the little-endian bytes of a frame; FrameError on another length."""
        if len(data) != cls.WIDTH:
            raise FrameError(f"{cls.__name__} has {len(data)} bytes, not {cls.WIDTH}", 0)
        return super().__new__(cls, int.from_bytes(data, "little"))

    def to_wire(self) -> bytes:
        """Little-endian bytes as they stand in a frame."""
        return self.to_bytes(self.WIDTH, "little")

    def __str__(self) -> str:
        return f"{int(self):0{2 * self.WIDTH}x}"

    def __repr__(self) -> str:
        return f"{type(self).__name__}.parse({str(self)!r})"


class EUI64(_Identifier):
    """A 64-bit extended unique identifier: DevEUI, JoinEUI (AppEUI), gateway EUI."""

    __slots__ = ()
    WIDTH = 8


class DevAddrPrefix(NamedTuple):
    """The leading bits that all DevAddr of one network share."""

    value: int
    """The prefix in the upper bits of 32."""
    bits: int

    def __str__(self) -> str:
        return f"{self.value:08x}/{self.bits}"


# NwkID width in a DevAddr by NetID type 0..7; the type prefix itself takes (type + 1) bits (TS002, DevAddr assignment).
_NWK_ID_BITS = (6, 6, 9, 11, 12, 13, 15, 17)


class DevAddr(_Identifier):
    """The 32-bit address of a session: type prefix | NwkID | NwkAddr (TS002, DevAddr assignment)."""

    __slots__ = ()
    WIDTH = 4

    @property
    def net_id_type(self) -> int | None:
        """Type 0..7 of the NetID this address belongs to; None for the reserved 0xFF…… range."""
        leading_ones = 32 - (int(self) ^ 0xFFFFFFFF).bit_length()
        return leading_ones if leading_ones < 8 else None

    @property
    def nwk_id(self) -> int | None:
        """The NwkID bits, None where the type is reserved."""
        net_id_type = self.net_id_type
        if net_id_type is None:
            return None
        bits = _NWK_ID_BITS[net_id_type]
        return int(self) >> (31 - net_id_type - bits) & (1 << bits) - 1

    @property
    def nwk_addr(self) -> int | None:
        """The address within its network, None where the type is reserved."""
        net_id_type = self.net_id_type
        if net_id_type is None:
            return None
        return int(self) & (1 << 31 - net_id_type - _NWK_ID_BITS[net_id_type]) - 1


class NetID(_Identifier):
    """The 24-bit identifier of a network: type (3 bits) | RFU | ID (TS002, DevAddr assignment)."""

    __slots__ = ()
    WIDTH = 3

    @property
    def type(self) -> int:
        """Type 0..7, the three leading bits."""
        return int(self) >> 21

    @property
    def nwk_id(self) -> int:
        """The part of the ID that stands in every DevAddr of this network."""
        return int(self) & (1 << _NWK_ID_BITS[self.type]) - 1

    @property
    def nwk_addr_bits(self) -> int:
        """How many bits a DevAddr leaves for the device's own address: 25 for type 0 down to 7 for type 7."""
        return 31 - self.type - _NWK_ID_BITS[self.type]

    def dev_addr_prefix(self) -> DevAddrPrefix:
        """The prefix of this network's DevAddr, such as ``5a000000/7``."""
        type_bits = (1 << self.type) - 1 << 1
        value = (type_bits << _NWK_ID_BITS[self.type] | self.nwk_id) << self.nwk_addr_bits
        return DevAddrPrefix(value, 32 - self.nwk_addr_bits)

    def owns(self, dev_addr: int) -> bool:
        """True when the address carries this network's prefix."""
        return dev_addr >> self.nwk_addr_bits == self.dev_addr_prefix().value >> self.nwk_addr_bits

    def make_dev_addr(self, nwk_addr: int) -> DevAddr:
        """The DevAddr of one device of this network; StateError when the number does not fit."""
        if not 0 <= nwk_addr < 1 << self.nwk_addr_bits:
            raise StateError(f"NwkAddr {nwk_addr:#x} does not fit into {self.nwk_addr_bits} bits of NetID {self}")
        return DevAddr(self.dev_addr_prefix().value | nwk_addr)
