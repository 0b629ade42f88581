"""Meters that send M-Bus records over LoRaWAN: Sontex, Elvaco, Kamstrup flowIQ, Sensus iPERL, and any long frame.

Heat meters: channel 1 is energy, channel 2 volume. Water meters: channel 1 is volume. Temperatures, powers and flows are
in the values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from appserver.codecs.base import CodecError, Decoded, Measurement
from appserver.codecs.mbus import Record, parse_frame, parse_message, parse_records
from appserver.codecs.mbus_profile import expand, is_profile

HEAT = {"energy": 1, "volume": 2}
WATER = {"volume": 1}
UNITS = ("kWh", "Gcal", "m3")
NO_TEMPERATURE_C = (Decimal(-128), Decimal(-100))
TEMPERATURES = ("flow_temp", "return_temp", "external_temp")
ERROR_BITS = 64


def _moments(records: Sequence[Record]) -> dict[int, datetime]:
    return {
        record.storage: record.value
        for record in records
        if isinstance(record.value, datetime) and record.function == "instantaneous" and not record.vifes
    }


def _is_register(record: Record, channels: Mapping[str, int]) -> bool:
    return (
        record.quantity in channels
        and isinstance(record.value, Decimal)
        and record.unit in UNITS
        and record.function == "instantaneous"
        and record.tariff == record.subunit == 0
        and all(0x70 <= vife <= 0x77 or vife == 0x7D for vife in record.vifes)
    )


def _without_sentinel(record: Record) -> dict[str, Any]:
    words = record.words()
    if record.quantity in TEMPERATURES and record.value in NO_TEMPERATURE_C:
        words["value"] = None
    return words


def _error_flags(records: Sequence[Record]) -> tuple[str, ...] | None:
    found = [r.value for r in records if r.quantity == "error_flags" and isinstance(r.value, int)]
    if not found:
        return None
    return tuple(f"error_bit{bit}" for bit in range(ERROR_BITS) if any(value >> bit & 1 for value in found))


def decoded_records(
    records: Sequence[Record],
    channels: Mapping[str, int],
    flags: tuple[str, ...] | None,
    values: dict[str, Any],
) -> Decoded:
    """What records say: ``channels`` gives each quantity that is a register its channel; ``values`` get the words."""
    moments = _moments(records)
    measurements = []
    for record in records:
        # A stored value without its moment, or with a date alone, does not say for which midnight it counts.
        if _is_register(record, channels) and (record.storage == 0 or record.storage in moments):
            assert isinstance(record.value, Decimal)
            at = moments.get(record.storage)
            channel = channels[record.quantity]
            measurements.append(Measurement(channel, record.value, record.unit, "", at, record.storage > 0))
    profiles: list[dict[str, Any]] = []
    for record in records:
        if not is_profile(record):
            continue
        try:
            points = expand(records, record)
        except CodecError as error:
            profiles.append({"quantity": record.quantity, "error": error.reason})
            continue
        known = [(point.at, point.value) for point in points if point.value is not None]
        if record.quantity in channels and record.unit in UNITS and record.tariff == record.subunit == 0:
            channel = channels[record.quantity]
            measurements += [Measurement(channel, value, record.unit, "", at, True) for at, value in known]
        rows = [[p.at.isoformat(), None if p.value is None else str(p.value)] for p in points]
        profiles.append({"quantity": record.quantity, "unit": record.unit, "points": rows})
    values["records"] = [_without_sentinel(record) for record in records if not is_profile(record)]
    if profiles:
        values["profiles"] = profiles
    errors = _error_flags(records)
    both = None if flags is None and errors is None else (flags or ()) + (errors or ())
    return Decoded(tuple(measurements), both, clock=moments.get(0), values=values)


def _not_empty(data: bytes) -> None:
    if not data:
        raise CodecError("there is no data", 0)


def decode_sontex(f_port: int, data: bytes, received_at_us: int) -> Decoded:
    """Sontex Supercal and Superstatic 7x9: records and nothing else."""
    _not_empty(data)
    return decoded_records(parse_records(data), HEAT, None, {})


def decode_elvaco(f_port: int, data: bytes, received_at_us: int) -> Decoded:
    """Elvaco CMi41xx: the message format, then records. What was measured during an error is no reading."""
    _not_empty(data)
    return decoded_records(parse_records(data, 1), HEAT, None, {"message_format": data[0]})


def _message(data: bytes, channels: Mapping[str, int], wired: bool) -> Decoded:
    message = parse_frame(data) if wired else parse_message(data)
    header = ("ci", "meter_id", "manufacturer", "version", "medium", "access_no", "status")
    values = {name: getattr(message, name) for name in header if getattr(message, name) is not None}
    return decoded_records(message.records, channels, message.flags, values)


def decode_water(f_port: int, data: bytes, received_at_us: int) -> Decoded:
    """Kamstrup flowIQ and Sensus iPERL: header by the CI field, records, hourly profile."""
    return _message(data, WATER, wired=False)


def decode_wired(f_port: int, data: bytes, received_at_us: int) -> Decoded:
    """A whole wired long frame as a transparent bridge sends it."""
    return _message(data, HEAT, wired=True)
