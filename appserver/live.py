"""Live views: the network's frame log and events as server-sent events.

One :class:`Pump` follows the frame log while somebody watches and gives every watcher a bounded queue that drops the
oldest, so a slow browser delays nobody. Events are durable and have a cursor, so each of their readers follows them at
its own pace and loses none.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

from aiohttp import web

from appserver.api.problems import Problem
from appserver.auth.gate import find_identity
from appserver.services import SERVICES
from internalapi import messages as m
from internalapi.client import ApiError, NetworkClient, NetworkUnavailable

QUEUE_LENGTH = 500
MAX_STREAMS = 64
LONG_POLL_S = 10.0
RETRY_S = 2.0
HEARTBEAT_S = 4.0
PAGE = 500
LOOK_AGAIN_S = 0.5
SETTLED_AFTER_S = 15.0
UNSETTLED = frozenset({"", "accepted", "scheduled"})
"""Outcomes that are not the last word on a frame."""

Written = tuple[str, str]
"""Id and JSON text of one event."""


class Listener:
    """A watcher's queue of at most QUEUE_LENGTH items; ``dropped`` counts what did not fit."""

    def __init__(self) -> None:
        self.items: deque[m.FrameRecord] = deque(maxlen=QUEUE_LENGTH)
        self.dropped = 0
        self.away = False
        self.ready = asyncio.Event()

    def give(self, item: m.FrameRecord) -> None:
        """Append, dropping the oldest when there is no room."""
        if len(self.items) == QUEUE_LENGTH:
            self.dropped += 1
        self.items.append(item)
        self.ready.set()


class Pump:
    """Follows the frame log while there is a listener. A frame comes again when its outcome has changed."""

    def __init__(self, network: NetworkClient) -> None:
        self._network = network
        self._listeners: set[Listener] = set()
        self._task: asyncio.Task[None] | None = None
        self._open: dict[int, tuple[m.FrameRecord, float]] = {}

    @contextmanager
    def listen(self) -> Iterator[Listener]:
        """A queue that fills as long as the context lasts."""
        listener = Listener()
        self._listeners.add(listener)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._follow(), name="frame log follower")
        try:
            yield listener
        finally:
            self._listeners.discard(listener)
            if not self._listeners and self._task is not None:
                self._task.cancel()
                self._task = None
                self._open.clear()

    async def _follow(self) -> None:
        cursor: int | None = None
        while True:
            try:
                if cursor is None:
                    newest = await self._network.frames(limit=1)
                    cursor = newest.items[0].id if newest.items else 0
                wait_s = LOOK_AGAIN_S if self._open else LONG_POLL_S
                page = await self._network.frames(after=cursor, limit=PAGE, wait_s=wait_s)
                changed = await self._look_again()
            except (NetworkUnavailable, ApiError):
                self._mark_away(True)
                await asyncio.sleep(RETRY_S)
                continue
            self._mark_away(False)
            for item in page.items:
                cursor = max(cursor, item.id)
                self._watch(item)
            for item in (*page.items, *changed):
                for listener in self._listeners:
                    listener.give(item)

    def _watch(self, item: m.FrameRecord) -> None:
        """Remember a frame whose way is not over, as long as it may still change."""
        now = asyncio.get_running_loop().time()
        for key in [key for key, (_, since) in self._open.items() if now - since > SETTLED_AFTER_S]:
            del self._open[key]
        if item.outcome in UNSETTLED:
            self._open[item.id] = (item, now)

    async def _look_again(self) -> list[m.FrameRecord]:
        """Frames that were given out already and have changed since: more gateways, handed over, sent, failed."""
        if not self._open:
            return []
        page = await self._network.frames(after=min(self._open) - 1, limit=PAGE)
        changed = []
        for item in page.items:
            known = self._open.get(item.id)
            if known is None:
                continue
            if item != known[0]:
                changed.append(item)
                self._open[item.id] = (item, known[1])
            if item.outcome not in UNSETTLED:
                del self._open[item.id]
        return changed

    def _mark_away(self, away: bool) -> None:
        for listener in self._listeners:
            if listener.away != away:
                listener.away = away
                listener.ready.set()


