"""Deadlines from the measured round trip (INV-27, F-07, F-08): the forwarder's own queue is the judge, never our margins."""

from __future__ import annotations

import random
from collections import Counter
from itertools import pairwise

import pytest

from lns.gateways.roundtrip import DEFAULT_RTT_US, GUESS_US, LATE_US, SAMPLES, SLACK_US, STALE_US, RoundTrip
from tests.support.backhaul import Line, slow_gateway
from tests.support.lab import SECOND_US, WINDOW_US, Lab

MS = 1_000
MISSED = {"TOO_LATE", "TOO_EARLY"}
"""What a forwarder says to a frame whose time is over; a counter that is long past it looks far ahead."""
JIT_US = {"1301": 32_500, "1302": 42_500}


def windows(lab: Lab) -> list[str]:
    """RX1 or RX2 of each frame that a gateway took."""
    return ["RX2" if sent.txpk["freq"] == 869.1 else "RX1" for sent in lab.air if sent.on_air]


@pytest.mark.parametrize("forwarder", ["1301", "1302"])
@pytest.mark.parametrize("up_ms", [0, 50, 150, 250, 350, 500, 650, 800, 1000])
@pytest.mark.parametrize("down_ms", [0, 100, 300, 500, 650, 800, 1000])
def test_inv_27_window_is_right_at_each_delay(lab: Lab, forwarder: str, up_ms: int, down_ms: int) -> None:
    """F-08: whichever way the delay is divided, RX1 while it can be reached, then RX2: and never TOO_LATE once the round trip
    is known. Where neither can be reached, one try now and then, for the line may have become better."""
    line = Line(lab)
    gateway = slow_gateway(line, 1, lambda: up_ms * MS, lambda: down_ms * MS, forwarder)
    node = lab.abp()
    lab.call("gateway_put", gateway_eui=gateway.eui, forwarder={"1301": "legacy", "1302": "hal"}[forwarder])
    for _ in range(12):
        gateway.hear_now(node.up(confirmed=True))
        line.run(10 * SECOND_US)
    known = len(gateway.verdicts)
    for _ in range(12):
        gateway.hear_now(node.up(confirmed=True))
        line.run(10 * SECOND_US)
    verdicts = [verdict for verdict, _ in gateway.verdicts[known:]]
    # What is possible at all: the window opens 1 or 2 s after the frame, and the message waits for copies and travels.
    needed_us = (up_ms + down_ms) * MS + WINDOW_US + JIT_US[forwarder]
    expected = "RX1" if needed_us + SLACK_US < SECOND_US else "RX2" if needed_us + SLACK_US < 2 * SECOND_US else None
    if expected is None:
        assert set(verdicts) <= MISSED and 1 <= len(verdicts) <= 12 * 10 * SECOND_US // STALE_US
    else:
        assert verdicts == ["NONE"] * 12 and windows(lab)[-12:] == [expected] * 12


@pytest.mark.parametrize("seed", range(4))
def test_inv_27_jitter_costs_no_late_frames(lab: Lab, seed: int) -> None:
    """F-07: 100 ± 100 ms one way. A frame comes too late only if its round trip was beyond all that were seen before."""
    rng, line = random.Random(seed), Line(lab)

    def delay() -> int:
        return rng.randrange(0, 200 * MS)

    gateway = slow_gateway(line, 1, delay, delay)
    nodes = [lab.abp(number) for number in range(1, 6)]
    for turn in range(80):
        gateway.hear_now(nodes[turn % 5].up(confirmed=True), datr="SF7BW125")
        line.run(rng.randrange(4, 20) * SECOND_US)
    verdicts = Counter(verdict for verdict, _ in gateway.verdicts)
    assert verdicts["NONE"] >= 75
    worst_us = 0
    for verdict, rtt_us in gateway.verdicts:
        assert verdict != "TOO_LATE" or rtt_us > worst_us, (verdict, rtt_us, worst_us)
        worst_us = max(worst_us, rtt_us)
    assert verdicts["TOO_LATE"] <= 1 and verdicts["COLLISION_PACKET"] == 0


def test_inv_27_reordered_and_doubled_answers(lab: Lab) -> None:
    """TX_ACKs that come twice or in another order settle each its own frame."""
    gateway = lab.gateway()
    nodes = [lab.abp(number) for number in range(1, 4)]
    gateway.outcomes.extend([None] * 3)
    items = [lab.queue(node.dev_eui) for node in nodes]
    for node in nodes:
        gateway.hear(node.up(), datr="SF7BW125")
        lab.advance(WINDOW_US + 100 * MS)
    first, second, third = lab.air
    for sent, body in ((third, b""), (first, b""), (third, b'{"txpk_ack":{"error":"TOO_LATE"}}'), (first, b"")):
        gateway.answer(sent.token, body)
    lab.pump()
    assert [lab.item(item).state for item in items] == ["sent", "scheduled", "sent"]
    assert lab.counters["stray_tx_ack"] == 2
    gateway.answer(second.token)
    lab.pump()
    assert lab.item(items[1]).state == "sent"


def test_too_late_raises_the_lead_for_a_while() -> None:
    trip = RoundTrip()
    for _ in range(SAMPLES):
        trip.measure(50 * MS, 0)
    before_us = trip.lead_us
    trip.too_late()
    assert trip.lead_us == before_us + LATE_US
    trip.too_late()
    assert trip.lead_us == before_us + 2 * LATE_US
    leads = [trip.lead_us]
    for _ in range(200):
        trip.in_time()
        leads.append(trip.lead_us)
    assert all(later <= earlier for earlier, later in pairwise(leads)) and leads[-1] == before_us


