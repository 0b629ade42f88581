"""KeyEnvelope: a key wrapped under a KEK that both sides know by its label (TS002, RFC 3394)."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from lorawan.crypto import unwrap_key, wrap_key
from lorawan.errors import FrameError, StateError


class KeyEnvelope(
    msgspec.Struct, frozen=True, omit_defaults=True, rename={"kek_label": "KEKLabel", "aes_key": "AESKey"}
):
    """A key on its way. Shows nothing of it in ``repr``: without a label it is in the clear."""

    aes_key: str
    """Hex: 16 bytes in the clear, or 24 when wrapped."""
    kek_label: str | None = ""
    """Empty: in the clear."""

    def __repr__(self) -> str:
        return f"<KeyEnvelope {self.kek_label or 'in the clear'}>"


def seal(key: bytes, label: str, keks: Mapping[str, bytes]) -> KeyEnvelope:
    """Wrap a key under the KEK of this label; in the clear for an empty label. StateError for an unknown one."""
    if not label:
        return KeyEnvelope(key.hex())
    if label not in keks:
        raise StateError(f"KEK {label!r} is not in [joinserver.keks]")
    return KeyEnvelope(wrap_key(keks[label], key).hex(), label)


def unseal(envelope: KeyEnvelope, keks: Mapping[str, bytes], name: str) -> bytes:
    """The 16-byte key of an envelope; ``name`` is for the complaint. FrameError when it cannot be had."""
    try:
        data = bytes.fromhex(envelope.aes_key.removeprefix("0x").removeprefix("0X"))
    except ValueError:
        raise FrameError(f"{name}: AESKey is not hexadecimal") from None
    if envelope.kek_label:
        kek = keks.get(envelope.kek_label)
        if kek is None:
            raise FrameError(f"{name} is wrapped under KEK {envelope.kek_label!r}; add it to [joinserver.keks]")
        try:
            data = unwrap_key(kek, data)
        except FrameError:
            raise FrameError(
                f"{name} does not open with KEK {envelope.kek_label!r}; compare it with the sender's"
            ) from None
    if len(data) != 16:
        raise FrameError(f"{name}: AESKey of {len(data)} bytes, not 16")
    return data
