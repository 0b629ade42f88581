"""Session keys at rest: one RFC 3394 envelope a session, under the key-encryption key of the data folder."""

from __future__ import annotations

from lorawan.crypto import SessionKeys, unwrap_key, wrap_key


class KeyRing:
    """Seals and unseals session keys. The key-encryption key never leaves this object, not even in ``repr``."""

    __slots__ = ("_kek",)

    def __init__(self, kek: bytes) -> None:
        self._kek = kek

    def __repr__(self) -> str:
        return "<KeyRing>"

    def seal(self, keys: SessionKeys) -> bytes:
        """The four keys of a session as one envelope of 72 bytes."""
        plain = keys.f_nwk_s_int_key + keys.s_nwk_s_int_key + keys.nwk_s_enc_key + keys.app_s_key
        return wrap_key(self._kek, plain)

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
        return SessionKeys(plain[:16], plain[16:32], plain[32:48], plain[48:64], lorawan_1_1)
