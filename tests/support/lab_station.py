"""A Basics Station in the laboratory: the real front and engine, the lab's clock, no socket."""

from __future__ import annotations

import heapq
import json
from typing import Any

from lns.gateways.basicstation.front import BasicStationFront
from lns.gateways.basicstation.link import Link, Peer
from lns.gateways.basicstation.router_config import Options
from tests.support.lab import Lab
from tests.support.station import Aired, StationState

STEP_US = 10_000
PING_US, SILENT_US = 20_000_000, 60_000_000


def front_of(lab: Lab, **options: Any) -> BasicStationFront:
    """The front on the lab's engine, as the server makes it."""
    state = lab.state
    return BasicStationFront(lab.engine, state.plan, state.extra_channels_hz, Options(**options), lab.wall_us)


class LabStation:
    """A station and both directions of its connection. ``delay_us``: one way."""

    def __init__(self, lab: Lab, front: BasicStationFront, eui: str, delay_us: int = 15_000, **state: Any) -> None:
        self.lab = lab
        self.front = front
        self.delay_us = delay_us
        self.state = StationState(eui, **state)
        self.boot_us = lab.mono_us - 5_000_000
        self.link: Link | None = None
        self.closed: list[str] = []
        self.pings: list[bytes] = []
        self.answers_pings = True
        self.reports = True
        self.before: list[Aired] = []
        """What was on the air before the last restart."""
        self._due: list[tuple[int, int, Any]] = []
        self._order = 0

    @property
    def us(self) -> int:
        """The concentrator's clock."""
        return self.lab.mono_us - self.boot_us

    @property
    def air(self) -> list[Aired]:
        return self.state.radio.air if self.state.radio is not None else []

    def connect(self, credential: str = "token 1") -> None:
        gateway = self.lab.state.gateways.get(int(self.state.eui, 16))
        assert gateway is not None
        peer = Peer("192.0.2.1:4711", credential, "TLSv1.3")
        assert self.front.may_connect(gateway, peer, self.lab.now, SILENT_US)
        self.link = self.front.connected(gateway, peer, self, self.lab.now)
        self._up(self.state.version())
        self.run(3 * self.delay_us)

    def restart(self, session: int) -> None:
        """The station's process starts anew: another concentrator session, its clock from zero, nothing queued."""
        if self.state.radio is not None:
            self.before += [one for one in self.state.radio.air if one.start_us <= self.us]
            self.state.radio = None
        self.boot_us = self.lab.mono_us
        self.state.session = session
        self._due.clear()

    def hear(self, phy: bytes, **fields: Any) -> None:
        """A frame ends now."""
        self._up(self.state.uplink(phy, self.us, self.us, **fields))

    def say(self, **message: Any) -> None:
        self._up(json.dumps(message))

    def run(self, us: int) -> None:
        """Let time go by for everybody."""
        until_us = self.lab.mono_us + us
        while True:
            timer_us = self.lab.engine.timer()
            due_us = self._due[0][0] if self._due else None
            next_us = min((time for time in (timer_us, due_us) if time is not None), default=until_us + 1)
            if next_us > until_us:
                break
            self.lab.advance(max(0, next_us - self.lab.mono_us))
            while self._due and self._due[0][0] <= self.lab.mono_us:
                heapq.heappop(self._due)[2]()
                self.lab.pump()
        self.lab.advance(max(0, until_us - self.lab.mono_us))

    def uplink(self, phy: bytes, run_us: int = 3_500_000, **fields: Any) -> list[Aired]:
        """Hear a frame and let the windows pass; what went on the air."""
        before = len(self.air)
        self.hear(phy, **fields)
        self.run(run_us)
        return self.air[before:]

    # What the front calls.

    def send(self, message: bytes) -> None:
        self._after(self.delay_us, lambda: self._take(json.loads(message)))

    def ping(self, payload: bytes) -> None:
        self.pings.append(payload)
        link = self.link
        if self.answers_pings and link is not None:
            self._after(2 * self.delay_us, lambda: self.front.pong(link, payload, self.lab.now))

    def close(self, why: str) -> None:
        self.closed.append(why)

    # Within.

    def _up(self, text: str) -> None:
        link = self.link
        assert link is not None
        self._after(self.delay_us, lambda: self.front.receive(link, text, self.lab.now))

    def _take(self, message: dict[str, Any]) -> None:
        aired = self.state.take(message, self.us)
        if aired is not None and self.reports:
            self._after(aired.start_us - self.us + 20_000, lambda: self._report(aired))

    def _report(self, aired: Aired) -> None:
        self._up(self.state.dntxed(aired))

    def _after(self, us: int, action: Any) -> None:
        self._order += 1
        heapq.heappush(self._due, (self.lab.mono_us + us, self._order, action))
