"""Virtual time: a world and a network server in one process, both on a counted clock that jumps from event to event.

No socket, no sleep, no wall clock: the same scenario and seed give the same run, byte for byte, as fast as the machine can.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Protocol
from zoneinfo import ZoneInfo

from lorasim.recording import Recorder
from lorasim.scenario import Scenario, ScenarioError
from lorasim.station import Station
from lorasim.summary import Summary
from lorasim.world import World

Progress = Callable[[Summary], None]

DEFAULT_START = "2026-01-12"
"""A Monday. Runs in virtual time do not depend on the day they are made."""
TOLD_EVERY_S = 1.0


class Server(Protocol):
    """A network server that speaks Semtech UDP without a socket. Times are microseconds of UTC and never go back."""

    def receive(self, gateway_eui: int, pull: bool, datagram: bytes, now_us: int) -> None:
        """A datagram has arrived from one of a gateway's two sockets."""

    def timer(self) -> int | None:
        """When :meth:`handle_timer` is to be called."""

    def handle_timer(self, now_us: int) -> None:
        """The time has come."""

    def next_datagram(self) -> tuple[int, bytes] | None:
        """The next datagram that leaves, and the gateway it is for."""

    def queue(self, dev_eui: int, f_port: int, data: bytes, confirmed: bool) -> None:
        """The application has a downlink for a device."""


def start_us_of(scenario: Scenario) -> int:
    """Local midnight of the scenario's first day. Raises :class:`ScenarioError`."""
    text = scenario.clock.start or DEFAULT_START
    try:
        day = datetime.fromisoformat(text)
    except ValueError:
        raise ScenarioError(f"clock.start: {text!r} is not a day such as 2026-01-12") from None
    return round(day.replace(tzinfo=ZoneInfo(scenario.clock.zone)).timestamp()) * 1_000_000


def world_of(
    scenario: Scenario, seed: int | None = None, speed: float | None = None, recorder: Recorder | None = None
) -> World:
    """The world of a scenario on a counted clock. Without ``speed`` its meters begin with the run and live in real time."""
    start_us = start_us_of(scenario)
    if speed is None:
        scenario, speed = replace(scenario, clock=replace(scenario.clock, days=0, lead_in_s=0.0)), 1.0
    return World(scenario, start_us, seed, speed, recorder or Recorder(None))


class VirtualRun:
    """A world and a server that share a clock; :meth:`until` lets it run."""

    def __init__(self, world: World, server: Server) -> None:
        if any(isinstance(gateway, Station) for gateway in world.gateways.values()):
            raise ScenarioError(
                "gateways: a Basics Station needs a connection; in virtual time there is Semtech UDP only"
            )
        self.world, self.server = world, server
        self.now_us = world.start_us
        world.queue_downlink = server.queue
        world.start(self.now_us)
        self._exchange()

    def until(self, end_us: int, progress: Progress | None = None) -> None:
        """Everything up to a moment, in the order of its time."""
        world, server, exchange = self.world, self.server, self._exchange
        told_s = time.monotonic()
        while True:
            of_world, of_server = world.timer(), server.timer()
            if of_server is not None and (of_world is None or of_server < of_world):
                if of_server > end_us:
                    break
                self.now_us = max(self.now_us, of_server)
                server.handle_timer(self.now_us)
            else:
                if of_world is None or of_world > end_us:
                    break
                self.now_us = max(self.now_us, of_world)
                world.handle_timer(self.now_us)
            exchange()
            if progress is not None and time.monotonic() - told_s >= TOLD_EVERY_S:
                told_s = time.monotonic()
                progress(world.snapshot())
        self.now_us = max(self.now_us, end_us)
        world.handle_timer(self.now_us)

    def _exchange(self) -> None:
        world, server, now = self.world, self.server, self.now_us
        while (outgoing := world.next_datagram()) is not None:
            server.receive(outgoing.gateway_eui, outgoing.pull, outgoing.data, now)
        while (answer := server.next_datagram()) is not None:
            world.receive(answer[0], answer[1], now)


def run(
    scenario: Scenario,
    make_server: Callable[[World], Server],
    seed: int | None = None,
    speed: float | None = None,
    duration_s: float | None = None,
    progress: Progress | None = None,
    recorder: Recorder | None = None,
) -> Summary:
    """Run a scenario and say what happened. ``make_server`` is given the world, whose devices the server must know.

    ``duration_s``: virtual seconds; None: the scenario's own duration, else its days. Raises :class:`ScenarioError`.
    """
    if duration_s is None:
        fast_s = scenario.clock.days * 86_400 / speed + scenario.clock.lead_in_s if speed else 0.0
        duration_s = scenario.clock.duration_s or fast_s or scenario.clock.days * 86_400.0
        if not duration_s:
            raise ScenarioError("clock.duration_s and clock.days are 0: say how long it lasts there, or by --duration")
    world = world_of(scenario, seed, speed, recorder)
    begin_us = world.start_us
    lab = VirtualRun(world, make_server(world))
    lab.until(begin_us + round(duration_s * 1e6), progress)
    summary = world.snapshot()
    summary.days = scenario.clock.days
    return summary
