"""Distance, shadows and fading: their statistics, and that one seed gives one air."""

from __future__ import annotations

import math
import random
import statistics

import pytest
from lorasim.dice import Dice
from lorasim.propagation import (
    BASEMENT,
    KINDS,
    Blockage,
    Fading,
    Path,
    PathLoss,
    Paths,
    Shadowing,
    Surroundings,
    noise_dbm,
    paths_of,
)


def test_path_loss_by_distance() -> None:
    loss = PathLoss()
    assert loss.db(1000) == pytest.approx(128.95)
    assert loss.db(10_000) - loss.db(1000) == pytest.approx(23.2)


def test_noise() -> None:
    assert noise_dbm() == pytest.approx(-117.03, abs=0.01)
    assert noise_dbm(250_000) - noise_dbm() == pytest.approx(3.01, abs=0.01)


def test_shadowing_has_its_sigma_and_its_memory() -> None:
    shadow = Shadowing(6.0, 100.0, random.Random(1))
    values = [shadow.db(100.0 * n) for n in range(20_000)]
    assert statistics.mean(values) == pytest.approx(0, abs=0.3)
    assert statistics.stdev(values) == pytest.approx(6.0, abs=0.2)
    pairs = statistics.correlation(values[:-1], values[1:])
    assert pairs == pytest.approx(math.exp(-1), abs=0.03)


@pytest.mark.parametrize(("k", "deep"), [(0.0, 1 - math.exp(-0.1)), (10.0, 0.0)])
def test_fading_has_unit_power_and_the_depth_of_its_kind(k: float, deep: float) -> None:
    """Rayleigh: 10 dB below the mean in 9.5 % of the time; with a strong steady part almost never."""
    fading = Fading(k, 1.0, random.Random(2))
    gains = [fading.db(10.0 * n) for n in range(20_000)]
    assert statistics.mean(10 ** (gain / 10) for gain in gains) == pytest.approx(1.0, abs=0.03)
    assert sum(gain < -10 for gain in gains) / len(gains) == pytest.approx(deep, abs=0.01)


def test_fading_is_the_same_within_its_coherence() -> None:
    fading = Fading(0.0, 60.0, random.Random(3))
    steps = []
    for n in range(200):
        before = fading.db(3600.0 * n)
        steps.append(abs(fading.db(3600.0 * n + 0.001) - before))
    assert statistics.median(steps) < 0.2


def test_blockage_takes_its_share_of_the_time() -> None:
    blockage = Blockage(10.0, 900.0, 100.0, random.Random(4))
    blocked = [blockage.db(10.0 * n) for n in range(200_000)]
    assert set(blocked) == {0.0, 10.0}
    assert statistics.mean(blocked) / 10 == pytest.approx(0.1, abs=0.01)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: str(kind.name))
def test_one_seed_one_air(kind: object) -> None:
    def air(seed: int) -> list[float]:
        paths = paths_of([500.0, 1500.0], kind, random.Random(seed))  # type: ignore[arg-type]
        return [path.gain_db(at_s) for at_s in (0.0, 10.0, 3600.0) for path in paths]

    assert air(1) == air(1)
    assert air(1) != air(2)


def test_a_ceiling_costs_what_it_costs() -> None:
    gains = [paths_of([1000.0], BASEMENT, random.Random(seed))[0].mean_gain_db for seed in range(200)]
    assert -128.95 - 25 <= min(gains) < max(gains) <= -128.95 - 15


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_many_paths_at_once_vary_as_one_path_does(kind: Surroundings) -> None:
    """The compact form and the one path by one: the same mean and spread over time, the same memory."""
    compact = Paths([-120.0, -120.0], kind, Dice("a"))
    single = Path(-120.0, kind, Dice("b"), Blockage(kind.blockage_db, kind.free_s, kind.blocked_s, Dice("c")))
    times = [n * 7_200.0 for n in range(1, 6000)]
    ours = [gain for at_s in times for gain in compact.gains_db(at_s)]
    theirs = [single.gain_db(at_s) for at_s in times]
    assert statistics.mean(ours) == pytest.approx(statistics.mean(theirs), abs=0.8)
    assert statistics.stdev(ours) == pytest.approx(statistics.stdev(theirs), rel=0.12)
    before = compact.gains_db(times[-1] + 1)
    after = compact.gains_db(times[-1] + 1)
    assert before == pytest.approx(after, abs=1e-6)
