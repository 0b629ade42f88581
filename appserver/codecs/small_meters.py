"""Meters with one short packet: Zenner water modules, GWF RCM-LRW10, Holley DTZ541, B METERS IWM-LR3.

Layouts: github.com/ZennerIoT/element-parsers, lib/zenner_water-meter.ex, gwf_meter.ex; and
github.com/TheThingsNetwork/lorawan-devices, vendor/b-meters, with the maker's manual (read, not copied). What a packet
has beyond the published fields stays in hex.
"""

from __future__ import annotations

import struct
from decimal import Decimal
from typing import Any

from appserver.codecs.base import CodecError, Decoded, Measurement, age
from appserver.codecs.mbus import bcd

LITRES = -3
NO_VALUE = 0xFFFFFFFF

# ------------------------------------------------------------------------------------------------------------- Zenner

ZENNER_LENGTHS = {1: 5, 2: 7, 5: 11, 6: 11}
ZENNER_CODINGS = ("bcd", "u32", "u32")


def _zenner_volume(coding: str, raw: bytes) -> Decimal | None:
    if coding == "u32":
        value = int.from_bytes(raw, "little")
        return None if value == NO_VALUE else Decimal(value).scaleb(LITRES)
    digits = raw.hex()
    return Decimal(int(digits)).scaleb(LITRES) if digits.isdecimal() else None


def decode_zenner(f_port: int, data: bytes, received_at_us: int) -> Decoded:
    """Zenner water modules: the type and the coding in the two digits of the first byte, litres.

    Types 1 and 5 are the counters of now; types 2 and 6 those of a past day, which has two bytes of no published
    meaning, so that they are words and no readings.
    """
    if not data:
        raise CodecError("there is no data", 0)
    kind, subtype = data[0] >> 4, data[0] & 0xF
    if kind not in ZENNER_LENGTHS or subtype >= len(ZENNER_CODINGS):
        raise CodecError(f"packet type is {kind}.{subtype}, known are 1, 2, 5 and 6 with codings 0 to 2", 0)
    length = ZENNER_LENGTHS[kind]
    if len(data) != length:
        raise CodecError(f"{len(data)} bytes, a packet of type {kind} has {length}", min(len(data), length))
    dated = kind in (2, 6)
    start = 3 if dated else 1
    channels = range(1, 2 if kind in (1, 2) else 3)
    volumes = {n: _zenner_volume(ZENNER_CODINGS[subtype], data[start + 4 * n - 4 : start + 4 * n]) for n in channels}
    values: dict[str, Any] = {"type": kind, "subtype": subtype}
    if dated:
        values["date"] = data[1:3].hex()
    if kind == 5:
        values["status"] = data[9:].hex()
    values |= {f"volume{n}_m3": None if volume is None else str(volume) for n, volume in volumes.items()}
    known = {} if dated else {n: volume for n, volume in volumes.items() if volume is not None}
    return Decoded(tuple(Measurement(n, volume, "m3") for n, volume in known.items()), values=values)


# ---------------------------------------------------------------------------------------------------------------- GWF

GWF = struct.Struct("<BH4sBBHBIBB2s")
GWF_MEDIA = {0x03: "gas", 0x06: "hot_water", 0x07: "water"}
GWF_VIFS = {1: range(0x13, 0x17), 2: range(0x13, 0x18)}
CUBIC_METRE_VIF = 0x16
GWF_ERRORS = {1: "application_busy", 2: "application_error"}
GWF_LOW_BATTERY = 0x04
GWF_LINE_ERRORS = {0x3: "communication_error1", 0x5: "communication_error2", 0x9: "communication_error3"}
GWF_FUNCTIONS = {1: "continuous_flow", 3: "burst", 5: "low_battery", 6: "reverse_flow", 7: "no_usage"}


def _gwf_errors(protocol: int, state: int) -> list[str]:
    """What makes the volume invalid."""
    if protocol == 2:
        return [GWF_ERRORS[state & 3]] if state & 3 in GWF_ERRORS else []
    names = {5: "no_communication", 6: "broken_communication"}
    return ["communication_error", *(name for bit, name in names.items() if state >> bit & 1)] if state & 0x10 else []


