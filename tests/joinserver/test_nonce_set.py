"""The compact set against Python's own."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from joinserver.nonces import DEV_NONCES, NonceSet

DEV_NONCE = st.integers(0, DEV_NONCES - 1)


@given(st.lists(DEV_NONCE, max_size=60), DEV_NONCE)
def test_adding_one_by_one_is_the_set_of_all(values: list[int], probe: int) -> None:
    nonces = NonceSet()
    for value in values:
        nonces = nonces.add(value)
    assert list(nonces) == sorted(set(values))
    assert (probe in nonces) == (probe in values)
    assert len(nonces) == len(set(values))
    assert nonces.highest == max(values, default=-1)
    assert nonces == NonceSet.of(values) == NonceSet(nonces.data)
    assert len(nonces.data) == 2 * len(nonces)


@pytest.mark.parametrize("count", [4094, 4095, 4096, 4097, 60_000, DEV_NONCES])
def test_it_never_grows_past_8_kib(count: int) -> None:
    """INV-11: 65,536 values fit a bitmap of 8 KiB."""
    values = random.Random(count).sample(range(DEV_NONCES), count)
    nonces = NonceSet.of(values[:-3])
    for value in values[-3:]:
        assert value not in nonces
        nonces = nonces.add(value)
        assert value in nonces
        assert nonces.add(value) is nonces
    assert set(nonces) == set(values)
    assert len(nonces) == count
    assert nonces.highest == max(values)
    assert len(nonces.data) == min(2 * count, 8192)


@pytest.mark.parametrize("data", [b"\0", bytes(8194)])
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="cannot be"):
        NonceSet(data)


@pytest.mark.parametrize("values", [[-1], [65_536], [0, 70_000]])
def test_other_numbers_are_refused(values: list[int]) -> None:
    with pytest.raises(ValueError, match=r"0\.\.65535"):
        NonceSet.of(values)
