"""Vega SI-13 (two pulse inputs and a transparent RS-232 or RS-485) and SH-2 (smart house: pulses, voltages, 1-Wire).

Layouts: the maker's manual of the SI-13 (revision 14), and github.com/VegaAbsolute/IoTVegaParser at 5f262340,
chirpstack/devices/sh2 (read, not copied). Little-endian. The SH-2's temperatures are signed here, and every 1-Wire
sensor is read at its own place, which the published decoder does not do.
"""

from __future__ import annotations

import struct
from decimal import Decimal
from typing import Any

from appserver.codecs.base import CodecError, Decoded
from appserver.codecs.vega import PORT_DATA, expect_length, service
from appserver.codecs.vega_parts import (
    codec,
    decoded,
    flags_set,
    fragment,
    inputs_of,
    pulses,
    reason_of,
    scaled,
)

SI13 = struct.Struct("<BIbII4x")
SI13_FRAGMENT, SI13_FRAGMENT_HEAD = 3, 6
SI13_REASONS = {0: "time", 1: "logic1", 2: "logic2", 3: "logic3", 4: "logic4", 0xFC: "input1", 0xFD: "input2"}
SI13_GUARDS = {0xFC: "input1_alarm", 0xFD: "input2_alarm"}

SH2_REASONS = ("", "time", "input1", "input2", "request", "button")
SH2_PACKETS = {10: 20, 11: 6, 12: 0, 13: 0}
"""Type to length; 0: the second byte is the length of what follows."""
PORT_INFO, INFO = 195, struct.Struct("<BB16s16sIHHHBI")


def _si13(data: bytes) -> Decoded:
    head = SI13_FRAGMENT_HEAD
    if len(data) > head and data[0] == SI13_FRAGMENT and data[3] == len(data) - head:
        return decoded(fragment(data, "transparent", 1, packet="type"))
    expect_length(data, SI13.size)
    reason, seconds, temperature, *inputs = SI13.unpack(data)
    if reason not in SI13_REASONS:
        raise CodecError(f"packet type is {reason}, known are {', '.join(map(str, SI13_REASONS))}", 0)
    values = {"reason": SI13_REASONS[reason], "temperature_c": temperature, **inputs_of(inputs)}
    flags = flags_set({name: code == reason for code, name in SI13_GUARDS.items()})
    return decoded(values, pulses(inputs, seconds), seconds=seconds, temperature=temperature, flags=flags)


def _sensors(body: bytes) -> list[dict[str, Any]]:
    if len(body) % 2:
        raise CodecError(f"{len(body)} bytes of 1-Wire sensors, each has 2")
    raws = [word for (word,) in struct.iter_unpack("<H", body)]
    return [{"number": raw >> 11, "temperature_c": str(Decimal((raw & 0x7FF) - 600).scaleb(-1))} for raw in raws]


def _modbus(body: bytes) -> list[dict[str, Any]]:
    found, offset = [], 0
    while offset < len(body):
        function, length = body[offset] >> 4, body[offset] & 0xF
        raw = body[offset + 1 : offset + 1 + length]
        if len(raw) != length:
            raise CodecError("the last MODBUS answer is cut off", offset)
        found.append({"function": function, "data": raw.hex()})
        offset += 1 + length
    return found


def _sh2(data: bytes) -> Decoded:
    if not data:
        raise CodecError("there is no data", 0)
    values: dict[str, Any] = {}
    counted: tuple[int, ...] = ()
    battery = temperature = None
    stamp = 0
    offset = 0
    while offset < len(data):
        kind = data[offset]
        if kind not in SH2_PACKETS:
            raise CodecError(f"packet type is {kind}, known are {', '.join(map(str, SH2_PACKETS))}", offset)
        length = SH2_PACKETS[kind] or (2 + data[offset + 1] if offset + 1 < len(data) else 2)
        packet = data[offset : offset + length]
        if len(packet) != length:
            raise CodecError("the last packet is cut off", offset)
        if kind == 10:
            reason, stamp, battery, temperature, *counters, first, second = struct.unpack("<BIBbIIHH", packet[1:])
            counted = tuple(counters)
            values |= {
                "reason": reason_of(SH2_REASONS, reason, offset + 1),
                "temperature_c": temperature,
                **inputs_of(counted),
                "voltage1": scaled(first, 0, 0xFFFF),
                "voltage2": scaled(second, 0, 0xFFFF),
            }
        elif kind == 11:
            reason, stamp = struct.unpack("<BI", packet[1:])
            values["reason"] = reason_of(SH2_REASONS, reason, offset + 1)
        elif kind == 12:
            values["sensors"] = _sensors(packet[2:])
        else:
            values["modbus"] = _modbus(packet[2:])
        offset += length
    return decoded(values, pulses(counted, stamp), seconds=stamp, battery=battery, temperature=temperature)


def _text(raw: bytes) -> str:
    return raw.split(b"\0")[0].decode("ascii", "replace").strip()


def _sh2_info(data: bytes) -> Decoded:
    expect_length(data, INFO.size)
    kind, requested, vendor, model, _, hardware, software, protocol, battery, counter = INFO.unpack(data)
    if kind != PORT_INFO:
        raise CodecError(f"packet type is {kind}, an info packet has {PORT_INFO}", 0)
    values = {
        "type": "info",
        "requested": bool(requested),
        "vendor": _text(vendor),
        "model": _text(model),
        "hardware": hardware,
        "software": software,
        "protocol": protocol,
        "packets": counter,
    }
    return decoded(values, battery=battery)


def decode_sh2(f_port: int, data: bytes, received_at_us: int) -> Decoded:
    """SH-2: any number of packets in one frame on port 2, device info on port 195."""
    if f_port == PORT_INFO:
        return _sh2_info(data)
    return _sh2(data) if f_port == PORT_DATA else service(f_port, data, "Vega SH-2")


decode_si13 = codec("SI-13", _si13)
