"""Which window, which gateway: schedule and duty-cycle budget (reference figures: ГКРЧ 18-46-03-1, RP002-1.0.4)."""

from __future__ import annotations

from itertools import pairwise

import pytest

from lns.downlink.options import airtime_us, eirp_dbm
from lorawan.identifiers import EUI64
from regional import plan
from tests.support.lab import SECOND_US, WINDOW_US, Lab
from tests.support.otaa_device import OtaaDevice

HOUR_US = 3600 * SECOND_US


@pytest.mark.parametrize(
    ("dr", "length", "us"),
    [(0, 12, 991_232), (0, 17, 1_155_072), (0, 33, 1_810_432), (3, 17, 164_864), (5, 33, 71_936)],
)
def test_airtime_of_downlinks(dr: int, length: int, us: int) -> None:
    """Without payload CRC (timing.md: SF12 17 and 33 bytes, SF9 17, SF7 33; SF12 12 bytes by the formula)."""
    assert airtime_us(plan("RU864"), dr, length) == us


@pytest.mark.parametrize(("hz", "dbm"), [(864_100_000, 14), (866_900_000, 14), (868_900_000, 16), (869_100_000, 16)])
def test_power_is_what_plan_and_regulator_allow(hz: int, dbm: float) -> None:
    assert eirp_dbm(plan("RU864"), hz) == dbm


def test_rx1_delay_of_the_profile(lab: Lab) -> None:
    """lns_scenarios.json rxdelay-3 in kind: an OTAA session has what its join-accept said; see test_join."""
    gateway = lab.gateway()
    profile = lab.profile("1.0.3", rx1_delay_s=5)
    node = lab.abp(profile=profile)
    heard = gateway.tmst()
    (sent,) = lab.uplink(node.up(confirmed=True))
    assert sent.txpk["tmst"] == heard + SECOND_US, "an ABP device knows the region's default only"


