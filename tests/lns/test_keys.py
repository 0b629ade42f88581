"""Session keys at rest."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lns.keys import SEALED_BYTES, KeyRing
from lorawan.crypto import KeyEnvelope, SessionKeys
from lorawan.errors import FrameError

KEK = bytes(range(32))
key = st.binary(min_size=16, max_size=16)


@given(key, key, key, key, st.booleans())
def test_keys_come_back(f: bytes, s: bytes, enc: bytes, app: bytes, lorawan_1_1: bool) -> None:
    keys, ring = SessionKeys(f, s, enc, app, lorawan_1_1), KeyRing(KEK)
    sealed = ring.seal(keys)
    assert len(sealed) == SEALED_BYTES and ring.unseal(sealed, lorawan_1_1) == keys
    assert not any(one in sealed for one in (f, s, enc, app))


@given(key, st.text(min_size=1, max_size=16), st.binary(min_size=24, max_size=64))
def test_an_envelope_in_place_of_the_app_s_key_comes_back(nwk: bytes, label: str, wrapped: bytes) -> None:
    """Its seal is always longer than one with an AppSKey: that is how they are told apart."""
    keys, ring = SessionKeys(nwk, nwk, nwk, b"", app_s_key_envelope=KeyEnvelope(label, wrapped)), KeyRing(KEK)
    sealed = ring.seal(keys)
    assert len(sealed) > SEALED_BYTES and ring.unseal(sealed, False) == keys
    with pytest.raises(FrameError):
        KeyRing(bytes(32)).unseal(sealed, False)
