"""The device side of the LoRaWAN certification protocol (TS009, package 6 version 1): commands on FPort 224.

Identifiers and layouts as in LoRaMac-node (``LmhpCompliance.c``) and TS009-1.2. Pure: :meth:`Certification.receive` takes a
downlink's payload and says what the device has to do; ``answer`` is what it sends back on FPort 224.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lorasim.outbox import Message
from lorawan import commands

if TYPE_CHECKING:
    from lorasim.device import Device

PORT = 224
PACKAGE_ID, PACKAGE_VERSION = 6, 1
PERIODS_S = (0, 5, 10, 20, 30, 40, 50, 60, 120, 240, 480)
"""TxPeriodicityChangeReq by number; 0 is the application's own."""
CLASSES = "ABC"


@dataclass(slots=True)
class Wanted:
    """What a command asks of the device; what is None or empty is not asked."""

    answer: bytes = b""
    reset: bool = False
    join: bool = False
    device_class: str = ""
    adr: bool | None = None
    duty_cycle: bool | None = None
    period_s: int | None = None
    confirmed: bool | None = None
    link_check: bool = False
    device_time: bool = False
    ping_slot_periodicity: int | None = None
    tx_cw: tuple[int, int, int] | None = None
    """Seconds, Hz, dBm."""


@dataclass(slots=True)
class Certification:
    """State of the protocol. ``rx_app_cnt`` counts downlinks with data of the application, or with an ACK."""

    firmware: tuple[int, int, int, int] = (0, 0, 0, 0)
    lorawan: tuple[int, int, int, int] = (1, 0, 4, 0)
    regional: tuple[int, int, int, int] = (2, 1, 0, 3)
    on: bool = True
    rx_app_cnt: int = 0
    _wanted: Wanted = field(default_factory=Wanted)

    def receive(self, f_port: int | None, data: bytes, ack: bool = False) -> Wanted:
        """A downlink. Unknown and short commands ask for nothing."""
        self._wanted = wanted = Wanted()
        if not self.on:
            return wanted
        if f_port or ack:
            self.rx_app_cnt = (self.rx_app_cnt + 1) & 0xFFFF
        command = COMMANDS.get(data[0]) if f_port == PORT and data else None
        if command is not None and len(data) - 1 >= command[1]:
            command[2](self, wanted, data[1:])
        return wanted

    def _package_version(self, wanted: Wanted, _: bytes) -> None:
        wanted.answer = bytes((0x00, PACKAGE_ID, PACKAGE_VERSION))

    def _reset(self, wanted: Wanted, _: bytes) -> None:
        wanted.reset = True

    def _join(self, wanted: Wanted, _: bytes) -> None:
        wanted.join = True

    def _switch_class(self, wanted: Wanted, data: bytes) -> None:
        if data[0] < len(CLASSES):
            wanted.device_class = CLASSES[data[0]]

    def _adr(self, wanted: Wanted, data: bytes) -> None:
        wanted.adr = bool(data[0] & 1)

    def _duty_cycle(self, wanted: Wanted, data: bytes) -> None:
        wanted.duty_cycle = bool(data[0] & 1)

    def _period(self, wanted: Wanted, data: bytes) -> None:
        if data[0] < len(PERIODS_S):
            wanted.period_s = PERIODS_S[data[0]]

    def _frames(self, wanted: Wanted, data: bytes) -> None:
        """1 unconfirmed, 2 confirmed, 0 as it is."""
        if data[0] in (1, 2):
            wanted.confirmed = data[0] == 2

    def _echo(self, wanted: Wanted, data: bytes) -> None:
        wanted.answer = bytes((0x08, *((byte + 1) & 0xFF for byte in data)))

    def _count(self, wanted: Wanted, _: bytes) -> None:
        wanted.answer = b"\x09" + self.rx_app_cnt.to_bytes(2, "big")

    def _count_reset(self, _: Wanted, __: bytes) -> None:
        self.rx_app_cnt = 0

    def _link_check(self, wanted: Wanted, _: bytes) -> None:
        wanted.link_check = True

    def _device_time(self, wanted: Wanted, _: bytes) -> None:
        wanted.device_time = True

    def _ping_slot(self, wanted: Wanted, data: bytes) -> None:
        wanted.ping_slot_periodicity = data[0] & 7

    def _tx_cw(self, wanted: Wanted, data: bytes) -> None:
        seconds, hz = int.from_bytes(data[:2], "little"), int.from_bytes(data[2:5], "little") * 100
        wanted.tx_cw = seconds, hz, int.from_bytes(data[5:6], "little", signed=True)

    def _disable(self, _: Wanted, __: bytes) -> None:
        self.on = False

    def _versions(self, wanted: Wanted, _: bytes) -> None:
        wanted.answer = bytes((0x7F, *self.firmware, *self.lorawan, *self.regional))


COMMANDS: dict[int, tuple[str, int, Callable[[Certification, Wanted, bytes], None]]] = {
    0x00: ("PackageVersionReq", 0, Certification._package_version),
    0x01: ("DutResetReq", 0, Certification._reset),
    0x02: ("DutJoinReq", 0, Certification._join),
    0x03: ("SwitchClassReq", 1, Certification._switch_class),
    0x04: ("ADRBitChangeReq", 1, Certification._adr),
    0x05: ("RegionalDutyCycleCtrlReq", 1, Certification._duty_cycle),
    0x06: ("TxPeriodicityChangeReq", 1, Certification._period),
    0x07: ("TxFramesCtrlReq", 1, Certification._frames),
    0x08: ("EchoIncPayloadReq", 0, Certification._echo),
    0x09: ("RxAppCntReq", 0, Certification._count),
    0x0A: ("RxAppCntResetReq", 0, Certification._count_reset),
    0x20: ("LinkCheckReq", 0, Certification._link_check),
    0x21: ("DeviceTimeReq", 0, Certification._device_time),
    0x22: ("PingSlotInfoReq", 1, Certification._ping_slot),
    0x7D: ("TxCwReq", 6, Certification._tx_cw),
    0x7E: ("DutFPort224DisableReq", 0, Certification._disable),
    0x7F: ("DutVersionsReq", 0, Certification._versions),
}
"""Identifier → name, least length behind it, what it does."""


def obey(device: Device, wanted: Wanted) -> None:
    """Do what a device can at once: answers, requests and the ADR bit. The rest is for who drives the device."""
    if wanted.answer:
        device.outbox.queue.append(Message(PORT, wanted.answer))
    if wanted.link_check:
        device.outbox.wishes.append(commands.LinkCheckReq())
    if wanted.device_time:
        device.outbox.wishes.append(commands.DeviceTimeReq())
    if wanted.ping_slot_periodicity is not None:
        device.outbox.wishes.append(commands.PingSlotInfoReq(wanted.ping_slot_periodicity))
    if wanted.adr is not None:
        device.config.adr = wanted.adr
