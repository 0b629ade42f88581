"""The lab's air: sensitivity, collisions, capture, demodulators; pure ALOHA as the theory has it."""

from __future__ import annotations

import math
import random
import statistics

import pytest
from lorasim.link import CAPTURE_DB, REJECTION_DB, Band, OnAir, sensitivity_dbm

HZ = 868_900_000


def frame(start_s: float, end_s: float, rssi_dbm: float = -100.0, sf: int = 7, hz: int = HZ) -> OnAir:
    return OnAir(hz, sf, start_s, end_s, [rssi_dbm])


def heard(band: Band, *frames: OnAir) -> list[bool]:
    """All on the air, then decoded."""
    for one in sorted(frames, key=lambda one: one.start_s):
        band.begin(one)
    return [bool(band.decode(one)) for one in frames]


@pytest.mark.parametrize(("sf", "dbm"), [(7, -124.5), (8, -127), (9, -129.5), (10, -132), (11, -134.5), (12, -137)])
def test_sensitivity_is_noise_and_demodulation_floor(sf: int, dbm: float) -> None:
    """-174 dBm/Hz, 125 kHz, a noise figure of 6 dB: -117 dBm, and the floors of the data sheets below it."""
    assert sensitivity_dbm(sf) == pytest.approx(dbm, abs=0.05)
    assert heard(Band(1), frame(0, 1, dbm + 0.1, sf)) == [True]
    assert heard(Band(1), frame(0, 1, dbm - 0.1, sf)) == [False]


def test_capture() -> None:
    """Of two frames of one spreading factor the stronger survives when it is 6 dB stronger, else none."""
    assert heard(Band(1), frame(0, 1, -100), frame(0, 1, -100 - CAPTURE_DB - 0.1)) == [True, False]
    assert heard(Band(1), frame(0, 1, -100), frame(0, 1, -100 - CAPTURE_DB + 0.1)) == [False, False]
    assert heard(Band(1), frame(0, 1), frame(1.001, 2)) == [True, True]
    assert heard(Band(1), frame(0, 1), frame(0, 1, hz=869_100_000)) == [True, True]


@pytest.mark.parametrize(("sf", "other"), [(7, 12), (12, 7), (9, 10)])
def test_other_spreading_factors_are_rejected_up_to_a_point(sf: int, other: int) -> None:
    rejection = -REJECTION_DB[sf][other]
    assert heard(Band(1), frame(0, 1, -100, sf), frame(0, 1, -100 + rejection - 0.1, other))[0]
    assert not heard(Band(1), frame(0, 1, -100, sf), frame(0, 1, -100 + rejection + 0.1, other))[0]


def test_demodulators() -> None:
    """The ninth frame at once finds no demodulator free; with sixteen it does."""
    nine = [frame(n / 100, 1 + n / 100, hz=HZ + 200_000 * n) for n in range(9)]
    assert heard(Band(1), *nine) == [True] * 8 + [False]
    nine = [frame(n / 100, 1 + n / 100, hz=HZ + 200_000 * n) for n in range(9)]
    assert heard(Band(1, demodulators=16), *nine) == [True] * 9


def test_half_duplex() -> None:
    band = Band(1)
    band.transmit(0, 0.5, 0.6)
    assert heard(band, frame(0, 0.4), frame(0.55, 0.7), frame(0.7, 0.8)) == [True, False, True]


def test_each_gateway_decodes_for_itself() -> None:
    band = Band(2)
    first = OnAir(HZ, 7, 0, 1, [-100.0, -110.0])
    second = OnAir(HZ, 7, 0, 1, [-110.0, -100.0])
    for one in (first, second):
        band.begin(one)
    assert band.decode(first) == [0]
    assert band.decode(second) == [1]


@pytest.mark.parametrize("load", [0.05, 0.25, 0.5, 1.0])
def test_pure_aloha_agrees_with_theory(load: float) -> None:
    """Poisson arrivals of equal frames, no capture: e^(-2G), within 2 % absolute over ten seeds."""
    shares = []
    for seed in range(10):
        rng, band, now = random.Random(seed), Band(1, demodulators=10**6, capture=False, inter_sf=False), 0.0
        frames = []
        for _ in range(2000):
            now += rng.expovariate(load)
            frames.append(frame(now, now + 1, -60))
        events = sorted(
            [(one.start_s, 1, n) for n, one in enumerate(frames)] + [(one.end_s, 0, n) for n, one in enumerate(frames)]
        )
        delivered = 0
        for _, begins, n in events:
            if begins:
                band.begin(frames[n])
            else:
                delivered += bool(band.decode(frames[n]))
        shares.append(delivered / len(frames))
    assert statistics.mean(shares) == pytest.approx(math.exp(-2 * load), abs=0.02)
