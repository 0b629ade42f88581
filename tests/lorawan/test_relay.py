"""Frames on FPort 226 (TS011-1.0.1)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorawan.errors import FrameError, StateError
from lorawan.relay import ForwardDownlinkReq, ForwardUplinkReq

uplinks = st.builds(
    ForwardUplinkReq,
    dr=st.integers(0, 15),
    snr_db=st.integers(-20, 11),
    rssi_dbm=st.integers(-142, -15),
    wor_channel=st.integers(0, 3),
    frequency_hz=st.integers(0, 11_999_999).map(lambda n: n * 100),
    phy_payload=st.binary(min_size=1, max_size=200),
)


@given(uplinks)
def test_forwarded_uplinks_make_a_round_trip(uplink: ForwardUplinkReq) -> None:
    assert ForwardUplinkReq.parse(uplink.encode()) == uplink


@given(st.binary(max_size=40))
def test_any_bytes_give_a_value_or_a_frame_error(data: bytes) -> None:
    for kind in (ForwardUplinkReq, ForwardDownlinkReq):
        try:
            value = kind.parse(data)
        except FrameError as error:
            assert error.offset == len(data)
        else:
            assert kind.parse(value.encode()) == value


def test_misuse() -> None:
    with pytest.raises(StateError, match=r"ForwardUplinkReq\.snr_db = 12"):
        ForwardUplinkReq(0, 12, -100, 0, 868_100_000, b"x").encode()
