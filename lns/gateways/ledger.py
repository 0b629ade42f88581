"""Airtime that a gateway has used in each duty-cycle sub-band over a sliding hour.

The limit is the regulator's and applies to each transmitter (for RU864: ГКРЧ decision 18-46-03-1, annex 12: 0.1 % in
864–865 MHz, 1 % in 866–868 MHz, 10 % in 868.7–869.2 MHz). Airtime is booked when a frame is handed to the gateway and given
back when the gateway says that it did not send it; a gateway that says nothing is taken to have sent it. What must outlive
the process is kept by :mod:`lns.gateways.airtime`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from enum import IntEnum
from typing import Protocol

HOUR_US = 3_600_000_000


class Priority(IntEnum):
    """What a frame is worth when airtime runs short."""

    ANSWER = 0
    """Join-accepts and acknowledgements: without them devices repeat themselves, and the crowd grows."""
    MAC = 1
    """MAC commands of the network server."""
    APPLICATION = 2
    """Items of the queue."""
    BULK = 3
    """Multicast, beacons, class C without haste: what may as well go an hour later."""


CEILINGS: dict[Priority, float] = {
    Priority.ANSWER: 1.00,
    Priority.MAC: 0.95,
    Priority.APPLICATION: 0.80,
    Priority.BULK: 0.70,
}
"""Up to which share of a budget a priority may use it: the rest is kept for those above."""


class SubBandLike(Protocol):
    @property
    def min_hz(self) -> int: ...
    @property
    def max_hz(self) -> int: ...
    @property
    def duty_cycle(self) -> float: ...


class _Account:
    """Bookings of one hour under one limit."""

    __slots__ = ("budget_us", "entries", "used_us")

    def __init__(self, budget_us: int | None) -> None:
        self.budget_us = budget_us
        """None: no limit."""
        self.entries: deque[tuple[int, int, int]] = deque()  # (start, airtime, booking)
        self.used_us = 0

    def left_us(self, now_us: int, priority: Priority) -> int:
        self.forget(now_us)
        return HOUR_US if self.budget_us is None else int(self.budget_us * CEILINGS[priority]) - self.used_us

    def add(self, start_us: int, airtime_us: int, booking: int) -> None:
        self.entries.append((start_us, airtime_us, booking))
        self.used_us += airtime_us

    def remove(self, booking: int) -> int:
        """Returns the airtime given back."""
        for entry in reversed(self.entries):
            if entry[2] == booking:
                self.entries.remove(entry)
                self.used_us -= entry[1]
                return entry[1]
        return 0

    def forget(self, now_us: int) -> None:
        entries = self.entries
        while entries and entries[0][0] + entries[0][1] <= now_us - HOUR_US:
            self.used_us -= entries.popleft()[1]


class DutyLedger:
    """Bookings of one gateway. Times are monotonic microseconds."""

    __slots__ = ("_all", "_bands", "_booking", "totals_us")

    def __init__(self, sub_bands: Iterable[SubBandLike]) -> None:
        self._bands: dict[SubBandLike, _Account] = {
            band: _Account(int(band.duty_cycle * HOUR_US)) for band in sub_bands
        }
        self._all = _Account(None)
        self._booking = 0
        self.totals_us: dict[int, int] = {}
        """Airtime ever booked here, by the lower edge of the sub-band (0: none), Hz; what was given back is taken off."""

    def limit_all(self, duty_cycle: float | None) -> None:
        """The operator's own limit, over all frequencies together; None is none."""
        self._all.budget_us = None if duty_cycle is None else int(duty_cycle * HOUR_US)

    def left_us(self, sub_band: SubBandLike | None, now_us: int, priority: Priority = Priority.ANSWER) -> int:
        """Airtime that a frame of this priority may still use in ``sub_band``, over the hour that ends at ``now_us``.

        No sub-band means that no limit but the operator's is known. Negative when others have used what is left to it.
        """
        left = self._all.left_us(now_us, priority)
        return left if sub_band is None else min(left, self._bands[sub_band].left_us(now_us, priority))

    def book(self, sub_band: SubBandLike | None, start_us: int, airtime_us: int, is_new: bool = True) -> int:
        """Enter a transmission (``is_new``: not of an earlier life). Returns the booking's number for :meth:`cancel`."""
        self._booking += 1
        for account in self._accounts(sub_band):
            account.add(start_us, airtime_us, self._booking)
        if is_new:
            self._count(sub_band, airtime_us)
        return self._booking

    def cancel(self, sub_band: SubBandLike | None, booking: int) -> None:
        """Take back a booking whose frame was not sent."""
        given_back = [account.remove(booking) for account in self._accounts(sub_band)]
        self._count(sub_band, -given_back[0])

    def usage(self, now_us: int) -> list[tuple[SubBandLike, int, int]]:
        """(sub-band, used, budget) in microseconds for each sub-band."""
        rows = []
        for sub_band, account in self._bands.items():
            account.forget(now_us)
            rows.append((sub_band, account.used_us, account.budget_us or 0))
        return rows

    def used_us(self, now_us: int) -> int:
        """Airtime of the hour that ends at ``now_us`` on all frequencies: so long the gateway has been deaf, too."""
        self._all.forget(now_us)
        return self._all.used_us

    def _accounts(self, sub_band: SubBandLike | None) -> Iterator[_Account]:
        yield self._all
        if sub_band is not None:
            yield self._bands[sub_band]

    def _count(self, sub_band: SubBandLike | None, airtime_us: int) -> None:
        edge_hz = 0 if sub_band is None else sub_band.min_hz
        self.totals_us[edge_hz] = self.totals_us.get(edge_hz, 0) + airtime_us
