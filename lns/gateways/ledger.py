"""Airtime that a gateway has used in each duty-cycle sub-band over a sliding hour.

The limit is the regulator's and applies to each transmitter (for RU864: ГКРЧ decision 18-46-03-1, annex 12: 0.1 % in
864–865 MHz, 1 % in 866–868 MHz, 10 % in 868.7–869.2 MHz). Airtime is booked when a frame is handed to the gateway and given
back when the gateway says that it did not send it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Protocol

HOUR_US = 3_600_000_000


class SubBandLike(Protocol):
    @property
    def min_hz(self) -> int: ...
    @property
    def max_hz(self) -> int: ...
    @property
    def duty_cycle(self) -> float: ...


class _Band:
    __slots__ = ("budget_us", "entries", "used_us")

    def __init__(self, duty_cycle: float) -> None:
        self.budget_us = int(duty_cycle * HOUR_US)
        self.entries: deque[tuple[int, int, int]] = deque()  # (start, airtime, booking)
        self.used_us = 0


class DutyLedger:
    """Bookings of one gateway. Times are monotonic microseconds."""

    __slots__ = ("_bands", "_booking")

    def __init__(self, sub_bands: Iterable[SubBandLike]) -> None:
        self._bands: dict[SubBandLike, _Band] = {band: _Band(band.duty_cycle) for band in sub_bands}
        self._booking = 0

    def left_us(self, sub_band: SubBandLike | None, now_us: int) -> int:
        """Airtime left in ``sub_band`` over the hour that ends at ``now_us``. No sub-band means no limit is known."""
        if sub_band is None:
            return HOUR_US
        band = self._bands[sub_band]
        self._forget(band, now_us)
        return band.budget_us - band.used_us

    def book(self, sub_band: SubBandLike | None, start_us: int, airtime_us: int) -> int:
        """Enter a transmission. Returns the booking's number for :meth:`cancel`."""
        self._booking += 1
        if sub_band is not None:
            band = self._bands[sub_band]
            band.entries.append((start_us, airtime_us, self._booking))
            band.used_us += airtime_us
        return self._booking

    def cancel(self, sub_band: SubBandLike | None, booking: int) -> None:
        """Take back a booking whose frame was not sent."""
        if sub_band is None:
            return
        band = self._bands[sub_band]
        for entry in band.entries:
            if entry[2] == booking:
                band.entries.remove(entry)
                band.used_us -= entry[1]
                return

    def usage(self, now_us: int) -> list[tuple[SubBandLike, int, int]]:
        """(sub-band, used, budget) in microseconds for each sub-band."""
        rows = []
        for sub_band, band in self._bands.items():
            self._forget(band, now_us)
            rows.append((sub_band, band.used_us, band.budget_us))
        return rows

    @staticmethod
    def _forget(band: _Band, now_us: int) -> None:
        entries = band.entries
        while entries and entries[0][0] + entries[0][1] <= now_us - HOUR_US:
            band.used_us -= entries.popleft()[1]
