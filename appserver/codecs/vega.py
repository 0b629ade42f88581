"""Vega SI-11: pulse counter with four inputs, revisions 1 and 2.

Layout: github.com/VegaAbsolute/IoTVegaParser at 5f262340, chirpstack/devices/si11 (read, not copied). Little-endian;
port 2 data, port 3 settings, port 4 the device's clock. An input is a pulse counter or a guarded contact.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal

from appserver.codecs.base import CodecError, Decoded, Measurement

INPUTS = 4
DATA_LENGTH = 24
NO_VALUE = 0xFFFFFFFF
PERIODS_MIN = {0: 5, 1: 360, 2: 30, 4: 15, 5: 720, 6: 60, 7: 1440}
PORT_DATA, PORT_SETTINGS, PORT_CLOCK = 2, 3, 4
SETTING_NAMES = {
    4: "confirmed_uplinks",
    5: "adr",
    8: "uplink_repetitions",
    12: "input1_mode",
    13: "input2_mode",
    14: "input3_mode",
    15: "input4_mode",
    16: "communication_period",
    49: "collection_period",
    55: "time_zone_min",
}


def moment(seconds: int) -> datetime | None:
    """A device's clock as naive UTC; None when it was never set."""
    return None if seconds in (0, NO_VALUE) else datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)


def configuration(byte: int, periods: Mapping[int, int] = PERIODS_MIN) -> dict[str, object]:
    """The configuration byte in words."""
    return {
        "activation": "ABP" if byte & 1 else "OTAA",
        "period_min": periods.get(byte >> 1 & 7),
        "inputs": ["guard" if byte >> (4 + i) & 1 else "pulse" for i in range(INPUTS)],
    }


def _report(
    kind: str,
    battery: int,
    config: int,
    seconds: int,
    temperature: int | None,
    inputs: tuple[int, ...],
    alarm: int,
    periods: Mapping[int, int] = PERIODS_MIN,
) -> Decoded:
    clock = moment(seconds)
    settings = configuration(config, periods)
    modes = settings["inputs"]
    assert isinstance(modes, list)
    measurements = tuple(
        Measurement(channel, Decimal(value), "imp", at=clock)
        for channel, (mode, value) in enumerate(zip(modes, inputs, strict=True), 1)
        if mode == "pulse" and value != NO_VALUE
    )
    closed = [
        f"input{i}_closed"
        for i, (mode, value) in enumerate(zip(modes, inputs, strict=True), 1)
        if mode == "guard" and value
    ]
    flags = tuple(closed + ([f"input{alarm}_alarm"] if alarm else []))
    values = {
        "type": kind,
        "battery_pct": battery,
        "temperature_c": temperature,
        "device_time": clock.isoformat() if clock else None,
        **settings,
        **{f"input{i}": None if v == NO_VALUE else v for i, v in enumerate(inputs, 1)},
        "flags": list(flags),
    }
    return Decoded(measurements, flags, battery if battery <= 100 else None, temperature, clock, values)


def expect_length(data: bytes, length: int) -> None:
    """Raise CodecError unless ``data`` is ``length`` bytes."""
    if len(data) != length:
        raise CodecError(f"{len(data)} bytes, this packet has {length}", min(len(data), length))


def data_r1(data: bytes, periods: Mapping[int, int] = PERIODS_MIN) -> Decoded:
    """A packet of a pulse counter: current values or an alarm."""
    if not data or data[0] not in (1, 2):
        raise CodecError(f"packet type is {data[0]}, known are 1 and 2" if data else "there is no data", 0)
    expect_length(data, DATA_LENGTH)
    if data[0] == 1:
        battery, config, seconds, temperature, *inputs = struct.unpack_from("<BBIb4I", data, 1)
        return _report("current", battery, config, seconds, temperature, tuple(inputs), 0, periods)
    battery, config, alarm, seconds, *inputs = struct.unpack_from("<BBBI4I", data, 1)
    if not 1 <= alarm <= INPUTS:
        raise CodecError(f"alarm input is {alarm}, must be 1 to {INPUTS}", 3)
    return _report("alarm", battery, config, seconds, None, tuple(inputs), alarm, periods)


def _data_r2(data: bytes) -> Decoded:
    if not data or data[0] > INPUTS:
        raise CodecError(f"reason is {data[0]}, must be 0 to {INPUTS}" if data else "there is no data", 0)
    expect_length(data, DATA_LENGTH)
    reason, battery, seconds, temperature, *inputs, config = struct.unpack("<BBIb4IB", data)
    return _report("alarm" if reason else "current", battery, config, seconds, temperature, tuple(inputs), reason)


def _clock(data: bytes) -> Decoded:
    if not data or data[0] != 0xFF:
        raise CodecError(f"packet type is {data[0]}, a clock packet has 255" if data else "there is no data", 0)
    expect_length(data, 5)
    clock = moment(int.from_bytes(data[1:5], "little"))
    return Decoded(clock=clock, values={"type": "clock", "device_time": clock.isoformat() if clock else None})


def _settings(data: bytes) -> Decoded:
    if not data or data[0] != 0:
        raise CodecError(f"packet type is {data[0]}, a settings packet has 0" if data else "there is no data", 0)
    settings: dict[str, int] = {}
    offset = 1
    while offset < len(data):
        if offset + 3 > len(data) or offset + 3 + data[offset + 2] > len(data):
            raise CodecError("the last setting is cut off", offset)
        identifier, length = struct.unpack_from("<HB", data, offset)
        raw = data[offset + 3 : offset + 3 + length]
        settings[SETTING_NAMES.get(identifier, str(identifier))] = int.from_bytes(
            raw, "little", signed=identifier == 55
        )
        offset += 3 + length
    return Decoded(values={"type": "settings", "settings": settings})


def service(f_port: int, data: bytes, device: str) -> Decoded:
    """Settings and clock, alike in all Vega devices. Raises CodecError for any other port."""
    if f_port == PORT_SETTINGS:
        return _settings(data)
    if f_port == PORT_CLOCK:
        return _clock(data)
    raise CodecError(f"port {f_port} is not one of a {device} (2 data, 3 settings, 4 clock)")


def decode_si11_r1(f_port: int, data: bytes, received_at_us: int) -> Decoded:
    """SI-11 revision 1: type, battery, configuration, time, temperature, inputs."""
    return data_r1(data) if f_port == PORT_DATA else service(f_port, data, "Vega SI-11")


def decode_si11_r2(f_port: int, data: bytes, received_at_us: int) -> Decoded:
    """SI-11 revision 2: reason, battery, time, temperature, inputs, configuration."""
    return _data_r2(data) if f_port == PORT_DATA else service(f_port, data, "Vega SI-11")
