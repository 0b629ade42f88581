"""A class A device's receiver: two windows behind each uplink, and what may be heard in them (TS001-1.0.4 §3.3)."""

from __future__ import annotations

from dataclasses import dataclass

from lorasim.radio import Downlink, preamble_us, same_channel

CLOCK_ERROR_US = 10_000
"""How early a device opens a window for its own clock's error."""

LATE_PREAMBLE_SYMBOLS = 3
"""Of eight preamble symbols a receiver needs five."""

BETWEEN_WINDOWS_US = 1_000_000


@dataclass(slots=True, frozen=True)
class Window:
    name: str
    at_us: int
    frequency_hz: int
    datr: str

    @property
    def tolerance_us(self) -> int:
        """How far from its time a frame may begin."""
        return CLOCK_ERROR_US + preamble_us(self.datr) * LATE_PREAMBLE_SYMBOLS // 8


class Receiver:
    """Closed, or with RX1 and RX2 pending, or locked onto a frame."""

    __slots__ = ("_locked", "_windows", "window")

    def __init__(self) -> None:
        self._windows: tuple[Window, ...] = ()
        self._locked: Downlink | None = None
        self.window = ""
        """Name of the window that heard the last frame."""

    @property
    def pending(self) -> bool:
        return bool(self._windows)

    @property
    def locked(self) -> bool:
        return self._locked is not None

    def open(self, rx1_at_us: int, rx1: tuple[int, str], rx2: tuple[int, str]) -> int:
        """Set the two windows, each a frequency and a data rate; when the second one is over."""
        last = Window("RX2", rx1_at_us + BETWEEN_WINDOWS_US, *rx2)
        self._windows = (Window("RX1", rx1_at_us, *rx1), last)
        self._locked = None
        return last.at_us + last.tolerance_us + 1

    def close(self) -> None:
        self._windows, self._locked = (), None

    def over(self, now: int) -> bool:
        """Whether the beginning of RX2 has passed."""
        return not self._windows or now >= self._windows[-1].at_us

    def detect(self, downlink: Downlink, now: int) -> str | None:
        """A preamble begins: lock onto it (None), or say why it goes unheard."""
        if not self._windows:
            return "asleep: no window is pending"
        if self._locked is not None:
            return "already receiving another frame"
        if not downlink.inverted:
            return "IQ is not inverted"
        reasons = []
        for window in self._windows:
            off_us = now - window.at_us
            if abs(off_us) > window.tolerance_us:
                reasons.append(f"{window.name} is {off_us / 1000:+.1f} ms away")
            elif not same_channel(downlink.frequency_hz, window.frequency_hz):
                reasons.append(f"{window.name} listens on {window.frequency_hz} Hz, not {downlink.frequency_hz}")
            elif downlink.datr != window.datr:
                reasons.append(f"{window.name} listens at {window.datr}, not {downlink.datr}")
            else:
                self._locked, self.window = downlink, window.name
                return None
        return "; ".join(reasons)

    def release(self, downlink: Downlink) -> bool:
        """A frame is complete; whether it is the one that was locked onto."""
        if self._locked is not downlink:
            return False
        self._locked = None
        return True
