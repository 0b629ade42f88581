"""Text of requests into values, with the field's name in the refusal."""

from __future__ import annotations

from lns.api.errors import invalid
from lorawan.errors import FrameError
from lorawan.identifiers import EUI64, DevAddr


def eui(text: str, field: str) -> EUI64:
    try:
        return EUI64.parse(text)
    except FrameError as error:
        raise invalid(f"{field}: {error}", field) from None


def dev_addr(text: str) -> DevAddr:
    try:
        return DevAddr.parse(text)
    except FrameError as error:
        raise invalid(f"dev_addr: {error}", "dev_addr") from None


def key(text: str, field: str) -> bytes:
    """An AES-128 key of 32 hex digits. The text itself never gets into the refusal."""
    try:
        value = bytes.fromhex(text)
    except ValueError:
        value = b""
    if len(value) != 16:
        raise invalid(f"{field}: a key is 32 hex digits", field)
    return value


def limit(value: int) -> int:
    if not 1 <= value <= 1000:
        raise invalid("limit: between 1 and 1000", "limit")
    return value


def row_id(value: int, field: str) -> int:
    """A row's number as a cursor: what the store can compare."""
    if not 0 <= value < 1 << 63:
        raise invalid(f"{field}: between 0 and 2**63 - 1", field)
    return value
