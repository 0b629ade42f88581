"""What the Vega modules beside the SI-11 share: scales, media, fragments, the shape of a decoded packet."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from appserver.codecs.base import CodecError, Decoded, Decoder, Measurement
from appserver.codecs.vega import NO_VALUE, PORT_DATA, expect_length, moment, service

NO_SENSOR = -1000
"""-100.0 °C: the sensor is not connected."""
NO_VALUE_U16 = 0xFFFF
SI12_PERIODS_MIN = {0: 5, 1: 15, 2: 30, 3: 60, 4: 360, 5: 720, 6: 1440}
"""Of the SI-12 and the SI-23; those of the SI-11 are others."""
TENTH, HUNDREDTH = -1, -2
MEDIA = {
    0x00: "other",
    0x01: "oil",
    0x02: "electricity",
    0x03: "gas",
    0x04: "heat",
    0x05: "steam",
    0x06: "hot_water",
    0x07: "water",
    0x08: "heat_cost_allocator",
    0x09: "compressed_air",
    0x0A: "cooling_outlet",
    0x0B: "cooling_inlet",
    0x0C: "heat_inlet",
    0x0D: "heat_cooling",
    0x0E: "bus",
    0x0F: "unknown",
    0x16: "cold_water",
    0x17: "dual_water",
    0x18: "pressure",
    0x19: "adc",
}
"""EN 13757-3 media."""


def packet_type(data: bytes, known: Mapping[int, int]) -> int:
    """The first byte, when it is a known packet type and the length is that packet's."""
    if not data:
        raise CodecError("there is no data", 0)
    if data[0] not in known:
        raise CodecError(f"packet type is {data[0]}, known are {', '.join(map(str, known))}", 0)
    if known[data[0]]:
        expect_length(data, known[data[0]])
    return data[0]


def reason_of(names: tuple[str, ...], value: int, offset: int) -> str:
    """The word of a reason; CodecError when it has none."""
    if value >= len(names):
        raise CodecError(f"reason is {value}, must be 0 to {len(names) - 1}", offset)
    return names[value]


def scaled(value: int, power: int, nothing: int = NO_VALUE) -> Decimal | None:
    """``value`` times ten to the ``power``; None when the device has none."""
    return None if value == nothing else Decimal(value).scaleb(power)


def _words(value: object) -> object:
    return str(value) if isinstance(value, Decimal) else value


def decoded(
    values: dict[str, Any],
    measurements: tuple[Measurement, ...] = (),
    *,
    seconds: int | None = None,
    battery: int | None = None,
    temperature: Decimal | int | None = None,
    flags: tuple[str, ...] | None = None,
) -> Decoded:
    """A packet with what all of them have: battery, clock, flags, beside its own values."""
    clock = None if seconds is None else moment(seconds)
    head: dict[str, Any] = {} if battery is None else {"battery_pct": battery}
    if seconds is not None:
        head["device_time"] = clock.isoformat() if clock else None
    tail = {} if flags is None else {"flags": list(flags)}
    return Decoded(
        measurements,
        flags,
        battery if battery is not None and battery <= 100 else None,
        None if temperature is None else round(temperature),
        clock,
        {**head, **{name: _words(value) for name, value in values.items()}, **tail},
    )


def pulses(inputs: tuple[int, ...] | list[int], seconds: int) -> tuple[Measurement, ...]:
    """Counters of the inputs, as channels from 1."""
    return tuple(
        Measurement(channel, Decimal(value), "imp", at=moment(seconds))
        for channel, value in enumerate(inputs, 1)
        if value != NO_VALUE
    )


def flags_set(flags: Mapping[str, object]) -> tuple[str, ...]:
    """Names of the conditions that hold."""
    return tuple(name for name, holds in flags.items() if holds)


def inputs_of(inputs: tuple[int, ...] | list[int]) -> dict[str, int | None]:
    """The inputs in words."""
    return {f"input{i}": None if value == NO_VALUE else value for i, value in enumerate(inputs, 1)}


def fragment(
    data: bytes, reason: str, offset: int, register: bool = False, *, packet: str = "reason"
) -> dict[str, Any]:
    """A part of a long answer: size of the whole, size of the part, its number, how many there are."""
    start = offset + (7 if register else 5)
    if len(data) < start:
        raise CodecError(f"{len(data)} bytes, a fragment has at least {start}", len(data))
    size, length, number, count = struct.unpack_from("<HBBB", data, offset)
    body = data[start:]
    if len(body) != length:
        raise CodecError(f"the fragment says it has {length} bytes and has {len(body)}", min(len(data), start + length))
    values: dict[str, Any] = {packet: reason, "size": size, "fragment": number, "fragments": count, "data": body.hex()}
    if register:
        values["start_register"] = int.from_bytes(data[start - 2 : start], "little")
    return values


def codec(device: str, read: Callable[[bytes], Decoded]) -> Decoder:
    """A codec of the table: ``read`` for the data port, the other ports as in all devices."""

    def decode(f_port: int, data: bytes, received_at_us: int) -> Decoded:
        return read(data) if f_port == PORT_DATA else service(f_port, data, f"Vega {device}")

    return decode
