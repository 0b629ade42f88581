"""The ways in which stations write an EUI: ``01-02-03-04-05-06-07-08``, ``102:304:506:708`` and plain hex."""

from __future__ import annotations

from typing import Any

from lorawan.errors import FrameError

_HEX = frozenset("0123456789abcdef")


def parse_eui(value: Any) -> int:
    """Read an EUI in any of its forms, also as a JSON number. Raises FrameError."""
    if isinstance(value, int) and not isinstance(value, bool):
        if 0 <= value < 1 << 64:
            return value
        raise FrameError(f"{value} does not fit an EUI of 64 bits")
    if not isinstance(value, str) or len(value) > 40:
        raise FrameError("an EUI is text or a number")
    text = value.strip().lower().removeprefix("eui-")
    if ":" in text:
        return _id6(text)
    digits = text.replace("-", "")
    if len(digits) != 16 or not set(digits) <= _HEX:
        raise FrameError(f"{value!r} is no EUI: 16 hex digits, eight pairs joined by '-', or ID6")
    return int(digits, 16)


def _id6(text: str) -> int:
    """ID6: four groups of 16 bits, of which one run of zeros may be left out, as in an IPv6 address."""
    head, gap, tail = text.partition("::")
    before = head.split(":") if head else []
    after = tail.split(":") if tail else []
    missing = 4 - len(before) - len(after)
    groups = [*before, *["0"] * missing, *after] if gap and missing >= 0 else before
    if len(groups) != 4 or not all(0 < len(group) <= 4 and set(group) <= _HEX for group in groups):
        raise FrameError(f"{text!r} is no ID6, such as 102:304:506:708 or ::1")
    value = 0
    for group in groups:
        value = value << 16 | int(group, 16)
    return value


def dashed(eui: int) -> str:
    """``01-02-03-04-05-06-07-08``, the form of messages."""
    return "-".join(f"{byte:02X}" for byte in eui.to_bytes(8, "big"))


def id6(eui: int) -> str:
    """``102:304:506:708``, the form of the discovery."""
    return ":".join(f"{eui >> shift & 0xFFFF:x}" for shift in (48, 32, 16, 0))
