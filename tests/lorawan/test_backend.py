"""Result codes of TS002 as they come from other programs."""

from __future__ import annotations

import pytest

from lorawan.backend import ResultCode
from lorawan.errors import FrameError


@pytest.mark.parametrize("code", list(ResultCode), ids=lambda code: code.value)
def test_every_code_is_read_in_any_case(code: ResultCode) -> None:
    assert ResultCode.parse(code.value) is code
    assert ResultCode.parse(code.value.upper()) is code
    assert ResultCode.parse(f" {code.value.lower()} ") is code


def test_known_misspellings() -> None:
    assert ResultCode.parse("UnknownReceiver") is ResultCode.UNKNOWN_RECEIVER
    assert ResultCode.UNKNOWN_RECEIVER.value == "UnkownReceiver"
    assert ResultCode.parse("RoamingActDisallowedA") is ResultCode.ROAMING_ACT_DISALLOWED


def test_unknown_codes() -> None:
    with pytest.raises(FrameError, match="'Fine' is none of TS002"):
        ResultCode.parse("Fine")
