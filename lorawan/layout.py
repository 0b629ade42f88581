"""Bit fields of the wire: a layout lists them once and reads and writes them.

Bytes are read as one little-endian integer, so a layout lists its fields from the least significant bit of the first
byte on, as the tables of the specification do from right to left. RFU bits are skipped on reception and sent as zero.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from lorawan.errors import StateError
from lorawan.identifiers import DevAddr


class Field(NamedTuple):
    """Some bits and how they become a value."""

    name: str
    """Attribute of the value; empty for RFU bits."""
    bits: int
    decode: Callable[[int], Any]
    encode: Callable[[Any], int]


def uint(name: str, bits: int) -> Field:
    """An unsigned number."""
    return Field(name, bits, int, int)


def sint(name: str, bits: int) -> Field:
    """A signed number in two's complement."""
    half = 1 << bits - 1

    def encode(value: int) -> int:
        return value & (half << 1) - 1 if -half <= value < half else -1

    return Field(name, bits, lambda raw: raw - ((raw & half) << 1), encode)


def offset_uint(name: str, bits: int, decode: Callable[[int], int], encode: Callable[[int], int]) -> Field:
    """A number that travels shifted or negated."""
    return Field(name, bits, decode, encode)


def flag(name: str) -> Field:
    """One bit as a truth value."""
    return Field(name, 1, bool, int)


def rfu(bits: int) -> Field:
    """Reserved bits: ignored, sent as zero."""
    return Field("", bits, int, int)


def address(name: str = "dev_addr") -> Field:
    """A DevAddr."""
    return Field(name, 32, DevAddr, int)


def raw_bytes(name: str, length: int) -> Field:
    """Bytes in the order of the wire."""
    return Field(
        name,
        8 * length,
        lambda raw: raw.to_bytes(length, "little"),
        lambda value: int.from_bytes(value, "little") if len(value) == length else -1,
    )


_STEPS_OF_200_HZ_FROM = 12_000_000


def frequency(name: str = "frequency_hz") -> Field:
    """24 bits in steps of 100 Hz, or of 200 Hz from 2.4 GHz on (RP002-1.0.4, ISM2400)."""

    def decode(raw: int) -> int:
        return raw * (200 if raw >= _STEPS_OF_200_HZ_FROM else 100)

    def encode(value: int) -> int:
        step = 200 if value >= _STEPS_OF_200_HZ_FROM * 200 else 100
        raw, rest = divmod(value, step)
        # What a receiver would read as another frequency must not be sent.
        return -1 if rest or decode(raw) != value else raw

    return Field(name, 24, decode, encode)


class Layout:
    """Fields in their order, and their length in bytes altogether."""

    __slots__ = ("fields", "length")

    def __init__(self, *fields: Field) -> None:
        bits = sum(field.bits for field in fields)
        self.fields = fields
        self.length = -(-bits // 8)

    def parse(self, data: bytes) -> dict[str, Any]:
        """Values by field name."""
        number = int.from_bytes(data, "little")
        values = {}
        for name, bits, decode, _ in self.fields:
            if name:
                values[name] = decode(number & (1 << bits) - 1)
            number >>= bits
        return values

    def encode(self, source: object) -> bytes:
        """The bytes of an object's attributes; StateError names the field that does not fit."""
        number = shift = 0
        for name, bits, _, encode in self.fields:
            if name:
                value = getattr(source, name)
                raw = encode(value)
                if not 0 <= raw < 1 << bits:
                    raise StateError(f"{type(source).__name__}.{name} = {value!r} does not fit into its {bits} bits")
                number |= raw << shift
            shift += bits
        return number.to_bytes(self.length, "little")
