"""Session keys at rest: one RFC 3394 envelope a session, under the key-encryption key of the data folder."""

from __future__ import annotations

from lorawan.crypto import KeyEnvelope, SessionKeys, unwrap_key, wrap_key

SEALED_BYTES = 72
"""Length of sealed keys with an AppSKey among them."""
NETWORK_KEYS = 48
WHOLE = 64
"""Length of the four keys; with an envelope in place of the AppSKey it is always longer."""


class KeyRing:
    """Seals and unseals session keys. The key-encryption key never leaves this object, not even in ``repr``."""

    __slots__ = ("_kek",)

    def __init__(self, kek: bytes) -> None:
        self._kek = kek

    def __repr__(self) -> str:
        return "<KeyRing>"

    def seal(self, keys: SessionKeys) -> bytes:
        """The four keys of a session as one envelope of 72 bytes; longer when the AppSKey is an envelope itself."""
        plain = keys.f_nwk_s_int_key + keys.s_nwk_s_int_key + keys.nwk_s_enc_key
        if keys.app_s_key_envelope is None:
            return wrap_key(self._kek, plain + keys.app_s_key)
        label, wrapped = keys.app_s_key_envelope.kek_label.encode(), keys.app_s_key_envelope.aes_key
        plain += bytes((len(label),)) + label + bytes((len(wrapped),)) + wrapped
        plain = plain.ljust(WHOLE + 1, b"\0")
        return wrap_key(self._kek, plain + bytes(-len(plain) % 8))

    def reseal(self, sealed: bytes, other: KeyRing) -> bytes:
        """The envelope under the key of ``other``. Raises FrameError when it was made under another key than this."""
        return wrap_key(other._kek, unwrap_key(self._kek, sealed))

    def seal_secret(self, secret: bytes) -> bytes:
        """A secret of 16 bytes or more, a multiple of 8, as an envelope of its own."""
        return wrap_key(self._kek, secret)

    def unseal_secret(self, sealed: bytes) -> bytes:
        """Open such an envelope. Raises FrameError when it was made under another key or was changed."""
        return unwrap_key(self._kek, sealed)

    def unseal(self, sealed: bytes, lorawan_1_1: bool) -> SessionKeys:
        """Open an envelope. Raises FrameError when it was made under another key or was changed."""
        plain = unwrap_key(self._kek, sealed)
        network = plain[:16], plain[16:32], plain[32:NETWORK_KEYS]
        if len(plain) == WHOLE:
            return SessionKeys(*network, plain[NETWORK_KEYS:], lorawan_1_1)
        label_end = NETWORK_KEYS + 1 + plain[NETWORK_KEYS]
        key_end = label_end + 1 + plain[label_end]
        envelope = KeyEnvelope(plain[NETWORK_KEYS + 1 : label_end].decode(), plain[label_end + 1 : key_end])
        return SessionKeys(*network, b"", lorawan_1_1, envelope)
