"""Decoding by a layout: from a port and bytes to what they say. Nothing but CodecError is ever raised."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from appserver.codecs.base import CodecError, Decoded, Measurement, age
from appserver.codecs.declared.fields import REST, Condition, Field, Layout, Packet, Repeat

FLOATS = {2: "e", 4: "f", 8: "d"}
FLOAT_DIGITS = {2: 4, 4: 7, 8: 15}
MAX_NUMBER = Decimal(10) ** 15
MAX_RECORDS = 250


class _Mismatch(Exception):
    """The bytes are not this packet; another may fit."""


class _Reader:
    """One packet while it is read."""

    def __init__(self, packet: Packet, data: bytes, received_at_us: int) -> None:
        self.data = data
        self.offset = 0
        self.raws: dict[str, int | None] = {}
        self.numbers: dict[str, Decimal | None] = {}
        self.values: dict[str, Any] = {}
        self.measurements: list[tuple[Measurement, bool]] = []
        """With whether the moment of the packet is theirs."""
        self.flags: list[str] | None = None
        self.battery: int | None = None
        self.temperature: int | None = None
        self.clock: datetime | None = None
        self.at: datetime | None = None
        self._received_at_us = received_at_us
        self._selects = {condition.name: condition for condition in packet.when}

    def read(self, fields: Sequence[Field | Repeat]) -> None:
        """All fields of the packet, then the moments of its readings."""
        for field in fields:
            if not self._holds(field.when):
                continue
            if isinstance(field, Repeat):
                self._repeat(field)
            else:
                self.at = self._field(field, self.values, None) or self.at
        moment = self.at or self.clock
        self.measurements = [
            (
                Measurement(m.channel, m.value, m.unit, m.variant, moment, m.archive) if late else m,
                late,
            )
            for m, late in self.measurements
        ]

    def _holds(self, conditions: Sequence[Condition]) -> bool:
        return all(condition.holds(self.raws.get(condition.name)) for condition in conditions)

    def _take(self, size: int) -> bytes:
        taken = self.data[self.offset : self.offset + size]
        if len(taken) != size:
            raise _Mismatch(f"has more than {len(self.data)} bytes")
        self.offset += size
        return taken

    def _integer(self, field: Field) -> int | None:
        """The whole number of a field; None for BCD with digits that are not decimal."""
        if field.kind == "bits":
            whole = self.raws.get(field.of)
            return None if whole is None else whole >> field.shift & (1 << field.size) - 1
        raw = self._take(field.size)
        if field.kind == "bcd":
            digits = (raw if field.endian == "big" else raw[::-1]).hex()
            return int(digits) if digits.isdecimal() else None
        return int.from_bytes(raw, "little" if field.endian == "little" else "big", signed=field.kind == "i")

    def _field(self, field: Field, values: dict[str, Any], at: datetime | None) -> datetime | None:
        """Read a field into ``values``; the moment it tells for the record it is in."""
        if field.kind in ("skip", "bytes", "text"):
            raw = self._take(field.size)
            if field.kind != "skip" and not field.hidden:
                plain = raw.split(b"\0")[0].decode("utf-8", "replace")
                values[field.name] = raw.hex() if field.kind == "bytes" else "".join(filter(str.isprintable, plain))
            return None
        if field.kind == "f":
            return self._float(field, values, at)
        number = self._integer(field)
        if number is not None and number in field.none:
            number = None
        self.raws[field.name] = number
        if field.name in self._selects and not self._selects[field.name].holds(number):
            raise _Mismatch(f"has another {field.name} than {number}")
        if field.epoch is not None:
            return self._moment(field, number, values)
        if field.flags is not None and number is not None:
            self.flags = self.flags or []
            self.flags += [word for bit, word in field.flags.items() if number >> bit & 1]
        if field.words is not None:
            if not field.hidden:
                values[field.name] = None if number is None else field.words.get(number, str(number))
            return None
        scaled = None if number is None else self._scaled(field, Decimal(number))
        return self._number(field, scaled, values, at)

    def _float(self, field: Field, values: dict[str, Any], at: datetime | None) -> datetime | None:
        sign = "<" if field.endian == "little" else ">"
        value = struct.unpack(sign + FLOATS[field.size], self._take(field.size))[0]
        scaled = None
        if math.isfinite(value):
            scaled = self._scaled(field, Decimal(f"{value:.{FLOAT_DIGITS[field.size]}g}"))
        return self._number(field, scaled, values, at)

    def _scaled(self, field: Field, number: Decimal) -> Decimal | None:
        scaled = number * field.scale + field.add
        if field.delta_of:
            base = self.numbers.get(field.delta_of)
            if base is None:
                return None
            scaled = base - scaled if field.back else base + scaled
        return scaled if abs(scaled) < MAX_NUMBER else None

    def _number(
        self, field: Field, scaled: Decimal | None, values: dict[str, Any], at: datetime | None
    ) -> datetime | None:
        self.numbers[field.name] = scaled
        if field.delta_of:
            self.numbers[field.delta_of] = scaled  # the next step starts here; after a gap the chain is broken
        whole = field.scale == 1 and not field.add and not field.delta_of and field.kind != "f"
        if not field.hidden:
            values[field.name] = None if scaled is None else int(scaled) if whole else f"{scaled:f}"
        if scaled is None:
            return None
        if field.role == "battery":
            self.battery = round(scaled) if 0 <= scaled <= 100 else None
        elif field.role == "temperature":
            self.temperature = round(scaled)
        elif field.role in ("age_s", "age_min"):
            return age(self._received_at_us, float(scaled) * (60 if field.role == "age_min" else 1))
        if field.measure is not None:
            channel = field.measure.channel
            told = self.raws.get(channel) if isinstance(channel, str) else channel
            if told is not None and 1 <= told <= 255:
                measurement = Measurement(
                    told, scaled, field.measure.unit, field.measure.variant, at, field.measure.archive
                )
                self.measurements.append((measurement, at is None))
        return None

    def _moment(self, field: Field, number: int | None, values: dict[str, Any]) -> datetime | None:
        assert field.epoch is not None
        moment = None
        if number:  # 0 is a clock that was never set
            try:
                moment = field.epoch.start + timedelta(seconds=number * field.epoch.unit_s)
            except OverflowError:
                moment = None
        if not field.hidden:
            values[field.name] = moment.isoformat() if moment else None
        if field.role == "clock":
            self.clock = moment
        return moment if field.role == "at" else None

    def _repeat(self, repeat: Repeat) -> None:
        count = self.raws.get(repeat.count) if isinstance(repeat.count, str) else repeat.count
        to_end = repeat.count == REST
        if not to_end and (count is None or not 0 <= count <= MAX_RECORDS):
            raise _Mismatch(f"has not {count} records")
        base = self.at or self.clock
        records: list[dict[str, Any]] = []
        while self.offset < len(self.data) if to_end else len(records) < (count or 0):
            if len(records) == MAX_RECORDS:
                raise _Mismatch(f"has more than {MAX_RECORDS} records")
            stepped = None
            if repeat.every_s and base is not None:
                try:
                    stepped = base + timedelta(seconds=repeat.every_s * (repeat.first + len(records)))
                except OverflowError:
                    stepped = None
            records.append(self._record(repeat, stepped))
        if repeat.name:
            self.values[repeat.name] = records

    def _record(self, repeat: Repeat, stepped: datetime | None) -> dict[str, Any]:
        values: dict[str, Any] = {} if stepped is None else {"time": stepped.isoformat()}
        start, before = self.offset, len(self.measurements)
        moment, tells = stepped, bool(repeat.every_s)
        for field in repeat.fields:
            if self._holds(field.when):
                tells = tells or field.role in ("at", "age_s", "age_min")
                moment = self._field(field, values, moment) or moment
        if self.offset == start:
            raise _Mismatch("has a record without bytes")
        # A record that tells its moment, but none that can be one, is of no moment at all.
        own = self.measurements[before:]
        self.measurements[before:] = [
            (Measurement(m.channel, m.value, m.unit, m.variant, moment, m.archive), False) if tells else (m, late)
            for m, late in own
            if not tells or moment is not None
        ]
        return values


def decode(layout: Layout, f_port: int, data: bytes, received_at_us: int) -> Decoded:
    """What ``data`` says by the first packet of the layout that fits it. Raises CodecError when none does."""
    reasons = []
    for number, packet in enumerate(layout.packets, 1):
        name = packet.title or f"packet {number}"
        if packet.ports and f_port not in packet.ports:
            reasons.append(f"{name} is not on port {f_port}")
            continue
        reader = _Reader(packet, data, received_at_us)
        try:
            reader.read(packet.fields)
            if reader.offset != len(data) and not packet.ignore_rest:
                raise _Mismatch(f"has {reader.offset} bytes, not {len(data)}")
        except _Mismatch as mismatch:
            reasons.append(f"{name} {mismatch}")
            continue
        flags = None if reader.flags is None else tuple(dict.fromkeys(reader.flags))
        values = reader.values if flags is None else reader.values | {"flags": list(flags)}
        if packet.title:
            values = {"packet": packet.title, **values}
        return Decoded(
            tuple(measurement for measurement, _ in reader.measurements),
            flags,
            reader.battery,
            reader.temperature,
            reader.clock,
            values,
        )
    raise CodecError("; ".join(reasons)[:400])
