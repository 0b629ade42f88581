"""How much of a signal arrives: distance, walls, shadows that come and go, and fading.

Everything is drawn from random generators that are handed in, and may be asked for any later time: the two processes in
time (shadowing and fading) are exact between two questions, however far apart, so nothing runs in steps.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from dataclasses import dataclass

from lorasim.dice import Random

THERMAL_NOISE_DBM_HZ = -174.0
NOISE_FIGURE_DB = 6.0


@dataclass(slots=True, frozen=True)
class PathLoss:
    """Log-distance path loss.

    The defaults are the fit to LoRa measurements at 868 MHz around Oulu of Petäjäjärvi et al., "On the coverage of LPWANs:
    range evaluation and channel attenuation model for LoRa technology" (ITST 2015).
    """

    at_1_km_db: float = 128.95
    exponent: float = 2.32

    def db(self, distance_m: float) -> float:
        return self.at_1_km_db + 10 * self.exponent * math.log10(max(distance_m, 1.0) / 1000)


def noise_dbm(bandwidth_hz: int = 125_000, noise_figure_db: float = NOISE_FIGURE_DB) -> float:
    """Noise in a receiver's bandwidth: -117 dBm at 125 kHz."""
    return THERMAL_NOISE_DBM_HZ + 10 * math.log10(bandwidth_hz) + noise_figure_db


class Shadowing:
    """Log-normal shadowing that wanders: a Gaussian process in dB whose memory fades over ``correlation_s``."""

    __slots__ = ("_at_s", "_db", "_rng", "correlation_s", "sigma_db")

    def __init__(self, sigma_db: float, correlation_s: float, rng: Random) -> None:
        self.sigma_db = sigma_db
        self.correlation_s = correlation_s
        self._rng = rng
        self._at_s = 0.0
        self._db = rng.gauss(0, sigma_db)

    def db(self, at_s: float) -> float:
        """At a time not before that of the last call."""
        if self.sigma_db:
            kept = math.exp((self._at_s - at_s) / self.correlation_s)
            self._db = kept * self._db + math.sqrt(1 - kept * kept) * self._rng.gauss(0, self.sigma_db)
            self._at_s = at_s
        return self._db


class Fading:
    """Rician fading with mean power 1: a steady part and a scattered one, ``k`` the ratio of their powers (0: Rayleigh).

    The scattered part is a complex Gaussian process whose memory fades over ``coherence_s``.
    """

    __slots__ = ("_at_s", "_i", "_q", "_rng", "_scatter", "_steady", "coherence_s")

    def __init__(self, k: float, coherence_s: float, rng: Random) -> None:
        self.coherence_s = coherence_s
        self._rng = rng
        self._steady = math.sqrt(k / (k + 1))
        self._scatter = math.sqrt(0.5 / (k + 1))
        self._at_s = 0.0
        self._i, self._q = rng.gauss(0, self._scatter), rng.gauss(0, self._scatter)

    def db(self, at_s: float) -> float:
        """Gain at a time not before that of the last call."""
        kept = math.exp((self._at_s - at_s) / self.coherence_s)
        new = math.sqrt(1 - kept * kept)
        gauss, scatter = self._rng.gauss, self._scatter
        self._i = kept * self._i + new * gauss(0, scatter)
        self._q = kept * self._q + new * gauss(0, scatter)
        self._at_s = at_s
        return 10 * math.log10(max(1e-12, (self._i + self._steady) ** 2 + self._q**2))


class Blockage:
    """Something that stands in the way from time to time, such as a car over a manhole."""

    __slots__ = ("_blocked", "_rng", "_until_s", "blocked_s", "db_when_blocked", "free_s")

    def __init__(self, db: float, free_s: float, blocked_s: float, rng: Random) -> None:
        self.db_when_blocked = db
        self.free_s, self.blocked_s = free_s, blocked_s
        self._rng = rng
        self._blocked = False
        self._until_s = rng.expovariate(1 / free_s) if db else math.inf

    def db(self, at_s: float) -> float:
        """Loss at a time not before that of the last call."""
        while at_s >= self._until_s:
            self._blocked = not self._blocked
            self._until_s += self._rng.expovariate(1 / (self.blocked_s if self._blocked else self.free_s))
        return self.db_when_blocked if self._blocked else 0.0


@dataclass(slots=True, frozen=True)
class Surroundings:
    """What a kind of device has around it."""

    name: str
    walls_db: tuple[float, float] = (0.0, 0.0)
    """Between which the loss of its walls lies."""
    shadow_sigma_db: float = 0.0
    shadow_correlation_s: float = 86_400.0
    rice_k: float = 10.0
    coherence_s: float = 60.0
    blockage_db: float = 0.0
    free_s: float = 172_800.0
    blocked_s: float = 21_600.0


