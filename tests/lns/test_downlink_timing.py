"""Deadlines and collisions, judged by gateways that have a just-in-time queue and a backhaul of their own."""

from __future__ import annotations

import json
import math
import random
from dataclasses import dataclass, field
from itertools import pairwise

import pytest

from lns.gateways.roundtrip import STALE_US
from tests.support.fake_gateway import FakeGateway, Sent
from tests.support.lab import SECOND_US, WINDOW_US, Lab

TOO_LATE_US = 42_500
"""TX_START_DELAY + TX_JIT_DELAY + TX_MARGIN_DELAY of sx1302_hal."""
GUARD_US = 42_500
HOUR_US = 3600 * SECOND_US
BANDS = ((864e6, 865e6, 0.001), (866e6, 868e6, 0.01), (868.7e6, 869.2e6, 0.1))


def airtime_us(datr: str, size: int) -> int:
    """Time on air of a downlink (timing.md), by itself."""
    sf = int(datr[2:].partition("BW")[0])
    symbol_us = (1 << sf) * 8
    slow = sf >= 11
    symbols = 8 + max(0, math.ceil((8 * size - 4 * sf + 28) / (4 * (sf - 2 * slow))) * 5)
    return round((12.25 + symbols) * symbol_us)


@dataclass
class FarGateway:
    """A forwarder behind a backhaul: what it is sent arrives later, and so does its answer."""

    lab: Lab
    gateway: FakeGateway
    one_way_us: int
    seen: int = 0
    outcomes: list[str] = field(default_factory=list)

    def hears(self, phy: bytes) -> None:
        """A frame that ended just now reaches the server after the way up."""
        ended_us = self.lab.mono_us
        self.gateway.outcomes.extend([None] * 4)
        self.seen = len(self.lab.air)
        self.run(self.one_way_us)
        self.gateway.hear(phy, at_us=ended_us)
        self.run(3 * SECOND_US + 2 * self.one_way_us)
        self.gateway.outcomes.clear()

    def run(self, us: int) -> None:
        until_us = self.lab.mono_us + us
        while self.lab.mono_us < until_us:
            due = [sent for sent in self.lab.air[self.seen :] if sent.at_us + 2 * self.one_way_us <= self.lab.mono_us]
            for sent in due:
                self.seen += 1
                self.answer(sent)
            self.lab.advance(min(5_000, until_us - self.lab.mono_us))

    def answer(self, sent: Sent) -> None:
        arrived_us = sent.at_us + self.one_way_us
        ahead_us = (sent.txpk["tmst"] - self.gateway.tmst(arrived_us) + (1 << 31)) % (1 << 32) - (1 << 31)
        outcome = "NONE" if ahead_us > TOO_LATE_US else "TOO_LATE"
        self.outcomes.append(outcome)
        body = json.dumps({"txpk_ack": {"error": outcome}}).encode()
        self.gateway.answer(sent.token, body)
        self.lab.pump()


@pytest.mark.parametrize("one_way_ms", [0, 40, 100, 200, 300, 400, 600, 800, 1000, 2000])
def test_inv_27_no_frame_comes_too_late_for_its_gateway(lab: Lab, one_way_ms: int) -> None:
    """Once the round trip is known. RX1 while it can be reached, then RX2, then none: one try in STALE_US shows whether it
    still is so, and the item stays."""
    far = FarGateway(lab, lab.gateway(), one_way_ms * 1000)
    node = lab.abp()
    for _ in range(8):
        far.hears(node.up(confirmed=True))
    far.outcomes.clear()
    before, begin_us = len(lab.air), lab.mono_us
    id = lab.queue(node.dev_eui, b"\x01")
    for _ in range(8):
        far.hears(node.up(confirmed=True))
    windows = {sent.txpk["datr"] for sent in lab.air[before:]}
    # The server has the frame one way after its end, closes its window 200 ms later, and the answer goes one way too.
    left_ms = 1000 - 200 - 2 * one_way_ms
    tries = 0 if left_ms + 1000 >= 0 else (lab.mono_us - begin_us) // STALE_US
    assert far.outcomes.count("TOO_LATE") <= tries
    if left_ms > 150:
        assert windows == {"SF9BW125"}
    elif left_ms + 1000 > 150:
        assert "SF12BW125" in windows
    elif left_ms + 1000 < 0:
        assert len(lab.air) - before <= tries and lab.item(id).state == "queued"


@pytest.mark.parametrize("number", [1, 2, 3])
def test_inv_29_two_hundred_devices_in_one_second(lab: Lab, number: int) -> None:
    """No two frames of a gateway overlap, and no sliding hour has more than its share, in two such seconds."""
    rng = random.Random(number)
    gateways = [lab.gateway(n) for n in range(1, number + 1)]
    profile = lab.profile()
    nodes = [lab.abp(n, profile=profile) for n in range(1, 201)]
    for _ in range(2):
        for node in nodes:
            phy = node.up(confirmed=True)
            datr = f"SF{rng.randrange(7, 13)}BW125"
            for gateway in gateways:
                gateway.hear(phy, lsnr=rng.uniform(-5, 9), freq=rng.choice([868.9, 869.1, 864.3]), datr=datr)
            lab.advance(SECOND_US // 200)
        lab.advance(rng.randrange(20, 400) * SECOND_US)
    lab.advance(WINDOW_US)
    for gateway in gateways:
        spans = []
        for sent in lab.air:
            if sent.gateway == gateway.eui and sent.on_air:
                start = sent.at_us + (sent.txpk["tmst"] - gateway.tmst(sent.at_us)) % (1 << 32)
                airtime = airtime_us(sent.txpk["datr"], sent.txpk["size"])
                spans.append((start, start + airtime, sent.txpk["freq"] * 1e6))
        spans.sort()
        assert len(spans) >= 6
        assert all(a[1] + GUARD_US <= b[0] for a, b in pairwise(spans))
        for low, high, share in BANDS:
            in_band = [(start, end) for start, end, hz in spans if low <= hz < high]
            for begin, _ in in_band:
                used = sum(end - start for start, end in in_band if begin <= start < begin + HOUR_US)
                assert used <= share * HOUR_US
