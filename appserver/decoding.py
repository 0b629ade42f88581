"""What a frame of a device means: its payload, the meters its channels count, the moments its clock tells."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import structlog

from appserver.codecs import CODECS, CodecError, Decoded, decode
from appserver.db import Connection
from appserver.metering.consumption import from_pulses
from appserver.metering.readings import NewReading
from appserver.metering.timebase import SECOND_US, from_device, trusted_moment, zone_of
from appserver.models.columns import MICRO, from_micro, to_micro

log = structlog.get_logger("decoding")

MAX_REGISTER_MICRO = 10**12 * MICRO
"""No register of a meter is larger: what is was not decoded from a meter's frame."""

MOMENTS = ("battery_at_us", "temperature_at_us", "clock_at_us", "flags_at_us")
"""Columns of ``device_state`` that say when the frame came that told the battery, the temperature, the clock, the flags."""


@dataclass(frozen=True, slots=True)
class Binding:
    """A channel of a device bound to a meter."""

    channel: int
    meter_id: int
    register_name: str
    weight: Decimal
    start_value: Decimal
    start_pulses: Decimal
    from_us: int
    until_us: int
    direct: bool
    """The raw value is the register itself."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a meter hung: from when, in which zone."""

    from_us: int
    zone: ZoneInfo


@dataclass(slots=True)
class Device:
    """What the registry and the last frames say of a device, for the length of one batch."""

    bindings: list[Binding]
    places: dict[int, list[Place]]
    """By meter, oldest first."""
    clock_zone: str
    commissioned_at_us: int
    flags: str
    said_at_us: dict[str, int | None] = field(default_factory=dict)
    """When the frames came that its state is of, by the column of ``device_state`` that keeps the moment."""
    state: dict[str, Any] = field(default_factory=dict)
    """Columns of ``device_state`` to write."""

    def says(self, moment: str, at_us: int, again: bool = False, **columns: Any) -> bool:
        """Take what a frame says of the state unless a later frame has spoken; ``moment`` is one of ``MOMENTS``.

        With ``again`` it also stands against another word of the same moment.
        """
        before_us = self.said_at_us.get(moment)
        if before_us is not None and at_us < before_us + (not again):
            return False
        self.said_at_us[moment] = self.state[moment] = at_us
        self.state |= columns
        return True

    def place(self, meter_id: int, at_us: int) -> Place | None:
        """Where a meter hung at a moment; before its first installation, that one."""
        places = self.places.get(meter_id, [])
        return next((place for place in reversed(places) if place.from_us <= at_us), places[0] if places else None)


@dataclass(frozen=True, slots=True)
class Frame:
    """What became of a payload."""

    state: str
    """``decoded`` or ``undecoded``."""
    label: str
    """``name@version``, or the codec's name when it did not decode."""
    clock: str
    decoded: Decoded | None = None
    reason: str = ""

    @property
    def json(self) -> str | None:
        """The payload in words, as it is stored."""
        return msgspec.json.encode(self.decoded.values).decode() if self.decoded is not None else None


def read_frame(codec: str, f_port: int | None, data: bytes, received_at_us: int) -> Frame:
    """Decode a payload. Whatever a codec does, the frame stays and says why it is not decoded."""
    entry = CODECS.get(codec)
    if not data and not f_port:
        return Frame("decoded", codec, "utc", None, "no application data")
    try:
        decoded = decode(codec, f_port, data, received_at_us)
    except CodecError as error:
        return Frame("undecoded", codec, "utc", None, str(error))
    except Exception as error:  # a fault of a codec must not stop the readings of all other devices
        log.exception("codec failed", codec=codec, f_port=f_port, data=data.hex())
        return Frame("undecoded", codec, "utc", None, f"the codec failed: {type(error).__name__}: {error}")
    assert entry is not None
    return Frame("decoded", entry.label, entry.clock, decoded)


def load_device(connection: Connection, dev_eui: str) -> Device:
    """Bindings of a device, the places of its meters, and its state."""
    return load_devices(connection, [dev_eui])[dev_eui]


