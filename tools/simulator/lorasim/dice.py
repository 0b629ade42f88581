"""Random numbers in eight bytes of state: a hundred thousand devices each have their own, and none disturbs another's.

SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014). Python's own generator
keeps 2.5 kB. The methods are those of :class:`random.Random` that the simulator uses.
"""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")
_MASK = (1 << 64) - 1


class Dice:
    """Seeded by a text, as ``random.Random(text)`` is."""

    __slots__ = ("_state",)

    def __init__(self, seed: str) -> None:
        self._state = int.from_bytes(hashlib.blake2b(seed.encode(), digest_size=8).digest(), "big")

    def _next(self) -> int:
        self._state = z = (self._state + 0x9E3779B97F4A7C15) & _MASK
        z = ((z ^ z >> 30) * 0xBF58476D1CE4E5B9) & _MASK
        z = ((z ^ z >> 27) * 0x94D049BB133111EB) & _MASK
        return z ^ z >> 31

    def random(self) -> float:
        """From 0 up to, without, 1."""
        return (self._next() >> 11) * 2.0**-53

    def uniform(self, low: float, high: float) -> float:
        return low + (high - low) * self.random()

    def randrange(self, start: int, stop: int | None = None) -> int:
        if stop is None:
            start, stop = 0, start
        return start + self._next() * (stop - start) // (_MASK + 1)

    def choice(self, values: Sequence[T]) -> T:
        return values[self.randrange(len(values))]

    def gauss(self, mean: float, sigma: float) -> float:
        """Box and Muller's cosine; the sine is thrown away, for there is no room to keep it."""
        radius = math.sqrt(-2.0 * math.log(1.0 - self.random()))
        return mean + sigma * radius * math.cos(2.0 * math.pi * self.random())

    def expovariate(self, rate: float) -> float:
        return -math.log(1.0 - self.random()) / rate


Random = random.Random | Dice
"""Whatever rolls."""
