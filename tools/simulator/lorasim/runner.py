"""Runs a world against a real server: sockets, the clock and nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from lorasim.device import Device
from lorasim.gateway import Gateway
from lorasim.outbox import Message
from lorasim.recording import Observer, Recorder
from lorasim.scenario import Scenario
from lorasim.station import Station
from lorasim.station_link import StationLink
from lorasim.summary import Summary
from lorasim.world import Dialling, World

Progress = Callable[[Summary], None]


class _Socket(asyncio.DatagramProtocol):
    """One of a gateway's two sockets."""

    def __init__(self, simulation: Simulation, gateway_eui: int) -> None:
        self._simulation = simulation
        self._gateway_eui = gateway_eui

    def datagram_received(self, data: bytes, addr: tuple[str | object, int]) -> None:
        self._simulation.received(self._gateway_eui, data)

    def error_received(self, error: Exception) -> None:
        """Nobody listens at the moment: a gateway keeps sending."""


class Simulation:
    """A world wired to a server at ``(host, port)``; ``async with`` starts and stops it.

    Between the two, drivers look into :attr:`world` and change it through :meth:`send` and :meth:`act`.
    """

    def __init__(self, world: World, server: tuple[str, int]) -> None:
        self.world = world
        self.server = server
        self._sockets: dict[tuple[int, bool], asyncio.DatagramTransport] = {}
        self._links: dict[int, StationLink] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._changed = asyncio.Event()
        self._offset_us = 0

    def now_us(self) -> int:
        """Microseconds of UTC, never stepping back while the simulation runs."""
        return round(time.monotonic() * 1e6) + self._offset_us

    async def __aenter__(self) -> Simulation:
        loop = asyncio.get_running_loop()
        entries = {int(entry.eui, 16): entry.station for entry in self.world.scenario.gateways}
        for eui, gateway in self.world.gateways.items():
            if isinstance(gateway, Station):
                self._links[eui] = StationLink(eui, entries[eui], self)
                continue
            for pull in (False, True):
                transport, _ = await loop.create_datagram_endpoint(
                    lambda eui=eui: _Socket(self, eui),  # type: ignore[misc]
                    remote_addr=self.server,
                )
                self._sockets[eui, pull] = transport
        self._offset_us = now_us() - round(time.monotonic() * 1e6)
        self.world.start(self.now_us())
        self.wake()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._timer is not None:
            self._timer.cancel()
        for transport in self._sockets.values():
            transport.close()
        for link in self._links.values():
            await link.close()
        self.world.recorder.flush()

    def received(self, gateway_eui: int, data: bytes) -> None:
        self.world.receive(gateway_eui, data, self.now_us())
        self.wake()

    def station_connected(self, gateway_eui: int) -> None:
        self.world.connected(gateway_eui, self.now_us())
        self.wake()

    def station_disconnected(self, gateway_eui: int, why: str) -> None:
        self.world.disconnected(gateway_eui, why, self.now_us())
        self.wake()

    def wake(self) -> None:
        """Handle what is due, send what wants to leave, and set the next alarm."""
        world = self.world
        now = self.now_us()
        world.handle_timer(now)
        while (outgoing := world.next_datagram()) is not None:
            link = self._links.get(outgoing.gateway_eui)
            if isinstance(outgoing, Dialling):
                self._links[outgoing.gateway_eui].dial(outgoing.uri)
                continue
            if link is not None:
                link.send(outgoing.data)
                continue
            with contextlib.suppress(OSError):
                self._sockets[outgoing.gateway_eui, outgoing.pull].sendto(outgoing.data)
        if self._timer is not None:
            self._timer.cancel()
        due = world.timer()
        if due is not None:
            delay_s = max(0.0, (due - self.now_us()) / 1e6)
            self._timer = asyncio.get_running_loop().call_later(delay_s, self.wake)
        self._changed.set()

    def send(self, dev_eui: int, message: Message) -> None:
        """Give a device a payload now."""
        self.world.handle_timer(self.now_us())
        self.world.send(dev_eui, message)
        self.wake()

    def act(self, actor: Device | Gateway | Station, action: Callable[[int], None]) -> None:
        """Do something to a device or gateway now: ``simulation.act(gateway, gateway.restart)``."""
        self.world.handle_timer(self.now_us())
        self.world.act(actor, action)
        self.wake()

    async def until(self, condition: Callable[[World], bool], timeout_s: float) -> None:
        """Wait for a condition on the world. Raises TimeoutError."""
        async with asyncio.timeout(timeout_s):
            while not condition(self.world):
                self._changed.clear()
                await self._changed.wait()


def now_us() -> int:
    """Microseconds since 1970 by the wall clock."""
    return time.time_ns() // 1000


async def run(
    scenario: Scenario,
    server: tuple[str, int],
    seed: int | None = None,
    speed: float | None = None,
    duration_s: float | None = None,
    progress: Progress | None = None,
    recording: str | Path | None = None,
    observers: Sequence[Observer] = (),
    stop: asyncio.Event | None = None,
) -> Summary:
    """Run a scenario over UDP and say what happened.

    ``duration_s``: real seconds; None runs until the house's meters have caught up with the present; without a house as
    long as the scenario says, or for ever. ``progress`` is called once a second. ``recording``: path of a JSONL file;
    ``observers`` see its lines as they are written. ``stop`` ends the run when it is set. Raises
    :class:`~lorasim.scenario.ScenarioError`; OSError when the server's name cannot be resolved.
    """
    catches_up = scenario.house is not None and scenario.clock.days > 0
    if duration_s is None and not catches_up and scenario.clock.duration_s:
        duration_s = scenario.clock.duration_s
    with Recorder(recording) as recorder:
        recorder.observers += observers
        world = World(scenario, now_us(), seed, speed, recorder)
        async with Simulation(world, server) as simulation:
            stop = stop or asyncio.Event()
            while not (world.finished() if duration_s is None else world.snapshot().elapsed_s >= duration_s):
                left_s = 1.0 if duration_s is None else duration_s - world.snapshot().elapsed_s
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(max(0.01, min(1.0, left_s))):
                        await stop.wait()
                if stop.is_set():
                    break
                recorder.flush()
                simulation.wake()
                if progress is not None:
                    progress(world.snapshot())
        return world.snapshot()
