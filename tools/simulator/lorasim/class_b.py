"""The class B half of a device: it finds the beacon, follows it, and listens in its ping slots (TS001-1.0.4 §8–§13).

All sums are made here anew, from the specification: no line is shared with the server, so a slot that one side computes
wrong is a frame that the device misses. The device's crystal runs off by ``ppm``; what it believes is converted to the
true time of the air. Times are microseconds: ``gps`` since 1980-01-06, the others of the radio's clock.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum, auto

from lorasim.crypto import encrypt_block
from lorasim.radio import Downlink, preamble_us, same_channel
from lorasim.session import Session
from regional import Plan

PERIOD_US = 128_000_000
RESERVED_US = 2_120_000
SLOT_US = 30_000
START_US = 1_500
"""The beacon's preamble begins so long after the full GPS second."""
GPS_EPOCH_UTC_S = 315_964_800
LEAP_S = 18
BEACONLESS_US = 7_200_000_000
"""After two hours without a beacon a device is class A again."""
SEARCH_US = 20_000
"""A device that knows the time only from DeviceTimeAns opens its beacon window so far either way."""
TRACKING_US = 8_000
WIDEST_US = 250_000
"""Windows double with every missed beacon up to this."""
DEVICE_TIME_AGAIN_US = 600_000_000
RFU_BY_SF = {8: (1, 3), 9: (2, 0), 10: (3, 1), 12: (5, 3)}
"""Bytes before Time (the last of them Param since 1.0.4) and behind GwSpecific."""


class Lock(Enum):
    """How far the device has come."""

    NO_TIME = auto()
    """It must ask for the time first."""
    SEARCHING = auto()
    """It knows the time and waits for the next beacon."""
    LOCKED = auto()


def gps_of(utc_us: int) -> int:
    """GPS time of a moment of the radio's clock."""
    return utc_us - (GPS_EPOCH_UTC_S - LEAP_S) * 1_000_000


def utc_of(gps_us: int) -> int:
    return gps_us + (GPS_EPOCH_UTC_S - LEAP_S) * 1_000_000


def ping_offset(beacon_time_s: int, dev_addr: int, period: int) -> int:
    """Slot of the first ping slot: AES with the zero key over beacon time, address and padding."""
    block = encrypt_block(bytes(16), beacon_time_s.to_bytes(4, "little") + dev_addr.to_bytes(4, "little") + bytes(8))
    return (block[0] + 256 * block[1]) % period


