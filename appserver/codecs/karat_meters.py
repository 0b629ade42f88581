"""NPO KARAT meters behind a radio module: 306, 307, 308 through 929LW (both protocol generations), Compact 213 and 223,
electricity.

Tables: ``karat_layouts``. The head and the time base are those of ``karat``, what the module tells of itself is in
``karat_service``.
"""

from __future__ import annotations

import math
import struct
from decimal import Decimal

from appserver.codecs.base import CodecError, Decoded, Measurement
from appserver.codecs.karat import (
    NO_VALUE_U32,
    NO_VALUES_I32,
    PACKET_MASK,
    STEP_S,
    archive_of,
    boundary,
    error_packet,
    expect_length,
    read_926lw,
    time_1_8,
    time_2_0,
)
from appserver.codecs.karat_layouts import FIELD_TYPES, LAYOUTS_1_8, LAYOUTS_2_0, Layout
from appserver.codecs.karat_service import read_service

HEAD = 7
MAX_NUMBER = 1e12
"""No register is larger; a float of 1e30 is no value but noise."""
UNITS = {"gcal": "Gcal", "m3": "m3", "kwh": "kWh"}


def _number(name: str, raw: float, minutes: int) -> Decimal | None:
    """A field in its unit; None for what the device has no value for."""
    unit = name.rpartition("_")[2]
    if unit in ("kwh", "kvarh"):
        return None if raw == NO_VALUE_U32 else Decimal(int(raw)).scaleb(-3)
    if unit == "h":
        return None if raw in NO_VALUES_I32 else (Decimal(int(raw)) / minutes).quantize(Decimal("0.0001"))
    return Decimal(f"{raw:.6f}") if math.isfinite(raw) and abs(raw) < MAX_NUMBER else None


def _packet(code: int, protocol: str, layout: Layout, data: bytes) -> Decoded:
    names = layout.fields.split()
    form = struct.Struct("<" + "".join(FIELD_TYPES[name.rpartition("_")[2]] for name in names))
    expect_length(code, data, HEAD + form.size)
    archive = archive_of(data)
    stamp = time_1_8(data) if protocol == "1.8" else time_2_0(data)
    subsystem = (int.from_bytes(data[:2], "little") >> 13) + 1
    raws = dict(zip((name for name in names if not name.startswith("gap")), form.unpack_from(data, HEAD), strict=True))
    err = raws.pop("err", None)
    flags = None
    if err is not None:
        flags = tuple(layout.flags.get(bit, f"bit{bit}") for bit in range(32) if err >> bit & 1)
    minutes = 600 if layout.compact and protocol == "1.8" else 60
    numbers = {name: _number(name, raw, minutes) for name, raw in raws.items()}
    interval = "" if archive.register else archive.name
    at = boundary(stamp, archive)
    measurements = tuple(
        Measurement(
            subsystem * 10 + digit if digit else subsystem,
            value,
            UNITS[name.rpartition("_")[2]],
            "_".join(filter(None, (variant, interval))),
            at,
            archive.stored,
        )
        for name, (digit, variant) in layout.registers.items()
        if (value := numbers.get(name)) is not None
    )
    values = {
        "packet": f"0x{code:04X}",
        "protocol": protocol,
        "subsystem": subsystem,
        "archive": archive.name,
        "device_time": stamp.isoformat() if stamp else None,
        **({} if flags is None else {"flags": list(flags)}),
        **{name: None if value is None else str(value) for name, value in numbers.items()},
    }
    clock = None if archive.stored else stamp
    return Decoded(measurements, flags, clock=clock, values=values, clock_step_s=STEP_S[protocol])


def _head(data: bytes) -> tuple[int, Decoded | None]:
    """The packet code, and what every module answers alike: errors and what it tells of itself."""
    if len(data) < 4:
        raise CodecError(f"{len(data)} bytes are too few for a packet", len(data))
    code = int.from_bytes(data[:2], "little") & PACKET_MASK
    return code, error_packet(data) or read_service(code, data)


def decode_926lw(f_port: int, data: bytes, received_at_us: int) -> Decoded:
    """KARAT-926LW, protocols 1.8 and 2.0. The port is a setting of the device, so any is taken.

    Raises CodecError when the packet code is unknown, the length is not the packet's, or its head has no sense.
    """
    code, told = _head(data)
    read = told or read_926lw(code, data)
    if read is None:
        raise CodecError(f"packet code 0x{code:04X} is not one of a KARAT-926LW", 0)
    return read


def decode_meter(f_port: int, data: bytes, received_at_us: int) -> Decoded:
    """A packet of a KARAT meter or of its module. The port is a setting of the device, so any is taken.

    Raises CodecError when the packet code is unknown, the length is not the packet's, or its head has no sense.
    """
    code, told = _head(data)
    if told is not None:
        return told
    for protocol, layouts in (("1.8", LAYOUTS_1_8), ("2.0", LAYOUTS_2_0)):
        if code in layouts:
            return _packet(code, protocol, layouts[code], data)
    raise CodecError(f"packet code 0x{code:04X} is not one of a KARAT meter", 0)
