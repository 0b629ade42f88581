"""The join server in the same process, on a thread of its own: the loop never waits for the disk."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from joinserver.server import JoinServer
from lorawan.backend import JoinAns, JoinReq

T = TypeVar("T")


@dataclass(slots=True)
class _Call:
    requests: Sequence[JoinReq]
    answers: asyncio.Future[list[JoinAns]]


class LocalJoinServer:
    """Gathers the joins that come while one batch is being written into the next batch, so a storm costs few commits.

    Belongs to one event loop. ``clock`` gives microseconds UTC.
    """

    def __init__(self, server: JoinServer, clock: Callable[[], int]) -> None:
        self._server = server
        self._clock = clock
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="joinserver")
        self._waiting: list[_Call] = []
        self._busy: asyncio.Task[None] | None = None

    async def join(self, requests: Sequence[JoinReq]) -> Sequence[JoinAns]:
        """Answer these requests in their order; each accept is durable when it is returned."""
        if not requests:
            return []
        call = _Call(requests, asyncio.get_running_loop().create_future())
        self._waiting.append(call)
        if self._busy is None:
            self._busy = asyncio.create_task(self._drain(), name="joinserver")
        return await call.answers

    async def run(self, work: Callable[[JoinServer], T]) -> T:
        """Do ``work`` with the join server on its thread, between two batches: ``run(lambda s: s.devices())``."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, self._server)

    async def close(self) -> None:
        """Answer what is waiting, close the file cleanly, end the thread."""
        if self._busy is not None:
            await self._busy
        await self.run(JoinServer.close)
        self._thread.shutdown()

    async def _drain(self) -> None:
        try:
            while self._waiting:
                calls, self._waiting = self._waiting, []
                await self._answer(calls)
        finally:
            self._busy = None

    async def _answer(self, calls: list[_Call]) -> None:
        requests = [request for call in calls for request in call.requests]
        now_us = self._clock()
        try:
            answers = await self.run(lambda server: server.join_many(requests, now_us))
        except Exception as error:
            for call in calls:
                if not call.answers.done():
                    call.answers.set_exception(error)
            return
        at = 0
        for call in calls:
            if not call.answers.done():  # its caller may have been cancelled meanwhile
                call.answers.set_result(answers[at : at + len(call.requests)])
            at += len(call.requests)
