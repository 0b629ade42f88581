"""Layouts in TOML: what they decode, how their faults are told, and that garbage raises CodecError and nothing else."""

# ruff: noqa: DTZ001 (device clocks have no zone)

from __future__ import annotations

import contextlib
import struct
import tomllib
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appserver.codecs.base import CodecError, Decoded
from appserver.codecs.declared import RecordError, read_record, run_samples
from appserver.codecs.declared.fields import Layout

DOCUMENT = Path(__file__).parents[3] / "docs" / "codecs.md"
AT_US = 1_546_346_096_000_000
"""2019-01-01T12:34:56Z."""
ACME = """\
name = "acme"
title = "ACME"
version = 2
clock = "utc"

[[packet]]
title = "reading"
ports = [2, 3]
when = { type = 1 }
fields = [
  { name = "type", type = "u8", hidden = true },
  { name = "battery", type = "u8", role = "battery", none = [255] },
  { name = "time", type = "u32", time = "unix", role = "clock" },
  { name = "status", type = "u8", flags = { 0 = "leak", 1 = "magnetic_tamper" } },
  { name = "volume", type = "u32", scale = "0.001", unit = "m3", channel = 1, none = [0xFFFFFFFF] },
  { name = "history", repeat = "rest", every_s = -3600, fields = [
    { name = "step", type = "u16", scale = "0.001", delta_of = "volume", back = true, unit = "m3", channel = 1, archive = true, none = [0xFFFF] },
  ] },
]

[[packet]]
title = "status"
when = { type = [2, 4] }
fields = [
  { name = "type", type = "u8", hidden = true },
  { name = "state", type = "u8" },
  { name = "valve", of = "state", bits = "0-1", words = { 0 = "open", 1 = "closed" } },
  { name = "temperature", type = "i16", endian = "big", scale = "0.1", role = "temperature", none = [-1000] },
  { name = "extra", type = "u8", when = { state = { mask = 0x80 } } },
]
"""


def layout(text: str) -> Layout:
    body = read_record(text, "acme.toml").body
    assert isinstance(body, Layout)
    return body


def read(text: str, data: str, port: int = 2) -> Decoded:
    return read_record(text, "acme.toml").codec().decode(port, bytes.fromhex(data), AT_US)


def packet(fields: str, head: str = "", clock: str = "utc") -> str:
    return f'name = "x"\nclock = "{clock}"\n[[packet]]\n{head}\nfields = [\n{fields}\n]\n'


def points(decoded: Decoded) -> list[tuple[int, str, datetime | None, bool]]:
    return [(m.channel, str(m.value), m.at, m.archive) for m in decoded.measurements]


def test_a_reading_with_flags_sentinels_and_a_history_of_steps() -> None:
    told = read(ACME, "015f8087ec6501d20400000a000500")
    assert points(told) == [
        (1, "1.234", datetime(2024, 3, 9, 16), False),
        (1, "1.224", datetime(2024, 3, 9, 15), True),
        (1, "1.219", datetime(2024, 3, 9, 14), True),
    ]
    assert (told.flags, told.battery_pct, told.clock) == (("leak",), 95, datetime(2024, 3, 9, 16))
    assert told.values["history"][0] == {"time": "2024-03-09T15:00:00", "step": "1.224"}
    broken = read(ACME, "01ff8087ec6503d2040000ffff0500")
    assert points(broken) == [(1, "1.234", datetime(2024, 3, 9, 16), False)]  # after a gap the chain is unknown
    assert (broken.battery_pct, broken.flags) == (None, ("leak", "magnetic_tamper"))
    nothing = read(ACME, "015f8087ec6500ffffffff0a00")
    assert (nothing.measurements, nothing.values["volume"], nothing.flags) == ((), None, ())


def test_packets_are_told_apart_by_port_condition_and_length() -> None:
    told = read(ACME, "0201fc18", port=9)
    assert told.values == {"packet": "status", "state": 1, "valve": "closed", "temperature": None}
    assert read(ACME, "0482001507").values["extra"] == 7
    assert read(ACME, "0400fffb").temperature_c == 0  # -0.5 rounds to even
    with pytest.raises(CodecError, match="reading is not on port 9; status has another type than 1"):
        read(ACME, "015f8087ec6500d2040000", port=9)
    with pytest.raises(CodecError, match="status has 4 bytes, not 5"):
        read(ACME, "0201001507")
    with pytest.raises(CodecError, match="has more than 3 bytes"):
        read(ACME, "020100")


