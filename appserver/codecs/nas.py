"""NAS UM3023 and UM3033: two pulse inputs, two analog inputs, M-Bus.

Layout: github.com/ZennerIoT/element-parsers, lib/nas_um30x3.ex (read, not copied), after the maker's documents 0.5.0 and
0.7.0. Little-endian. Channels 1 and 2 are the pulse inputs in the unit they are set to; 3 and 4 are energy and volume of
the meter on the M-Bus.
"""

from __future__ import annotations

import math
import struct
from decimal import Decimal
from typing import Any

from appserver.codecs.base import CodecError, Decoded, Measurement
from appserver.codecs.mbus import parse_records
from appserver.codecs.mbus_meters import decoded_records

PORT_STATUS, PORT_USAGE, PORT_CONFIGURATION, PORT_MBUS, PORT_SYSTEM = 24, 25, 49, 53, 99
MEDIA: dict[int, tuple[str, str, int]] = {
    1: ("pulses", "imp", 0),
    2: ("water_l", "m3", -3),
    3: ("electricity_wh", "kWh", -3),
    4: ("gas_l", "m3", -3),
    5: ("heat_wh", "kWh", -3),
}
"""Name, unit and power of ten; what is not here is no register."""
DIGITAL, ANALOG, MBUS, USER = (0x01, 0x02), (0x04, 0x08), 0x20, 0x40
ALERT, INSTANT, AVERAGE = 0x04, 0x40, 0x80
MBUS_CHANNELS = {"energy": 3, "volume": 4}
MBUS_STATES = ("ok", "nothing_requested", "bus_unpowered", "no_response", "empty_response", "invalid_data")
RESETS = {0x02: "watchdog", 0x04: "software", 0x10: "magnet"}
STOPS = {0x02: "hardware_error", 0x31: "magnet", 0x32: "firmware_update"}


class _Reader:
    __slots__ = ("data", "offset")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.offset = 0

    def take(self, form: str) -> tuple[Any, ...]:
        size = struct.calcsize("<" + form)
        if self.offset + size > len(self.data):
            raise CodecError("the packet is cut off", len(self.data))
        self.offset += size
        return struct.unpack_from("<" + form, self.data, self.offset - size)


def _number(value: float) -> str | None:
    return f"{value:.6g}" if math.isfinite(value) else None


def _inputs(reader: _Reader, values: dict[str, Any]) -> tuple[tuple[Measurement, ...], tuple[str, ...]]:
    """The inputs that the packet's first byte announces, in their order."""
    (present,) = reader.take("B")
    values["user_triggered"] = bool(present & USER)
    if values["type"] == "status":
        battery, temperature, rssi = reader.take("BbB")
        values |= {"battery": battery, "temperature_c": temperature, "rssi_dbm": -rssi}
    measurements: list[Measurement] = []
    flags: list[str] = []
    for channel, bit in enumerate(DIGITAL, 1):
        if present & bit:
            settings, raw = reader.take("BI")
            name, unit, power = MEDIA.get(settings >> 4, (f"medium_{settings >> 4}", "", 0))
            values |= {f"digital{channel}": raw, f"digital{channel}_medium": name}
            if settings & ALERT:
                flags.append(f"input{channel}_alarm")
            if unit:
                measurements.append(Measurement(channel, Decimal(raw).scaleb(power), unit))
    for channel, bit in enumerate(ANALOG, 1):
        if present & bit:
            (settings,) = reader.take("B")
            values[f"analog{channel}_mode"] = "4-20mA" if settings & 1 else "0-10V"
            for name, flag in (("now", INSTANT), ("average", AVERAGE)):
                if settings & flag:
                    values[f"analog{channel}_{name}"] = _number(reader.take("f")[0])
    if present & MBUS:
        state, status = reader.take("BB")
        values["mbus_state"] = MBUS_STATES[state & 0xF] if state & 0xF < len(MBUS_STATES) else str(state & 0xF)
        values["mbus_status"] = status
        told = decoded_records(parse_records(reader.data[reader.offset :]), MBUS_CHANNELS, None, {})
        reader.offset = len(reader.data)
        values["records"] = told.values["records"]
        measurements += told.measurements
    if reader.offset != len(reader.data):
        raise CodecError(f"{len(reader.data) - reader.offset} bytes are left over", reader.offset)
    return tuple(measurements), tuple(flags)


def _system(data: bytes) -> Decoded:
    reader = _Reader(data)
    (kind,) = reader.take("B")
    values: dict[str, Any]
    if kind == 0x00:
        serial, firmware = reader.take("4s3s")
        values = {"type": "boot", "serial": serial.hex(), "firmware": firmware.hex()}
        if reader.offset < len(data):
            values["reset"] = RESETS.get(data[reader.offset], str(data[reader.offset]))
    elif kind == 0x01:
        values = {"type": "shutdown"}
        if len(data) > 1:
            values |= {"reason": STOPS.get(data[1], str(data[1])), "status": data[2:].hex()}
    elif kind == 0x10:
        values = {"type": "error", "code": reader.take("B")[0]}
    else:
        raise CodecError(f"packet type is {kind}, known on port {PORT_SYSTEM} are 0, 1 and 16", 0)
    return Decoded(values=values)


def decode_um30x3(f_port: int, data: bytes, received_at_us: int) -> Decoded:
    """UM3023 and UM3033: status on port 24, usage on port 25, boot, shutdown and errors on port 99."""
    if f_port == PORT_SYSTEM:
        return _system(data)
    if f_port in (PORT_CONFIGURATION, PORT_MBUS):
        return Decoded(values={"type": "configuration" if f_port == PORT_CONFIGURATION else "mbus", "data": data.hex()})
    if f_port not in (PORT_STATUS, PORT_USAGE):
        raise CodecError(f"port {f_port} is not one of a UM30x3 (24 status, 25 usage, 49, 53, 99)")
    values: dict[str, Any] = {"type": "status" if f_port == PORT_STATUS else "usage"}
    measurements, flags = _inputs(_Reader(data), values)
    values["flags"] = list(flags)
    temperature = values.get("temperature_c")
    return Decoded(measurements, flags, temperature_c=temperature, values=values)
