"""A battery that runs down: by each transmission, each pair of windows, and by sleeping."""

from __future__ import annotations

from lorasim.energy import VOLT, transmit_mj, windows_mj

HOUR_US = 3_600_000_000


class Battery:
    """``capacity_mah`` when new, of which ``sleep_ua`` flow always."""

    __slots__ = ("_full_mj", "_left_mj", "_seen_us", "_sleep_mw")

    def __init__(self, capacity_mah: float, sleep_ua: float, now: int) -> None:
        self._full_mj = self._left_mj = capacity_mah * VOLT * 3600
        self._sleep_mw = sleep_ua / 1000 * VOLT
        self._seen_us = now

    def transmitted(self, airtime_us: int, power_dbm: float, *windows: str) -> None:
        """A frame, and the windows behind it by their data rates."""
        self._left_mj -= transmit_mj(airtime_us, power_dbm) + windows_mj(*windows)

    def level(self, now: int) -> int:
        """What DevStatusAns tells: 1 (empty) to 254 (full)."""
        return max(1, min(254, round(254 * self._left(now) / self._full_mj)))

    def is_empty(self, now: int) -> bool:
        return self._left(now) <= 0

    def _left(self, now: int) -> float:
        self._left_mj -= self._sleep_mw * (now - self._seen_us) / 1e6
        self._seen_us = now
        return self._left_mj
