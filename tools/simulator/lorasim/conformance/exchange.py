"""One uplink and everything that comes down because of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from lorasim.conformance.verdicts import Failed, expect
from lorasim.radio import Downlink
from lorasim.session import Opened
from lorawan.commands import Command
from lorawan.frames import DataFrame

EXACT_US = 30
"""A gateway sends to within 20 µs of the time that it is told (TS001-1.0.4 §3.3); its counter has whole microseconds."""
GRACE_S = 0.35
"""So long after the last window a downlink is still waited for: a late one is a finding."""


@dataclass(slots=True, frozen=True)
class Window:
    """When and where the device listens."""

    name: str
    at_us: int
    frequency_hz: int
    datr: str

    def differs(self, downlink: Downlink) -> str:
        """What of a downlink does not fit this window; empty when all does."""
        off_us = downlink.start_us - self.at_us
        wrong = []
        if abs(off_us) > EXACT_US:
            wrong.append(f"{off_us / 1000:+.3f} ms away from {self.name}")
        if downlink.frequency_hz != self.frequency_hz:
            wrong.append(f"{self.name} is on {self.frequency_hz} Hz, not {downlink.frequency_hz}")
        if downlink.datr != self.datr:
            wrong.append(f"{self.name} is at {self.datr}, not {downlink.datr}")
        return "; ".join(wrong)

    def __str__(self) -> str:
        return f"{self.name} ({self.frequency_hz / 1e6:g} MHz, {self.datr})"


@dataclass(slots=True, frozen=True)
class Down:
    """A downlink that this device has received and understood."""

    radio: Downlink
    window: str
    frame: DataFrame
    opened: Opened
    commands: tuple[Command, ...]

    @property
    def data(self) -> bytes:
        """The application's payload."""
        return self.opened.payload if self.frame.f_port else b""

    def get(self, kind: type[Command]) -> Command | None:
        """The first command of a kind."""
        return next((one for one in self.commands if isinstance(one, kind)), None)


@dataclass(slots=True)
class Exchange:
    """See the module. Waiting methods raise :class:`Failed` for any downlink that broke a rule on its way."""

    phy: bytes
    end_us: int
    dr: int
    windows: list[Window]
    now_us: Callable[[], int]
    faults: list[str]
    """Of the device, shared by all its exchanges."""
    radios: list[Downlink] = field(default_factory=list)
    """Everything that gateways radiated and that was for this device, or may have been."""
    downs: list[Down] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def over_us(self) -> int:
        return max(window.at_us for window in self.windows)

    async def until(self, done: Callable[[], bool]) -> None:
        """Wait until then, but not beyond the last window."""
        end_us = self.over_us + round(GRACE_S * 1e6)
        while not done() and not self.faults and (left_us := end_us - self.now_us()) > 0:
            self.changed.clear()
            try:
                await asyncio.wait_for(self.changed.wait(), left_us / 1e6)
            except TimeoutError:
                break
        self.check()

    def check(self) -> None:
        """Raises :class:`Failed` when a downlink broke a rule."""
        if self.faults:
            raise Failed(self.faults[0])

    async def down(self, what: str = "an answer") -> Down:
        """The downlink of this uplink."""
        await self.until(lambda: bool(self.downs))
        windows = " nor in ".join(str(window) for window in self.windows)
        expect(self.downs, f"{what} is missing: nothing came in {windows}")
        return self.downs[0]

    async def settled(self) -> list[Down]:
        """All that came until the last window was over; at most one frame may."""
        await self.until(lambda: False)
        if len(self.radios) > 1:
            gateways = ", ".join(f"{one.gateway_eui:016x} at {one.start_us - self.end_us} µs" for one in self.radios)
            raise Failed(f"{len(self.radios)} frames were sent for one uplink: {gateways}")
        return self.downs

    async def silence(self, why: str) -> None:
        """Nothing may come."""
        await self.until(lambda: bool(self.radios))
        expect(not self.radios, f"a downlink came although {why}")