def load_devices(connection: Connection, dev_euis: Collection[str]) -> dict[str, Device]:
    """The same for several devices at once."""
    chosen = (msgspec.json.encode(sorted(dev_euis)).decode(),)
    bindings: dict[str, list[Binding]] = {dev_eui: [] for dev_eui in dev_euis}
    for dev_eui, channel, meter_id, register, weight, start, pulses, from_us, until_us in connection.execute(
        "SELECT dev_eui, channel, meter_id, register, weight, start_value, start_pulses, valid_from_us,"
        " coalesce(valid_until_us, 1 << 62) FROM module_channel WHERE dev_eui IN (SELECT value FROM json_each(?))"
        " ORDER BY id",
        chosen,
    ):
        factor = Decimal(weight)
        direct = factor == 1 and start == 0 and pulses == 0
        bindings[dev_eui].append(
            Binding(
                channel, meter_id, register, factor, from_micro(start), from_micro(pulses), from_us, until_us, direct
            )
        )
    meters = {binding.meter_id for its in bindings.values() for binding in its}
    places: dict[int, list[Place]] = {meter_id: [] for meter_id in meters}
    for meter_id, at_us, timezone in connection.execute(
        "SELECT i.meter_id, i.installed_at_us, b.timezone FROM installation i CROSS JOIN point p ON p.id = i.point_id"
        " CROSS JOIN building b ON b.id = p.building_id WHERE i.meter_id IN (SELECT value FROM json_each(?))"
        " ORDER BY i.meter_id, i.installed_at_us",
        (str(sorted(meters)),),
    ):
        places[meter_id].append(Place(at_us, zone_of(timezone)))
    states = {
        dev_eui: state
        for dev_eui, *state in connection.execute(
            f"SELECT dev_eui, clock_zone, commissioned_at_us, flags, {', '.join(MOMENTS)} FROM device_state"
            " WHERE dev_eui IN (SELECT value FROM json_each(?))",
            chosen,
        )
    }
    devices = {}
    for dev_eui, its in bindings.items():
        zone, commissioned_us, flags, *moments = states.get(dev_eui, ("", 0, "", *[None] * len(MOMENTS)))
        said = dict(zip(MOMENTS, moments, strict=True))
        devices[dev_eui] = Device(
            its, {b.meter_id: places[b.meter_id] for b in its}, zone, commissioned_us, flags, said
        )
    return devices


def clock_zone(device: Device, clock: str, meter_id: int | None, at_us: int) -> ZoneInfo:
    """The zone of a device's clock: declared, else by its codec UTC or the zone of the building."""
    if device.clock_zone:
        return zone_of(device.clock_zone)
    if clock == "utc":
        return zone_of("UTC")
    meters = [meter_id] if meter_id is not None else [b.meter_id for b in device.bindings if b.until_us > at_us]
    for meter in meters:
        place = device.place(meter, at_us)
        if place is not None:
            return place.zone
    return zone_of("UTC")


def clock_offset_us(device: Device, decoded: Decoded, clock: str, received_at_us: int) -> int | None:
    """Device clock minus server clock when the frame tells the time of its sending.

    It is this frame's word alone, so that frames may come in any order.
    """
    if decoded.clock is None:
        return None
    least = from_device(decoded.clock, clock_zone(device, clock, None, received_at_us)) - received_at_us
    # Where the stamp leaves out minutes, the clock shows some moment of that hour: it is off by this much at least.
    return max(least, min(0, least + decoded.clock_step_s * SECOND_US))


def readings_of(
    device: Device, decoded: Decoded, uplink_id: int, received_at_us: int, label: str
) -> Sequence[NewReading]:
    """Readings of a decoded frame: one for each measurement whose channel is bound to a meter then."""
    clock = CODECS[label.partition("@")[0]].clock
    offset_us = clock_offset_us(device, decoded, clock, received_at_us)
    readings = []
    for measurement in decoded.measurements:
        for binding in device.bindings:
            if binding.channel != measurement.channel or not binding.from_us <= received_at_us < binding.until_us:
                continue
            value = measurement.value
            if not binding.direct:
                # What stands beside the register (reverse flow, an interval) has no start value of its own.
                start = (Decimal(0), Decimal(0)) if measurement.variant else (binding.start_value, binding.start_pulses)
                value = from_pulses(value, *start, binding.weight)
            value_micro = to_micro(value)
            if abs(value_micro) >= MAX_REGISTER_MICRO:
                continue
            device_us = None
            if measurement.at is not None:
                zone = clock_zone(device, clock, binding.meter_id, received_at_us)
                device_us = from_device(measurement.at, zone)
            place = device.place(binding.meter_id, received_at_us)
            floor_us = max(device.commissioned_at_us, place.from_us if place is not None else 0)
            at_us, trusted = trusted_moment(device_us, received_at_us, floor_us)
            quality = ("archive" if measurement.archive else "measured") if trusted else "server_time"
            error_us = offset_us
            if not trusted:
                error_us = None if measurement.archive else 0
            elif not measurement.archive and device_us is not None and (decoded.clock is None or decoded.clock_step_s):
                # The stamp of a value read while sending is the clock at the sending.
                error_us = device_us - received_at_us
            name = f"{binding.register_name}_{measurement.variant}" if measurement.variant else binding.register_name
            readings.append(
                NewReading(
                    binding.meter_id,
                    name,
                    at_us,
                    value_micro,
                    quality,
                    "lorawan",
                    received_at_us,
                    device_us,
                    uplink_id,
                    label,
                    clock_error_us=error_us,
                )
            )
    return readings