@pytest.mark.parametrize(
    ("kind", "endian", "data", "value"),
    [
        ("u24", "little", "010203", 0x030201),
        ("i24", "big", "ffffff", -1),
        ("u40", "big", "00000025bd", 9661),
        ("i64", "little", "feffffffffffffff", -2),
        ("bcd4", "little", "78563412", 12345678),
        ("bcd2", "big", "1234", 1234),
        ("bcd2", "little", "1a34", None),
        ("f32", "little", "0000c03f", "1.5"),
        ("f64", "big", "3ff8000000000000", "1.5"),
        ("f16", "little", "003e", "1.5"),
        ("f32", "little", "0000c07f", None),
        ("bytes3", "little", "0a0b0c", "0a0b0c"),
        ("text4", "little", "41420043", "AB"),
        ("text2", "little", "ff41", "\ufffdA"),
    ],
)
def test_types(kind: str, endian: str, data: str, value: object) -> None:
    text = packet(f'{{ name = "a", type = "{kind}", endian = "{endian}" }},')
    assert read(text, data).values["a"] == value


def test_moments_epochs_ages_and_channels_that_the_payload_tells() -> None:
    epoch = 'time = { epoch = "2000-03-01T00:00:00", unit = "min" }'
    text = packet(
        f'{{ name = "t", type = "u32", {epoch}, role = "at" }},\n'
        '{ name = "input", type = "u8" },\n'
        '{ name = "n", type = "u16", channel = "input", unit = "imp", add = "5" },',
        clock="local",
    )
    assert points(read(text, "3c00000004" + "0100")) == [(4, "6", datetime(2000, 3, 1, 1), False)]
    assert points(read(text, "3c00000000" + "0100")) == []  # there is no channel 0
    assert points(read(text, "00000000010100")) == [(1, "6", None, False)]
    aged = packet(
        '{ name = "age", type = "u16", role = "age_min" },\n{ name = "v", type = "u8", channel = 1, unit = "m3" },'
    )
    assert points(read(aged, "c80107")) == [(1, "7", datetime(2019, 1, 1, 4, 58, 56), False)]


def test_records_with_their_own_moments_and_a_count() -> None:
    text = packet(
        '{ name = "n", type = "u8" },\n'
        '{ name = "log", repeat = "n", fields = [\n'
        '  { name = "at", type = "u32", time = "unix", role = "at" },\n'
        '  { name = "v", type = "u8", channel = 2, unit = "imp", archive = true },\n'
        "] },\n"
        '{ name = "end", type = "u8" },'
    )
    data = bytes((2,)) + struct.pack("<IB", 1_710_000_000, 7) + struct.pack("<IB", 0, 8) + b"\x09"
    told = read(text, data.hex())
    assert points(told) == [(2, "7", datetime(2024, 3, 9, 16), True)]  # the clock of the second was never set
    assert told.values["end"] == 9
    with pytest.raises(CodecError):
        read(text, (bytes((3,)) + data[1:]).hex())


FAULTS = [
    ('type = "u16", scale', 'type = "u17", scale', 17, "packet 1, fields 6, fields 1, type", "is no type; known are u8"),
    ('scale = "0.1"', 'scale = "a"', 28, "packet 2, fields 4, scale", 'must be a number such as "0.001"'),
    ('bits = "0-1"', 'bits = "6-9"', 27, "packet 2, fields 3, bits", 'is not in the field state'),
    ('of = "state"', 'of = "stat"', 27, "packet 2, fields 3, of", '"stat" is no unsigned whole number'),
    ("when = { type = 1 }", "when = { kind = 1 }", 9, "packet 1, when", '"kind" is no whole number that is read before'),
    ("ports = [2, 3]", "ports = [0]", 8, "packet 1, ports", "whole numbers from 1 to 223"),
    ("ports = [2, 3]", "port = [2]", 8, "packet 1, port", "is unknown; known here are fields, ports"),
    ('unit = "m3", channel = 1, none', 'unit = "l", channel = 1, none', 15, "packet 1, fields 5, unit", "m3, kWh, Gcal, imp"),
    ('clock = "utc"', 'clock = "moon"', 4, "clock", "write one of local, utc"),
    ('clock = "utc"', "", 1, "clock", "is missing"),
    ('name = "acme"', 'name = "ACME!"', 1, "name", "small letters, digits"),
    ('repeat = "rest"', 'repeat = "rst"', 16, "packet 1, fields 6, repeat", '"rest", or the name of a field'),
    ('time = "unix", role', "role", 13, "packet 1, fields 3, role", 'needs time = "unix"'),
    ('role = "battery"', 'role = "battry"', 12, "packet 1, fields 2, role", "write one of battery"),
    ('{ name = "state", type = "u8" },', '{ name = "type", type = "u8" },', 26, "packet 2, fields 2, name", "stands twice"),
    ("title = \"ACME\"", "title = ACME", 2, "the file", "is no TOML"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "line", "key", "text"), FAULTS, ids=[fault[1][:30] for fault in FAULTS])
