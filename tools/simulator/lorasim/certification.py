"""The device side of the LoRaWAN certification protocol (TS009, package 6 version 1): commands on FPort 224.

Identifiers and layouts of TS009-1.2 as in LoRaMac-node (``LmhpCompliance.c``) and stacks made from it; versions have four
bytes (major, minor, patch, revision) and numbers of several bytes are little-endian. :meth:`Certification.receive` takes a
downlink's payload and says what the device has to do; ``answer`` is what it sends back on FPort 224. :func:`obey` does it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lorasim.class_b import RFU_BY_SF, ClassB
from lorasim.class_c import ClassC
from lorasim.outbox import Message, Sending
from lorasim.radio import Downlink
from lorawan import commands

if TYPE_CHECKING:
    from lorasim.device import Device

PORT = 224
PACKAGE_ID, PACKAGE_VERSION = 6, 1
PERIODS_S = (0, 5, 10, 20, 30, 40, 50, 60, 120, 240, 480)
"""TxPeriodicityChangeReq by number; 0 is the application's own."""
CLASSES = "ABC"
PERIODIC_PORT = 2
"""Of periodic uplinks before the application has sent anything."""
PING_PERIODICITY = 7
"""Of a device that becomes class B and was never told another."""
NOISE_DBM = -117
"""Noise floor of 125 kHz at a noise figure of 6 dB: a beacon's RSSI is this and its SNR."""
BEACON_INFO = 19
"""Bytes of a beacon in BeaconRxStatusInd: Freq 3, DR 1, RSSI 2, SNR 1, Param 1, Time 4, GwSpecific 7."""


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

    @property
    def waits(self) -> bool:
        """Whether there is something that is only done between two uplinks."""
        return self.reset or self.join or bool(self.device_class) or self.tx_cw is not None


@dataclass(slots=True)
class Certification:
    """State of the protocol. ``rx_app_cnt`` counts downlinks with data of the application, or with an ACK."""

    firmware: tuple[int, int, int, int] = (0, 0, 0, 0)
    lorawan: tuple[int, int, int, int] = (1, 0, 4, 0)
    regional: tuple[int, int, int, int] = (2, 1, 0, 3)
    on: bool = True
    rx_app_cnt: int = 0
    confirmed: bool | None = None
    """Every uplink with a payload is confirmed, or none is; None: as the application wants."""
    period_s: int = 0
    """The device sends by itself so often, and the application's payloads only change what; 0: they leave as they come."""
    next_us: int | None = None
    """When the next periodic uplink is due."""
    beacon_status: bool = False
    """BeaconRxStatusInd for each beacon, missed ones too."""
    beacon_cnt: int = 0
    ping_periodicity: int = PING_PERIODICITY
    waiting: list[Wanted] = field(default_factory=list)
    """What is done as soon as no uplink is in progress."""
    _latest: Message = field(default_factory=lambda: Message(PERIODIC_PORT, b"\x00"))
    _beacon: bytes = bytes(BEACON_INFO)
    _before: tuple[bool, bool, bool, int | None] | None = None
    """ADR, duty cycle and class as the firmware has them, from the first command that changes one."""
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
        wanted.answer = b"\x09" + self.rx_app_cnt.to_bytes(2, "little")

    def _count_reset(self, _: Wanted, __: bytes) -> None:
        self.rx_app_cnt = 0

    def _link_check(self, wanted: Wanted, _: bytes) -> None:
        wanted.link_check = True

    def _device_time(self, wanted: Wanted, _: bytes) -> None:
        wanted.device_time = True

    def _ping_slot(self, wanted: Wanted, data: bytes) -> None:
        wanted.ping_slot_periodicity = data[0] & 7

    def _beacon_status(self, _: Wanted, data: bytes) -> None:
        self.beacon_status = bool(data[0] & 1)

    def _beacon_count(self, wanted: Wanted, _: bytes) -> None:
        wanted.answer = b"\x43" + self.beacon_cnt.to_bytes(2, "little")

    def _beacon_count_reset(self, _: Wanted, __: bytes) -> None:
        self.beacon_cnt = 0

    def _tx_cw(self, wanted: Wanted, data: bytes) -> None:
        seconds, hz = int.from_bytes(data[:2], "little"), int.from_bytes(data[2:5], "little") * 100
        wanted.tx_cw = seconds, hz, int.from_bytes(data[5:6], "little", signed=True)

    def _disable(self, _: Wanted, __: bytes) -> None:
        self.on = False

    def _versions(self, wanted: Wanted, _: bytes) -> None:
        wanted.answer = bytes((0x7F, *self.firmware, *self.lorawan, *self.regional))

    # ------------------------------------------------------------------------------------------------- the device

    def compose(self, sending: Sending) -> None:
        """An uplink is about to leave for the first time."""
        if self.confirmed is not None and sending.f_port:
            sending.confirmed = self.confirmed

    def takes(self, message: Message) -> bool:
        """A payload of the application: with a period of its own the device keeps it for the next one."""
        if self.period_s:
            self._latest = Message(message.f_port, message.data, message.confirmed)
        return bool(self.period_s)

    def periodic(self, now: int) -> Message | None:
        """The periodic uplink, when it is due."""
        if self.next_us is None or now < self.next_us:
            return None
        self.next_us = now + self.period_s * 1_000_000
        return self._latest

    def beacon(self, device: Device, downlink: Downlink | None, lost: bool, snr_db: float, now: int) -> None:
        """A beacon came, or None: one was missed, or the last of too many (``lost``)."""
        if lost:
            self.beacon_cnt, self._beacon = 0, bytes(BEACON_INFO)
        if downlink is not None:
            self.beacon_cnt = (self.beacon_cnt + 1) & 0xFFFF
            self._beacon = _beacon_info(device, downlink, snr_db)
        if self.on and self.beacon_status:
            status = bytes((0x41, not lost)) + self.beacon_cnt.to_bytes(2, "little") + self._beacon
            device.outbox.queue.append(Message(PORT, status))
            device.answer_when_idle(now)

    def carry_out(self, device: Device, now: int) -> bool:
        """Nothing is in progress: do what waits. True when the device does something else now than rest."""
        while self.waiting:
            wanted = self.waiting.pop(0)
            if wanted.device_class:
                _switch(device, self, wanted.device_class)
            if wanted.tx_cw is not None:
                seconds, hz, dbm = wanted.tx_cw
                device.note("tx_cw", seconds=seconds, frequency_hz=hz, power_dbm=dbm)
                transmitter = device.transmitter
                transmitter.end_us = now + seconds * 1_000_000
                transmitter.duty.silent_until_us = max(transmitter.duty.silent_until_us, transmitter.end_us)
            if wanted.reset:
                self._restart(device, now)
                return True
            if wanted.join and device.joiner.join_nonce >= 0:
                device.join_again(now)
                return True
        return False

    def remember(self, device: Device) -> None:
        """The settings to which a reset returns."""
        config = device.config
        if self._before is None:
            self._before = config.adr, config.duty_cycle, config.class_c, config.ping_periodicity

    def _restart(self, device: Device, now: int) -> None:
        """DutReset: as power off and on. The application's settings are the firmware's again."""
        config = device.config
        if self._before is not None:
            config.adr, config.duty_cycle, class_c, periodicity = self._before
            device.transmitter.duty.by_band = config.duty_cycle
            self.ping_periodicity = PING_PERIODICITY if periodicity is None else periodicity
            _switch(device, self, "C" if class_c else "A" if periodicity is None else "B")
        self.rx_app_cnt = self.beacon_cnt = self.period_s = 0
        self.confirmed = self.next_us = self._before = None
        self.beacon_status, self.ping_periodicity = False, PING_PERIODICITY
        self.waiting.clear()
        device.outbox.queue.clear()
        device.insisting.clear()
        # a device that was given its session has nothing else
        device.restart(now, keep_session=device.joiner.join_nonce < 0)


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
    0x40: ("BeaconRxStatusIndCtrl", 1, Certification._beacon_status),
    0x42: ("BeaconCntReq", 0, Certification._beacon_count),
    0x44: ("BeaconCntRstReq", 0, Certification._beacon_count_reset),
    0x7D: ("TxCwReq", 6, Certification._tx_cw),
    0x7E: ("DutFPort224DisableReq", 0, Certification._disable),
    0x7F: ("DutVersionsReq", 0, Certification._versions),
}
"""Identifier → name, least length behind it, what it does."""


