"""Blocks of the frame log: a thousand frames and their events as one row.

A frame that will not change any more needs no row of its own. Packed and compressed with its neighbours it takes a third of
the room, and a whole month is dropped with its file. What a search needs to pass over a block is kept beside it: the device
of each frame, and which gateways and kinds there are.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from lns.store.batch import FRAME_COLUMNS
from lns.uplink.reception import from_receptions

LEVEL = 2
"""Of zlib. Beyond it a block takes three times as long and becomes a tenth smaller."""
_pack = msgspec.msgpack.Encoder().encode


class KeptFrame(Struct, array_like=True, gc=False):
    """A frame of the log; columns as in ``frame``, and what its event told."""

    id: int
    kind: str
    time_us: int
    device_id: int
    session_id: int
    dev_addr: int | None
    f_cnt: int | None
    f_port: int | None
    confirmed: int
    frequency_hz: int
    datr: str
    phy: bytes
    detail: bytes
    gateway: str
    reply_to: int
    outcome: str
    event_id: int | None = None
    """The uplink's event: it has all receptions and the payload."""
    way: bytes = b""
    """The uplink's way, see :mod:`lns.uplink.way`."""


KEPT = ", ".join([*(f"f.{name}" for name in FRAME_COLUMNS), "e.id", "coalesce(e.way, x'')"])
"""Columns of KeptFrame, from ``frame f LEFT JOIN event e``."""
JOINED = f"SELECT {KEPT} FROM frame f LEFT JOIN event e ON e.frame_id = f.id AND f.kind IN ('up', 'late')"


class _Heard(Struct):
    gateway_eui: str


class _Receptions(Struct):
    """Of an event's body only what the summary of a block needs."""

    receptions: tuple[_Heard, ...] = ()


_receptions = msgspec.msgpack.Decoder(_Receptions).decode
_frames = msgspec.msgpack.Decoder(list[KeptFrame]).decode
_frame = msgspec.msgpack.Decoder(KeptFrame).decode
_raw_frames = msgspec.msgpack.Decoder(list[msgspec.Raw]).decode
_events = msgspec.msgpack.Decoder(list[tuple[int, msgspec.Raw]]).decode

BLOCK_COLUMNS = (
    "first_frame",
    "last_frame",
    "first_event",
    "last_event",
    "first_us",
    "last_us",
    "max_device",
    "kinds",
    "gateways",
    "devices",
    "frames",
    "events",
)


def block_row(
    frames: Sequence[tuple[Any, ...]], events: Sequence[tuple[int, bytes]], after_event: int
) -> tuple[Any, ...]:
    """A row of ``block`` from rows of :data:`JOINED`, by rising id, and (id, body) of events behind ``after_event``."""
    times = [frame[2] for frame in frames]
    gateways = {frame[13] for frame in frames}
    for frame in frames:
        gateways.update(one.gateway_eui for one in from_receptions(frame[1], frame[12]))
    for _, body in events:
        gateways.update(one.gateway_eui for one in _receptions(body).receptions)
    devices = [frame[3] for frame in frames]
    return (
        frames[0][0],
        frames[-1][0],
        after_event + 1,
        events[-1][0] if events else after_event,
        min(times),
        max(times),
        max(devices),
        " ".join(sorted({frame[1] for frame in frames})),
        " ".join(sorted(gateways)),
        struct.pack(f"<{len(devices)}I", *devices),
        zlib.compress(_pack(frames), LEVEL),
        zlib.compress(_pack([(id, msgspec.Raw(body)) for id, body in events]), LEVEL),
    )


def places_of(device_id: int, devices: bytes) -> list[int]:
    """Which frames of a block are of this device."""
    needle = device_id.to_bytes(4, "little")
    places = []
    at = devices.find(needle)
    while at >= 0:
        if at % 4 == 0:
            places.append(at // 4)
        at = devices.find(needle, at + 1 if at % 4 else at + 4)
    return places


def frames_of(packed: bytes, places: Sequence[int] | None = None) -> list[KeptFrame]:
    """Frames of a block, all or those at ``places``."""
    body = zlib.decompress(packed)
    if places is None:
        return _frames(body)
    raw = _raw_frames(body)
    return [_frame(raw[place]) for place in places]


def receptions_of(body: bytes | msgspec.Raw) -> tuple[_Heard, ...]:
    """Gateways that heard an uplink, from its event's body."""
    return _receptions(body).receptions


def events_of(packed: bytes) -> Iterator[tuple[int, msgspec.Raw]]:
    """(id, body) of the events of a block."""
    return iter(_events(zlib.decompress(packed)))
