"""How a MAC command is declared: a slotted value, its CID and the bit layout of its payload.

A payload is read as one little-endian integer, so a layout lists fields from the least significant bit of the first
byte on, as the tables of the specification do from right to left. RFU bits are skipped on reception and sent as zero.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, ClassVar, NamedTuple, Self

from lorawan.errors import FrameError, StateError


class Field(NamedTuple):
    """Some bits of a payload and how they become a value."""

    name: str
    """Attribute of the command; empty for RFU bits."""
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


def flag(name: str) -> Field:
    """One bit as a truth value."""
    return Field(name, 1, bool, int)


def rfu(bits: int) -> Field:
    """Reserved bits: ignored, sent as zero."""
    return Field("", bits, int, int)


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
    """The fields of a payload in their order, and its length in bytes."""

    __slots__ = ("fields", "length")

    def __init__(self, *fields: Field) -> None:
        bits = sum(field.bits for field in fields)
        self.fields = fields
        self.length = -(-bits // 8)

    def parse(self, payload: bytes) -> dict[str, Any]:
        """Values by field name."""
        number = int.from_bytes(payload, "little")
        values = {}
        for name, bits, decode, _ in self.fields:
            if name:
                values[name] = decode(number & (1 << bits) - 1)
            number >>= bits
        return values

    def encode(self, command: Command) -> bytes:
        """Payload of a command; StateError names the field that does not fit."""
        number = shift = 0
        for name, bits, _, encode in self.fields:
            if name:
                value = getattr(command, name)
                raw = encode(value)
                if not 0 <= raw < 1 << bits:
                    raise StateError(f"{type(command).__name__}.{name} = {value!r} does not fit into its {bits} bits")
                number |= raw << shift
            shift += bits
        return number.to_bytes(self.length, "little")


EMPTY = Layout()


class Command:
    """A MAC command of one direction (TS001-1.0.4 §5). Subclasses are values: equal when their fields are."""

    __slots__ = ()
    layout: ClassVar[Layout] = EMPTY
    words: ClassVar[str] = ""
    """The command in words, with its values in braces: a message to translate."""

    @property
    def cid(self) -> int:
        """Command identifier, the first byte."""
        raise NotImplementedError

    @classmethod
    def wire_length(cls, data: bytes, offset: int) -> int:
        """Length of the payload that starts at ``offset`` (behind the CID)."""
        return cls.layout.length

    @classmethod
    def parse(cls, payload: bytes) -> Self:
        """Read the payload without its CID; FrameError on another length."""
        if len(payload) != cls.layout.length:
            raise FrameError(
                f"{cls.__name__} with {len(payload)} payload bytes, not {cls.layout.length}",
                min(len(payload), cls.layout.length),
            )
        return cls(**cls.layout.parse(payload))

    def encode(self) -> bytes:
        """CID and payload; StateError when a field does not fit."""
        return bytes((self.cid,)) + self.layout.encode(self)

    def values(self) -> dict[str, Any]:
        """What the braces of ``words`` stand for."""
        return {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]


class StatusAnswer(Command):
    """An answer made of acceptance bits: the request took effect only when all are set."""

    __slots__ = ()

    @property
    def accepted(self) -> bool:
        """True when the device accepted every part."""
        return not self.refused

    @property
    def refused(self) -> tuple[str, ...]:
        """Names of the parts that the device refused, such as ``("power",)``."""
        return tuple(f.name.removesuffix("_ack") for f in self.layout.fields if f.name and not getattr(self, f.name))


@dataclass(frozen=True, slots=True)
class UnknownCommand(Command):
    """The rest of a command block from a CID on that is unknown, proprietary or cut short: kept as it came.

    Lengths of unknown commands are unknown too, so nothing behind one can be read (TS001-1.0.4 §5).
    """

    data: bytes
    """CID and everything behind it."""

    @property
    def cid(self) -> int:
        """The first byte."""
        return self.data[0]

    def encode(self) -> bytes:
        """The bytes as they came."""
        return self.data