def decode_gwf(f_port: int, data: bytes, received_at_us: int) -> Decoded:
    """GWF RCM-LRW10, protocols 1 and 2: the volume and its age in minutes. A volume with an error is no reading."""
    if len(data) != GWF.size:
        raise CodecError(f"{len(data)} bytes, a packet has {GWF.size}", min(len(data), GWF.size))
    protocol, maker, meter, medium, state, minutes, vif, raw, functions, battery, _ = GWF.unpack(data)
    if protocol not in GWF_VIFS:
        raise CodecError(f"protocol is {protocol}, known are 1 and 2", 0)
    if medium not in GWF_MEDIA:
        raise CodecError(f"medium is {medium}, known are {', '.join(map(str, GWF_MEDIA))}", 7)
    if vif not in GWF_VIFS[protocol]:
        raise CodecError(f"the unit of the volume is 0x{vif:02X}, known are 0x13 to 0x{GWF_VIFS[protocol][-1]:02X}", 11)
    errors = _gwf_errors(protocol, state)
    flags = [*errors, *(name for bit, name in GWF_FUNCTIONS.items() if functions >> bit & 1)]
    if state & GWF_LOW_BATTERY and "low_battery" not in flags:
        flags.append("low_battery")
    if protocol == 2 and state >> 4 in GWF_LINE_ERRORS:
        flags.append(GWF_LINE_ERRORS[state >> 4])
    volume = Decimal(raw).scaleb(vif - CUBIC_METRE_VIF)
    at = age(received_at_us, minutes * 60)
    percent = (battery >> 3) * 100 // 31
    values = {
        "protocol": protocol,
        "manufacturer": maker,
        "meter_serial": meter[::-1].hex(),
        "medium": GWF_MEDIA[medium],
        "age_min": minutes,
        "measured_at": at.isoformat() if at else None,
        "volume_m3": None if errors else str(volume),
        "battery_pct": percent,
        "flags": flags,
    }
    measurements = () if errors else (Measurement(1, volume, "m3", at=at),)
    return Decoded(measurements, tuple(flags), percent, values=values)


# ------------------------------------------------------------------------------------------------------------- Holley

HOLLEY_TYPE, HOLLEY_LENGTH = 0x11, 51
HOLLEY_REGISTERS = ("", "tariff1", "tariff2", "reverse")
HOLLEY_SIZE = 5
HOLLEY_NO_VALUE = (1 << 40) - 1


def decode_holley(f_port: int, data: bytes, received_at_us: int) -> Decoded:
    """Holley DTZ541: 40-bit registers of 0.1 Wh, big-endian, then the status and the meter's running seconds."""
    if len(data) != HOLLEY_LENGTH or data[0] != HOLLEY_TYPE:
        raise CodecError(f"a packet has {HOLLEY_LENGTH} bytes and begins with 0x{HOLLEY_TYPE:02x}", 0)
    raws = [
        int.from_bytes(data[1 + n * HOLLEY_SIZE : 1 + (n + 1) * HOLLEY_SIZE], "big")
        for n in range(len(HOLLEY_REGISTERS))
    ]
    energies = [None if raw == HOLLEY_NO_VALUE else Decimal(raw).scaleb(-4) for raw in raws]
    pairs = list(zip(HOLLEY_REGISTERS, energies, strict=True))
    values: dict[str, Any] = {f"{name or 'energy'}_kwh": None if kwh is None else str(kwh) for name, kwh in pairs}
    values |= {
        "rest": data[1 + len(pairs) * HOLLEY_SIZE : -8].hex(),
        "status": data[-8:-4].hex(),
        "seconds_index": int.from_bytes(data[-4:], "big"),
    }
    measurements = tuple(Measurement(1, kwh, "kWh", name) for name, kwh in pairs if kwh is not None)
    return Decoded(measurements, values=values)


# ----------------------------------------------------------------------------------------------------------- B METERS

IWM_CODE = 0x44
IWM_LENGTHS = (13, 15)
IWM_LITRE_VIF = 0x13
IWM_ALARMS = ("magnetic_tamper", "module_removed", "sensor_fraud", "leak", "reverse_flow", "low_battery")


def decode_iwm(f_port: int, data: bytes, received_at_us: int) -> Decoded:
    """B METERS IWM-LR3 and LR4: BCD counters. When eight digits are full the unit grows tenfold, so nothing rolls over.

    The two bytes of temperature that may follow are not published exactly and stay in hex.
    """
    if len(data) not in IWM_LENGTHS or data[0] != IWM_CODE:
        raise CodecError(f"a packet has 13 or 15 bytes and begins with 0x{IWM_CODE:02x}", 0)
    vif = data[11]
    if not IWM_LITRE_VIF <= vif <= IWM_LITRE_VIF + 3:
        raise CodecError(f"the unit is 0x{vif:02x}, known are 0x13 to 0x16", 11)
    forward, reverse = bcd(data[1:5]), bcd(data[5:9])
    registers = {
        "": None if forward is None else Decimal(forward).scaleb(LITRES + vif - IWM_LITRE_VIF),
        "reverse": None if reverse is None else Decimal(reverse).scaleb(LITRES),
    }
    flags = tuple(name for bit, name in enumerate(IWM_ALARMS) if data[12] >> bit & 1)
    values: dict[str, Any] = {
        **{f"{name or 'volume'}_m3": None if value is None else str(value) for name, value in registers.items()},
        "k_index": data[9],
        "medium": {0: "water", 1: "hot_water"}.get(data[10], str(data[10])),
        "flags": list(flags),
    }
    if len(data) > IWM_LENGTHS[0]:
        values["temperature"] = data[13:].hex()
    known = tuple(Measurement(1, value, "m3", name) for name, value in registers.items() if value is not None)
    return Decoded(known, flags, values=values)