STATIC = Surroundings("static", (0.0, 10.0), 1.0, 86_400.0, rice_k=10.0, coherence_s=60.0)
"""A meter in a flat or on a pole: a little life around it."""
FADING = Surroundings("fading", (0.0, 10.0), 3.0, 21_600.0, rice_k=0.0, coherence_s=1.0)
"""No line of sight, traffic all around: Rayleigh fading."""
MOVING = Surroundings("moving", (0.0, 5.0), 7.0, 7_200.0, rice_k=1.0, coherence_s=0.05)
"""On a vehicle or in a pocket: another street every hour or two."""
BASEMENT = Surroundings("basement", (15.0, 25.0), 2.0, 43_200.0, rice_k=4.0, coherence_s=30.0, blockage_db=10.0)
"""Under a ceiling or a lid, now and then with a car on it."""
KINDS = (STATIC, FADING, MOVING, BASEMENT)
SURROUNDINGS = {kind.name: kind for kind in KINDS}


class Path:
    """The radio path between one device and one gateway, the same in both directions."""

    __slots__ = ("_blockage", "_fading", "_shadowing", "mean_gain_db")

    def __init__(self, mean_gain_db: float, surroundings: Surroundings, rng: Random, blockage: Blockage) -> None:
        self.mean_gain_db = mean_gain_db
        self._shadowing = Shadowing(surroundings.shadow_sigma_db, surroundings.shadow_correlation_s, rng)
        self._fading = Fading(surroundings.rice_k, surroundings.coherence_s, rng)
        self._blockage = blockage

    def gain_db(self, at_s: float) -> float:
        """At a time not before that of the last call."""
        return self.mean_gain_db + self._shadowing.db(at_s) + self._fading.db(at_s) - self._blockage.db(at_s)


def paths_of(
    distances_m: list[float], surroundings: Surroundings, rng: Random, loss: PathLoss = PathLoss()
) -> list[Path]:
    """The paths of one device to all gateways. Its walls and what blocks it are the same for all."""
    walls_db = rng.uniform(*surroundings.walls_db)
    blockage = Blockage(surroundings.blockage_db, surroundings.free_s, surroundings.blocked_s, rng)
    return [Path(-loss.db(distance_m) - walls_db, surroundings, rng, blockage) for distance_m in distances_m]


PERIODS_BEFORE = 5


class Paths:
    """The paths of one device to all gateways, as :func:`paths_of` makes them, in a few numbers: for many devices.

    All are asked for at once, so that one clock does for all of them.
    """

    __slots__ = ("_at_s", "_blockage", "_blocked_since_s", "_dice", "_levels", "surroundings")

    def __init__(self, mean_gains_db: Sequence[float], surroundings: Surroundings, dice: Random) -> None:
        self.surroundings = surroundings
        self._dice = dice
        self._blockage = (
            Blockage(surroundings.blockage_db, surroundings.free_s, surroundings.blocked_s, dice)
            if surroundings.blockage_db
            else None
        )
        self._blocked_since_s: float | None = None
        """Where the clock of what stands in the way begins: some of its periods before the first question."""
        scatter = math.sqrt(0.5 / (surroundings.rice_k + 1))
        self._at_s = 0.0
        self._levels = array("d")
        """Of each path: mean gain, shadowing, and both parts of the scattered signal."""
        for mean_db in mean_gains_db:
            shadow_db = dice.gauss(0, surroundings.shadow_sigma_db)
            self._levels.extend((mean_db, shadow_db, dice.gauss(0, scatter), dice.gauss(0, scatter)))

    @property
    def mean_gains_db(self) -> Sequence[float]:
        return self._levels[::4]

    def gains_db(self, at_s: float) -> list[float]:
        """At a time not before that of the last call; exact between two questions, however far apart."""
        around, levels, gauss = self.surroundings, self._levels, self._dice.gauss
        since_s, self._at_s = at_s - self._at_s, at_s
        shadow_kept = math.exp(-since_s / around.shadow_correlation_s)
        shadow_new = math.sqrt(1 - shadow_kept * shadow_kept) * around.shadow_sigma_db
        kept = math.exp(-since_s / around.coherence_s)
        new = math.sqrt((1 - kept * kept) * 0.5 / (around.rice_k + 1))
        steady = math.sqrt(around.rice_k / (around.rice_k + 1))
        if self._blocked_since_s is None:
            self._blocked_since_s = at_s - PERIODS_BEFORE * (around.free_s + around.blocked_s)
        blocked_db = self._blockage.db(at_s - self._blocked_since_s) if self._blockage is not None else 0.0
        gains = []
        for n in range(0, len(levels), 4):
            mean_db, shadow_db, i, q = levels[n : n + 4]
            if shadow_new:
                shadow_db = shadow_kept * shadow_db + gauss(0, shadow_new)
            if new:
                i, q = kept * i + gauss(0, new), kept * q + gauss(0, new)
            levels[n + 1], levels[n + 2], levels[n + 3] = shadow_db, i, q
            faded = 10 * math.log10(max(1e-12, (i + steady) ** 2 + q * q))
            gains.append(mean_db + shadow_db + faded - blocked_db)
        return gains
