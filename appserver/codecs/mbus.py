"""M-Bus application layer (EN 13757-3): data records, short and long headers, profiles, and the wired long frame.

A record is ``DIF DIFE* VIF VIFE* data``. What the meter marks as invalid is None, never a number. Times are the
meter's own, without a zone.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from appserver.codecs.base import CodecError
from appserver.codecs.mbus_units import EXTENSIONS, PRIMARY, Quantity

MAX_EXTENSIONS = 10
FUNCTIONS = ("instantaneous", "max", "min", "error")
INTEGER_SIZES = {1: 1, 2: 2, 3: 3, 4: 4, 6: 6, 7: 8}
BCD_SIZES = {0x9: 1, 0xA: 2, 0xB: 3, 0xC: 4, 0xE: 6}
REAL, LVAR, SPECIAL = 5, 0xD, 0xF
MANUFACTURER_DATA, MORE_RECORDS, FILL = 0x0F, 0x1F, 0x2F
PLAIN_TEXT, MANUFACTURER_VIF = 0x7C, 0x7F
NO_VALUE_VIFES = range(0x15, 0x19)
"""Record errors: no data available, overflow, underflow, data error."""
INVERSE_PROFILE, PROFILE = 0x13, 0x1F
STATUS_FLAGS = {2: "low_battery", 3: "permanent_error", 4: "temporary_error"}
NO_HEADER, SHORT_HEADER, LONG_HEADER = 0x78, 0x7A, 0x72
LAST_YEAR = 99

Value = Decimal | int | str | date | datetime | bytes | None


@dataclass(frozen=True, slots=True)
class Record:
    """One data record. ``value`` is None when the meter says that there is none."""

    quantity: str
    unit: str
    value: Value
    function: str = "instantaneous"
    """``instantaneous``, ``max``, ``min``, or ``error``: the value during an error."""
    storage: int = 0
    tariff: int = 0
    subunit: int = 0
    vifes: tuple[int, ...] = ()
    """Extensions beside the one that names the quantity, without the extension bit."""
    scale: int = 0
    """Power of ten between the sent number and ``value``; profiles of the same quantity count in it."""

    @property
    def place(self) -> tuple[int, int, int]:
        """Storage, tariff and subunit."""
        return self.storage, self.tariff, self.subunit

    def words(self) -> dict[str, Any]:
        """The record in plain JSON values, without what is usual."""
        value = self.value
        if isinstance(value, bytes):
            value = value.hex()
        elif isinstance(value, date):
            value = value.isoformat()
        elif isinstance(value, Decimal):
            value = str(value)
        parts: dict[str, Any] = {"quantity": self.quantity, "value": value}
        if self.function != "instantaneous":
            parts["function"] = self.function
        for name in ("unit", "storage", "tariff", "subunit"):
            if getattr(self, name):
                parts[name] = getattr(self, name)
        if self.vifes:
            parts["vifes"] = [f"0x{vife:02x}" for vife in self.vifes]
        return parts


@dataclass(frozen=True, slots=True)
class Message:
    """A message behind its CI field. Absent fields of the header are None."""

    ci: int
    records: tuple[Record, ...]
    meter_id: str | None = None
    manufacturer: str | None = None
    version: int | None = None
    medium: int | None = None
    access_no: int | None = None
    status: int | None = None

    @property
    def flags(self) -> tuple[str, ...] | None:
        """Conditions of the status byte; None when the header has none."""
        if self.status is None:
            return None
        return tuple(name for bit, name in STATUS_FLAGS.items() if self.status >> bit & 1)


class _Reader:
    __slots__ = ("data", "offset")

    def __init__(self, data: bytes, offset: int) -> None:
        self.data = data
        self.offset = offset

    def take(self, length: int, what: str) -> bytes:
        end = self.offset + length
        if end > len(self.data):
            raise CodecError(f"{what} is cut off", self.offset)
        taken = self.data[self.offset : end]
        self.offset = end
        return taken

    def byte(self, what: str) -> int:
        return self.take(1, what)[0]

    def chain(self, first: int, what: str) -> list[int]:
        """Extension bytes that follow ``first``, each with its own extension bit still set."""
        found: list[int] = []
        last = first
        while last & 0x80:
            if len(found) == MAX_EXTENSIONS:
                raise CodecError(f"more than {MAX_EXTENSIONS} {what} in a record", self.offset)
            last = self.byte(what)
            found.append(last)
        return found


def bcd(raw: bytes) -> int | None:
    """A BCD number, least significant byte first; a top digit F is a minus. None when another digit is not decimal."""
    digits = raw[::-1].hex()
    negative = digits[0] == "f"
    if negative:
        digits = digits[1:]
    if not digits.isdecimal():
        return None
    return -int(digits) if negative else int(digits)


def _day(day: int, month: int, year: int) -> date | None:
    if year > LAST_YEAR:
        return None  # a register that was never set
    try:
        return date(2000 + year if year <= 80 else 1900 + year, month, day)
    except ValueError:
        return None


def date_type_g(raw: bytes) -> date | None:
    """16 bits: day, month and year. None when it is no day or was never set (year 127)."""
    return _day(raw[0] & 0x1F, raw[1] & 0xF, raw[0] >> 5 | raw[1] >> 4 << 3)


def _moment(day: date | None, century: int, hour: int, minute: int, second: int = 0) -> datetime | None:
    if day is None:
        return None
    try:
        # The hundred-year bits count from 1900; meters older than they are leave them 0.
        year = 1900 + 100 * century + day.year % 100 if century else day.year
        return datetime(year, day.month, day.day, hour, minute, second)  # noqa: DTZ001 (meter clocks have no zone)
    except ValueError:
        return None


def datetime_type_f(raw: bytes) -> datetime | None:
    """32 bits: date and time to the minute. None when the invalid bit is set or it is no moment."""
    minute, hour = raw[0], raw[1]
    return None if minute & 0x80 else _moment(date_type_g(raw[2:4]), hour >> 5 & 3, hour & 0x1F, minute & 0x3F)


def datetime_type_i(raw: bytes) -> datetime | None:
    """48 bits: date and time to the second. None when the invalid bit is set or it is no moment."""
    if raw[1] & 0x80:
        return None
    return _moment(date_type_g(raw[3:5]), 0, raw[2] & 0x1F, raw[1] & 0x3F, raw[0] & 0x3F)


def _time(raw: bytes, kind: str) -> Value:
    if kind == "date" and len(raw) == 2:
        return date_type_g(raw)
    if kind == "datetime" and len(raw) == 4:
        return datetime_type_f(raw)
    if kind == "datetime" and len(raw) == 6:
        return datetime_type_i(raw)
    return raw


def _integer(raw: bytes, unsigned: bool) -> int | None:
    value = int.from_bytes(raw, "little", signed=not unsigned)
    invalid = not unsigned and value == -(1 << (8 * len(raw) - 1))
    return None if invalid else value


def _variable(reader: _Reader) -> tuple[int | str | bytes | None, bool]:
    """What an LVAR says, and whether it is a number to scale."""
    at = reader.offset
    lvar = reader.byte("the length of a variable field")
    if lvar <= 0xBF:
        return reader.take(lvar, "a variable field"), False
    if 0xC0 <= lvar <= 0xC9 or 0xD0 <= lvar <= 0xD9:
        raw = reader.take(lvar & 0xF, "a variable field")
        digits = raw[::-1].hex()
        if not digits:
            return None, True
        return (int(digits) * (-1 if lvar >= 0xD0 else 1) if digits.isdecimal() else None), True
    if 0xE0 <= lvar <= 0xEF:
        return reader.take(lvar - 0xE0, "a variable field"), False
    if 0xF0 <= lvar <= 0xF4:
        return reader.take(4 * (lvar - 0xEC), "a variable field"), False
    raise CodecError(f"the length of a variable field is 0x{lvar:02X}, which is reserved", at)


def _number(reader: _Reader, field: int, quantity: Quantity) -> tuple[Value, bool]:
    """The data of a record, and whether it is a number to scale."""
    if field in INTEGER_SIZES:
        raw = reader.take(INTEGER_SIZES[field], "the data of a record")
        if quantity.kind in ("date", "datetime"):
            return _time(raw, quantity.kind), False
        return _integer(raw, quantity.kind == "bits"), True
    if field in BCD_SIZES:
        return bcd(reader.take(BCD_SIZES[field], "the data of a record")), True
    if field == REAL:
        number = struct.unpack("<f", reader.take(4, "the data of a record"))[0]
        return (Decimal(f"{number:.7g}") if math.isfinite(number) else None), True
    if field == LVAR:
        return _variable(reader)
    return None, True  # no data, or a selection for a read-out


def _unit(reader: _Reader) -> tuple[Quantity, list[int]]:
    """Quantity of a VIF with its extensions, and the extensions that are left."""
    vif = reader.byte("a VIF")
    code = vif & 0x7F
    if code == PLAIN_TEXT:
        length = reader.byte("the length of a plain-text unit")
        text = reader.take(length, "a plain-text unit")[::-1].decode("latin-1")
        return Quantity("plain_text", text), reader.chain(vif, "VIFE")
    extensions = reader.chain(vif, "VIFE")
    table = EXTENSIONS.get(vif)
    if table is not None:
        first = extensions.pop(0) & 0x7F
        return table.get(first, Quantity(f"vif_{code:02x}_{first:02x}")), extensions
    return PRIMARY.get(code, Quantity(f"vif_{code:02x}")), extensions


def _scale(quantity: Quantity, vifes: list[int]) -> int:
    """The quantity's power of ten with the multiplicative corrections of its extensions."""
    power = quantity.scale
    for vife in vifes:
        if 0x70 <= vife <= 0x77:
            power += vife - 0x76
        elif vife == 0x7D:
            power += 3
    return power


