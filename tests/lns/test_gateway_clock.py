"""Counters that wrap, restart and are shared (INV-23, INV-26, F-10), with every downlink on the forwarder's own judgement."""

from __future__ import annotations

import random
from typing import Any

import pytest

from tests.support.backhaul import Line, SlowGateway, slow_gateway
from tests.support.fake_gateway import WRAP_US
from tests.support.lab import SECOND_US, WINDOW_US, Lab

MS = 1_000


def refused(gateway: SlowGateway) -> list[str]:
    return [verdict for verdict, _ in gateway.verdicts if verdict != "NONE"]


def test_inv_23_counter_wraps_three_times_between_and_during(lab: Lab) -> None:
    line = Line(lab)
    gateway, node = slow_gateway(line, 1, lambda: 30 * MS, lambda: 30 * MS), lab.abp()
    gateway.boot_us = lab.mono_us - (WRAP_US - 60 * SECOND_US)
    for _ in range(3):
        while gateway.tmst() > WRAP_US - 61 * SECOND_US:
            gateway.hear_now(node.up(confirmed=True))
            line.run(700 * MS)
        line.run(WRAP_US - 61 * SECOND_US - gateway.tmst() + 1_000)
    assert refused(gateway) == []
    wrapped = [sent for sent in lab.air if sent.txpk["tmst"] < 2_100_000]
    assert len(lab.air) > 200 and len(wrapped) >= 3


@pytest.mark.parametrize("before_us", [500_001, 999_999, 1_000_000, 1_000_001, 1_999_999, 2_000_000])
def test_inv_23_wrap_between_the_frame_and_its_answer(lab: Lab, before_us: int) -> None:
    gateway, node = lab.gateway(), lab.abp()
    gateway.boot_us = lab.mono_us - (WRAP_US - before_us)
    gateway.outcomes.append("COLLISION_PACKET")
    first, second = lab.uplink(node.up(confirmed=True))
    assert first.txpk["tmst"] == (SECOND_US - before_us) % WRAP_US
    assert second.txpk["tmst"] == (2 * SECOND_US - before_us) % WRAP_US


@pytest.mark.parametrize("silence_s", [7200, 4295, 4294, 8590, 86_400])
def test_inv_23_silence_longer_than_the_wrap(lab: Lab, silence_s: int) -> None:
    line = Line(lab)
    gateway, node = slow_gateway(line, 1, lambda: 40 * MS, lambda: 40 * MS), lab.abp()
    for _ in range(3):
        gateway.hear_now(node.up(confirmed=True))
        line.run(5 * SECOND_US)
        line.run(silence_s * SECOND_US)
    assert refused(gateway) == [] and len(lab.air) == 3


@pytest.mark.parametrize("uptime_s", [3, 60, 599, 3600, 4295])
@pytest.mark.parametrize("lost_us", [0, 300 * MS, 900 * MS])
def test_inv_26_reboot_between_uplink_and_downlink(lab: Lab, uptime_s: int, lost_us: int) -> None:
    """The answer that was timed by the old counter is refused, or goes out at no moment that anybody waits for, and the
    item waits; the first frame after the next one is answered right."""
    gateway, node = lab.gateway(), lab.abp()
    for _ in range(3):
        lab.uplink(node.up(confirmed=True))
        lab.advance(uptime_s * SECOND_US // 3 + SECOND_US)
    item = lab.queue(node.dev_eui)
    gateway.outcomes.extend(["TOO_EARLY"] * 2)
    gateway.hear(node.up())
    gateway.boot_us = lab.mono_us + lost_us
    lab.advance(WINDOW_US)
    assert lab.item(item).state == "queued"
    gateway.outcomes.clear()
    lab.advance(5 * SECOND_US)
    gateway.pull()
    lab.uplink(node.up())
    lab.advance(5 * SECOND_US)
    heard = gateway.tmst()
    (sent,) = lab.uplink(node.up(confirmed=True))
    assert sent.txpk["tmst"] == heard + SECOND_US
    lab.advance(5 * SECOND_US)
    lab.uplink(node.up())
    assert lab.item(item).state == "sent"


def test_inv_26_many_reboots(lab: Lab) -> None:
    """F-10: 60 reboots at random moments. From the second frame after each on every downlink is taken."""
    rng, line = random.Random(10), Line(lab)
    gateway, node = slow_gateway(line, 1, lambda: 25 * MS, lambda: 25 * MS), lab.abp()
    for _ in range(60):
        gateway.boot_us = lab.mono_us - rng.randrange(WRAP_US)
        gateway.pull()
        gateway._jit.clear()
        gateway.hear_now(node.up(confirmed=True), datr="SF7BW125")
        line.run(8 * SECOND_US)
        known = len(gateway.verdicts)
        for _ in range(3):
            gateway.hear_now(node.up(confirmed=True), datr="SF7BW125")
            line.run(rng.randrange(3, 200) * SECOND_US)
        assert {verdict for verdict, _ in gateway.verdicts[known:]} == {"NONE"}
    assert lab.state.gateways.get(int(gateway.eui, 16)).clock.restarts > 40  # type: ignore[union-attr]


def test_several_gateways_share_one_tmst(lab: Lab) -> None:
    """Bridges write one counter for all gateways behind them: each is its own all the same."""
    gateways = [lab.gateway(number) for number in (1, 2, 3)]
    for gateway in gateways:
        gateway.boot_us = lab.mono_us - 1234 * SECOND_US
    nodes = [lab.abp(number) for number in (1, 2, 3)]
    for node, best in zip(nodes, gateways, strict=True):
        phy = node.up(confirmed=True)
        heard = best.tmst()
        for gateway in gateways:
            gateway.hear(phy, lsnr=9.0 if gateway is best else -3.0)
        lab.advance(WINDOW_US)
        assert (lab.air[-1].gateway, lab.air[-1].txpk["tmst"]) == (best.eui, heard + SECOND_US)
    assert [len(event.receptions) for event in lab.events("up")] == [3, 3, 3]


@pytest.mark.parametrize(
    "fields",
    [
        {"tmms": None},
        {"stat": 0},
        {"tmms": 0},
        {"tmst": 1234567.0},
        {"tmst": "1234567"},
        {"stat": None},
        {"time": "garbage"},
    ],
    ids=str,
)
def test_what_other_senders_write(lab: Lab, fields: dict[str, Any]) -> None:
    gateway, node = lab.gateway(), lab.abp()
    entry = gateway.rxpk(node.up(b"\x07", confirmed=True)) | fields
    gateway.push({"rxpk": [entry]})
    lab.advance(WINDOW_US)
    assert lab.ups() == [(0, b"\x07")]
    (sent,) = lab.air
    assert sent.txpk["tmst"] == (int(entry["tmst"]) + SECOND_US) % WRAP_US


def test_slow_frame_of_a_quiet_gateway_moves_nothing(lab: Lab) -> None:
    """The least delay is remembered over ten minutes and more: one frame that waited two seconds is answered in no window."""
    line, delay = Line(lab), [20 * MS]
    gateway, node = slow_gateway(line, 1, lambda: delay[0], lambda: 20 * MS), lab.abp()
    for _ in range(12):
        gateway.hear_now(node.up(confirmed=True))
        line.run(150 * SECOND_US)
    taken = len(lab.air)
    delay[0] = 2500 * MS
    gateway.hear_now(node.up(confirmed=True))
    line.run(10 * SECOND_US)
    delay[0] = 20 * MS
    assert len(lab.air) == taken
    gateway.hear_now(node.up(confirmed=True))
    line.run(10 * SECOND_US)
    assert refused(gateway) == [] and len(lab.air) == taken + 1
