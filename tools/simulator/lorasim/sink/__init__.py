"""The event sink: takes what a network server gives to applications, by webhook or MQTT, and writes it down for the checker.

A line of its file is ``{"t": …, "type": "event", "event": "up", "dev_eui": …, "f_cnt": …, …}``; ``t`` is when it came.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, TextIO
from urllib.parse import urlsplit

from lorasim.sink.formats import FormatError, Line, line_of

__all__ = ["Events", "FormatError", "Line", "Listening", "SinkError", "line_of", "listening", "read"]


class SinkError(OSError):
    """The sink cannot listen; the text says where and what to do."""


class Events:
    """Writes events as they come; without a path it keeps them in :attr:`lines`."""

    def __init__(self, path: str | Path | None, clock: Callable[[], int] = lambda: time.time_ns() // 1000) -> None:
        self._file: TextIO | None = None if path is None else Path(path).open("a", encoding="utf-8")  # noqa: SIM115
        self._clock = clock
        self.lines: list[Line] = []
        self.count = 0
        self.unread = 0
        """Bodies that could not be read; they are written down, too."""

    def take(self, body: bytes, event: str, way: str) -> None:
        """One event as it came; it is on the disk's way before this returns. Nothing that comes is an error."""
        head: Line = {"t": self._clock(), "type": "event"}
        try:
            line = head | line_of(body, event)
        except FormatError as error:
            self.unread += 1
            line = head | {"event": event or "unknown", "dev_eui": "", "unread": str(error), "body": body.hex()}
        line["way"] = way
        self.count += 1
        if self._file is None:
            self.lines.append(line)
        else:
            self._file.write(json.dumps(line, ensure_ascii=False) + "\n")
            self._file.flush()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


class Listening:
    """A sink that listens: its address for the server's settings, and what has come."""

    def __init__(self, address: str, events: Events) -> None:
        self.address = address
        self.events = events


@contextlib.asynccontextmanager
async def listening(url: str, path: str | Path | None = None) -> AsyncIterator[Listening]:
    """Listen at ``http://HOST:PORT/`` (port 0: a free one) or subscribe at ``mqtt://[USER:PASSWORD@]HOST[:PORT][/TOPIC]``.

    Events go into the file ``path``, behind what is there, or into memory. Raises :class:`SinkError`.
    """
    parts = urlsplit(url.replace("#", "%23"))  # in a topic it is a wildcard, not a fragment
    try:
        port = parts.port
    except ValueError as error:
        raise SinkError(f"--sink {url}: {error}") from error
    if parts.scheme not in ("http", "mqtt", "mqtts") or not parts.hostname:
        raise SinkError(f"--sink {url}: write http://HOST:PORT/ or mqtt://HOST:PORT/TOPIC")
    events = Events(path)
    try:
        if parts.scheme == "http":
            from lorasim.sink.webhook import serve

            async with serve(parts.hostname, port or 0, parts.path or "/", events.take) as address:
                yield Listening(address, events)
        else:
            from lorasim.sink.mqtt import subscribed

            async with subscribed(parts, events.take):
                yield Listening(url, events)
    finally:
        events.close()


def read(path: str | Path) -> list[Line]:
    """The lines of a file of events, in the order in which they came. A line cut off at the end is left out.

    Raises OSError, and ValueError when it is no such file.
    """
    lines = []
    with Path(path).open(encoding="utf-8") as file:
        for number, text in enumerate(file, 1):
            if not text.endswith("\n"):
                break
            line: Any = json.loads(text) if text.strip().startswith("{") else {}
            if line.get("type") != "event" or "event" not in line:
                raise ValueError(f"{path}, line {number}: not an event; write such a file with: lorasim sink")
            lines.append(line)
    return lines