def slots(beacon_gps_us: int, dev_addr: int, periodicity: int) -> Iterator[int]:
    """GPS times of an address's ping slots behind a beacon."""
    period = 32 << periodicity
    first = ping_offset(beacon_gps_us // 1_000_000 & 0xFFFFFFFF, dev_addr, period)
    for slot in range(first, 4096, period):
        yield beacon_gps_us + RESERVED_US + slot * SLOT_US


def crc(data: bytes) -> int:
    """x**16 + x**12 + x**5 + 1, bit by bit, from zero."""
    value = 0
    for byte in data:
        value ^= byte << 8
        for _ in range(8):
            value = (value << 1 ^ 0x1021) & 0xFFFF if value & 0x8000 else value << 1
    return value


def beacon_time_s(data: bytes, sf: int) -> int | None:
    """Time of a beacon, None when its length or one of its CRCs is wrong."""
    before, behind = RFU_BY_SF[sf]
    common, rest = data[: before + 6], data[before + 6 :]
    if len(rest) != 7 + behind + 2:
        return None
    if any(crc(part[:-2]) != int.from_bytes(part[-2:], "little") for part in (common, rest)):
        return None
    return int.from_bytes(common[before : before + 4], "little")


def beacon_payload(time_s: int, sf: int) -> bytes:
    """A beacon as a forwarder makes it, with a gateway that tells nothing of itself (InfoDesc 0, no coordinates)."""
    before, behind = RFU_BY_SF[sf]
    common = bytes(before) + (time_s & 0xFFFFFFFF).to_bytes(4, "little")
    rest = bytes(7 + behind)
    return common + crc(common).to_bytes(2, "little") + rest + crc(rest).to_bytes(2, "little")


@dataclass(slots=True)
class PingSlots:
    """One address that the device listens for: its own, or a multicast group's."""

    dev_addr: int
    periodicity: int
    frequency_hz: int = 0
    """0: the region's, hopping where it hops."""
    dr: int | None = None
    group: Session | None = None
    """Keys and counter of a multicast group; None for the device's own session."""


@dataclass(slots=True)
class ClassB:
    """See the module. ``ppm``: how much too fast the crystal runs."""

    plan: Plan
    periodicity: int
    ppm: float = 0.0
    lock: Lock = Lock.NO_TIME
    beacon_frequency_hz: int = 0
    frequency_hz: int = 0
    dr: int | None = None
    informed: bool = False
    """PingSlotInfoAns came."""
    groups: list[PingSlots] = field(default_factory=list)
    beacons: int = 0
    missed: int = 0
    """Beacons missed in a row."""
    window: str = ""
    group: Session | None = None
    """Of the frame that is being received."""
    _reference: tuple[int, int] = (0, 0)
    """(true time, GPS time) of the last synchronisation."""
    _synced_us: int = 0
    """The last beacon, or when the time was told, true time."""
    _asked_us: int | None = None
    _next_gps_us: int = 0
    """The beacon that is waited for."""
    _locked_on: Downlink | None = None

    # ------------------------------------------------------------------------------------------------- the clock

    def _true_us(self, gps_us: int) -> int:
        """When this device believes that it is ``gps_us``."""
        true, gps = self._reference
        return true + round((gps_us - gps) / (1 + self.ppm * 1e-6))

    def _gps_us(self, now: int) -> int:
        true, gps = self._reference
        return gps + round((now - true) * (1 + self.ppm * 1e-6))

    @property
    def _tolerance_us(self) -> int:
        least = TRACKING_US if self.lock is Lock.LOCKED else SEARCH_US
        return min(least << min(self.missed, 10), WIDEST_US)

    def wants_time(self, now: int) -> bool:
        """Ask DeviceTimeReq with the next uplink? Once, and again after ten minutes without an answer."""
        if self.lock is not Lock.NO_TIME or (
            self._asked_us is not None and now - self._asked_us < DEVICE_TIME_AGAIN_US
        ):
            return False
        self._asked_us = now
        return True

    def told(self, seconds: int, fraction: int, uplink_end_us: int) -> None:
        """DeviceTimeAns: the GPS time at the end of the uplink that asked."""
        if self.lock is Lock.LOCKED:
            return
        self._synchronise(uplink_end_us, seconds * 1_000_000 + fraction * 1_000_000 // 256)
        self.lock, self.missed, self._synced_us = Lock.SEARCHING, 0, uplink_end_us

    def _synchronise(self, true_us: int, gps_us: int) -> None:
        self._reference = true_us, gps_us
        self._next_gps_us = gps_us - gps_us % PERIOD_US + PERIOD_US

    # ------------------------------------------------------------------------------------------------- timers

    def timer(self) -> int | None:
        """When the window of the beacon that is waited for is over."""
        if self.lock is Lock.NO_TIME or self._locked_on is not None:
            return None
        return self._true_us(self._next_gps_us) + START_US + self._tolerance_us + preamble_us(self._beacon_datr) + 1

    def handle_timer(self, now: int) -> str:
        """The beacon did not come. What to note: empty, ``beacon_missed`` or ``beacon_lost``."""
        due = self.timer()
        if due is None or now < due:
            return ""
        self.missed += 1
        self._next_gps_us += PERIOD_US
        if self.lock is Lock.SEARCHING and self.missed >= 2:
            self.lock = Lock.NO_TIME  # the time that was told was wrong, or nobody sends beacons: ask again
            return "beacon_not_found"
        if now - self._synced_us > BEACONLESS_US:
            self.lock = Lock.NO_TIME
            return "beacon_lost"
        return "beacon_missed"

    @property
    def locked(self) -> bool:
        """FCtrl.ClassB of the next uplink."""
        return self.lock is Lock.LOCKED

    def forget(self) -> None:
        """Power off, or a new session: the device begins as class A."""
        self.lock, self.missed, self.informed = Lock.NO_TIME, 0, False
        self._asked_us = self._locked_on = None

    # ------------------------------------------------------------------------------------------------- listening

    @property
    def _beacon_datr(self) -> str:
        dr = self.plan.class_b.beacon_dr
        assert dr is not None
        return str(self.plan.datr(dr, downlink=True))

    def detect(self, downlink: Downlink, now: int, dev_addr: int | None) -> str | None:
        """A preamble begins: None when the beacon window or a ping slot takes it, else why not."""
        if self._locked_on is not None:
            return "already receiving another frame"
        if downlink.implicit:
            return self._detect_beacon(downlink, now)
        if not self.locked or dev_addr is None:
            return "no beacon: ping slots are closed"
        if not downlink.inverted:
            return "IQ is not inverted"
        own = PingSlots(dev_addr, self.periodicity, self.frequency_hz, self.dr)
        reasons = [self._detect_slot(each, downlink, now) for each in (own, *self.groups)]
        return None if None in reasons else reasons[0]

    def _detect_beacon(self, downlink: Downlink, now: int) -> str | None:
        if self.lock is Lock.NO_TIME:
            return "the device does not know when the beacon comes"
        off_us = now - self._true_us(self._next_gps_us) - START_US
        hz = self.beacon_frequency_hz or self.plan.beacon_frequency_hz(self._next_gps_us // 1_000_000)
        if abs(off_us) > self._tolerance_us:
            return f"the beacon window is {off_us / 1000:+.1f} ms away"
        if not same_channel(downlink.frequency_hz, hz) or downlink.datr != self._beacon_datr or downlink.inverted:
            return f"beacons are expected on {hz} Hz at {self._beacon_datr}, not inverted"
        self._locked_on, self.window = downlink, "beacon"
        return None

    def _detect_slot(self, pings: PingSlots, downlink: Downlink, now: int) -> str | None:
        gps_us = self._gps_us(now)
        begin = gps_us - gps_us % PERIOD_US
        starts = (begin - PERIOD_US, begin, begin + PERIOD_US)
        around = (slot for start in starts for slot in slots(start, pings.dev_addr, pings.periodicity))
        slot = min(around, key=lambda each: abs(each - gps_us))
        off_us = now - self._true_us(slot)
        dr = self.plan.class_b.ping_slot_dr if pings.dr is None else pings.dr
        assert dr is not None
        datr = str(self.plan.datr(dr, downlink=True))
        hz = pings.frequency_hz or self.plan.ping_slot_frequency_hz(pings.dev_addr, slot // 1_000_000)
        if abs(off_us) > self._tolerance_us + preamble_us(datr) * 3 // 8:
            return f"the ping slot is {off_us / 1000:+.1f} ms away"
        if not same_channel(downlink.frequency_hz, hz):
            return f"the ping slot listens on {hz} Hz, not {downlink.frequency_hz}"
        if downlink.datr != datr:
            return f"the ping slot listens at {datr}, not {downlink.datr}"
        self._locked_on, self.window, self.group = downlink, "ping slot", pings.group
        return None

    def release(self, downlink: Downlink) -> bool:
        """A frame is complete; whether it is the one that was locked onto."""
        if self._locked_on is not downlink:
            return False
        self._locked_on = None
        return True

    def take_beacon(self, downlink: Downlink) -> bool:
        """A whole beacon: synchronise with it. False when its content is wrong."""
        time_s = beacon_time_s(downlink.phy, int(self._beacon_datr[2:].split("BW")[0]))
        expected_s = self._next_gps_us // 1_000_000 & 0xFFFFFFFF
        if time_s != expected_s:
            return False
        self._synchronise(downlink.start_us - START_US, self._next_gps_us)
        self.lock, self.missed, self._synced_us = Lock.LOCKED, 0, downlink.start_us
        self.beacons += 1
        return True
