"""Units of M-Bus (EN 13757-3): the VIF code and its extensions FBh and FDh → what is measured, and in what."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Quantity:
    """What a VIF names. The sent number times ``factor`` times ten to the power of ``scale`` is in ``unit``."""

    name: str
    unit: str = ""
    scale: int = 0
    factor: int = 1
    kind: str = "number"
    """``number``, ``bits`` (unsigned), ``date``, ``datetime`` or ``text``."""


def _powers(name: str, unit: str, first: int, lowest: int, count: int = 8) -> dict[int, Quantity]:
    """Codes from ``first`` on, each ten times the one before."""
    return {first + n: Quantity(name, unit, lowest + n) for n in range(count)}


def _durations(name: str, first: int) -> dict[int, Quantity]:
    """Seconds, minutes, hours and days, all given in seconds."""
    return {first + n: Quantity(name, "s", 0, factor) for n, factor in enumerate((1, 60, 3600, 86_400))}


PRIMARY: dict[int, Quantity] = {
    **_powers("energy", "kWh", 0x00, -6),
    **_powers("energy", "GJ", 0x08, -9),
    **_powers("volume", "m3", 0x10, -6),
    **_powers("mass", "kg", 0x18, -3),
    **_durations("on_time", 0x20),
    **_durations("operating_time", 0x24),
    **_powers("power", "kW", 0x28, -6),
    **_powers("power", "GJ/h", 0x30, -9),
    **_powers("volume_flow", "m3/h", 0x38, -6),
    **_powers("volume_flow", "m3/min", 0x40, -7),
    **_powers("volume_flow", "m3/s", 0x48, -9),
    **_powers("mass_flow", "kg/h", 0x50, -3),
    **_powers("flow_temp", "degC", 0x58, -3, 4),
    **_powers("return_temp", "degC", 0x5C, -3, 4),
    **_powers("temp_diff", "K", 0x60, -3, 4),
    **_powers("external_temp", "degC", 0x64, -3, 4),
    **_powers("pressure", "bar", 0x68, -3, 4),
    0x6C: Quantity("date", kind="date"),
    0x6D: Quantity("datetime", kind="datetime"),
    0x6E: Quantity("hca", "units"),
    **_durations("averaging_duration", 0x70),
    **_durations("actuality_duration", 0x74),
    0x78: Quantity("fabrication_no", kind="bits"),
    0x79: Quantity("enhanced_id", kind="bits"),
    0x7A: Quantity("bus_address", kind="bits"),
}

_FB = {
    **_powers("energy", "kWh", 0x00, 2, 2),
    **_powers("reactive_energy", "kvarh", 0x02, 0, 2),
    **_powers("energy", "GJ", 0x08, -1, 2),
    **_powers("energy", "Gcal", 0x0C, -4, 4),
    **_powers("volume", "m3", 0x10, 2, 2),
    **_powers("reactive_power", "kvar", 0x14, -3, 4),
    **_powers("mass", "kg", 0x18, 5, 2),
    **_powers("relative_humidity", "%", 0x1A, -1, 2),
    **_powers("power", "kW", 0x28, 2, 2),
    **_powers("frequency", "Hz", 0x2C, -3, 4),
    **_powers("power", "GJ/h", 0x30, -1, 2),
}

_FD = {
    0x08: Quantity("access_no", kind="bits"),
    0x09: Quantity("medium", kind="bits"),
    0x0A: Quantity("manufacturer", kind="bits"),
    0x0B: Quantity("parameter_set", kind="text"),
    0x0C: Quantity("model", kind="text"),
    0x0D: Quantity("hardware_version", kind="text"),
    0x0E: Quantity("firmware_version", kind="text"),
    0x0F: Quantity("software_version", kind="text"),
    0x10: Quantity("customer_location", kind="text"),
    0x11: Quantity("customer", kind="text"),
    0x17: Quantity("error_flags", kind="bits"),
    0x1A: Quantity("digital_output", kind="bits"),
    0x1B: Quantity("digital_input", kind="bits"),
    0x3A: Quantity("dimensionless"),
    **_powers("voltage", "V", 0x40, -9, 16),
    **_powers("current", "A", 0x50, -12, 16),
    0x60: Quantity("reset_counter", kind="bits"),
    0x61: Quantity("cumulation_counter", kind="bits"),
}

EXTENSIONS: dict[int, dict[int, Quantity]] = {0xFB: _FB, 0xFD: _FD}
"""By the VIF with its extension bit: tables of the VIFE that follows."""
