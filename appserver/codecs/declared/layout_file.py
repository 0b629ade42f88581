"""From the tables of a file to a layout."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from appserver.codecs.declared.checks import Table
from appserver.codecs.declared.fields import (
    REST,
    ROLES,
    UNITS,
    Condition,
    Epoch,
    Field,
    Layout,
    Measure,
    Packet,
    Repeat,
)

TYPE = re.compile(r"(?:([ui])(8|16|24|32|40|48|56|64)|f(16|32|64)|(bcd|bytes|text|skip)([1-9]\d{0,2}))")
NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
VARIANT = re.compile(r"[a-z][a-z0-9_]{0,19}")
BITS = re.compile(r"(\d{1,2})(?:-(\d{1,2}))?")
EPOCHS = {"unix": datetime(1970, 1, 1), "2000": datetime(2000, 1, 1)}  # noqa: DTZ001 (device clocks have no zone)
TIME_UNITS_S = {"s": 1, "min": 60, "h": 3600}
MAX_BCD_BYTES = 16
MAX_REPEATS = 250
MAX_EVERY_S = 31 * 86400
WIDE = 2**64 - 1
TYPES = "u8 u16 u24 u32 u40 u48 u56 u64, the same with i, f16 f32 f64, bcd4 (4 bytes), bytes4, text4, skip4"


def read_layout(top: Table, clock: str) -> Layout:
    """The layout of a file; what is wrong is noted in the table's faults."""
    endian = top.one_of("endian", ("little", "big"), "little")
    packets = top.tables("packet")
    if not packets:
        top.fault("packet", "is missing: write a [[packet]] for each kind of frame")
    return Layout(tuple(_packet(table, endian, clock) for table in packets), clock)


def _packet(table: Table, endian: str, clock: str) -> Packet:
    known: dict[str, Field] = {}
    fields = tuple(_field_or_repeat(item, endian, known, clock) for item in table.tables("fields"))
    if not fields:
        table.fault("fields", 'is missing: fields = [ { name = "volume", type = "u32" }, … ]')
    packet = Packet(
        table.text("title"),
        table.integers("ports", 1, 223),
        _conditions(table, known),
        fields,
        table.one_of("rest", ("refuse", "ignore"), "refuse") == "ignore",
    )
    table.done()
    return packet


def _conditions(table: Table, known: dict[str, Field]) -> tuple[Condition, ...]:
    """The conditions of a table, on fields that are read before."""
    raw = table.raw("when")
    if raw is None:
        return ()
    if not isinstance(raw, dict):
        table.fault("when", "must be a table of fields and their values: { type = 1 }")
        return ()
    found = []
    for name, value in raw.items():
        field = known.get(name)
        if field is None or field.kind not in ("u", "i", "bits", "bcd"):
            table.fault(
                "when", f'"{name}" is no whole number that is read before; have: {", ".join(known) or "nothing"}'
            )
        elif isinstance(value, dict) and set(value) == {"mask"} and _whole(value["mask"]):
            found.append(Condition(name, mask=value["mask"]))
        elif _whole(value):
            found.append(Condition(name, (value,)))
        elif isinstance(value, list) and value and all(_whole(item) for item in value):
            found.append(Condition(name, tuple(value)))
        else:
            table.fault("when", f"{name} must be a whole number, a list of them, or {{ mask = 0x04 }}")
    return tuple(found)


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _name(table: Table, known: dict[str, Field], required: bool = True) -> str:
    name = table.text("name", None if required else "")
    if name and not NAME.fullmatch(name):
        table.fault("name", "must be small letters, digits and _, beginning with a letter")
        return ""
    if name in known:
        table.fault("name", f'"{name}" stands twice; names are unique in a packet')
    return name


def _field_or_repeat(table: Table, endian: str, known: dict[str, Field], clock: str) -> Field | Repeat:
    return _repeat(table, endian, known, clock) if "repeat" in table else _field(table, endian, known, clock)


def _repeat(table: Table, endian: str, known: dict[str, Field], clock: str) -> Repeat:
    when = _conditions(table, known)
    name, count = _name(table, known), table.raw("repeat")
    fits = count == REST or (_whole(count) and 1 <= count <= MAX_REPEATS) or (isinstance(count, str) and count in known)
    if not fits:
        table.fault("repeat", f'must be a number from 1 to {MAX_REPEATS}, "{REST}", or the name of a field read before')
        count = 1
    inner = dict(known)
    fields = tuple(_field(item, endian, inner, clock) for item in table.tables("fields"))
    if not any(field.size and field.kind != "bits" for field in fields):
        table.fault("fields", "must have at least one field that takes bytes")
    repeat = Repeat(
        name,
        count,
        fields,
        table.integer("every_s", -MAX_EVERY_S, MAX_EVERY_S),
        table.integer("first", 0, MAX_REPEATS, 1),
        when,
    )
    table.done()
    return repeat


