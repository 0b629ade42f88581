"""What codecs take and give."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any


class CodecError(ValueError):
    """The payload is not what this codec reads: ``reason`` says what, ``offset`` at which byte (None: no one byte)."""

    def __init__(self, reason: str, offset: int | None = None) -> None:
        super().__init__(reason if offset is None else f"{reason} (byte {offset})")
        self.reason = reason
        self.offset = offset


@dataclass(frozen=True, slots=True)
class Measurement:
    """One register of one channel at one moment."""

    channel: int
    """Input or subsystem of the module, from 1."""
    value: Decimal
    """As sent, in ``unit``."""
    unit: str
    """``m3``, ``kWh``, ``Gcal`` or ``imp`` (pulses)."""
    variant: str = ""
    """Empty for the channel's own register, else what it is beside it: ``reverse``, ``hour_interval`` …"""
    at: datetime | None = None
    """The moment it counts for on the device's clock (naive); None when the payload does not say."""
    archive: bool = False
    """Stored by the device at that moment, as against read while sending."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """Everything a payload says."""

    measurements: tuple[Measurement, ...] = ()
    flags: tuple[str, ...] | None = None
    """Conditions that hold now; None when the payload has no flags, so that the last known ones stay."""
    battery_pct: int | None = None
    temperature_c: int | None = None
    clock: datetime | None = None
    """The device's clock at the moment of sending (naive); None when the payload does not say."""
    values: dict[str, Any] = field(default_factory=dict)
    """The payload in words and plain JSON values, for people and integrations."""
    clock_step_s: int = 0
    """The clock is told without what is less than this: an hour where a stamp has no minutes."""


class CommandError(ValueError):
    """The codec does not send such a command: ``reason`` says what is wrong and what is right, ``key`` where."""

    def __init__(self, reason: str, key: str = "") -> None:
        super().__init__(f"{key}: {reason}" if key else reason)
        self.reason = reason
        self.key = key


Decoder = Callable[[int, bytes, int], Decoded]
"""``(f_port, data, received_at_us) -> Decoded``; raises CodecError. The reception is for payloads that tell no moment
but their age."""
Encoder = Callable[[dict[str, Any]], tuple[int, bytes]]
"""``command -> (f_port, data)``; raises CommandError. A command is plain JSON values."""


@dataclass(frozen=True, slots=True)
class Codec:
    """A codec of the table in ``registry``."""

    name: str
    version: int
    title: str
    decode: Decoder
    clock: str
    """``local``: the device's clock shows the time of its place; ``utc``: it shows UTC."""
    encode: Encoder | None = None
    """None: the codec sends nothing to devices."""
    digest: str = ""
    """What tells two contents of one version apart; empty for a codec of the program."""

    @property
    def label(self) -> str:
        """``name@version`` (``-digest``): what readings remember."""
        return f"{self.name}@{self.version}" + (f"-{self.digest}" if self.digest else "")


def utc(seconds: float) -> datetime | None:
    """Unix time as naive UTC; None outside of the calendar."""
    try:
        return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)
    except (ValueError, OverflowError, OSError):
        return None


def age(received_at_us: int, seconds: float) -> datetime | None:
    """The moment, as naive UTC, that was ``seconds`` before the reception."""
    return utc(received_at_us / 1_000_000 - seconds)
