"""Session and time: Reset, Rekey, ForceRejoin, RejoinParamSetup, DeviceMode (LoRaWAN 1.1), DeviceTime (TS001-1.0.4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lorawan.commands.base import Command
from lorawan.layout import Layout, flag, rfu, uint

_VERSION = Layout(uint("minor", 4), rfu(4))


@dataclass(frozen=True, slots=True)
class ResetInd(Command):
    """An ABP device tells that it has reset its MAC state; repeated until ResetConf (LoRaWAN 1.1 §5.1)."""

    minor: int = 1
    """LoRaWAN 1.minor."""

    cid = 0x01
    layout = _VERSION
    words = "has reset its MAC state, speaks LoRaWAN 1.{minor}"


@dataclass(frozen=True, slots=True)
class ResetConf(Command):
    """The network has reset its picture of the device (LoRaWAN 1.1 §5.1)."""

    minor: int = 1

    cid = 0x01
    layout = _VERSION
    words = "reset confirmed, LoRaWAN 1.{minor}"


@dataclass(frozen=True, slots=True)
class RekeyInd(Command):
    """A device confirms the new session keys; repeated until RekeyConf (LoRaWAN 1.1 §5.10)."""

    minor: int = 1

    cid = 0x0B
    layout = _VERSION
    words = "uses the new keys, speaks LoRaWAN 1.{minor}"


@dataclass(frozen=True, slots=True)
class RekeyConf(Command):
    """The network uses the new session keys too (LoRaWAN 1.1 §5.10)."""

    minor: int = 1

    cid = 0x0B
    layout = _VERSION
    words = "new keys confirmed, LoRaWAN 1.{minor}"


@dataclass(frozen=True, slots=True)
class DeviceTimeReq(Command):
    """The device asks for the time (TS001-1.0.4 §5.10)."""

    cid = 0x0D
    words = "asks for the time"


@dataclass(frozen=True, slots=True)
class DeviceTimeAns(Command):
    """GPS time at the end of the uplink that asked; goes out in its RX windows or not at all (TS001-1.0.4 §5.10)."""

    seconds: int
    """Since 1980-01-06T00:00:00Z, leap seconds not counted, modulo 2**32."""
    fraction: int = 0
    """1/256 s."""

    cid = 0x0D
    layout = Layout(uint("seconds", 32), uint("fraction", 8))
    words = "the time was {seconds} + {fraction}/256 s of GPS"


@dataclass(frozen=True, slots=True)
class ForceRejoinReq(Command):
    """Make the device send rejoin-requests (LoRaWAN 1.1 §5.13).

    The specification orders the 16 bits little endian as everything else; LoRaMac-node and devices built on it, and
    The Things Stack, have the two bytes the other way round: :meth:`encode_period_first`.
    """

    period: int
    """Pause between attempts: 32 s * 2**period and up to 32 s at random."""
    max_retries: int
    rejoin_type: int
    """0 and 1: type 0; 2: type 2."""
    dr: int

    cid = 0x0E
    layout = Layout(uint("dr", 4), uint("rejoin_type", 3), rfu(1), uint("max_retries", 3), uint("period", 3), rfu(2))
    words = "rejoin (type {rejoin_type}) at DR {dr}, up to {max_retries} repetition(s), {pause_s} s apart"

    def encode_period_first(self) -> bytes:
        """The form with the two payload bytes exchanged, for devices built on LoRaMac-node."""
        cid, low, high = self.encode()
        return bytes((cid, high, low))

    def values(self) -> dict[str, Any]:
        """With ``pause_s``: the shortest pause."""
        return Command.values(self) | {"pause_s": 32 << self.period}


@dataclass(frozen=True, slots=True)
class RejoinParamSetupReq(Command):
    """Rejoin periodically: at least every 2**(max_time_n+10) s or 2**(max_count_n+4) uplinks (LoRaWAN 1.1 §5.14)."""

    max_time_n: int
    max_count_n: int

    cid = 0x0F
    layout = Layout(uint("max_count_n", 4), uint("max_time_n", 4))
    words = "rejoin every {time_s} s or {count} uplinks"

    def values(self) -> dict[str, Any]:
        """With ``time_s`` and ``count``: the limits meant."""
        return Command.values(self) | {"time_s": 1 << self.max_time_n + 10, "count": 1 << self.max_count_n + 4}


@dataclass(frozen=True, slots=True)
class RejoinParamSetupAns(Command):
    """The limits are set; without a clock only the count is (LoRaWAN 1.1 §5.14)."""

    time_ok: bool

    cid = 0x0F
    layout = Layout(flag("time_ok"), rfu(7))
    words = "rejoin limits set, by time too: {time_ok}"


_MODE = Layout(uint("mode", 8))
_MODE_NAMES = {0: "A", 2: "C"}


class _DeviceMode(Command):
    """The class a device works in: 0 is A, 2 is C, 1 is reserved (class B has its bit in FCtrl)."""

    __slots__ = ()
    layout = _MODE
    mode: int

    @property
    def device_class(self) -> str | None:
        """``"A"``, ``"C"`` or None for a reserved value."""
        return _MODE_NAMES.get(self.mode)

    def values(self) -> dict[str, Any]:
        """With ``device_class``."""
        return {"mode": self.mode, "device_class": self.device_class or "?"}


@dataclass(frozen=True, slots=True)
class DeviceModeInd(_DeviceMode):
    """The device has changed its class; repeated until DeviceModeConf (LoRaWAN 1.1 §18.1)."""

    mode: int
    """0 class A, 2 class C."""

    cid = 0x20
    words = "works in class {device_class}"


@dataclass(frozen=True, slots=True)
class DeviceModeConf(_DeviceMode):
    """The network knows the new class (LoRaWAN 1.1 §18.1)."""

    mode: int

    cid = 0x20
    words = "class {device_class} confirmed"