def test_duty_cycle_of_a_sub_band_sends_answers_elsewhere(lab: Lab) -> None:
    """0.1 % in 864–865 MHz is 3.6 s an hour: no answer takes more than a fifth of what is left while RX2 at 869.1 MHz has
    plenty, and when RX2 is refused RX1 takes them until the budget is spent."""
    gateway, node = lab.gateway(), lab.abp()
    one_us = airtime_us(plan("RU864"), 3, 12)
    at_leisure = next(n for n in range(99) if one_us > 0.2 * (3_600_000 - n * one_us))
    for number in range(at_leisure + 3):
        (sent,) = lab.uplink(node.up(confirmed=True), freq=864.5, datr="SF9BW125")
        assert sent.txpk["freq"] == (864.5 if number < at_leisure else 869.1)
        lab.advance(5 * SECOND_US)
    in_rx1 = at_leisure
    for _ in range(8):
        gateway.outcomes.append("COLLISION_PACKET")
        sent = lab.uplink(node.up(confirmed=True), freq=864.5, datr="SF9BW125")[-1]
        in_rx1 += sent.txpk["freq"] == 864.5
        lab.advance(5 * SECOND_US)
    assert (at_leisure, in_rx1) == (20, 3_600_000 // one_us) == (20, 24)
    (band, *_) = lab.call("gateway", key=gateway.eui).sub_bands
    assert (band.min_hz, band.budget_ms, band.used_ms) == (864_000_000, 3600, 24 * one_us / 1000)
    lab.advance(HOUR_US)
    (sent,) = lab.uplink(node.up(confirmed=True), freq=864.5, datr="SF9BW125")
    assert sent.txpk["freq"] == 864.5


def test_no_sliding_hour_exceeds_the_budget(lab: Lab) -> None:
    """INV-29, computed from what the gateway was told to send."""
    gateway = lab.gateway()
    nodes = [lab.abp(number) for number in range(1, 41)]
    starts: list[tuple[int, int]] = []
    for turn in range(12):
        for node in nodes:
            lab.uplink(node.up(confirmed=True), freq=869.1, datr="SF12BW125")
            lab.advance((7 + turn % 3) * SECOND_US)
    for sent in lab.air:
        delay_us = (sent.txpk["tmst"] - gateway.tmst(sent.at_us)) % (1 << 32)
        starts.append((sent.at_us + delay_us, airtime_us(plan("RU864"), 0, sent.txpk["size"])))
    budget_us = 360 * SECOND_US
    assert len(starts) > 300
    for begin, _ in starts:
        used = sum(airtime for start, airtime in starts if begin <= start < begin + HOUR_US)
        assert used <= budget_us


def test_budget_is_each_gateways_own(lab: Lab) -> None:
    near, far = lab.gateway(1), lab.gateway(2)
    node = lab.abp()
    senders = []
    for _ in range(3):
        phy = node.up(confirmed=True)
        near.hear(phy, lsnr=9.0, freq=864.1, datr="SF12BW125")
        far.hear(phy, lsnr=1.0, freq=864.1, datr="SF12BW125")
        lab.advance(WINDOW_US + 5 * SECOND_US)
        senders.append(lab.air[-1].gateway)
    assert senders == [near.eui] * 3
    book = lab.state.gateways.get(int(near.eui, 16)).ledger  # type: ignore[union-attr]
    for band in plan("RU864").sub_bands:
        book.book(band, lab.mono_us, int(band.duty_cycle * HOUR_US))
    phy = node.up(confirmed=True)
    near.hear(phy, lsnr=9.0, freq=864.1, datr="SF12BW125")
    far.hear(phy, lsnr=1.0, freq=864.1, datr="SF12BW125")
    lab.advance(WINDOW_US)
    assert lab.air[-1].gateway == far.eui


def test_refused_frame_costs_no_airtime(lab: Lab) -> None:
    gateway, node = lab.gateway(), lab.abp()
    gateway.outcomes.extend(["COLLISION_PACKET"] * 2)
    lab.uplink(node.up(confirmed=True))
    assert len(lab.air) == 2
    assert all(band.used_ms == 0 for band in lab.call("gateway", key=gateway.eui).sub_bands)


def test_two_devices_at_one_moment_do_not_collide(lab: Lab) -> None:
    """INV-29: a gateway has one transmitter; the second answer takes another window or gateway."""
    one, other = lab.gateway(1), lab.gateway(2)
    nodes = [lab.abp(number) for number in range(1, 5)]
    for node in nodes:
        phy = node.up(confirmed=True)
        one.hear(phy, lsnr=9.0)
        other.hear(phy, lsnr=1.0)
    lab.advance(WINDOW_US)
    assert sum(sent.on_air for sent in lab.air) == 4
    assert len({(sent.gateway, sent.txpk["freq"]) for sent in lab.air}) == 4
    by_datr = {"SF9BW125": 144_384, "SF12BW125": 991_232}
    spans = sorted(
        (sent.gateway, sent.txpk["tmst"], sent.txpk["tmst"] + by_datr[sent.txpk["datr"]]) for sent in lab.air
    )
    for (gateway_a, _, end), (gateway_b, start, _) in pairwise(spans):
        assert gateway_a != gateway_b or end <= start - 42_500


def test_four_answers_at_one_gateway_two_windows(lab: Lab) -> None:
    """SF7 in RX1, the rest in RX2 or not at all: what cannot be sent is told, not sent into a collision."""
    lab.gateway()
    nodes = [lab.abp(number) for number in range(1, 5)]
    for node in nodes:
        lab.gateways[next(iter(lab.gateways))].hear(node.up(confirmed=True), datr="SF7BW125")
    lab.advance(WINDOW_US)
    assert len(lab.air) == 2
    outcomes = [outcome for (outcome,) in lab.rows("SELECT outcome FROM frame WHERE kind = 'down' ORDER BY id")]
    assert [outcome.partition(":")[0] for outcome in outcomes] == ["sent", "sent", "failed", "failed"]
    assert "transmits something else" in outcomes[3]


def test_frequency_that_is_no_channel_has_no_rx1_or_answers_there(lab: Lab) -> None:
    """RU864: RX1 is where the uplink was (RP002-1.0.4 §2.15.7), whatever channel the operator has added."""
    lab.gateway()
    node = lab.abp()
    (sent,) = lab.uplink(node.up(confirmed=True), freq=866.3)
    assert sent.txpk["freq"] == 866.3 and sent.txpk["powe"] == 14


def test_a_crowded_gateway_takes_no_long_frame(lab: Lab) -> None:
    """Each gets its RX1 where it is free, and nobody a second at SF12 that silences the others."""
    gateway = lab.gateway()
    devices = [OtaaDevice(dev_eui=EUI64(number)) for number in range(1, 11)]
    for device in devices:
        lab.device(device.dev_eui, "1.0.2", join_eui=f"{device.join_eui:016x}", app_key=device.app_key.hex())
    for device in devices[:7]:
        gateway.hear(device.join_request(1), freq=868.9, datr="SF7BW125")
        lab.advance(150_000)
    for device in devices[7:]:
        gateway.hear(device.join_request(1), freq=868.9, datr="SF7BW125")
    lab.advance(WINDOW_US)
    assert {sent.txpk["datr"] for sent in lab.air} == {"SF7BW125"}
    outcomes = [outcome for (outcome,) in lab.rows("SELECT outcome FROM frame WHERE kind = 'join_accept' ORDER BY id")]
    assert [outcome.partition(":")[0] for outcome in outcomes] == ["sent"] * 8 + ["failed"] * 2
    assert "crowded" in outcomes[8]
