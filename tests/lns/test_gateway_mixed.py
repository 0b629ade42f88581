"""INV-29: answers, joins and class C at three gateways with real just-in-time queues: nothing is refused.

Five minutes of it here; ``make trial`` takes an hour (METERWAN_MIXED_MINUTES).
"""

from __future__ import annotations

import os
import random
from collections import Counter
from itertools import pairwise

import pytest

from tests.support.backhaul import Line, slow_gateway
from tests.support.lab import SECOND_US, Lab
from tests.support.otaa_device import OtaaDevice

MS = 1_000
MINUTES = int(os.environ.get("METERWAN_MIXED_MINUTES", "5"))


@pytest.mark.parametrize(("seed", "kinds"), [(1, ("1301", "1302", "1302")), (2, ("1302", "1301", "1301"))])
def test_inv_29_mixed_classes_are_refused_nothing(lab: Lab, seed: int, kinds: tuple[str, ...]) -> None:
    rng, line = random.Random(seed), Line(lab)

    def delay() -> int:
        return rng.randrange(15 * MS, 45 * MS)

    gateways = [slow_gateway(line, number, delay, delay, kind) for number, kind in enumerate(kinds, 1)]
    class_a = [lab.abp(number) for number in range(1, 31)]
    listening = lab.profile("1.0.4", device_class="C")
    class_c = [lab.abp(100 + number, "1.0.4", profile=listening) for number in range(6)]
    joining = [OtaaDevice(dev_eui=0x0700 + number) for number in range(12)]  # type: ignore[arg-type]
    for device in joining:
        lab.device(device.dev_eui, "1.0.2", join_eui=f"{device.join_eui:016x}", app_key=device.app_key.hex())

    def hear(phy: bytes, datr: str) -> None:
        for gateway in rng.sample(gateways, rng.randrange(1, 4)):
            gateway.hear_now(phy, datr=datr, lsnr=rng.choice([-5.0, 1.0, 6.0, 7.0]), freq=rng.choice([868.9, 869.1]))

    for node in class_c:
        hear(node.up(), "SF9BW125")
        line.run(10 * SECOND_US)
    sent_at, dev_nonces = lab.mono_us, Counter[int]()
    while lab.mono_us - sent_at < MINUTES * 60 * SECOND_US:
        dice = rng.random()
        if dice < 0.75:
            node = rng.choice(class_a)
            hear(node.up(confirmed=rng.random() < 0.7), rng.choice(["SF7BW125", "SF9BW125", "SF12BW125"]))
        elif dice < 0.85:
            index = rng.randrange(len(joining))
            dev_nonces[index] += 1
            hear(joining[index].join_request(dev_nonces[index]), rng.choice(["SF7BW125", "SF10BW125"]))
        else:
            node = rng.choice(class_c)
            lab.queue(node.dev_eui, rng.randbytes(8), 20)
        line.run(rng.choice([0, 100 * MS, 900 * MS, 3 * SECOND_US, 9 * SECOND_US]))
        for gateway in gateways:
            if rng.random() < 0.02:
                gateway.pull()
    line.run(20 * SECOND_US)
    verdicts = Counter(verdict for gateway in gateways for verdict, _ in gateway.verdicts)
    assert set(verdicts) == {"NONE"}, verdicts
    kinds_sent = Counter("C" if sent.txpk["imme"] else "A" for sent in lab.air)
    assert kinds_sent["C"] > MINUTES and kinds_sent["A"] > 5 * MINUTES
    for gateway in gateways:
        spans = sorted(gateway.on_air)
        assert all(end <= start for (_, end), (start, _) in pairwise(spans)) and len(spans) > MINUTES
    assert lab.counters["downlinks_unknown"] == 0


@pytest.mark.parametrize("number", [1, 2, 3])
def test_inv_29_two_hundred_devices_answered_in_one_second(lab: Lab, number: int) -> None:
    """What has no room says so; nothing overlaps, nothing is refused, and more gateways answer more."""
    rng, line = random.Random(number), Line(lab)
    gateways = [slow_gateway(line, n, lambda: 20 * MS, lambda: 20 * MS) for n in range(1, number + 1)]
    nodes = [lab.abp(n) for n in range(1, 201)]
    for node in nodes:
        phy = node.up(confirmed=True)
        for gateway in gateways:
            gateway.hear_now(phy, datr="SF7BW125", lsnr=rng.choice([-2.0, 3.0, 8.0]))
        line.run(5 * MS)
    line.run(10 * SECOND_US)
    assert {verdict for gateway in gateways for verdict, _ in gateway.verdicts} == {"NONE"}
    for gateway in gateways:
        spans = sorted(gateway.on_air)
        assert all(end + 42_500 <= start for (_, end), (start, _) in pairwise(spans))
    assert len(lab.air) == lab.counters["downlinks_sent"] and len(lab.air) + lab.counters["downlinks_failed"] == 200
    # A frame of 41 ms and its guard take 90 ms: eleven of them fit into the second of RX1.
    assert len(lab.air) >= 10 * number
