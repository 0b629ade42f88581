"""What the room's settings refuse, and that they never show a secret."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from joinserver.settings import JoinServerSettings, parse_join_euis

PEER = {"id": "000013", "certificate_names": ["ns.example"]}
HTTPS = {
    "listen": "0.0.0.0:8003",
    "certificate": "a.crt",
    "private_key": "a.key",
    "client_ca": "ca.pem",
    "peers": [PEER],
}
KEK = "6d1f0e2c9b3a48577c6d5e4f30211203"


def test_everything_is_off_by_default() -> None:
    settings = JoinServerSettings()
    assert (settings.http.listen, settings.external, settings.kek_bytes()) == ("", (), {})


def test_a_whole_section_and_its_silence_about_secrets() -> None:
    settings = JoinServerSettings.model_validate(
        {
            "http": HTTPS
            | {"peers": [PEER | {"kek_label": "ns", "app_kek_label": ""}, {"id": "as", "token": "Bearer 5d41402a"}]},
            "keks": {"ns": KEK},
            "external": [
                {"join_euis": "70b3d57ed0000000/36", "url": "https://join.example/", "token": "Key 5d41402b"},
                {"join_euis": "70-b3-d5-7e-e0-00-00-00", "url": "http://[::1]:8003/", "protocol_version": "1.1"},
            ],
        }
    )
    assert settings.kek_bytes() == {"ns": bytes.fromhex(KEK)}
    shown = repr(settings) + settings.model_dump_json()
    assert not [secret for secret in (KEK, "5d41402a", "5d41402b") if secret in shown]


@pytest.mark.parametrize(
    ("section", "text"),
    [
        ({"htpp": {}}, "htpp"),
        ({"http": {"listen": "8003"}}, "not an address like"),
        ({"http": HTTPS | {"private_key": None}}, "go together"),
        ({"http": HTTPS | {"certificate": None, "private_key": None}}, "only on 127.0.0.1"),
        ({"http": HTTPS | {"client_ca": None}}, "client_ca must name"),
        ({"http": HTTPS | {"peers": [{"id": "000013"}]}}, "anybody could be it"),
        ({"http": HTTPS | {"peers": [PEER, PEER]}}, "twice"),
        ({"http": HTTPS | {"peers": [PEER | {"kek_label": "ns"}]}}, "'ns', which is not in keks"),
        ({"http": HTTPS | {"peers": [PEER | {"app_kek_label": "as"}]}}, "'as', which is not in keks"),
        ({"keks": {"ns": "00" * 16}}, "guessable"),
        ({"keks": {"ns": KEK + "00"}}, "this one 17"),
        ({"keks": {"ns": "you-must-replace-this"}}, "hex digits"),
        ({"external": [{"join_euis": "1", "url": "https://a/"}]}, "is no JoinEUI"),
        ({"external": [{"join_euis": "70b3d57ed0000001/36", "url": "https://a/"}]}, "beyond its prefix"),
        ({"external": [{"join_euis": "0000000000000002-0000000000000001", "url": "https://a/"}]}, "runs backwards"),
        ({"external": [{"join_euis": "70b3d57ed0000000/36", "url": "http://join.example/"}]}, "in the clear"),
        ({"external": [{"join_euis": "70b3d57ed0000000/36", "url": "join.example"}]}, "is not an address like"),
        ({"external": [{"join_euis": "70b3d57ed0000000/36", "url": "https://a/", "timeout_s": 5}]}, "4.5"),
        ({"external": [{"join_euis": "70b3d57ed0000000/36", "url": "https://a/", "certificate": "a"}]}, "go together"),
        (
            {
                "external": [
                    {"join_euis": e, "url": "https://a/"} for e in ("70b3d57ed0000000/36", "70b3d57ed0000000/40")
                ]
            },
            "overlap",
        ),
    ],
)
def test_impossible_values_are_told(section: dict[str, Any], text: str) -> None:
    with pytest.raises(ValidationError) as raised:
        JoinServerSettings.model_validate(section)
    assert text in str(raised.value)


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("0102030405060708", 0x0102030405060708, 0x0102030405060708),
        ("0000000000000000/0", 0, 2**64 - 1),
        ("0102030405060708/64", 0x0102030405060708, 0x0102030405060708),
        ("70b3d57ed0000000/36", 0x70B3D57ED0000000, 0x70B3D57EDFFFFFFF),
        ("0000000000000005-00000000000000ff", 5, 255),
    ],
)
def test_join_euis(text: str, first: int, last: int) -> None:
    assert parse_join_euis(text) == (first, last)
