"""Whether this machine was on time: windows are seconds, and what a busy machine misses is not the server's fault."""

from __future__ import annotations

import asyncio
from collections import deque

EVERY_S = 0.05
LATE_S = 0.25
"""A timer so late may have cost an answer its window: a server takes 0.2 s to gather copies, a gateway wants a frame early."""
KEPT = 10_000


class Punctual:
    """``async with``: watches the event loop by a timer that should ring often."""

    def __init__(self) -> None:
        self._late: deque[tuple[float, float]] = deque(maxlen=KEPT)
        """(when, how much) of every time that counts."""
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Punctual:
        self._task = asyncio.create_task(self._watch())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due_s = loop.time() + EVERY_S
            await asyncio.sleep(EVERY_S)
            self.rang(due_s, loop.time())

    def rang(self, due_s: float, now_s: float) -> None:
        """A timer that was due then rings now."""
        if now_s - due_s > LATE_S:
            self._late.append((now_s, now_s - due_s))

    def late_s(self, since_s: float) -> float:
        """The worst delay since a moment of the loop's clock; 0 when all was on time."""
        return max((late for at, late in self._late if at >= since_s), default=0.0)
