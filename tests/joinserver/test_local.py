"""The join server on its thread: batching, order, cancelled callers, failing storage."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from joinserver.local import LocalJoinServer
from joinserver.server import JoinServer
from joinserver.store import JoinStore
from lorawan.backend import JoinAns, JoinReq, ResultCode
from lorawan.identifiers import EUI64
from tests.support.joins import KEK, NOW_US, ask_for, keys_of
from tests.support.otaa_device import OtaaDevice


class Gated(JoinServer):
    """Holds every batch until it is let go, and writes down what came in it and on which thread."""

    def __init__(self, store: JoinStore) -> None:
        super().__init__(store)
        self.gate = threading.Event()
        self.batches: list[int] = []
        self.threads: set[str] = set()

    def join_many(self, requests: Sequence[JoinReq], now_us: int) -> list[JoinAns]:
        self.batches.append(len(requests))
        self.threads.add(threading.current_thread().name)
        assert self.gate.wait(10)
        return super().join_many(requests, now_us)


async def test_what_comes_during_a_commit_goes_into_the_next(path: Path) -> None:
    server = Gated(JoinStore(path, KEK))
    devices = [OtaaDevice(dev_eui=n) for n in range(20)]
    server.put_devices([keys_of(d) for d in devices], NOW_US)
    local = LocalJoinServer(server, lambda: NOW_US)
    calls = [asyncio.create_task(local.join([ask_for(d, d.join_request(n)) for n in (1, 2)])) for d in devices]
    while not server.batches:
        await asyncio.sleep(0)
    late = asyncio.create_task(local.join([ask_for(devices[0], devices[0].join_request(3))]))
    cancelled = asyncio.create_task(local.join([ask_for(devices[1], devices[1].join_request(3))]))
    await asyncio.sleep(0)
    cancelled.cancel()
    server.gate.set()
    for device, answers in zip(devices, await asyncio.gather(*calls), strict=True):
        assert [device.accept(a.phy_payload, n).join_nonce for a, n in zip(answers, (1, 2), strict=True)] == [1, 2]
    assert devices[0].accept((await late)[0].phy_payload, 3).join_nonce == 3
    assert sum(server.batches) == 42 and len(server.batches) <= 3
    assert server.threads == {"joinserver_0"}
    with pytest.raises(asyncio.CancelledError):
        await cancelled
    await local.close()


async def test_no_requests_no_work(path: Path) -> None:
    server = Gated(JoinStore(path, KEK))
    local = LocalJoinServer(server, lambda: NOW_US)
    assert await local.join([]) == []
    assert server.batches == []
    await local.close()


async def test_work_between_batches_and_a_clean_close(path: Path) -> None:
    device = OtaaDevice()
    local = LocalJoinServer(JoinServer(JoinStore(path, KEK)), lambda: NOW_US)
    await local.run(lambda s: s.put_devices([keys_of(device)], NOW_US))
    pending = asyncio.create_task(local.join([ask_for(device, device.join_request(1))]))
    await asyncio.sleep(0)
    await local.close()
    assert (await pending)[0].result is ResultCode.SUCCESS
    with JoinStore(path, KEK) as store:
        assert not store.unclean
        assert [i.dev_eui for i in store.devices()] == [EUI64(device.dev_eui)]


async def test_a_broken_server_fails_its_callers_and_works_on(path: Path) -> None:
    class Breaking(JoinServer):
        broken = True

        def join_many(self, requests: Sequence[JoinReq], now_us: int) -> list[JoinAns]:
            if self.broken:
                raise MemoryError("no room")
            return super().join_many(requests, now_us)

    device = OtaaDevice()
    server = Breaking(JoinStore(path, KEK))
    server.put_devices([keys_of(device)], NOW_US)
    local = LocalJoinServer(server, lambda: NOW_US)
    with pytest.raises(MemoryError):
        await local.join([ask_for(device, device.join_request(1))])
    server.broken = False
    assert (await local.join([ask_for(device, device.join_request(1))]))[0].result is ResultCode.SUCCESS
    await local.close()
