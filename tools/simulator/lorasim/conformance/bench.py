"""Gateways on real sockets in real time, in lanes that do not hear each other."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from lorasim.conformance.ground import Ground
from lorasim.gateway import Gateway, GatewayConfig
from lorasim.radio import Datagram, Downlink, Note, Reception
from lorasim.station import Dial, Link, Station, StationConfig, Text
from lorasim.station_entry import StationEntry
from lorasim.station_link import StationLink

AnyGateway = Gateway | Station
FIRST_EUI = 0x0016C001FF0C0000
READY_S = 15.0
MOST_DBM = 27
"""What usual gateways are calibrated for: more than most regions allow, so that too much is really radiated."""


@dataclass(slots=True, frozen=True)
class Where:
    """How the server is reached."""

    udp: tuple[str, int]
    station: StationEntry | None = None
    """With an address: all gateways are Basics Stations."""


class _Socket(asyncio.DatagramProtocol):
    def __init__(self, line: Line) -> None:
        self._line = line

    def datagram_received(self, data: bytes, addr: tuple[str | object, int]) -> None:
        self._line.arrived(data)

    def error_received(self, error: Exception) -> None:
        """Nobody listens at the moment: a gateway keeps sending."""


class Line:
    """One gateway, its sockets and its timer."""

    def __init__(self, gateway: AnyGateway, lane: Lane, now_us: Callable[[], int]) -> None:
        self.gateway = gateway
        self.radiated: list[Downlink] = []
        """Everything that it has sent in this run."""
        self._lane = lane
        self._now_us = now_us
        self._sockets: dict[bool, asyncio.DatagramTransport] = {}
        self._link: StationLink | None = None
        self._timer: asyncio.TimerHandle | None = None

    @property
    def eui(self) -> int:
        return self.gateway.config.eui

    async def open(self, where: Where, token: str = "") -> None:
        """``token``: of this gateway alone, in place of the one for all."""
        if isinstance(self.gateway, Station):
            assert where.station is not None
            entry = replace(where.station, token=token) if token else where.station
            self._link = StationLink(self.eui, entry, self)
        else:
            loop = asyncio.get_running_loop()
            for pull in (False, True):
                transport, _ = await loop.create_datagram_endpoint(lambda: _Socket(self), remote_addr=where.udp)
                self._sockets[pull] = transport
        self.gateway.start(self._now_us())
        self.wake()

    async def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        for transport in self._sockets.values():
            transport.close()
        if self._link is not None:
            await self._link.close()

    def hear(self, reception: Reception) -> None:
        self.gateway.hear(reception, self._now_us())
        self.wake()

    def arrived(self, data: bytes) -> None:
        """A datagram or a message of the server."""
        self.gateway.receive(data, self._now_us())
        self.wake()

    def raw(self, datagram: bytes, pull: bool = False) -> None:
        """A datagram that no sound gateway would send."""
        self._sockets[pull].sendto(datagram)

    def wake(self) -> None:
        """Handle what is due, carry out what the gateway wants, set the next alarm."""
        self.gateway.handle_timer(self._now_us())
        while (effect := self.gateway.next_effect()) is not None:
            if isinstance(effect, Datagram):
                with contextlib.suppress(OSError):
                    self._sockets[effect.pull].sendto(effect.data)
            elif isinstance(effect, Downlink):
                self.radiated.append(effect)
                self._lane.radiated(effect)
            elif isinstance(effect, Note):
                self._lane.noted(self, effect)
            elif isinstance(effect, Text) and self._link is not None:
                self._link.send(effect.data)
            elif isinstance(effect, Dial) and self._link is not None:
                self._link.dial(effect.uri)
        if self._timer is not None:
            self._timer.cancel()
        due = self.gateway.timer()
        if due is not None:
            delay_s = max(0.0, (due - self._now_us()) / 1e6)
            self._timer = asyncio.get_running_loop().call_later(delay_s, self.wake)

    @property
    def ready(self) -> bool:
        return not isinstance(self.gateway, Station) or self.gateway.link is Link.RUNNING

    # What the link of a Basics Station tells.

    def received(self, gateway_eui: int, data: bytes) -> None:
        self.arrived(data)

    def station_connected(self, gateway_eui: int) -> None:
        assert isinstance(self.gateway, Station)
        self.gateway.connected(self._now_us())
        self.wake()

    def station_disconnected(self, gateway_eui: int, why: str) -> None:
        assert isinstance(self.gateway, Station)
        self.gateway.disconnected(why, self._now_us())
        self.wake()


@dataclass(slots=True)
class Lane:
    """Gateways that hear the same devices. Cases in one lane follow each other."""

    number: int
    lines: list[Line] = field(default_factory=list)
    on_downlink: list[Callable[[Downlink], None]] = field(default_factory=list)
    on_note: list[Callable[[Line, Note], None]] = field(default_factory=list)

    @property
    def gateways(self) -> list[AnyGateway]:
        return [line.gateway for line in self.lines]

    def radiated(self, downlink: Downlink) -> None:
        for listener in list(self.on_downlink):
            listener(downlink)

    def noted(self, line: Line, note: Note) -> None:
        for listener in list(self.on_note):
            listener(line, note)


class Bench:
    """``async with`` opens all lanes; ``euis`` are those of the gateways that the server must know."""

    def __init__(self, where: Where, ground: Ground, lanes: int, per_lane: int, seed: int) -> None:
        self._where = where
        self.ground = ground
        self.channels_hz = ground.channels_hz
        self._offset_us = time.time_ns() // 1000 - time.monotonic_ns() // 1000
        self.tokens: dict[int, str] = {}
        """Of stations, by EUI."""
        self.lanes = [Lane(number) for number in range(lanes)]
        for lane in self.lanes:
            for place in range(per_lane):
                eui = FIRST_EUI + (seed & 0xFF) * 0x100 + lane.number * per_lane + place
                lane.lines.append(Line(self._gateway(eui, place, seed), lane, self.now_us))

    def _gateway(self, eui: int, place: int, seed: int) -> AnyGateway:
        rng = random.Random(f"{seed}/conformance/{eui:x}")
        station = self._where.station
        if station is not None:
            return Station(StationConfig(eui, url=station.url, gps=True, reconnect_s=1.0), rng)
        forwarder = "1302" if place % 2 == 0 else "1301"
        return Gateway(self._config(eui, forwarder=forwarder), rng)

    def _config(self, eui: int, **more: Any) -> GatewayConfig:
        """A gateway that was built for the region: its frequencies, its powers."""
        plan = self.ground.plan
        low_hz, high_hz = plan.frequency_range_hz or (0, 1 << 32)
        powers = range(max(MOST_DBM, int(plan.max_eirp_dbm)) + 1)
        limits: dict[str, Any] = {"tx_min_hz": low_hz, "tx_max_hz": high_hz, "power_table_dbm": powers}
        return GatewayConfig(eui, channels_hz=self.channels_hz, gps=True, keepalive_s=5.0, **limits, **more)

    async def extra(self, lane: Lane, eui: int, **config: Any) -> Line:
        """One more gateway in a lane, with Semtech UDP; whoever asked for it closes it."""
        gateway = Gateway(self._config(eui, **config), random.Random(eui))
        line = Line(gateway, lane, self.now_us)
        lane.lines.append(line)
        await line.open(self._where)
        return line

    @property
    def euis(self) -> list[int]:
        return [line.eui for lane in self.lanes for line in lane.lines]

    def now_us(self) -> int:
        """Microseconds of UTC that never step back during a run."""
        return time.monotonic_ns() // 1000 + self._offset_us

    async def __aenter__(self) -> Bench:
        for lane in self.lanes:
            for line in lane.lines:
                await line.open(self._where, self.tokens.get(line.eui, ""))
        lines = [line for lane in self.lanes for line in lane.lines]
        end_s = time.monotonic() + READY_S
        while not all(line.ready for line in lines) and time.monotonic() < end_s:
            await asyncio.sleep(0.05)
        return self

    async def __aexit__(self, *_: object) -> None:
        for lane in self.lanes:
            for line in lane.lines:
                await line.close()
