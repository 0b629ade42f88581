"""Commands to KARAT radio modules: archive query, clock correction, settings; protocols 1.8 and 2.0.

Layout: github.com/ws-lab/karat-proto (MIT) at 4515b7a, pkg/karatproto/struct.go and db.go. They are sent to the port the
module is set to, which is 5 unless the request names another.
"""

from __future__ import annotations

import struct
from datetime import datetime

from appserver.codecs.base import CommandError
from appserver.codecs.commands import Command, encoder
from appserver.codecs.karat import ARCHIVES, EPOCH
from appserver.codecs.karat_service import ARCHIVE_FLAGS, CONNECTION_FLAGS

PORT = 5
PROTOCOLS = ("1.8", "2.0")
ARCHIVE_QUERY = {"1.8": 0x000C, "2.0": 0x003A}
SUBSYSTEMS = 8
"""As many as three bits tell apart."""
CLOCK_CORRECTION = 0x0016
SETTINGS = {"1.8": 0x0015, "2.0": 0x0101}
STORED = {archive.name: code for code, archive in ARCHIVES.items() if archive.stored}
MAX_MESSAGES = 6
QUARTER_MIN = 15
CLOCK_UNTOUCHED = b"\xff" * 6


def _coded(moment: datetime, key: str) -> int:
    seconds = int((moment - EPOCH).total_seconds())
    if not 0 < seconds < 0xFFFFFFFF:
        raise CommandError("must be from 2000-03-01 to 2136: seconds are counted in four bytes", key)
    return seconds


def _archive_query(command: Command) -> tuple[int, bytes]:
    protocol = command.one_of("protocol", PROTOCOLS)
    kind = STORED[command.one_of("archive", list(STORED))]
    moment = command.time("time")
    assert moment is not None
    # The published query names the first subsystem; the others by the head that all packets have, in bits 13 to 15.
    function = ARCHIVE_QUERY[protocol] | ((command.integer("subsystem", 1, SUBSYSTEMS, 1) - 1) << 13)
    if protocol == "2.0":
        return PORT, struct.pack("<HBI", function, kind, _coded(moment, "time"))
    if not 2000 <= moment.year <= 2099 or moment.minute or moment.second:
        raise CommandError("must be a full hour of the years 2000 to 2099 in protocol 1.8", "time")
    return PORT, struct.pack("<HB4B", function, kind, moment.hour, moment.day, moment.month, moment.year - 2000)


def _clock_correction(command: Command) -> tuple[int, bytes]:
    return PORT, struct.pack("<Hh", CLOCK_CORRECTION, command.integer("delta_s", -0x8000, 0x7FFF))


def _messages(command: Command) -> tuple[int, list[int]]:
    codes = command.take("messages")
    fits = isinstance(codes, list) and 1 <= len(codes) <= MAX_MESSAGES
    if not fits or any(type(code) is not int or not 0 < code <= 0xFFFF for code in codes):
        raise CommandError(f"must be a list of 1 to {MAX_MESSAGES} packet codes", "messages")
    return len(codes), codes + [0] * (MAX_MESSAGES - len(codes))


def _zone(command: Command) -> int:
    minutes = command.integer("time_zone_min", -12 * 60, 14 * 60)
    if minutes % QUARTER_MIN:
        raise CommandError(f"must be a multiple of {QUARTER_MIN}", "time_zone_min")
    return minutes // QUARTER_MIN


def _settings(command: Command) -> tuple[int, bytes]:
    protocol = command.one_of("protocol", PROTOCOLS)
    zone, archives = _zone(command), command.bits("archives", ARCHIVE_FLAGS)
    count, messages = _messages(command)
    if protocol == "2.0":
        data = struct.pack(
            "<HHibHHBB6H",
            SETTINGS[protocol],
            command.bits("events", CONNECTION_FLAGS),
            command.integer("delta_s", -0x80000000, 0x7FFFFFFF, 0),
            zone,
            command.integer("offset_time", 1, 43200),
            command.integer("tx_period", 1, 720),
            archives,
            count,
            *messages,
        )
        return PORT, data
    moment = command.time("time", None)
    delta = command.integer("delta_s", -0x8000, 0x7FFF, 0)
    if moment is not None and delta:
        raise CommandError("cannot stand together with time", "delta_s")
    clock = CLOCK_UNTOUCHED
    if moment is not None:
        if not 2000 <= moment.year <= 2099:
            raise CommandError("must be in the years 2000 to 2099", "time")
        clock = bytes((moment.second, moment.minute, moment.hour, moment.day, moment.month, moment.year - 2000))
    head = struct.pack("<H6sh", SETTINGS[protocol], clock, delta)
    tail = struct.pack(
        "<iIBB6HbB",
        command.integer("offset_time", 0, 0xFFFF),
        command.integer("tx_period", 1, 0xFFFFFFFF),
        archives,
        count,
        *messages,
        zone,
        command.integer("report_day", 0, 31),
    )
    return PORT, head + tail


encode = encoder({"archive_query": _archive_query, "clock_correction": _clock_correction, "settings": _settings})
