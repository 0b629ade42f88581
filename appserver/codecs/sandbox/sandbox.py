"""A pool of processes that run scripts, and the watch over them.

A process that uses more time than a call may is killed, and the next one is started before it is needed. The time is the
process's own CPU time, so that a busy machine interrupts no good script. A script that overran is not asked for a while:
its frames stay undecoded and say so, and no other codec waits for it.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import structlog

from appserver.codecs.base import CodecError, CommandError

log = structlog.get_logger("scripts")

WORKER = Path(__file__).with_name("worker.py")
HEAD = struct.Struct(">I")
MAX_DEPTH = 16
MAX_DOWNLINK = 242
PAUSE_S, LONGEST_PAUSE_S = 2.0, 600.0
LOOK_S = 0.02
START_S = 20.0


@dataclass(frozen=True, slots=True)
class Limits:
    """What a call may take."""

    cpu_s: float = 0.1
    wall_s: float = 5.0
    """Only a process that hangs without working, or a machine that stands still, comes to this."""
    memory_bytes: int = 64 * 1024 * 1024
    """Address space beyond what the process has before it runs scripts."""
    script_bytes: int = 32 * 1024 * 1024
    """What the interpreter itself gives a script."""
    output_bytes: int = 64 * 1024

    def for_worker(self) -> str:
        """The limits as the process reads them."""
        return json.dumps(asdict(self))


class Overrun(Exception):
    """The process was killed, or died."""


class _Worker:
    """One process."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._process = subprocess.Popen(
            [sys.executable, "-I", str(WORKER), limits.for_worker()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env={},
            bufsize=0,
            close_fds=True,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._in, self._out = self._process.stdin.fileno(), self._process.stdout.fileno()
        os.set_blocking(self._in, False)
        self._ready = False

    @property
    def pid(self) -> int:
        return self._process.pid

    def _cpu_s(self) -> float:
        """CPU time of the process; the clock's number is made of its id (clock_getcpuclockid)."""
        try:
            return time.clock_gettime(~self._process.pid << 3 | 2)
        except OSError:
            return 0.0

    def _read(self, length: int, until: float, cpu_until: float) -> bytes:
        data = bytearray()
        while len(data) < length:
            if time.monotonic() > until:
                raise Overrun("the script did not answer in time")
            if not select.select([self._out], [], [], LOOK_S)[0]:
                if self._cpu_s() > cpu_until:
                    raise Overrun("the script used more time than it may")
                continue
            part = os.read(self._out, min(length - len(data), 65536))
            if not part:
                raise Overrun("the script brought its process down")
            data += part
        return bytes(data)

    def _answer(self, until: float, cpu_until: float) -> bytes:
        length = HEAD.unpack(self._read(HEAD.size, until, cpu_until))[0]
        if length > self._limits.output_bytes + 4096:
            raise Overrun(f"the script gave {length} bytes")
        return self._read(length, until, cpu_until)

    def wait_ready(self) -> None:
        """Until the process has given up what it does not need. Raises Overrun when it does not come to that."""
        if not self._ready:
            self._answer(time.monotonic() + START_S, float("inf"))
            self._ready = True

    def ask(self, request: bytes) -> bytes:
        """One call. Raises Overrun; the process must not be asked again then."""
        self.wait_ready()
        until = time.monotonic() + self._limits.wall_s
        # The interpreter's own limit comes first; ours is for what it does not see.
        cpu_until = self._cpu_s() + 1.5 * self._limits.cpu_s + 0.02
        data = HEAD.pack(len(request)) + request
        while data:
            if time.monotonic() > until:
                raise Overrun("the script's process does not listen")
            if select.select([], [self._in], [], LOOK_S)[1]:
                try:
                    data = data[os.write(self._in, data) :]
                except BlockingIOError:
                    continue
                except BrokenPipeError:
                    raise Overrun("the script's process is gone") from None
        return self._answer(until, cpu_until)

    def kill(self) -> None:
        """End the process at once."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        self._process.wait()


@dataclass(slots=True)
class _Pause:
    """A script that overran."""

    until: float
    times: int
    reason: str


class Sandbox:
    """Runs scripts in ``workers`` processes. Calls may come from any thread."""

    def __init__(
        self, limits: Limits | None = None, workers: int = 2, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._limits = limits or Limits()
        self._workers = workers
        self._clock = clock
        self._idle: list[_Worker] = []
        self._lock = threading.Lock()
        self._free = threading.BoundedSemaphore(workers)
        self._pauses: dict[str, _Pause] = {}
        self._closed = False
        self.restarts = 0

    def close(self) -> None:
        """End all processes."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for worker in idle:
            worker.kill()

    @property
    def pids(self) -> list[int]:
        """Processes that wait for work."""
        with self._lock:
            return [worker.pid for worker in self._idle]

    def start(self) -> None:
        """Start the processes before they are needed."""
        with self._lock:
            missing = 0 if self._closed else self._workers - len(self._idle)
            self._idle += [_Worker(self._limits) for _ in range(missing)]

    def _borrow(self) -> _Worker:
        with self._lock:
            if self._closed:
                raise Overrun("scripts are not run any more: the program stops")
            if self._idle:
                return self._idle.pop()
        return _Worker(self._limits)

    def _give_back(self, worker: _Worker) -> None:
        with self._lock:
            if not self._closed:
                self._idle.append(worker)
                return
        worker.kill()

    def _replace(self, worker: _Worker) -> None:
        worker.kill()
        self.restarts += 1
        with self._lock:
            if not self._closed:
                self._idle.append(_Worker(self._limits))

    def _call(self, script: str, digest: str, given: dict[str, Any]) -> dict[str, Any]:
        """What the script gives. Raises CodecError."""
        pause = self._pauses.get(digest)
        if pause is not None and self._clock() < pause.until:
            raise CodecError(f"the script overran ({pause.reason}) and is not asked for a while; decode again later")
        request = json.dumps({"script": script, "input": given}).encode()
        with self._free:
            try:
                worker = self._borrow()
            except Overrun as overrun:
                raise CodecError(str(overrun)) from None
            try:
                answer = worker.ask(request)
            except Overrun as overrun:
                self._replace(worker)
                self._overran(digest, str(overrun))
                raise CodecError(str(overrun)) from None
            except BaseException:
                self._replace(worker)
                raise
            self._give_back(worker)
        told = _read_json(answer)
        error = told.get("error")
        if isinstance(error, str):
            if "interrupted" in error or "out of memory" in error or "MemoryError" in error:
                self._overran(digest, error)
            raise CodecError(f"the script failed: {error}")
        if "missing" in told:
            raise CodecError(f"the script has no function {told['missing']}")
        if "promise" in told:
            raise CodecError("the script gave a promise; it must answer at once")
        self._pauses.pop(digest, None)
        result = told.get("result")
        if not isinstance(result, dict):
            raise CodecError("the script gave no object with data")
        errors = result.get("errors")
        if isinstance(errors, list) and errors:
            raise CodecError("the script refuses it: " + "; ".join(str(item)[:100] for item in errors[:5]))
        return result

    def _overran(self, digest: str, reason: str) -> None:
        times = self._pauses[digest].times + 1 if digest in self._pauses else 1
        pause_s = min(PAUSE_S * 2 ** (times - 1), LONGEST_PAUSE_S)
        self._pauses[digest] = _Pause(self._clock() + pause_s, times, reason[:100])
        log.warning("a script overran", script=digest, reason=reason[:200], times=times, pause_s=pause_s)

    def decode(
        self, script: str, digest: str, f_port: int, data: bytes, received_at_us: int, variables: dict[str, str]
    ) -> dict[str, Any]:
        """The values of the script's ``data``, numbers with a point as Decimal. Raises CodecError."""
        given = {"bytes": list(data), "fPort": f_port, "recvTime": received_at_us // 1000, "variables": variables}
        values = self._call(script, digest, given).get("data")
        if not isinstance(values, dict):
            raise CodecError("the script gave no data")
        return values

    def encode(
        self, script: str, digest: str, command: dict[str, Any], variables: dict[str, str]
    ) -> tuple[int | None, bytes]:
        """The port (None: the script tells none) and the bytes of a downlink. Raises CommandError."""
        given = {"encode": True, "data": command, "bytes": [], "fPort": 1, "variables": variables}
        try:
            result = self._call(script, digest, given)
        except CodecError as error:
            raise CommandError(error.reason) from None
        port, raw = result.get("fPort"), result.get("bytes")
        bytes_ = raw if isinstance(raw, list) else []
        fits = all(isinstance(n, int) and not isinstance(n, bool) and -128 <= n <= 255 for n in bytes_)
        if not fits or not 0 < len(bytes_) <= MAX_DOWNLINK:
            raise CommandError(f"the script gave no list of 1 to {MAX_DOWNLINK} bytes")
        if port is not None and (isinstance(port, bool) or not isinstance(port, int) or not 1 <= port <= 223):
            raise CommandError("the script gave a port that is not from 1 to 223")
        return port, bytes(n & 255 for n in bytes_)


def _read_json(answer: bytes) -> dict[str, Any]:
    """An answer as plain values. Raises CodecError for what is not, or is nested too deeply."""
    try:
        told = json.loads(answer, parse_float=Decimal, parse_constant=lambda _: None)
    except (ValueError, RecursionError):
        raise CodecError("the script gave no JSON") from None
    if not isinstance(told, dict) or _depth(told) > MAX_DEPTH + 2:
        raise CodecError(f"the script gave values nested more than {MAX_DEPTH} deep")
    return _writable(told) if b"\\u" in answer else told  # type: ignore[no-any-return]


_UNWRITABLE = re.compile("[\x00\ud800-\udfff]")
"""What a text of JavaScript may hold and no database: NUL, halves of a character of UTF-16."""


def _writable(value: Any) -> Any:
    if isinstance(value, str):
        return _UNWRITABLE.sub("\ufffd", value)
    if isinstance(value, dict):
        return {_writable(key): _writable(item) for key, item in value.items()}
    return [_writable(item) for item in value] if isinstance(value, list) else value


def _depth(value: Any, limit: int = MAX_DEPTH + 3) -> int:
    if limit == 0:
        return 1
    if isinstance(value, dict):
        return 1 + max((_depth(item, limit - 1) for item in value.values()), default=0)
    if isinstance(value, list):
        return 1 + max((_depth(item, limit - 1) for item in value), default=0)
    return 0
