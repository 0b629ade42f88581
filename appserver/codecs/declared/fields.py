"""The fields of a layout, as they are after the file has been checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

UNITS = ("m3", "kWh", "Gcal", "imp")
"""Units of readings."""
ROLES = ("battery", "temperature", "clock", "at", "age_s", "age_min")
REST = "rest"


@dataclass(frozen=True, slots=True)
class Condition:
    """What a field read before must be."""

    name: str
    values: tuple[int, ...] = ()
    mask: int = 0
    """When it is not 0: any of these bits is set."""

    def holds(self, raw: object) -> bool:
        """Whether it holds for the number that was read; a field that was not read fulfils nothing."""
        if not isinstance(raw, int):
            return False
        return bool(raw & self.mask) if self.mask else raw in self.values


@dataclass(frozen=True, slots=True)
class Epoch:
    """How a number tells a moment."""

    start: datetime
    unit_s: int


@dataclass(frozen=True, slots=True)
class Measure:
    """A field that is a reading."""

    unit: str
    channel: int | str
    """A number, or the name of the field that tells it."""
    variant: str
    archive: bool


@dataclass(frozen=True, slots=True)
class Field:
    """A number, a text or some bytes at the place where the fields before it end."""

    name: str
    """Empty: skipped."""
    kind: str
    """``u``, ``i``, ``f``, ``bcd``, ``bytes``, ``text``, ``skip`` or ``bits``."""
    size: int
    """Bytes; of ``bits`` how many."""
    endian: str = "little"
    of: str = ""
    shift: int = 0
    scale: Decimal = Decimal(1)
    add: Decimal = Decimal(0)
    none: tuple[int, ...] = ()
    words: Mapping[int, str] | None = None
    flags: Mapping[int, str] | None = None
    epoch: Epoch | None = None
    role: str = ""
    measure: Measure | None = None
    delta_of: str = ""
    back: bool = False
    when: tuple[Condition, ...] = ()
    hidden: bool = False


@dataclass(frozen=True, slots=True)
class Repeat:
    """Records of the same fields after each other."""

    name: str
    count: int | str
    """A number, the name of the field that tells it, or ``rest``: up to the end."""
    fields: tuple[Field, ...]
    every_s: int = 0
    """Seconds from record to record; 0: the records tell their moments themselves."""
    first: int = 1
    """How many steps the first record is away from the moment of the packet."""
    when: tuple[Condition, ...] = ()


@dataclass(frozen=True, slots=True)
class Packet:
    """One kind of frame."""

    title: str
    ports: tuple[int, ...]
    when: tuple[Condition, ...]
    fields: tuple[Field | Repeat, ...]
    ignore_rest: bool = False


@dataclass(frozen=True, slots=True)
class Layout:
    """All kinds of frames of a device, the first that fits is taken."""

    packets: tuple[Packet, ...]
    clock: str