def _record(reader: _Reader, dif: int) -> Record:
    storage, tariff, subunit = dif >> 6 & 1, 0, 0
    for place, dife in enumerate(reader.chain(dif, "DIFE")):
        storage |= (dife & 0xF) << (1 + 4 * place)
        tariff |= (dife >> 4 & 3) << (2 * place)
        subunit |= (dife >> 6 & 1) << place
    quantity, extensions = _unit(reader)
    vifes = [vife & 0x7F for vife in extensions]
    own = quantity.name == f"vif_{MANUFACTURER_VIF:02x}"  # the extensions are the manufacturer's, not the standard's
    power = quantity.scale if own else _scale(quantity, vifes)
    value, number = _number(reader, dif & 0xF, quantity)
    if not own and any(vife in NO_VALUE_VIFES for vife in vifes):
        value = None
    elif number and value is not None and not isinstance(value, (str, bytes, date)):
        scaled = Decimal(value) * quantity.factor
        value = scaled.scaleb(power) if quantity.unit or power else value
    elif isinstance(value, bytes) and dif & 0xF == LVAR and not any(v in (INVERSE_PROFILE, PROFILE) for v in vifes):
        value = value[::-1].decode("latin-1") if quantity.kind == "text" or own else value
    return Record(
        quantity.name, quantity.unit, value, FUNCTIONS[dif >> 4 & 3], storage, tariff, subunit, tuple(vifes), power
    )


