"""Compact profiles of M-Bus (EN 13757-3, annex F): a base value, its moment, and the values at equal steps from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from appserver.codecs.base import CodecError
from appserver.codecs.mbus import INVERSE_PROFILE, PROFILE, Record

ABSOLUTE, INCREMENTS, DECREMENTS, DIFFERENCES = range(4)
STEPS = (timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1))
SIZES = {1: 1, 2: 2, 3: 3, 4: 4, 6: 6, 7: 8}
MAX_SPACING = 250


@dataclass(frozen=True, slots=True)
class Point:
    """One value of a profile; None when the meter has none for that moment."""

    at: datetime
    value: Decimal | None


def is_profile(record: Record) -> bool:
    """Whether a record is a profile."""
    return isinstance(record.value, bytes) and any(v in (INVERSE_PROFILE, PROFILE) for v in record.vifes)


def _base(records: Sequence[Record], profile: Record) -> Decimal:
    for record in records:
        same = (record.quantity, record.place, record.function) == (profile.quantity, profile.place, profile.function)
        if same and isinstance(record.value, Decimal):
            return record.value
    raise CodecError(f"the profile of {profile.quantity} has no base value")


def _moment(records: Sequence[Record], profile: Record) -> datetime:
    for record in records:
        if record.place == profile.place and isinstance(record.value, datetime):
            return record.value
    raise CodecError(f"the profile of {profile.quantity} has no base time")


def expand(records: Sequence[Record], profile: Record) -> tuple[Point, ...]:
    """The points of ``profile`` after its base, in the order sent. ``records`` are those of its message.

    An inverse profile goes back in time from the base, a plain one forward. Raises CodecError when there is no base
    value or time, or the control bytes are not such a profile's.
    """
    data = profile.value
    if not isinstance(data, bytes) or len(data) < 2:
        raise CodecError("the profile has no control bytes")
    control, spacing = data[0], data[1]
    mode, size = control >> 6, SIZES.get(control & 0xF)
    if size is None or not 1 <= spacing <= MAX_SPACING or (len(data) - 2) % size:
        raise CodecError(f"the profile's control bytes are 0x{control:02X} 0x{spacing:02X}, with {len(data) - 2} bytes")
    value: Decimal | None = _base(records, profile)
    at = _moment(records, profile)
    sign = -1 if INVERSE_PROFILE in profile.vifes else 1
    step = sign * spacing * STEPS[control >> 4 & 3]
    signed = mode in (ABSOLUTE, DIFFERENCES)
    nothing = 1 << (8 * size - 1) if signed else (1 << 8 * size) - 1
    points = []
    for offset in range(2, len(data), size):
        raw = data[offset : offset + size]
        number = int.from_bytes(raw, "little", signed=signed)
        known = int.from_bytes(raw, "little") != nothing
        change = Decimal(number).scaleb(profile.scale)
        if mode == ABSOLUTE:
            value = change if known else None
        elif value is not None:  # after a gap the chain is broken for good
            value = value + (-sign if mode == DECREMENTS else sign) * change if known else None
        try:
            at += step
        except OverflowError as error:
            raise CodecError("the profile leaves the calendar") from error
        points.append(Point(at, value))
    return tuple(points)
