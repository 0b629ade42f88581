"""Class B in time: beacons, ping slots and the beacon's content (TS001-1.0.4 §8–§13).

All times are GPS time in microseconds since 1980-01-06 (:mod:`lorawan.gps`): beacons are aligned to it, and a step of
the server's clock does not move them.
"""

from __future__ import annotations

from binascii import crc_hqx
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Self

from lorawan.airtime import lora_airtime_us
from lorawan.commands.class_b import BeaconTimingAns
from lorawan.crypto import ping_offset
from lorawan.errors import FrameError, StateError

BEACON_PERIOD_US: Final = 128_000_000
BEACON_RESERVED_US: Final = 2_120_000
"""From the start of a beacon to the first ping slot."""
BEACON_GUARD_US: Final = 3_000_000
"""Before each beacon: no downlink may reach into it."""
BEACON_WINDOW_US: Final = 122_880_000
SLOT_US: Final = 30_000
SLOTS: Final = 4096
BEACON_DELAY_US: Final = 1_500
"""T_BeaconDelay: the beacon's first symbol follows the full GPS second by this much (§13.5)."""
BEACONLESS_US: Final = 7_200_000_000
"""How long a device keeps its ping slots without a beacon: two hours (§10)."""

_GPS_WRAP_S = 1 << 32


def beacon_start_us(gps_us: int) -> int:
    """Start of the beacon period that this moment lies in."""
    return gps_us - gps_us % BEACON_PERIOD_US


def next_beacon_us(gps_us: int) -> int:
    """Start of the beacon period after this moment."""
    return beacon_start_us(gps_us) + BEACON_PERIOD_US


def ping_nb(periodicity: int) -> int:
    """Ping slots in a beacon period: 2**(7 - periodicity), 128 down to 1 (§11.2)."""
    if not 0 <= periodicity <= 7:
        raise StateError(f"ping slot periodicity {periodicity} is not 0..7")
    return 1 << 7 - periodicity


def ping_period_slots(periodicity: int) -> int:
    """Slots from one ping slot to the next: 2**(5 + periodicity) (§11.2)."""
    return SLOTS // ping_nb(periodicity)


