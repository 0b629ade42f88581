"""Commands to Vega modules and the meters that speak as they do: clock on port 4, settings on port 3.

Layout: the maker's manuals of SI-11, SI-12 and SI-21 (parts "receives packets of the following types"). Little-endian.
"""

from __future__ import annotations

import re
import struct

from appserver.codecs.base import CommandError
from appserver.codecs.commands import Command, encoder
from appserver.codecs.vega import PORT_CLOCK, PORT_DATA, PORT_SETTINGS, SETTING_NAMES

CLOCK, SETTINGS, SETTINGS_REQUEST = 255, 0, 1
OUTPUT_ON, OUTPUT_OFF = 3, 4
TIME_ZONE = 55
MODES = {1: "pulse", 2: "guard"}
RANGES = {4: (1, 2), 5: (1, 2), 8: (1, 15), 16: (1, 7), 49: (1, 7), TIME_ZONE: (-720, 840)} | dict.fromkeys(
    range(12, 16), (1, 2)
)
"""Permitted values of the settings that have a name; what they mean stands in the manuals."""
IDS = {name: identifier for identifier, name in SETTING_NAMES.items()}


def _clock_correction(command: Command) -> tuple[int, bytes]:
    return PORT_CLOCK, struct.pack("<Bq", CLOCK, command.integer("delta_s", -(2**62), 2**62))


def _settings_request(command: Command) -> tuple[int, bytes]:
    return PORT_SETTINGS, bytes((SETTINGS_REQUEST,))


def _setting(name: str, value: object) -> bytes:
    where = f"settings.{name}"
    if name in IDS:
        low, high = RANGES[IDS[name]]
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise CommandError(f"must be a whole number from {low} to {high}", where)
        length = 2 if IDS[name] == TIME_ZONE else 1
        return struct.pack("<HB", IDS[name], length) + value.to_bytes(length, "little", signed=IDS[name] == TIME_ZONE)
    if not re.fullmatch("[0-9]{1,5}", name) or int(name) > 0xFFFF:
        raise CommandError(f"is no setting; write the number of its id or one of {', '.join(IDS)}", where)
    try:
        raw = bytes.fromhex(str(value))
    except ValueError:
        raw = b""
    if not isinstance(value, str) or not 1 <= len(raw) <= 32:
        raise CommandError("must be 1 to 32 bytes in hex digits, as they are sent", where)
    return struct.pack("<HB", int(name), len(raw)) + raw


def _settings(command: Command) -> tuple[int, bytes]:
    settings = command.take("settings")
    if not isinstance(settings, dict) or not settings:
        raise CommandError("must be an object of settings and their values", "settings")
    data = bytes((SETTINGS,)) + b"".join(_setting(name, value) for name, value in settings.items())
    if len(data) > 51:
        raise CommandError("are too many for one frame; send them in parts", "settings")
    return PORT_SETTINGS, data


def _output_on(command: Command) -> tuple[int, bytes]:
    output, seconds = command.integer("output", 1, 2), command.integer("seconds", 0, 255, 0)
    return PORT_DATA, bytes((OUTPUT_ON, output, seconds))


def _output_off(command: Command) -> tuple[int, bytes]:
    return PORT_DATA, bytes((OUTPUT_OFF, command.integer("output", 1, 2)))


COMMON = {"clock_correction": _clock_correction, "settings": _settings, "settings_request": _settings_request}
encode = encoder(COMMON)
encode_si12 = encoder(COMMON | {"output_on": _output_on, "output_off": _output_off})