def parse_records(data: bytes, offset: int = 0) -> tuple[Record, ...]:
    """All records from ``offset`` to the end (EN 13757-3, clause 6). Raises CodecError at the first broken one.

    Manufacturer data is a record ``manufacturer_data`` (``more_records_follow`` when the meter has more to send).
    """
    reader = _Reader(data, offset)
    records = []
    while reader.offset < len(data):
        at = reader.offset
        dif = reader.byte("a DIF")
        if dif == FILL:
            continue
        if dif in (MANUFACTURER_DATA, MORE_RECORDS):
            name = "manufacturer_data" if dif == MANUFACTURER_DATA else "more_records_follow"
            records.append(Record(name, "", reader.take(len(data) - reader.offset, "manufacturer data")))
            break
        if dif & 0xF == SPECIAL:
            raise CodecError(f"DIF 0x{dif:02X} is no data record", at)
        records.append(_record(reader, dif))
    return tuple(records)


def parse_message(data: bytes) -> Message:
    """A message from its CI field on: 0x78 no header, 0x7A short, 0x72 long. Raises CodecError."""
    reader = _Reader(data, 0)
    ci = reader.byte("the CI field")
    meter_id = manufacturer = version = medium = access_no = status = None
    if ci == LONG_HEADER:
        meter_id = reader.take(4, "the long header")[::-1].hex()
        word = int.from_bytes(reader.take(2, "the long header"), "little")
        manufacturer = "".join(chr(64 + (word >> shift & 0x1F)) for shift in (10, 5, 0))
        version, medium = reader.take(2, "the long header")
    if ci in (LONG_HEADER, SHORT_HEADER):
        access_no, status, low, high = reader.take(4, "the header")
        mode = high & 0x1F
        if mode and low | high << 8 != 0:
            raise CodecError(f"the records are encrypted (mode {mode})", reader.offset - 1)
    elif ci != NO_HEADER:
        raise CodecError(f"CI field is 0x{ci:02X}, known are 0x72, 0x78 and 0x7A", 0)
    records = parse_records(data, reader.offset)
    return Message(ci, records, meter_id, manufacturer, version, medium, access_no, status)


def parse_frame(data: bytes) -> Message:
    """A wired long frame (EN 13757-2): ``68 L L 68 C A CI … checksum 16``. Raises CodecError."""
    if len(data) < 9 or data[0] != 0x68 or data[3] != 0x68:
        raise CodecError("this is no M-Bus long frame", 0)
    length = data[1]
    if data[2] != length or len(data) != length + 6:
        raise CodecError(f"the length says {length}, the frame has {len(data) - 6}", 1)
    if data[-1] != 0x16:
        raise CodecError(f"the frame ends with 0x{data[-1]:02X}, must be 0x16", len(data) - 1)
    checksum = sum(data[4:-2]) & 0xFF
    if data[-2] != checksum:
        raise CodecError(f"the checksum is 0x{data[-2]:02X}, must be 0x{checksum:02X}", len(data) - 2)
    return parse_message(data[6:-2])