class Live:
    """All open streams of this process."""

    def __init__(self, network: NetworkClient) -> None:
        self.frames = Pump(network)
        self._streams: set[asyncio.Task[Any]] = set()

    @contextmanager
    def place(self) -> Iterator[None]:
        """Take one of the MAX_STREAMS places; 503 when there is none."""
        if len(self._streams) >= MAX_STREAMS:
            raise Problem(503, "Too many live views are open; close one and try again.", headers={"Retry-After": "30"})
        task = asyncio.current_task()
        assert task is not None
        self._streams.add(task)
        try:
            yield
        finally:
            self._streams.discard(task)

    async def close(self) -> None:
        """End every stream."""
        for task in list(self._streams):
            task.cancel()
        await asyncio.gather(*self._streams, return_exceptions=True)


def sse(event: str, data: str, key: str = "") -> bytes:
    """One server-sent event; ``data`` has no line breaks."""
    head = f"id: {key}\n" if key else ""
    return f"{head}event: {event}\ndata: {data}\n\n".encode("utf-8", "replace")


async def _open(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(
        headers={
            "Content-Type": "text/event-stream; charset=utf-8",
            "Cache-Control": "no-store",
            "X-Accel-Buffering": "no",
        }
    )
    await response.prepare(request)
    await response.write(b"retry: 3000\n\n")
    return response


async def _send(request: web.Request, pieces: AsyncIterator[bytes]) -> web.StreamResponse:
    """Write ``pieces`` until the browser goes away; an empty piece is a heartbeat. Rights are looked at again."""
    response = await _open(request)
    loop = asyncio.get_running_loop()
    checked = loop.time()
    with contextlib.suppress(ConnectionError):
        async for piece in pieces:
            if loop.time() - checked >= HEARTBEAT_S:
                if await find_identity(request, touch=False) is None:
                    break
                checked = loop.time()
            await response.write(piece or b": still here\n\n")
    return response


async def stream(
    request: web.Request,
    pump: Pump,
    wanted: Callable[[m.FrameRecord], bool],
    write: Callable[[m.FrameRecord], Written],
    event: str,
) -> web.StreamResponse:
    """Send what the pump brings and ``wanted`` lets through."""

    async def pieces(listener: Listener) -> AsyncIterator[bytes]:
        away: bool | None = None
        while True:
            if listener.away != away:
                away = listener.away
                yield sse("network", "away" if away else "here")
            if listener.dropped:
                yield sse("dropped", str(listener.dropped))
                listener.dropped = 0
            while listener.items:
                item = listener.items.popleft()
                if wanted(item):
                    key, data = write(item)
                    yield sse(event, data, key)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(listener.ready.wait(), HEARTBEAT_S)
            listener.ready.clear()
            yield b""

    live = request.app[SERVICES].live
    with live.place(), pump.listen() as listener:
        return await _send(request, pieces(listener))


async def stream_events(
    request: web.Request,
    network: NetworkClient,
    after: int,
    wanted: Callable[[m.Event], bool],
    write: Callable[[m.Event], Awaitable[Written]],
) -> web.StreamResponse:
    """Send all events after ``after`` that ``wanted`` lets through, at the reader's pace."""

    async def pieces() -> AsyncIterator[bytes]:
        cursor = after
        while True:
            try:
                result = await network.events(after=cursor, limit=200, wait_s=HEARTBEAT_S)
            except (NetworkUnavailable, ApiError):
                yield sse("network", "away")
                await asyncio.sleep(RETRY_S)
                continue
            for item in result.events:
                cursor = item.id
                if wanted(item):
                    key, data = await write(item)
                    yield sse(item.type, data, key)
            yield b""

    with request.app[SERVICES].live.place():
        return await _send(request, pieces())