def ping_slots_us(beacon_us: int, dev_addr: int, periodicity: int) -> Iterator[int]:
    """The starts of a device's ping slots in the period that begins with this beacon (§11.2)."""
    if beacon_us % BEACON_PERIOD_US:
        raise StateError(f"{beacon_us} µs is not the start of a beacon period")
    period = ping_period_slots(periodicity)
    offset = ping_offset(beacon_us // 1_000_000 % _GPS_WRAP_S, dev_addr, period)
    first_us = beacon_us + BEACON_RESERVED_US
    for slot in range(offset, SLOTS, period):
        yield first_us + slot * SLOT_US


def next_ping_slot_us(after_us: int, dev_addr: int, periodicity: int) -> int:
    """The first ping slot of a device that starts after this moment."""
    beacon_us = beacon_start_us(after_us)
    while True:
        for slot_us in ping_slots_us(beacon_us, dev_addr, periodicity):
            if slot_us > after_us:
                return slot_us
        beacon_us += BEACON_PERIOD_US


def disturbs_beacon(start_us: int, airtime_us: int) -> bool:
    """True when a transmission reaches into the guard before a beacon, or into the time reserved for one (§8)."""
    into_period_us = start_us % BEACON_PERIOD_US
    return into_period_us < BEACON_RESERVED_US or into_period_us + airtime_us > BEACON_PERIOD_US - BEACON_GUARD_US


def beacon_timing_ans(downlink_end_us: int, channel: int = 0) -> BeaconTimingAns:
    """The answer to BeaconTimingReq: whole 30 ms from the end of this downlink to the next beacon."""
    return BeaconTimingAns((next_beacon_us(downlink_end_us) - downlink_end_us) // SLOT_US, channel)


# ---------------------------------------------------------------------------------------------------- beacon frame

# RFU bytes before Param and before the last CRC, by spreading factor of the region's beacon (RP002-1.0.4 §2).
_RFU_BY_SF = {8: (0, 3), 9: (1, 0), 10: (2, 1), 12: (4, 3)}
_GW_SPECIFIC = 7


def crc16(data: bytes) -> int:
    """The beacon's CRC: x**16 + x**12 + x**5 + 1 from zero; sent low byte first (§13.2)."""
    return crc_hqx(data, 0)


@dataclass(slots=True)
class Beacon:
    """BCNPayload (§13.2). It has no MHDR and no MIC: two CRCs guard its halves."""

    time_s: int
    """GPS seconds modulo 2**32, a multiple of 128."""
    gw_specific: bytes = bytes(_GW_SPECIFIC)
    """InfoDesc and six bytes, such as :func:`gateway_position`."""
    prec: int = 0
    """Precision of the transmission: 10**(prec - 6) s (since 1.0.4)."""
    sf: int = 9
    """Spreading factor of the region's beacon, which sets the length: 8, 9, 10 or 12."""

    def encode(self) -> bytes:
        """The payload, 17 to 23 bytes; StateError when a field does not fit."""
        if self.sf not in _RFU_BY_SF or not 0 <= self.prec <= 3 or len(self.gw_specific) != _GW_SPECIFIC:
            raise StateError(f"no such beacon: SF{self.sf}, precision {self.prec}, {len(self.gw_specific)} bytes")
        if not 0 <= self.time_s < _GPS_WRAP_S:
            raise StateError(f"beacon time {self.time_s} does not fit into 32 bits")
        before, behind = _RFU_BY_SF[self.sf]
        common = bytes(before) + bytes((self.prec,)) + self.time_s.to_bytes(4, "little")
        gateway = self.gw_specific + bytes(behind)
        return common + crc16(common).to_bytes(2, "little") + gateway + crc16(gateway).to_bytes(2, "little")

    @classmethod
    def parse(cls, data: bytes, sf: int = 9) -> Self:
        """Read a beacon of this spreading factor; FrameError on a wrong length or CRC."""
        if sf not in _RFU_BY_SF:
            raise StateError(f"no region sends beacons at SF{sf}")
        before, behind = _RFU_BY_SF[sf]
        split = before + 1 + 4 + 2
        length = split + _GW_SPECIFIC + behind + 2
        if len(data) != length:
            raise FrameError(f"beacon of {len(data)} bytes, not {length} at SF{sf}", min(len(data), length))
        for part, start in ((data[:split], 0), (data[split:], split)):
            if crc16(part[:-2]) != int.from_bytes(part[-2:], "little"):
                raise FrameError("beacon with a wrong CRC", start + len(part) - 2)
        return cls(
            time_s=int.from_bytes(data[before + 1 : before + 5], "little"),
            gw_specific=data[split : split + _GW_SPECIFIC],
            prec=data[before] & 0x03,
            sf=sf,
        )

    @property
    def airtime_us(self) -> int:
        """Time on air at 125 kHz: ten preamble symbols, no header, no CRC of the radio's own."""
        before, behind = _RFU_BY_SF[self.sf]
        length = before + 1 + 4 + 2 + _GW_SPECIFIC + behind + 2
        return lora_airtime_us(length, self.sf, 125_000, crc=False, implicit=True, preamble=10)


def gateway_position(latitude: float, longitude: float, antenna: int = 0) -> bytes:
    """GwSpecific with the place of an antenna (InfoDesc 0..2, §13.3): degrees, north and east positive."""
    if not (-90 <= latitude <= 90 and -180 <= longitude <= 180 and 0 <= antenna <= 2):
        raise StateError(f"no such place or antenna: {latitude}, {longitude}, {antenna}")
    return bytes((antenna,)) + _degrees_to_wire(latitude, 90) + _degrees_to_wire(longitude, 180)


def gateway_identity(net_id: int, gateway_id: int) -> bytes:
    """GwSpecific of a gateway whose place is unknown (InfoDesc 3, §13.3): NetID, and 24 bits to tell gateways apart."""
    return bytes((3,)) + net_id.to_bytes(3, "little") + (gateway_id & 0xFFFFFF).to_bytes(3, "little")


def parse_gateway_position(gw_specific: bytes) -> tuple[float, float] | None:
    """Latitude and longitude of a beacon's GwSpecific; None when it tells something else."""
    if len(gw_specific) != _GW_SPECIFIC:
        raise FrameError(f"GwSpecific of {len(gw_specific)} bytes, not {_GW_SPECIFIC}", len(gw_specific))
    if gw_specific[0] > 2:
        return None
    return _degrees_from_wire(gw_specific[1:4], 90), _degrees_from_wire(gw_specific[4:], 180)


def _degrees_to_wire(degrees: float, full: int) -> bytes:
    return min(round(degrees / full * (1 << 23)), (1 << 23) - 1).to_bytes(3, "little", signed=True)


def _degrees_from_wire(data: bytes, full: int) -> float:
    return int.from_bytes(data, "little", signed=True) * full / (1 << 23)
