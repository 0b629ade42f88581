"""What every MAC command is: a slotted value, its CID and the bit layout of its payload."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Self

from lorawan.errors import FrameError
from lorawan.layout import Layout

EMPTY = Layout()


class Command(ABC):
    """A MAC command of one direction (TS001-1.0.4 §5). Subclasses are values: equal when their fields are."""

    __slots__ = ()
    layout: ClassVar[Layout] = EMPTY
    words: ClassVar[str] = ""
    """The command in words, with its values in braces: a message to translate."""

    @property
    @abstractmethod
    def cid(self) -> int:
        """Command identifier, the first byte."""

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
