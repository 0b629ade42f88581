"""What a meter puts into FRMPayload, by the name of the layout. Little endian but for CayenneLPP.

Sources: github.com/ws-lab/karat-proto (KARAT), github.com/VegaAbsolute/IoTVegaParser (Vega, Betar, SPbZIP),
github.com/TheThingsNetwork/lorawan-devices (Axioma), the CayenneLPP data types (myDevices).
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from lorasim import payloads as karat
from lorasim.meters.register import Register, Shown, midnight_before
from lorasim.meters.usage import outdoor_c

HOUR_US = 3_600_000_000
FLAGS_926_V18 = {"magnet": 1 << 2}
FLAGS_926_V20 = {"magnet": 1 << 1, "reverse": 1 << 10, "leak": 1 << 12, "burst": 1 << 12}
AXIOMA_CODES = {"leak": 0x20, "reverse": 0x60, "burst": 0xA0}
"""Its upper three bits are one code: the worst counts."""
LITRES = 10
"""0.1 litre in a litre."""


@dataclass(slots=True, frozen=True)
class Moment:
    """A meter about to speak: what it measures with, when, and where."""

    register: Register
    at_us: int
    start: datetime
    town: str
    every_h: float
    battery_percent: int = 95

    @property
    def stamp_us(self) -> int:
        """What its own clock shows, as UTC."""
        return self.at_us + self.register.clock_error_us(self.at_us)

    def local(self, at_us: int) -> datetime:
        """A time of its own clock in its zone."""
        error_us = self.register.clock_error_us(self.at_us)
        return datetime.fromtimestamp((at_us + error_us) // 1_000_000, self.start.tzinfo)

    @property
    def celsius(self) -> float:
        local = self.local(self.at_us)
        return outdoor_c(local.toordinal(), local.hour, self.town)


@dataclass(slots=True, frozen=True)
class Payload:
    """A payload and the value that it carries."""

    f_port: int
    data: bytes
    measured_us: int
    shown: Shown


def _flag_bits(shown: Shown, bits: dict[str, int]) -> int:
    value = 0
    for name in shown.flags:
        value |= bits.get(name, 0)
    return value


# ---------------------------------------------------------------------------------------------------------- KARAT


def karat_926(m: Moment, kind: int, at_us: int, protocol: str) -> Payload:
    """KARAT-926LW: packet 0x0284 (1.8) or 0x0285 (2.0); ``kind``: current, or the value at an hour or midnight."""
    shown, local = m.register.shown(at_us), m.local(at_us)
    if protocol == "1.8":
        net = max(0, shown.forward - shown.reverse)  # one register, which runs backwards, too
        data = karat.karat_926_v18(kind, local, net, _flag_bits(shown, FLAGS_926_V18))
    else:
        data = karat.karat_926_v20(kind, local, shown.forward, _flag_bits(shown, FLAGS_926_V20), shown.reverse)
    return Payload(karat.KARAT_PORT, data, at_us, shown)


def _seconds(local: datetime) -> int:
    return round((local.replace(tzinfo=None) - karat.KARAT_EPOCH).total_seconds())


def _karat_213(m: Moment, kind: int, at_us: int) -> Payload:
    """KARAT-Compact 213: packet 0x0336: heat, volume, masses and temperatures as IEEE 754 numbers."""
    shown, local = m.register.shown(at_us), m.local(at_us)
    gcal = shown.forward / 1e6
    supply_c, return_c = 95 - 1.5 * max(-30.0, m.celsius), 55 - 0.6 * max(-30.0, m.celsius)
    volume_m3 = gcal * 1000 / max(1.0, supply_c - return_c)
    floats = struct.pack("<6f", gcal, volume_m3, volume_m3 * 0.975, supply_c, return_c, supply_c - return_c)
    hours = round((at_us - m.start.timestamp() * 1e6) / 60e6)
    data = struct.pack("<HBI", 0x0336, kind, _seconds(local)) + floats + struct.pack("<3fIi", 0, 0, 0, 0, hours)
    return Payload(karat.KARAT_PORT, data, at_us, shown)


def _karat_electricity(m: Moment, kind: int, at_us: int) -> Payload:
    """KARAT electricity: packet 0x0384, total and three tariffs in 0.001 kWh (day, night, half-peak)."""
    shown, local = m.register.shown(at_us), m.local(at_us)
    tariffs = shown.forward * 2 // 3, shown.forward // 4, 0
    tariffs = (tariffs[0], tariffs[1], shown.forward - tariffs[0] - tariffs[1])
    values = shown.forward, *tariffs, 0, shown.forward // 5, 0, 0, 0
    data = struct.pack("<HBI9I", 0x0384, kind, _seconds(local), *values)
    return Payload(karat.KARAT_PORT, data, at_us, shown)


# ------------------------------------------------------------------------------------ Vega and what speaks like it


def _vega_si11(m: Moment, kind: int, at_us: int) -> Payload:
    """Vega SI-11 on a meter with 10 litres (10 Wh) a pulse."""
    shown = m.register.shown(at_us)
    pulses = (shown.forward - shown.reverse) // (10 * LITRES)
    data = karat.vega_si11(m.stamp_us // 1_000_000, (pulses, 0, 0, 0), round(m.every_h), m.battery_percent)
    return Payload(karat.VEGA_PORT, data, at_us, shown)


def _vega_si23(m: Moment, kind: int, at_us: int) -> Payload:
    """Vega SI-23 that polls a Mercury 206: four tariffs in 0.01 kWh."""
    shown = m.register.shown(at_us)
    units = shown.forward // 10
    day = units * 2 // 3
    head = struct.pack("<BBI", 7, 2, shown.serial)
    data = head + struct.pack("<BI4I", 1, m.stamp_us // 1_000_000, day, units - day, 0, 0)
    return Payload(karat.VEGA_PORT, data, at_us, shown)


def _betar(m: Moment, kind: int, at_us: int) -> Payload:
    """Betar СХВЭ and СГВЭ: 15 bytes, 0.0001 m³."""
    shown = m.register.shown(at_us)
    net = max(0, shown.forward - shown.reverse)
    data = struct.pack(
        "<BBbBBIBBI",
        1,
        m.battery_percent,
        21,
        "magnet" in shown.flags,
        0,
        m.stamp_us // 1_000_000,
        "leak" in shown.flags,
        "burst" in shown.flags,
        net,
    )
    return Payload(karat.VEGA_PORT, data, at_us, shown)


def _spbzip(m: Moment, kind: int, at_us: int) -> Payload:
    """SPbZIP ЦЭ2726А: packet 4, total and four tariffs in Wh."""
    shown = m.register.shown(at_us)
    day = shown.forward * 2 // 3
    energies = shown.forward, day, shown.forward - day, 0, 0
    data = struct.pack("<BIIB5IH", 4, shown.serial, m.stamp_us // 1_000_000, 1, *energies, 0)
    return Payload(karat.VEGA_PORT, data, at_us, shown)


# ---------------------------------------------------------------------------------------------------------- others


def _axioma_status(shown: Shown) -> int:
    return max((AXIOMA_CODES[name] for name in shown.flags if name in AXIOMA_CODES), default=0)


def _axioma_24h(m: Moment, kind: int, at_us: int) -> Payload:
    """Axioma Qalcosonic W1, 24 hours of archive: base volume and 23 steps of 14 bits, litres."""
    values = [one.forward // LITRES for one in m.register.hourly(at_us, 24)]
    steps = [after - before for before, after in itertools.pairwise(values)]
    packed = 0
    for n, step in enumerate(steps):
        packed |= min(max(0, step), (1 << 14) - 2) << 14 * n
    shown = m.register.shown(at_us - at_us % HOUR_US)
    stamp = m.stamp_us // 1_000_000
    data = struct.pack("<BIBI", 1, stamp, _axioma_status(shown), values[0]) + packed.to_bytes(41, "little")
    return Payload(100, data, at_us - at_us % HOUR_US, shown)


def _axioma(m: Moment, kind: int, at_us: int) -> Payload:
    """Axioma Qalcosonic W1, extended packet: the volume now and 16 hourly values as 15 steps, litres."""
    values = [one.forward // LITRES for one in m.register.hourly(at_us, 16)]
    steps = [max(0, after - before) for before, after in itertools.pairwise(values)]
    shown = m.register.shown(at_us)
    stamp = m.stamp_us // 1_000_000
    logged = stamp - stamp % 3600 - 15 * 3600
    status = _axioma_status(shown)
    data = struct.pack("<IBIII15H", stamp, status, shown.forward // LITRES, logged, values[0], *steps)
    return Payload(100, data, at_us, shown)


def _cayenne(m: Moment, kind: int, at_us: int) -> Payload:
    """CayenneLPP: energy in 0.001 kWh on channel 1, else the litres as a generic sensor; a temperature on channel 2."""
    shown = m.register.shown(at_us)
    net = max(0, shown.forward - shown.reverse)
    temperature = struct.pack(">BBh", 2, 103, round(m.celsius * 10))
    return Payload(10, struct.pack(">BBI", 1, 131, net) + temperature, at_us, shown)


def _cayenne_water(m: Moment, kind: int, at_us: int) -> Payload:
    shown = m.register.shown(at_us)
    net = max(0, shown.forward - shown.reverse)
    temperature = struct.pack(">BBh", 2, 103, 180)
    return Payload(10, struct.pack(">BBI", 1, 100, net // LITRES) + temperature, at_us, shown)


def _karat_v18(m: Moment, kind: int, at_us: int) -> Payload:
    return karat_926(m, kind, at_us, "1.8")


def _karat_v20(m: Moment, kind: int, at_us: int) -> Payload:
    return karat_926(m, kind, at_us, "2.0")


Build = Callable[[Moment, int, int], Payload]


@dataclass(slots=True, frozen=True)
class Layout:
    """How a module tells values."""

    build: Build
    resources: tuple[str, ...]
    codec: str
    """The codec that reads it, by its name in the catalogue of metering applications."""
    archive: str = ""
    """The protocol in which it answers archive queries (see :mod:`lorasim.archive`); empty: it has no such queries."""


WATERS = ("cold_water", "hot_water")
LAYOUTS: dict[str, Layout] = {
    "karat-926-v18": Layout(_karat_v18, WATERS, "karat", "1.8"),
    "karat-926-v20": Layout(_karat_v20, WATERS, "karat", "2.0"),
    "karat-213": Layout(_karat_213, ("heat",), "karat-meter", "2.0"),
    "karat-electricity": Layout(_karat_electricity, ("electricity",), "karat-meter", "2.0"),
    "vega-si11": Layout(_vega_si11, WATERS, "vega-si-11"),
    "vega-si23": Layout(_vega_si23, ("electricity",), "vega-si-23"),
    "betar": Layout(_betar, WATERS, "betar-water"),
    "spbzip": Layout(_spbzip, ("electricity",), "spbzip"),
    "axioma": Layout(_axioma, WATERS, "axioma-w1"),
    "axioma-24h": Layout(_axioma_24h, WATERS, "axioma-w1"),
    "cayenne": Layout(_cayenne, ("electricity",), "cayenne-lpp"),
    "cayenne-water": Layout(_cayenne_water, WATERS, "cayenne-lpp"),
}
USUAL = {
    "cold_water": "karat-926-v20",
    "hot_water": "karat-926-v20",
    "heat": "karat-213",
    "electricity": "spbzip",
}


def report(layout: Layout, moment: Moment, archive: bool) -> Payload:
    """What a meter sends by itself: the value now, or that of the last midnight."""
    if archive:
        return layout.build(moment, karat.KARAT_DAY_INTEGRAL, midnight_before(moment.at_us, moment.start))
    return layout.build(moment, karat.KARAT_CURRENT, moment.at_us)