def obey(device: Device, wanted: Wanted, now: int) -> None:
    """Do what a downlink asked: at once, or (reset, join, class, carrier) as soon as no uplink is in progress."""
    certification, wishes = device.certification, device.outbox.wishes
    assert certification is not None
    if wanted.answer:
        device.outbox.queue.append(Message(PORT, wanted.answer))
    if wanted.link_check:
        wishes.append(commands.LinkCheckReq())
    if wanted.device_time:
        wishes.append(commands.DeviceTimeReq())
    if wanted.ping_slot_periodicity is not None:
        certification.ping_periodicity = wanted.ping_slot_periodicity
        if device.class_b is None:
            wishes.append(commands.PingSlotInfoReq(wanted.ping_slot_periodicity))
        else:  # it tells the network by itself
            device.class_b.periodicity, device.class_b.informed = wanted.ping_slot_periodicity, False
    if wanted.adr is not None or wanted.duty_cycle is not None or wanted.device_class:
        certification.remember(device)
    if wanted.adr is not None:
        device.config.adr = wanted.adr
    if wanted.duty_cycle is not None:
        device.config.duty_cycle = device.transmitter.duty.by_band = wanted.duty_cycle
    if wanted.confirmed is not None:
        certification.confirmed = wanted.confirmed
    if wanted.period_s is not None:
        certification.period_s = wanted.period_s
        certification.next_us = now + wanted.period_s * 1_000_000 if wanted.period_s else None
    if wanted.waits:
        certification.waiting.append(wanted)


def _switch(device: Device, certification: Certification, device_class: str) -> None:
    """Work in another class from now on; 1.1 tells the network (1.1 §18.1)."""
    config = device.config
    if device_class == config.device_class:
        return
    was_c, config.class_c = config.class_c, device_class == "C"
    config.ping_periodicity = certification.ping_periodicity if device_class == "B" else None
    device.class_c = ClassC() if device_class == "C" else None
    device.class_b = ClassB(device.plan, certification.ping_periodicity, config.ppm) if device_class == "B" else None
    if config.lorawan_1_1 and was_c != config.class_c:
        device.change_class("C" if config.class_c else "A")
    device.note("class", device_class=device_class)


def _beacon_info(device: Device, downlink: Downlink, snr_db: float) -> bytes:
    """A beacon as BeaconRxStatusInd tells it."""
    phy, sf = downlink.phy, int(downlink.datr[2:].split("BW")[0])
    before, _ = RFU_BY_SF[sf]
    rssi_dbm = round(NOISE_DBM + snr_db)
    return (
        (downlink.frequency_hz // 100).to_bytes(3, "little")
        + bytes((device.plan.class_b.beacon_dr or 0,))
        + rssi_dbm.to_bytes(2, "little", signed=True)
        + max(-128, min(127, round(snr_db))).to_bytes(1, "little", signed=True)
        + phy[before - 1 : before + 4]
        + phy[before + 6 : before + 13]
    )