def _type(table: Table, endian: str) -> tuple[str, int]:
    """Kind and bytes of a field's type."""
    text = table.text("type", None)
    match = TYPE.fullmatch(text)
    if match is None:
        if text:
            table.fault("type", f'"{text[:40]}" is no type; known are {TYPES}')
        return "u", 1
    sign, bits, float_bits, word, length = match.groups()
    if bits or float_bits:
        return sign or "f", int(bits or float_bits) // 8
    if word == "bcd" and int(length) > MAX_BCD_BYTES:
        table.fault("type", f"has at most {MAX_BCD_BYTES} bytes of BCD")
    return word, min(int(length), 242)


def _bits(table: Table, known: dict[str, Field]) -> tuple[str, int, int]:
    """The field, the lowest bit and how many bits."""
    of, text = table.text("of", None), table.text("bits")
    field, match = known.get(of), BITS.fullmatch(text)
    if of and (field is None or field.kind != "u"):
        table.fault("of", f'"{of}" is no unsigned whole number that is read before')
    if match is None:
        table.fault("bits", 'must be a bit or a range of bits from 0: "3" or "0-3"')
        return of, 0, 1
    low, high = int(match[1]), int(match[2] or match[1])
    if high < low or (field is not None and high >= 8 * field.size):
        table.fault("bits", f'"{text}" is not in the field {of}')
    return of, low, max(high - low + 1, 1)


def _field(table: Table, endian: str, known: dict[str, Field], clock: str) -> Field:
    when = _conditions(table, known)
    own_endian = table.one_of("endian", ("little", "big"), endian)
    of, shift = "", 0
    if "bits" in table or "of" in table:
        kind = "bits"
        of, shift, size = _bits(table, known)
    else:
        kind, size = _type(table, endian)
    name = _name(table, known, kind != "skip")
    number = kind in ("u", "i", "bits", "bcd")
    role = table.one_of("role", ROLES)
    epoch = _epoch(table)
    field = Field(
        name,
        kind,
        size,
        own_endian,
        of,
        shift,
        table.decimal("scale", "1"),
        table.decimal("add", "0"),
        table.integers("none", -(2**63), WIDE),
        table.numbered("words", -(2**31), 2**32) or None,
        table.numbered("flags", 0, 63) or None,
        epoch,
        role,
        _measure(table, known, kind),
        _delta(table, known),
        table.flag("back"),
        when,
        table.flag("hidden"),
    )
    for key, given in (("words", field.words), ("flags", field.flags), ("time", epoch), ("none", field.none)):
        if given and not number:
            table.fault(key, f"needs a whole number, not {kind}")
    if role in ("clock", "at") and epoch is None:
        table.fault("role", f'"{role}" needs time = "unix" (or "2000", or an epoch)')
    if role in ("age_s", "age_min") and (clock != "utc" or not number):
        table.fault("role", f'"{role}" counts back from the reception, so the file must have clock = "utc"')
    if field.back and not field.delta_of:
        table.fault("back", "stands only together with delta_of")
    table.done()
    if name:
        known[name] = field
    return field


def _epoch(table: Table) -> Epoch | None:
    raw = table.raw("time")
    if raw is None:
        return None
    if isinstance(raw, str) and raw in EPOCHS:
        return Epoch(EPOCHS[raw], 1)
    if isinstance(raw, dict) and set(raw) <= {"epoch", "unit"} and raw.get("unit", "s") in TIME_UNITS_S:
        start = raw.get("epoch")
        try:
            moment = start if isinstance(start, datetime) else datetime.fromisoformat(str(start))
            return Epoch(moment.replace(tzinfo=None), TIME_UNITS_S[raw.get("unit", "s")])
        except ValueError:
            pass
    table.fault("time", 'must be "unix", "2000", or { epoch = "2000-03-01T00:00:00", unit = "s" } (s, min or h)')
    return None


def _measure(table: Table, known: dict[str, Field], kind: str) -> Measure | None:
    unit = table.text("unit")
    channel = table.raw("channel")
    variant, archive = table.text("variant"), table.flag("archive")
    if variant and not VARIANT.fullmatch(variant):
        table.fault("variant", 'must be small letters, digits and _, such as "reverse"')
    if channel is None:
        if variant or archive:
            table.fault("channel", "is missing: a reading has a channel and a unit")
        return None  # a unit alone is for people
    told = isinstance(channel, str) and channel in known
    if not told and (not _whole(channel) or not 1 <= channel <= 255):
        table.fault("channel", "must be a number from 1 to 255, or the name of a field read before")
        channel = 1
    if unit not in UNITS:
        table.fault("unit", f"of a reading must be one of {', '.join(UNITS)}; scale brings others to them")
    if kind in ("bytes", "text", "skip"):
        table.fault("channel", f"needs a number, not {kind}")
    return Measure(unit, channel, variant, archive)


def _delta(table: Table, known: dict[str, Field]) -> str:
    of = table.text("delta_of")
    if of and (of not in known or known[of].kind not in ("u", "i", "bcd", "bits")):
        table.fault("delta_of", f'"{of}" is no number that is read before')
    return of
