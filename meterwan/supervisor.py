"""The supervisor: starts the processes of a server, starts them again when they die, and ends them together."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import structlog

from meterwan.datadir import DataDir
from meterwan.errors import Failure
from meterwan.notify import notify, watchdog_interval_s
from meterwan.processes import EXIT_CANNOT_START, LIFELINE

STOP_WITHIN_S = 10.0
PROBE_EVERY_S = 5.0
FIRST_PROBE_EVERY_S = 0.1

Probe = Callable[[], Awaitable[bool]]


@dataclass(slots=True)
class BackOff:
    """How long to wait before the next start: doubles with each death, starts anew after a healthy time.

    It never gets long: while the network process is away nobody hears the gateways.
    """

    first_s: float = 0.1
    most_s: float = 3.0
    healthy_s: float = 10.0
    _next_s: float = field(default=0.0, init=False)

    def died_after(self, lived_s: float) -> float:
        """A process died after ``lived_s``; returns the seconds to wait before it is started again."""
        if lived_s >= self.healthy_s or not self._next_s:
            self._next_s = self.first_s
        wait_s = self._next_s
        self._next_s = min(wait_s * 2, self.most_s)
        return wait_s


@dataclass(slots=True)
class Role:
    """One process to keep alive."""

    name: str
    command: list[str]
    probe: Probe
    back_off: BackOff
    process: asyncio.subprocess.Process | None = None
    ready: bool = False
    was_ready: bool = False
    starts: int = 0


class Supervisor:
    """Keeps the roles alive until :meth:`stop`. ``on_ready`` is called once, when all answered for the first time."""

    def __init__(self, data: DataDir, roles: list[Role], on_ready: Callable[[], None]) -> None:
        self._data = data
        self._roles = roles
        self._on_ready = on_ready
        self._stopping = asyncio.Event()
        self._failure: Failure | None = None
        self._log = structlog.get_logger("meterwan.supervisor")

    def stop(self) -> None:
        """Ask for the end; :meth:`run` then returns."""
        self._stopping.set()

    async def run(self) -> None:
        """Run until stopped. Raises Failure when a process cannot start at all."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        reading, writing = os.pipe()
        environment = {**os.environ, LIFELINE: str(reading)}
        environment.pop("NOTIFY_SOCKET", None)
        try:
            async with asyncio.TaskGroup() as tasks:
                for role in self._roles:
                    tasks.create_task(self._keep(role, environment, reading))
                tasks.create_task(self._watch())
        finally:
            os.close(writing)
            os.close(reading)
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)
        if self._failure:
            raise self._failure

    # ------------------------------------------------------------------------------------------- one process

    async def _keep(self, role: Role, environment: Mapping[str, str], lifeline: int) -> None:
        pid_file = self._data.pid_file(role.name)
        while not self._stopping.is_set():
            started = time.monotonic()
            role.process = await asyncio.create_subprocess_exec(
                *role.command, stdin=asyncio.subprocess.DEVNULL, env=environment, pass_fds=(lifeline,), process_group=0
            )
            role.starts += 1
            with contextlib.suppress(OSError):  # a full disk must not end the server
                pid_file.write_text(f"{role.process.pid}\n")
            self._log.info("process started", process=role.name, pid=role.process.pid, start=role.starts)
            code = await self._wait(role.process)
            role.process, role.ready = None, False
            with contextlib.suppress(OSError):
                pid_file.unlink()
            if self._stopping.is_set():
                return
            if code == EXIT_CANNOT_START and not role.was_ready:
                self._failure = Failure(f"the {role.name} process cannot start; its message stands above")
                self.stop()
                return
            wait_s = role.back_off.died_after(time.monotonic() - started)
            self._log.warning("process died", process=role.name, ended=describe_end(code), again_in_s=round(wait_s, 1))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), wait_s)

    async def _wait(self, process: asyncio.subprocess.Process) -> int:
        """Wait for the end of a process; when the server stops, ask it to end, and end it hard after a while."""
        ended = asyncio.create_task(process.wait())
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait({ended, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not ended.done():
                with contextlib.suppress(ProcessLookupError):
                    process.terminate()
                await asyncio.wait({ended}, timeout=STOP_WITHIN_S)
            if not ended.done():
                self._log.warning("process did not end in time and is killed", pid=process.pid)
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
            return await ended
        finally:
            stopping.cancel()

    # ------------------------------------------------------------------------------------------- all of them

    async def _watch(self) -> None:
        """Probe the processes, tell systemd, and notice when one stops answering."""
        told = False
        while not self._stopping.is_set():
            answers = await asyncio.gather(*(role.probe() for role in self._roles))
            for role, answer in zip(self._roles, answers, strict=True):
                well = answer and role.process is not None
                if role.ready and not well:
                    self._log.warning("process does not answer", process=role.name)
                if well and not role.ready:
                    self._log.info("process ready", process=role.name)
                role.ready = well
                role.was_ready |= well
            if all(role.ready for role in self._roles):
                if not told:
                    notify("READY=1\nSTATUS=serving")
                    self._on_ready()
                    told = True
                notify("WATCHDOG=1")
            every_s = min(PROBE_EVERY_S, watchdog_interval_s() or PROBE_EVERY_S) if told else FIRST_PROBE_EVERY_S
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), every_s)
        notify("STOPPING=1")

    def state(self) -> list[dict[str, Any]]:
        """One row a process, for people."""
        return [
            {"process": role.name, "pid": role.process.pid if role.process else None, "ready": role.ready}
            for role in self._roles
        ]


def describe_end(code: int) -> str:
    """An exit status in words."""
    if code >= 0:
        return f"exit status {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"
