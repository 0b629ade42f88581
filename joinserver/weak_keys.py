"""Keys that are no secret: the ones of examples, and regular patterns."""

from __future__ import annotations

from itertools import pairwise

from joinserver.values import DeviceKeys

_PUBLISHED = {
    bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3c"): "the example key of FIPS 197, also of many device SDKs",
}


def weaknesses(device: DeviceKeys) -> list[str]:
    """One sentence for each guessable key of the device; the key itself is not told."""
    named = (("AppKey", device.app_key), ("NwkKey", device.nwk_key))
    return [
        f"DevEUI {device.dev_eui}: {name} is guessable ({why}); ask the maker for a random one"
        for name, key in named
        if key and (why := _weakness(key))
    ]


def _weakness(key: bytes) -> str:
    steps = {(after - before) & 0xFF for before, after in pairwise(key)}
    if len(steps) == 1:
        return "one byte repeated" if steps == {0} else "bytes that count"
    if key[:8] == key[8:]:
        return "two equal halves"
    return _PUBLISHED.get(key, "")
