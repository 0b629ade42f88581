"""Downlinks that codecs encode: bytes by the public layouts, and refusals that name the key."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appserver.codecs import CODECS, CommandError, decode, encode

SETTINGS: dict[str, Any] = {
    "command": "settings",
    "protocol": "2.0",
    "events": ["power_on", "scheduled"],
    "time_zone_min": 180,
    "offset_time": 600,
    "tx_period": 240,
    "archives": ["hour_integral", "day_integral"],
    "messages": [0x0285, 0x0320],
}


@pytest.mark.parametrize(
    ("codec", "command", "port", "data"),
    [
        (
            "karat",
            {"command": "archive_query", "protocol": "2.0", "archive": "day_integral", "time": "2024-02-29T00:00:00"},
            5,
            "3a000f806b232d",
        ),
        ("karat", {"command": "clock_correction", "delta_s": 90}, 5, "16005a00"),
        ("vega-si-11", {"command": "clock_correction", "delta_s": -37}, 4, "ffdbffffffffffffff"),
        ("betar-water", {"command": "clock_correction", "delta_s": 1}, 4, "ff0100000000000000"),
        ("vega-si-22", {"command": "settings_request"}, 3, "01"),
        (
            "vega-si-11",
            {"command": "settings", "settings": {"time_zone_min": 180, "confirmed_uplinks": 2, "200": "0aff"}},
            3,
            "003700" + "02b400" + "040001" + "02" + "c80002" + "0aff",
        ),
        ("vega-si-12", {"command": "output_on", "output": 2, "seconds": 30}, 2, "03021e"),
        ("vega-si-12", {"command": "output_off", "output": 1}, 2, "0401"),
    ],
)
def test_bytes(codec: str, command: dict[str, Any], port: int, data: str) -> None:
    assert encode(codec, command) == (port, bytes.fromhex(data))


def test_karat_settings_are_read_back_as_they_were_written() -> None:
    port, data = encode("karat", SETTINGS)
    assert (port, len(data)) == (5, 27)
    told = decode("karat", port, data, 0).values
    for key in ("events", "time_zone_min", "offset_time", "tx_period", "archives"):
        assert told[key] == SETTINGS[key], key
    assert (told["message_count"], told["messages"]) == (2, [0x0285, 0x0320, 0, 0, 0, 0])


def test_karat_settings_of_the_older_protocol_leave_the_clock_or_set_it() -> None:
    old = {key: value for key, value in SETTINGS.items() if key != "events"} | {"protocol": "1.8", "report_day": 25}
    _, untouched = encode("karat", old)
    assert untouched.hex() == (
        "1500" + "ff" * 6 + "0000" + "58020000" + "f0000000" + "60" + "02" + "85022003" + "0000" * 4 + "0c" + "19"
    )
    _, set_to = encode("karat", old | {"time": "2024-01-15T13:45:10"})
    assert set_to[2:10].hex() == "0a2d0d0f0118" + "0000"
    with pytest.raises(CommandError, match="delta_s: cannot stand together with time"):
        encode("karat", old | {"time": "2024-01-15T13:45:10", "delta_s": 1})


@pytest.mark.parametrize(
    ("codec", "command", "text"),
    [
        ("karat", {}, "command: is missing"),
        ("karat", {"command": "reboot"}, "command: must be one of archive_query, clock_correction, settings"),
        ("karat", {"command": "clock_correction"}, "delta_s: is missing"),
        ("karat", {"command": "clock_correction", "delta_s": 40000}, "delta_s: must be a whole number from -32768 to 32767"),
        ("karat", {"command": "clock_correction", "delta_s": True}, "delta_s: must be a whole number"),
        ("karat", {"command": "clock_correction", "delta_s": 1, "when": 2}, "when: is unknown; known are command, delta_s"),
        (
            "karat",
            {"command": "archive_query", "protocol": "1.8", "archive": "hour_interval", "time": "2024-01-15T13:30:00"},
            "time: must be a full hour",
        ),
        (
            "karat",
            {"command": "archive_query", "protocol": "2.0", "archive": "current", "time": "2024-01-15T13:30:00"},
            "archive: must be one of hour_interval",
        ),
        (
            "karat",
            {"command": "archive_query", "protocol": "2.0", "archive": "hour_interval", "time": "2024-01-15T13:30:00Z"},
            "time: must be without a zone",
        ),
        ("karat", SETTINGS | {"time_zone_min": 100}, "time_zone_min: must be a multiple of 15"),
        ("karat", SETTINGS | {"messages": []}, "messages: must be a list of 1 to 6"),
        ("karat", SETTINGS | {"events": ["dawn"]}, "events: must be a list out of power_on"),
        ("vega-si-11", {"command": "settings", "settings": {}}, "settings: must be an object"),
        ("vega-si-11", {"command": "settings", "settings": {"adr": 3}}, "settings.adr: must be a whole number from 1 to 2"),
        ("vega-si-11", {"command": "settings", "settings": {"colour": 3}}, "settings.colour: is no setting"),
        ("vega-si-11", {"command": "settings", "settings": {"9" * 5000: "00"}}, f"settings.{'9' * 5000}: is no setting"),
        ("vega-si-11", {"command": "settings", "settings": {"٣": "00"}}, "settings.٣: is no setting"),
        ("karat", SETTINGS | {"messages": [True]}, "messages: must be a list of 1 to 6"),
        ("vega-si-11", {"command": "settings", "settings": {"200": 3}}, "settings.200: must be 1 to 32 bytes in hex"),
        ("vega-si-11", {"command": "output_on", "output": 1}, "command: must be one of"),
        ("axioma-w1", {"command": "clock_correction"}, "the codec axioma-w1 does not encode downlinks; send data"),
        ("", {}, "the device's profile has no codec"),
        ("nothing", {}, "there is no codec 'nothing'"),
    ],
)  # fmt: skip
def test_refusals_name_the_key_and_what_is_right(codec: str, command: dict[str, Any], text: str) -> None:
    with pytest.raises(CommandError) as refused:
        encode(codec, command)
    assert str(refused.value).startswith(text)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(max_size=8), children, max_size=4),
    max_leaves=10,
)
KEYS = ("protocol", "archive", "time", "delta_s", "settings", "messages", "events", "archives", "tx_period", "output")


@given(
    codec=st.sampled_from([codec.name for codec in CODECS.values() if codec.encode is not None]),
    name=st.sampled_from(["archive_query", "clock_correction", "settings", "output_on", "settings_request"]),
    rest=st.dictionaries(st.sampled_from(KEYS), JSON | st.sampled_from(["1.8", "2.0", "hour_interval"])),
)
def test_whatever_a_command_holds_it_is_sent_or_refused(codec: str, name: str, rest: dict[str, Any]) -> None:
    with contextlib.suppress(CommandError):
        port, data = encode(codec, {"command": name, **rest})
        assert 1 <= port <= 223
        assert 0 < len(data) <= 51
