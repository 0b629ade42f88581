"""The set of DevNonce values that a device has used, small enough to lie in the device's own row.

A DevNonce has 16 bits. Up to 4,095 values are kept as a sorted list of two bytes each; from there on a bitmap of
8 KiB is smaller and never grows. A device joins a few dozen times in its life, so most sets are tens of bytes.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator

DEV_NONCES = 1 << 16
"""How many DevNonce values there are."""

_BITMAP_LENGTH = DEV_NONCES // 8


class NonceSet:
    """An immutable set of 16-bit values. ``data`` is its stored form, byte for byte."""

    __slots__ = ("data",)

    def __init__(self, data: bytes = b"") -> None:
        """Take the stored form. Raises ``ValueError`` when it cannot be one."""
        if len(data) > _BITMAP_LENGTH or len(data) % 2:
            raise ValueError(f"a nonce set of {len(data)} bytes cannot be")
        self.data = data

    @classmethod
    def of(cls, values: Iterable[int]) -> NonceSet:
        """The set of these values, each 0..65535. Raises ``ValueError`` for another number."""
        distinct = sorted(set(values))
        if distinct and not 0 <= distinct[0] <= distinct[-1] < DEV_NONCES:
            raise ValueError(f"a DevNonce is a number 0..65535, not {distinct[0]}..{distinct[-1]}")
        if 2 * len(distinct) < _BITMAP_LENGTH:
            return cls(b"".join(value.to_bytes(2, "big") for value in distinct))
        bitmap = bytearray(_BITMAP_LENGTH)
        for value in distinct:
            bitmap[value >> 3] |= 1 << (value & 7)
        return cls(bytes(bitmap))

    def add(self, value: int) -> NonceSet:
        """The set with ``value`` (0..65535) in it."""
        if value in self:
            return self
        if len(self.data) == _BITMAP_LENGTH:
            bitmap = bytearray(self.data)
            bitmap[value >> 3] |= 1 << (value & 7)
            return NonceSet(bytes(bitmap))
        if len(self.data) + 2 == _BITMAP_LENGTH:
            return NonceSet.of((*self, value))
        at = 2 * self._position(value)
        return NonceSet(self.data[:at] + value.to_bytes(2, "big") + self.data[at:])

    @property
    def highest(self) -> int:
        """The greatest value in the set, -1 when it is empty."""
        if not self.data:
            return -1
        if len(self.data) < _BITMAP_LENGTH:
            return int.from_bytes(self.data[-2:], "big")
        last = len(self.data.rstrip(b"\0")) - 1
        return 8 * last + self.data[last].bit_length() - 1

    def __contains__(self, value: int) -> bool:
        if len(self.data) == _BITMAP_LENGTH:
            return bool(self.data[value >> 3] >> (value & 7) & 1)
        at = 2 * self._position(value)
        return self.data[at : at + 2] == value.to_bytes(2, "big")

    def __len__(self) -> int:
        if len(self.data) < _BITMAP_LENGTH:
            return len(self.data) // 2
        return int.from_bytes(self.data, "big").bit_count()

    def __iter__(self) -> Iterator[int]:
        if len(self.data) < _BITMAP_LENGTH:
            return (int.from_bytes(self.data[at : at + 2], "big") for at in range(0, len(self.data), 2))
        return (value for value in range(DEV_NONCES) if self.data[value >> 3] >> (value & 7) & 1)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, NonceSet) and self.data == other.data

    def __hash__(self) -> int:
        return hash(self.data)

    def __repr__(self) -> str:
        return f"NonceSet({len(self)} values, highest {self.highest})"

    def _position(self, value: int) -> int:
        """Index of the first listed value that is not below ``value``."""
        data = self.data
        return bisect_left(range(len(data) // 2), value, key=lambda i: data[2 * i] << 8 | data[2 * i + 1])
