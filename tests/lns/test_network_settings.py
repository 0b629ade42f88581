"""Settings of the network process: defaults as the public contract has them, and what cannot be."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from lns.settings import NetworkSettings, parse_listen


def test_defaults() -> None:
    settings = NetworkSettings()
    assert (settings.region, settings.deduplication_window_ms, settings.channels) == ("RU864", 200, "default")
    assert settings.gateways.udp.listen == "0.0.0.0:1700"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1:1700", ("127.0.0.1", 1700)),
        ("[::]:1700", ("::", 1700)),
        (":8080", ("0.0.0.0", 8080)),
        ("host:0", ("host", 0)),
    ],
)
def test_listen(text: str, expected: tuple[str, int]) -> None:
    assert parse_listen(text) == expected


@pytest.mark.parametrize("text", ["", "1700", "host:", "host:port", "host:65536", "host:-1"])
def test_listen_that_is_none(text: str) -> None:
    with pytest.raises(ValueError, match="is not an address like"):
        parse_listen(text)


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        ({"net_id": "0000"}, "net_id"),
        ({"net_id": "zzzzzz"}, "net_id"),
        ({"deduplication_window_ms": 5}, "deduplication_window_ms"),
        ({"rx1_delay_s": 16}, "rx1_delay_s"),
        ({"frame_log_days": 0}, "frame_log_days"),
        ({"adr": "magic"}, "adr"),
        ({"gateways": {"udp": {"listen": "x"}}}, "gateways.udp.listen"),
        ({"http": {"listen": "x"}}, "http.listen"),
        ({"unknown": 1}, "unknown"),
        ({"gateways": {"upd": {}}}, "gateways.upd"),
    ],
)
def test_impossible_values_are_named(fields: dict[str, Any], names: str) -> None:
    with pytest.raises(ValidationError) as caught:
        NetworkSettings(**fields)
    assert [".".join(map(str, error["loc"])) for error in caught.value.errors()] == [names]
