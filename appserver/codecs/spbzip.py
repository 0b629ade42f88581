"""SPbZIP electricity meters ЦЭ2726А and ЦЭ2727А: info, instant values, tariffs, half-hour profile.

Layout: github.com/VegaAbsolute/IoTVegaParser, chirpstack/devices/SPBZIP (read, not copied). Little-endian; port 2 data,
ports 3 and 4 settings and clock as in Vega's own devices. Times are UTC. Channel 1 is the total, 2 to 5 are tariffs 1 to
4, all in kWh.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from appserver.codecs.base import CodecError, Decoded, Measurement
from appserver.codecs.vega import PORT_CLOCK, PORT_DATA, PORT_SETTINGS, service

INFO = struct.Struct("<BIIBBBBIIIBIHH")
INSTANT = struct.Struct("<BII3H3I4HHIH")
TARIFFS = struct.Struct("<BIIB5IH")
PROFILE = struct.Struct("<BIIBIIBIH")
NO_VALUE = 0xFFFFFFFF
MODELS = {1: "ЦЭ2726А", 2: "ЦЭ2727А"}
REASONS = {
    1: "time",
    2: "terminal_opened",
    3: "case_opened",
    7: "relay_operated",
    8: "overvoltage",
    11: "power_limit",
    18: "power_off",
    19: "request",
    20: "power_on",
    21: "voltage_dip",
    24: "frequency",
}


def _moment(seconds: int) -> datetime | None:
    return None if seconds in (0, NO_VALUE) else datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)


def _text(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def _kwh(wh: int) -> Decimal | None:
    return None if wh == NO_VALUE else Decimal(wh).scaleb(-3)


def _words(value: Decimal | None) -> str | None:
    return None if value is None else str(value)


def _registers(readings: list[Decimal | None], at: datetime | None) -> tuple[Measurement, ...]:
    return tuple(
        Measurement(channel, value, "kWh", at=at) for channel, value in enumerate(readings, 1) if value is not None
    )


def _info(data: bytes) -> Decoded:
    _, serial, seconds, model, phases, _, relay, made, version, energy, temperature, state, reason, _ = INFO.unpack(
        data
    )
    clock, total = _moment(seconds), _kwh(energy)
    # The bits say what is closed and unlimited, so a flag is a bit that is 0.
    names = ("terminal_opened", "case_opened", "power_limited")
    flags = tuple(name for bit, name in enumerate(names) if not state >> bit & 1)
    values = {
        "type": "info",
        "serial": serial,
        "device_time": _text(clock),
        "model": MODELS.get(model),
        "phases": phases,
        "power_limit_relay": bool(relay),
        "made": _text(_moment(made)),
        "software": str(Decimal(version).scaleb(-1)),
        "energy_kwh": _words(total),
        "temperature_c": temperature,
        "reason": REASONS.get(reason, str(reason)),
        "flags": list(flags),
    }
    return Decoded(_registers([total], clock), flags, temperature_c=temperature, clock=clock, values=values)


def _instant(data: bytes) -> Decoded:
    _, serial, seconds, *numbers, frequency, power, _ = INSTANT.unpack(data)
    clock = _moment(seconds)
    values: dict[str, Any] = {"type": "instant", "serial": serial, "device_time": _text(clock)}
    for name, first, decimals in (("voltage_v", 0, 2), ("current_a", 3, 3), ("power_factor", 6, 3)):
        for n, phase in enumerate("abc"):
            values[f"{name}_{phase}"] = str(Decimal(numbers[first + n]).scaleb(-decimals))
    values["power_factor"] = str(Decimal(numbers[9]).scaleb(-3))
    values["frequency_hz"] = str(Decimal(frequency).scaleb(-2))
    values["power_w"] = None if power == NO_VALUE else power
    return Decoded(clock=clock, values=values)


def _tariffs(data: bytes) -> Decoded:
    _, serial, seconds, tariff, *energies, _ = TARIFFS.unpack(data)
    clock = _moment(seconds)
    readings = [_kwh(wh) for wh in energies]
    values = {
        "type": "tariffs",
        "serial": serial,
        "device_time": _text(clock),
        "tariff": tariff,
        "energy_kwh": _words(readings[0]),
        **{f"energy_{n}_kwh": _words(value) for n, value in enumerate(readings[1:], 1)},
    }
    return Decoded(_registers(readings, clock), clock=clock, values=values)


def _profile(data: bytes) -> Decoded:
    _, serial, *halves, _ = PROFILE.unpack(data)
    points = [
        {"time": _text(_moment(seconds)), "note": note, "power": None if power == NO_VALUE else power}
        for seconds, note, power in (halves[:3], halves[3:])
    ]
    return Decoded(values={"type": "profile", "serial": serial, "half_hours": points})


_PACKETS: dict[int, tuple[struct.Struct, Callable[[bytes], Decoded]]] = {
    1: (INFO, _info),
    2: (INSTANT, _instant),
    4: (TARIFFS, _tariffs),
    5: (PROFILE, _profile),
}


def decode(f_port: int, data: bytes, received_at_us: int) -> Decoded:
    """ЦЭ2726А, ЦЭ2727А: packets 1, 2, 4 and 5. Profile powers stay in the values: their unit is not published."""
    if f_port in (PORT_SETTINGS, PORT_CLOCK):
        return service(f_port, data, "SPbZIP meter")  # these two packets are the same in every device of the family
    if f_port != PORT_DATA:
        raise CodecError(f"port {f_port} is not one of an SPbZIP meter (2 data, 3 settings, 4 clock)")
    layout, read = _PACKETS.get(data[0], (None, None)) if data else (None, None)
    if layout is None or read is None:
        raise CodecError(f"packet type is {data[0]}, known are 1, 2, 4, 5" if data else "there is no data", 0)
    if len(data) != layout.size:
        raise CodecError(f"{len(data)} bytes, this packet has {layout.size}", min(len(data), layout.size))
    return read(data)