def test_one_freak_of_many_does_not_count_and_two_do() -> None:
    trip = RoundTrip()
    for _ in range(2 * SAMPLES):
        trip.measure(40 * MS, 0)
    trip.measure(900 * MS, 0)
    for _ in range(12):
        trip.measure(40 * MS, 0)
    assert trip.expected_us < 120 * MS
    trip.measure(800 * MS, 0)
    assert trip.expected_us > 800 * MS
    assert trip.smoothed_us is not None and 40 * MS < trip.smoothed_us < 250 * MS


def test_a_quicker_one_is_no_reason_to_leave_earlier() -> None:
    trip = RoundTrip()
    trip.measure(1_300 * MS, 0)
    before_us = trip.lead_us
    for _ in range(SAMPLES):
        trip.measure(25 * MS, 0)
        assert trip.lead_us <= before_us
    assert trip.lead_us < 100 * MS


def test_what_is_old_is_doubted_and_gives_way_to_what_is_measured() -> None:
    trip = RoundTrip()
    assert trip.expected_us == DEFAULT_RTT_US
    trip.relax(STALE_US + 1)
    assert trip.expected_us == DEFAULT_RTT_US
    trip.measure(9 * SECOND_US, SECOND_US)
    trip.relax(SECOND_US + STALE_US)
    assert trip.lead_us > 3 * SECOND_US, "what was measured lately is true"
    trip.relax(SECOND_US + STALE_US + 1)
    assert trip.expected_us == GUESS_US
    trip.relax(SECOND_US + STALE_US + 2)
    assert trip.expected_us == GUESS_US, "one doubt in a term"
    trip.measure(30 * MS, 30 * SECOND_US)
    assert trip.expected_us == trip.smoothed_us == 30 * MS


@pytest.mark.parametrize("slow_frames", [1, 3, 30])
@pytest.mark.parametrize("slow_ms", [950, 2500])
def test_inv_27_a_backhaul_that_has_recovered_is_used_within_a_minute(lab: Lab, slow_ms: int, slow_frames: int) -> None:
    """However many round trips were measured meanwhile: the windows have passed a gateway by, so nothing new was measured."""
    line, ms = Line(lab), 900

    def delay() -> int:
        return ms * MS

    gateway = slow_gateway(line, 1, delay, delay)
    nodes = [lab.abp(number) for number in range(1, slow_frames + 3)]
    for node in nodes[:slow_frames]:  # together, before anybody knows that the line is slow
        gateway.hear_now(node.up(confirmed=True), datr="SF7BW125")
        line.run(20 * MS)
    ms = slow_ms
    line.run(20 * SECOND_US)
    ms = 10
    recovered_us = lab.mono_us
    answered: set[str] = set()
    while lab.mono_us - recovered_us < 59 * SECOND_US:
        for node in nodes[-2:]:
            before = len(gateway.on_air)
            gateway.hear_now(node.up(confirmed=True), datr="SF7BW125")
            line.run(7 * SECOND_US)
            if len(gateway.on_air) > before:
                answered.add(node.dev_eui)
        lab.engine.keeper.tend(lab.now)
    assert answered == {node.dev_eui for node in nodes[-2:]}
    assert windows(lab)[-2:] == ["RX1", "RX1"]


def test_inv_27_a_slow_gateway_that_is_seldom_asked_is_not_taken_for_a_quick_one(lab: Lab) -> None:
    """A satellite's 0.6 s one way: RX2, an hour later too."""
    line = Line(lab)
    gateway = slow_gateway(line, 1, lambda: 600 * MS, lambda: 600 * MS)
    node = lab.abp()
    for _ in range(6):
        gateway.hear_now(node.up(confirmed=True))
        for _ in range(30):
            line.run(20 * SECOND_US)
            gateway.pull()
            lab.engine.keeper.tend(lab.now)
    first, *later = [verdict for verdict, _ in gateway.verdicts]
    assert first in MISSED and later == ["NONE"] * 5
    assert windows(lab) == ["RX2"] * 5


def test_generation_is_learned_and_counts_in_the_lead(lab: Lab) -> None:
    gateway, node = lab.gateway(), lab.abp()
    known = lab.state.gateways.get(int(gateway.eui, 16))
    assert known is not None and known.kind.name == ""
    lead_us = known.lead_us
    gateway.outcomes.append("TX_POWER")
    lab.uplink(node.up(confirmed=True))
    assert known.forwarder_seen == "legacy"
    assert known.kind.too_late_us == 32_500 < 42_500 and known.kind.immediate_us == SECOND_US
    gateway.push({"stat": {"rxnb": 1, "temp": 31.5}})
    assert known.forwarder_seen == "hal"
    assert (known.kind.too_late_us, known.kind.immediate_us) == (42_500, 80_000)
    lab.call("gateway_put", gateway_eui=gateway.eui, forwarder="legacy")
    assert known.kind.too_late_us == 32_500
    record = lab.call("gateway", key=gateway.eui)
    assert (record.forwarder, record.forwarder_seen) == ("legacy", "hal")
    assert lead_us >= record.lead_ms * 1000
    gateway.push({"stat": {"temp": 31.5, "fpga": 31}})
    assert known.forwarder_seen == "hal", "signs that contradict each other say nothing"
