"""Adeunis Pulse: ARF8230AA and Pulse 4.

Layouts: github.com/TheThingsNetwork/lorawan-devices, vendor/adeunis/pulse_lib.js, and github.com/ZennerIoT/element-parsers,
lib/adeunis_arf8230aa.ex (read, not copied). Big-endian; channel 1 is input A, channel 2 input B. A history goes back in
time, by steps whose length only the configuration knows, so of it the newest counter is the reading. Times count from
2013 on the device's clock.
"""

from __future__ import annotations

import struct
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from appserver.codecs.base import CodecError, Decoded, Measurement

EPOCH = datetime(2013, 1, 1)  # noqa: DTZ001 (device clocks have no zone)
CONFIGURED, LOW_BATTERY, TIMESTAMP, HARDWARE = 1, 2, 4, 8
STATUS_FLAGS = {LOW_BATTERY: "low_battery", HARDWARE: "hardware_fault"}
ALARMS = ("flow_a", "flow_b", "tamper_a", "tamper_b", "leak_a", "leak_b")
CONFIGURATION, NETWORK, KEEP_ALIVE, REGISTER_SET, DATA, FLOW_ALARM, HISTORY_A, HISTORY_B = (
    0x10, 0x20, 0x30, 0x33, 0x46, 0x47, 0x5A, 0x5B,
)  # fmt: skip
LENGTHS = {CONFIGURATION: None, NETWORK: 4, KEEP_ALIVE: 11, REGISTER_SET: 5, DATA: 10, FLOW_ALARM: 6}
"""Without the time stamp; None: by the device."""
WORDS = ("success", "no_change", "contradiction", "unknown_register", "wrong_value", "cut_off", "not_allowed")


def _counters(kind: int, body: bytes, values: dict[str, Any], at: datetime | None) -> tuple[Measurement, ...]:
    if kind == DATA:
        counters = struct.unpack(">II", body)
        values |= {"counter_a": counters[0], "counter_b": counters[1]}
        return tuple(Measurement(n, Decimal(raw), "imp", at=at) for n, raw in enumerate(counters, 1))
    if len(body) < 4 or len(body) % 2:
        raise CodecError(f"a history has 4 bytes and then 2 for each step, not {len(body)}", 2)
    newest, *steps = struct.unpack(f">I{len(body) // 2 - 2}H", body)
    history = [newest]
    for step in steps:
        history.append(history[-1] - step)
    if history[-1] < 0:
        raise CodecError("the history's steps are larger than the counter", 6)
    values["counters_back_in_time"] = history
    return (Measurement(1 if kind == HISTORY_A else 2, Decimal(newest), "imp", at=at),)


def decode_pulse(f_port: int, data: bytes, received_at_us: int) -> Decoded:
    """ARF8230AA and Pulse 4: the code, the status, the frame, and a time stamp when the status says so."""
    if len(data) < 2:
        raise CodecError(f"{len(data)} bytes are too few for a frame", len(data))
    kind, status, body = data[0], data[1], data[2:]
    if kind not in (*LENGTHS, HISTORY_A, HISTORY_B):
        known = ", ".join(f"0x{code:02x}" for code in (*LENGTHS, HISTORY_A, HISTORY_B))
        raise CodecError(f"frame code is 0x{kind:02x}, known are {known}", 0)
    clock = None
    # Bit 2 is a time stamp in a Pulse 4 and a fault of the switches in its forerunner, whose frames have no room for one.
    stamped = status & TIMESTAMP and kind not in (CONFIGURATION, NETWORK, REGISTER_SET)
    length = LENGTHS.get(kind)
    if stamped and (length is None or len(data) == length + 4):
        if len(body) < 4:
            raise CodecError("the time stamp is cut off", len(data))
        clock = EPOCH + timedelta(seconds=int.from_bytes(body[-4:], "big"))
        body = body[:-4]
    if length is not None and len(body) != length - 2:
        raise CodecError(f"{len(data)} bytes, frame 0x{kind:02x} has {length}", min(len(data), length))
    values: dict[str, Any] = {
        "frame": f"0x{kind:02x}",
        "frame_counter": status >> 5,
        "configured": bool(status & CONFIGURED),
        "device_time": clock.isoformat() if clock else None,
    }
    flags = [name for bit, name in STATUS_FLAGS.items() if status & bit]
    measurements: tuple[Measurement, ...] = ()
    if kind in (DATA, HISTORY_A, HISTORY_B):
        measurements = _counters(kind, body, values, clock)
    elif kind == KEEP_ALIVE:
        alarms, *flows = struct.unpack(">B4H", body)
        flags += [name for bit, name in enumerate(ALARMS) if alarms >> bit & 1]
        values |= dict(zip(("max_flow_a", "max_flow_b", "min_flow_a", "min_flow_b"), flows, strict=True))
    elif kind == FLOW_ALARM:
        values["flow_a"], values["flow_b"] = struct.unpack(">HH", body)
        flags.append("flow_alarm")
    elif kind == NETWORK:
        values |= {"adr": bool(body[0] & 1), "activation": "OTAA" if body[1] else "ABP"}
    elif kind == REGISTER_SET:
        result, register = struct.unpack(">BH", body)
        values |= {"result": WORDS[result - 1] if 1 <= result <= len(WORDS) else "refused", "register": register}
    else:
        values["configuration"] = body.hex()
    values["flags"] = flags
    return Decoded(measurements, tuple(flags), clock=clock, values=values)
