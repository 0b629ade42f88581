"""GPS time of a gateway against the server's monotonic clock.

Beacons and ping slots are at GPS times, and only a gateway with a locked GPS can send at one. What tells it: the GPS time
that the gateway writes beside a frame (``tmms``; Basics Station: ``gpstime``). The wall clock of the server takes no part
but in a first check, so stepping it moves no ping slot.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from lorawan.gps import gps_to_utc_us

FRESH_US = 3_600_000_000
"""A gateway that has told no time for so long is not asked to send at one: without GPS its crystal drifts by 36 ms an hour."""
PLAUSIBLE_US = 300_000_000
"""A first GPS time further than this from the server's wall clock is not believed: receivers have come up 19 years off."""
STEADY_US = 2_000_000
"""A later time may differ from what the one before foretold by this much: the delay that the counter does not explain."""
_DRIFT_DIVISOR = 10_000
"""100 ppm: how far both clocks may run apart."""


class GpsState(StrEnum):
    """What is known of a gateway's GPS. The words are the API's."""

    NONE = "none"
    """It has never told a GPS time."""
    LOCKED = "locked"
    STALE = "stale"
    """It told one, and has told nothing for long."""
    LOST = "lost"
    """Its frames no longer carry the time, or it refused a frame because its GPS is not locked."""
    WRONG = "wrong"
    """It tells a time that cannot be."""


class GpsClock:
    """Maps a gateway's GPS time onto the server's monotonic clock. Microseconds everywhere.

    Delay only makes an arrival later, so the largest ``gps - arrival`` seen lately is nearest to the truth; it is let down
    slowly, as the clocks may drift. A frame that seems to be late by seconds is that, and is left out.
    """

    __slots__ = ("_at_us", "_is_known", "_offset_us", "_state", "off_us", "trusted")

    def __init__(self) -> None:
        self._state = GpsState.NONE
        self._offset_us = 0
        self._at_us = 0
        self._is_known = False
        """The offset was believable once: later times are held against it, and no more against the wall clock."""
        self.trusted = False
        """The last frame told a believable time: a frame without one is news."""
        self.off_us: int | None = None
        """How far the last GPS time was ahead of the server's wall clock (as UTC); None when none was told."""

    def observe(self, gps_us: int, heard_us: int, wall_us: int) -> None:
        """Take the GPS time of a frame whose reception ended at ``heard_us`` (monotonic) and arrived at ``wall_us``."""
        raw = gps_us - heard_us
        drift = max(0, heard_us - self._at_us) // _DRIFT_DIVISOR
        if self.is_locked(heard_us) and raw < self._offset_us - STEADY_US - drift:
            return  # a frame that was held up on its way tells nothing; a receiver that lost the date goes stale
        self.off_us = gps_to_utc_us(gps_us) - wall_us
        if self._is_known and abs(raw - self._offset_us) < STEADY_US + drift:
            self._offset_us = max(raw, self._offset_us - drift)
        elif abs(self.off_us) < PLAUSIBLE_US:
            self._offset_us = raw
        else:
            self._state, self.trusted = GpsState.WRONG, False
            return
        self._at_us = heard_us
        self._is_known = self.trusted = True
        self._state = GpsState.LOCKED

    def lost(self) -> None:
        """A frame came without GPS time, or the gateway answered GPS_UNLOCKED."""
        if self.trusted:
            self._state, self.trusted = GpsState.LOST, False

    def state(self, mono_us: int) -> GpsState:
        """What is known now."""
        if self._state is GpsState.LOCKED and mono_us - self._at_us > FRESH_US:
            return GpsState.STALE
        return self._state

    def is_locked(self, mono_us: int) -> bool:
        """True when the gateway may be asked to send at a GPS time."""
        return self._state is GpsState.LOCKED and mono_us - self._at_us <= FRESH_US

    def age_us(self, mono_us: int) -> int | None:
        """How long ago the last believed GPS time was told; None when none was."""
        return None if self._state in (GpsState.NONE, GpsState.WRONG) else mono_us - self._at_us

    def gps_us(self, mono_us: int) -> int:
        """GPS time at a moment of the server's clock. Only of use while :meth:`is_locked`."""
        return mono_us + self._offset_us

    def mono_us(self, gps_us: int) -> int:
        """The moment of the server's clock at a GPS time."""
        return gps_us - self._offset_us


def best_clock(clocks: Iterable[GpsClock], mono_us: int) -> GpsClock | None:
    """Of all gateways' clocks the one that the least delay lies before; None when no gateway has GPS time."""
    return max(
        (clock for clock in clocks if clock.is_locked(mono_us)), key=lambda clock: clock.gps_us(mono_us), default=None
    )
