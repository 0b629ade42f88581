"""Gather: one frame, any number of gateways, one event."""

from __future__ import annotations

import random
from itertools import permutations

import pytest

from lns.clock import Now
from lns.gateways.frames import RxFrame
from lns.gateways.gateway import Gateway
from lns.uplink.gather import Gatherer, Kind
from tests.support.lab import SECOND_US, WINDOW_US, Lab


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_inv_17_one_event_for_three_gateways_in_any_order(lab: Lab, order: tuple[int, ...]) -> None:
    gateways = [lab.gateway(number) for number in (1, 2, 3)]
    node = lab.abp()
    phy = node.up(b"\x07")
    for place in order:
        gateways[place].hear(phy, lsnr=[-3.0, 9.5, 2.0][place], rssi=-80 - place)
        lab.advance(50_000)
    lab.advance(WINDOW_US)
    (event,) = lab.events("up")
    assert [(one.gateway_eui, one.snr_db) for one in event.receptions] == [
        (gateways[1].eui, 9.5),
        (gateways[2].eui, 2.0),
        (gateways[0].eui, -3.0),
    ]


def test_inv_17_eight_gateways_and_repeated_datagrams_make_one_event(lab: Lab) -> None:
    """INV-17; a datagram that the network doubles is no second reception."""
    rng = random.Random(8)
    gateways = [lab.gateway(number) for number in range(1, 9)]
    node = lab.abp()
    for _ in range(20):
        phy = node.up(b"\x01")
        heard_us = lab.mono_us
        arrivals = [(rng.randrange(WINDOW_US - 1), number) for number in range(8) for _ in range(2)]
        for delay_us, number in sorted(arrivals):
            lab.advance(heard_us + delay_us - lab.mono_us)
            gateways[number].hear(phy, at_us=heard_us, lsnr=float(number))
        lab.advance(SECOND_US)
    assert [f_cnt for f_cnt, _ in lab.ups()] == list(range(20))
    for event in lab.events("up"):
        assert [one.gateway_eui for one in event.receptions] == [gateway.eui for gateway in reversed(gateways)]


@pytest.mark.parametrize("confirmed", [False, True])
def test_copies_after_the_window_are_merged_silently(lab: Lab, confirmed: bool) -> None:
    quick, slow = lab.gateway(1), lab.gateway(2)
    node = lab.abp()
    slow.hear(lab.abp(2).up())  # its clock is known
    lab.advance(SECOND_US)
    before, sent_us = len(lab.events()), lab.mono_us
    phy = node.up(b"\x01", confirmed=confirmed)
    answers = lab.uplink(phy, quick)
    for delay_us in (300_000, 900_000, 3_000_000, 20_000_000):
        lab.advance(sent_us + delay_us - lab.mono_us)
        token = slow.hear(phy, at_us=sent_us)
        lab.advance(WINDOW_US)
        assert slow.acknowledged(token)
    assert len(lab.events()) == before + 1
    assert len(lab.air) == len(answers) == confirmed


def test_copy_in_the_window_survives_the_acknowledgement_of_the_first(lab: Lab) -> None:
    """The acknowledgement of a copy never runs ahead of the frame's own commit."""
    first, second = lab.gateway(1), lab.gateway(2)
    node = lab.abp()
    lab.disk_full = True
    phy = node.up(b"\x01")
    tokens = [first.hear(phy), second.hear(phy)]
    assert not first.acknowledged(tokens[0]) and not second.acknowledged(tokens[1])
    lab.disk_full = False
    lab.advance(WINDOW_US)
    assert first.acknowledged(tokens[0]) and second.acknowledged(tokens[1])
    assert len(lab.events("up")) == 1


def test_same_bytes_on_another_frequency_are_the_same_frame(lab: Lab) -> None:
    """INV-19: a ghost on a neighbouring channel comes first and weak; the strongest copy names the channel."""
    ghost, near = lab.gateway(1), lab.gateway(2)
    node = lab.abp()
    phy = node.up(b"\x01", confirmed=True)
    ghost.hear(phy, freq=869.1, lsnr=-12.0, rssi=-130)
    near.hear(phy, freq=868.9, lsnr=9.0, rssi=-60)
    lab.advance(WINDOW_US)
    (event,) = lab.events("up")
    assert event.frequency_hz == 868_900_000
    assert [one.frequency_hz for one in event.receptions] == [None, 869_100_000]
    (sent,) = lab.air
    assert (sent.gateway, sent.txpk["freq"]) == (near.eui, 868.9)


def test_antennas_of_one_gateway_are_receptions_of_their_own(lab: Lab) -> None:
    gateway, node = lab.gateway(), lab.abp()
    phy = node.up()
    gateway.push({"rxpk": [gateway.rxpk(phy, ant=0, lsnr=1.0), gateway.rxpk(phy, ant=1, lsnr=4.0)]})
    lab.advance(WINDOW_US)
    (event,) = lab.events("up")
    assert [(one.antenna, one.snr_db) for one in event.receptions] == [(1, 4.0), (0, 1.0)]


def test_several_frames_in_one_datagram(lab: Lab) -> None:
    gateway = lab.gateway()
    nodes = [lab.abp(number) for number in range(1, 6)]
    token = gateway.push({"rxpk": [gateway.rxpk(node.up(bytes((number,)))) for number, node in enumerate(nodes)]})
    assert gateway.push_acks == [token]
    lab.advance(WINDOW_US)
    assert sorted(event.data for event in lab.events("up")) == [bytes((number,)) for number in range(5)]


def test_windows_close_in_the_order_of_opening() -> None:
    gatherer = Gatherer(WINDOW_US)
    gateway = Gateway(1, ())
    opened = [
        gatherer.open(Kind.DATA, _rx(gateway, bytes((number,)), number * 10_000), 0, Now(number * 10_000, 0))
        for number in range(5)
    ]
    assert gatherer.timer_us() == WINDOW_US
    assert list(gatherer.closed(Now(WINDOW_US - 1, 0))) == []
    assert list(gatherer.closed(Now(WINDOW_US + 20_000, 0))) == opened[:3]
    assert gatherer.get(b"\x02") is None and gatherer.get(b"\x03") is opened[3]
    assert list(gatherer.closed(Now(10 * WINDOW_US, 0))) == opened[3:]
    assert gatherer.timer_us() is None and len(gatherer) == 0


def _rx(gateway: Gateway, phy: bytes, mono_us: int) -> RxFrame:
    return RxFrame(gateway, phy, 868_900_000, "SF7BW125", -90, 5.0, None, mono_us, mono_us)