def test_faults_name_the_line_the_key_and_what_to_do(old: str, new: str, line: int, key: str, text: str) -> None:
    assert old in ACME
    with pytest.raises(RecordError) as refused:
        read_record(ACME.replace(old, new, 1), "acme.toml")
    fault = next(fault for fault in refused.value.faults if fault.key == key)
    assert fault.line == line
    assert text in fault.text
    assert f"acme.toml:{line}: {key}: " in str(refused.value)


def test_all_faults_are_told_at_once_in_the_order_of_the_file() -> None:
    text = ACME.replace('"u16"', '"u17"').replace('clock = "utc"', 'clock = "x"').replace("bits", "bit")
    with pytest.raises(RecordError) as refused:
        read_record(text)
    lines = [fault.line for fault in refused.value.faults]
    assert lines == sorted(lines)
    assert {4, 17, 27} <= set(lines)


def test_samples_say_what_differs() -> None:
    text = (
        ACME
        + """
[[test]]
title = "mine"
port = 2
hex = "01 5f 80 87 ec 65 01 d2 04 00 00"
values = { battery = 96 }
flags = []
measurements = [ { channel = 1, value = "1.235", at = 2024-03-09T16:00:00 } ]
[[test]]
hex = "09"
error = true
[[test]]
hex = "09"
values = { a = 1 }
"""
    )
    record = read_record(text)
    faults = run_samples(record.samples, record.codec())
    assert faults[:3] == [
        "test 1 (mine): battery is 95, must be 96",
        "test 1 (mine): flags are ['leak'], must be []",
        "test 1 (mine): measurement 1: value is '1.234', must be '1.235'",
    ]
    assert faults[3].startswith("test 3: is refused: ")


def test_labels_tell_contents_apart() -> None:
    one, two = read_record(ACME).codec(), read_record(ACME.replace("0.001", "0.01")).codec()
    assert one.label.startswith("acme@2-")
    assert one.label != two.label


@given(port=st.integers(1, 223), data=st.binary(max_size=80), at_us=st.integers(0, 2**61))
def test_garbage_payloads_raise_codec_errors_only(port: int, data: bytes, at_us: int) -> None:
    for head in (b"", b"\x01", b"\x02"):
        with contextlib.suppress(CodecError):
            read_record(ACME).codec().decode(port, head + data, at_us)


KEYS = ["name", "type", "scale", "none", "words", "flags", "time", "role", "unit", "channel", "when", "repeat", "fields",
        "every_s", "bits", "of", "delta_of", "back", "endian", "hidden", "add", "variant", "archive", "first"]  # fmt: skip
SCALARS = (
    st.sampled_from(
        ["a", "b", "u8", "u16", "i32", "f32", "bcd2", "rest", "unix", "m3", "imp", "at", "age_s", "0-3", "0.1"]
    )
    | st.integers(-300, 300)
    | st.booleans()
)
VALUES = (
    SCALARS
    | st.lists(SCALARS, max_size=3)
    | st.dictionaries(st.sampled_from(["a", "0", "1", "mask", "epoch"]), SCALARS)
)
FIELD = st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=6).flatmap(
    lambda field: st.just({"name": "a", "type": "u8"} | field)
)


def toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f'"{key}" = {toml(item)}' for key, item in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    return f'"{value}"' if isinstance(value, str) else str(value).lower()


@given(fields=st.lists(FIELD, min_size=1, max_size=4), data=st.binary(max_size=20))
def test_a_garbage_file_is_refused_with_its_faults_or_decodes_without_another_error(
    fields: list[dict[str, Any]], data: bytes
) -> None:
    text = packet(",\n".join(map(toml, fields)))
    tomllib.loads(text)
    try:
        codec = read_record(text).codec()
    except RecordError as error:
        lines = text.count("\n") + 1
        assert all(1 <= fault.line <= lines and fault.text for fault in error.faults)
        return
    with contextlib.suppress(CodecError):
        codec.decode(2, data, AT_US)


@given(text=st.text(max_size=200))
def test_garbage_text_is_refused(text: str) -> None:
    with pytest.raises(RecordError):
        read_record(text)


def test_the_worked_example_of_the_documents_is_right() -> None:
    blocks = DOCUMENT.read_text("utf-8").split("```toml\n")[1:]
    files = [block.split("```")[0] for block in blocks]
    whole = [text for text in files if text.startswith("name = ")]
    assert whole
    for text in whole:
        if "script = " in text:
            record = read_record(text, "docs.toml", "function decodeUplink(i) { return { data: {} }; }")
        else:
            record = read_record(text, "docs.toml")
            assert record.samples
            assert run_samples(record.samples, record.codec()) == []
    assert Decimal("1.234") == read(ACME, "015f8087ec6501d2040000").measurements[0].value
