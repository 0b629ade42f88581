"""Class B: slots, guards and beacons (TS001-1.0.4 §8-§13)."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorawan import class_b
from lorawan.class_b import BEACON_PERIOD_US, BEACON_RESERVED_US, BEACON_WINDOW_US, SLOT_US, SLOTS, Beacon
from lorawan.errors import FrameError, StateError
from tests.support.wire_strategies import dev_addrs

periodicities = st.integers(0, 7)
moments = st.integers(0, 2_000_000_000).map(lambda seconds: seconds * 1_000_000 + seconds % 1_000_000)


def test_the_parts_fill_the_period() -> None:
    assert BEACON_RESERVED_US + BEACON_WINDOW_US + class_b.BEACON_GUARD_US == BEACON_PERIOD_US
    assert SLOTS * SLOT_US == BEACON_WINDOW_US


@given(moments, dev_addrs, periodicities)
def test_slots_of_a_period(moment_us: int, dev_addr: int, periodicity: int) -> None:
    beacon_us = class_b.beacon_start_us(moment_us)
    slots = list(class_b.ping_slots_us(beacon_us, dev_addr, periodicity))
    assert len(slots) == class_b.ping_nb(periodicity)
    assert all(beacon_us + BEACON_RESERVED_US <= s < beacon_us + BEACON_RESERVED_US + BEACON_WINDOW_US for s in slots)
    steps = {after - before for before, after in pairwise(slots)}
    assert steps <= {class_b.ping_period_slots(periodicity) * SLOT_US}
    assert class_b.next_beacon_us(moment_us) - beacon_us == BEACON_PERIOD_US


@given(moments, dev_addrs, periodicities)
def test_the_next_slot_is_the_first_after(moment_us: int, dev_addr: int, periodicity: int) -> None:
    slot_us = class_b.next_ping_slot_us(moment_us, dev_addr, periodicity)
    assert slot_us > moment_us
    beacon_us = class_b.beacon_start_us(moment_us)
    around = [
        s
        for start in (beacon_us, beacon_us + BEACON_PERIOD_US)
        for s in class_b.ping_slots_us(start, dev_addr, periodicity)
    ]
    assert slot_us == min(s for s in around if s > moment_us)


def test_slots_move_with_every_beacon() -> None:
    firsts = {next(class_b.ping_slots_us(k * BEACON_PERIOD_US, 0x01020304, 7)) % BEACON_PERIOD_US for k in range(20)}
    assert len(firsts) > 15


@pytest.mark.parametrize(
    ("start_s", "airtime_s", "disturbs"),
    [(0, 0.1, True), (2.1, 0.1, True), (2.12, 0.1, False), (124.9, 0.1, False), (124.9, 0.11, True), (126, 0.1, True)],
)
def test_beacons_are_not_disturbed(start_s: float, airtime_s: float, disturbs: bool) -> None:
    start_us = round(start_s * 1_000_000) + 5 * BEACON_PERIOD_US
    assert class_b.disturbs_beacon(start_us, round(airtime_s * 1_000_000)) == disturbs


@given(moments)
def test_beacon_timing(moment_us: int) -> None:
    answer = class_b.beacon_timing_ans(moment_us, channel=3)
    remaining_us = class_b.next_beacon_us(moment_us) - moment_us
    assert SLOT_US * answer.delay <= remaining_us < SLOT_US * (answer.delay + 1)
    assert answer.channel == 3
    assert len(answer.encode()) == 4


def test_examples_of_the_specification() -> None:
    """TS001-1.0.4 §13.4: a beacon of EU868 (SF9) and one with a second RFU byte."""
    position = bytes.fromhex("00012000008103")
    sf9 = Beacon(0xCC020000, position)
    assert sf9.encode().hex() == "0000000002cca27e" + "00012000008103" + "de55"
    assert Beacon.parse(sf9.encode()) == sf9
    sf10 = Beacon(0xCC020000, position, sf=10)
    assert sf10.encode().hex() == "000000000002cca27e" + "00012000008103" + "00" + "50d4"
    assert Beacon.parse(sf10.encode(), sf=10) == sf10


@pytest.mark.parametrize(("sf", "length"), [(8, 19), (9, 17), (10, 19), (12, 23)])
def test_beacon_lengths(sf: int, length: int) -> None:
    """RP002-1.0.4: the beacon's length goes with its spreading factor."""
    assert len(Beacon(128, sf=sf).encode()) == length


def test_beacon_airtime() -> None:
    assert Beacon(0).airtime_us == 152_576


@given(st.integers(0, 2**32 - 1), st.binary(min_size=7, max_size=7), st.integers(0, 3), st.sampled_from((8, 9, 10, 12)))
def test_beacons_make_a_round_trip(time_s: int, gw_specific: bytes, prec: int, sf: int) -> None:
    beacon = Beacon(time_s, gw_specific, prec, sf)
    data = beacon.encode()
    assert Beacon.parse(data, sf) == beacon
    for at in range(len(data)):
        damaged = data[:at] + bytes((data[at] ^ 0x10,)) + data[at + 1 :]
        with pytest.raises(FrameError, match="CRC"):
            Beacon.parse(damaged, sf)


@given(st.binary(max_size=30), st.sampled_from((8, 9, 10, 12)))
def test_any_bytes_give_a_beacon_or_a_frame_error(data: bytes, sf: int) -> None:
    try:
        Beacon.parse(data, sf)
    except FrameError as error:
        assert error.offset is not None


@given(st.floats(-90, 90), st.floats(-180, 180), st.integers(0, 2))
def test_positions(latitude: float, longitude: float, antenna: int) -> None:
    data = class_b.gateway_position(latitude, longitude, antenna)
    found = class_b.parse_gateway_position(data)
    assert found is not None
    # One step of 24 bits is 1.1e-5 degrees of latitude.
    assert found[0] == pytest.approx(latitude, abs=2e-5)
    assert found[1] == pytest.approx(longitude, abs=4e-5)
    assert data[0] == antenna


def test_other_gateway_information_is_no_position() -> None:
    assert class_b.parse_gateway_position(b"\x03" + bytes(6)) is None
    with pytest.raises(FrameError, match="GwSpecific of 6"):
        class_b.parse_gateway_position(bytes(6))


@pytest.mark.parametrize(
    "call",
    [
        lambda: class_b.ping_nb(8),
        lambda: list(class_b.ping_slots_us(1, 0, 0)),
        lambda: Beacon(1 << 32).encode(),
        lambda: Beacon(0, prec=4).encode(),
        lambda: Beacon(0, sf=7).encode(),
        lambda: Beacon(0, bytes(6)).encode(),
        lambda: Beacon.parse(bytes(17), 11),
        lambda: class_b.gateway_position(91, 0),
        lambda: class_b.gateway_position(0, 0, 3),
    ],
)
def test_misuse_is_a_state_error(call: object) -> None:
    assert callable(call)
    with pytest.raises(StateError):
        call()
