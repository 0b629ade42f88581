"""ADR in the laboratory: a month of fading, restarts at every frame, and the comparison in its short form."""

from __future__ import annotations

from dataclasses import replace

import pytest
from lorasim.adr_rivals import Heard, Request
from lorasim.adrlab import Lab, Score, Setup
from lorasim.propagation import BASEMENT, FADING, MOVING, STATIC

from benchmarks.adr import KINDS, compare
from benchmarks.support.adr_servers import SERVERS, MeterWan, meterwan
from lns.adr import ALGORITHMS, Memory
from lns.device import Profile
from regional import plan

SHORT = Setup(devices=60, period_s=3600, days=4)


class Restarted(MeterWan):
    """The server dies after every uplink and knows only what the session's row keeps."""

    def uplink(self, heard: Heard) -> Request | None:
        request = super().uplink(heard)
        self._memory = Memory.unpack(self._memory.pack())
        return request


def delivery(scores: list[Score]) -> float:
    return sum(one.delivered for one in scores) / sum(one.sent for one in scores)


def test_inv_36_a_month_of_fading_strands_nobody() -> None:
    """Rayleigh fading, streets that change, ceilings with cars on them; a restart between any two frames."""
    setup = Setup(devices=24, kinds=(FADING, MOVING, BASEMENT), period_s=3600, days=30)
    profile, region = Profile("lab"), plan("RU864")
    scores = Lab(setup, lambda: Restarted(ALGORITHMS["default"], profile, region), 7).run()
    assert not any(one.stranded for one in scores)
    assert delivery(scores) > 0.85
    assert scores == Lab(setup, meterwan("default"), 7).run(), "a restart changes nothing"


def test_default_delivers_more_than_the_others() -> None:
    """The short form of docs/adr.md: two seeds, all kinds of devices."""
    results = compare(SHORT, SERVERS, (1, 2))
    mean = {
        name: {kind: sum(one[kind].delivery for one in runs) / len(runs) for kind in KINDS}
        for name, runs in results.items()
    }
    ours = mean["MeterWAN default"]
    for name in ("MeterWAN recommended", "ChirpStack-like", "The Things Stack-like"):
        assert sum(ours.values()) > sum(mean[name].values()), name
        assert ours["fading"] > mean[name]["fading"] and ours["moving"] > mean[name]["moving"], name
        assert ours["static"] > mean[name]["static"] - 0.01, name
    assert ours["basement"] > mean["ChirpStack-like"]["basement"]
    energy = {name: sum(one["static"].energy_mj for one in runs) for name, runs in results.items()}
    assert energy["MeterWAN default"] < 1.05 * min(energy["ChirpStack-like"], energy["The Things Stack-like"])
    assert not any(one.stranded for runs in results["MeterWAN default"] for one in runs.values())


def test_the_same_seed_is_the_same_run() -> None:
    short = replace(SHORT, days=1)
    first, again = (Lab(short, SERVERS["MeterWAN default"], 3).run() for _ in range(2))
    assert first == again
    assert first != Lab(short, SERVERS["MeterWAN default"], 4).run()


@pytest.mark.parametrize("name", ["default", "static", "off"])
def test_a_steady_device_is_left_in_peace(name: str) -> None:
    """Near a gateway a device is asked a few times and then no more (the recommended algorithm follows its best SNR)."""
    setup = Setup(devices=4, kinds=(STATIC,), gateways=1, radius_m=200, period_s=3600, days=20)
    scores = Lab(setup, meterwan(name), 1).run()
    assert all(one.requests <= 6 for one in scores)
    assert delivery(scores) > 0.98
