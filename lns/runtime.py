"""The network process: the network server with its sockets, until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import sqlite3
from collections.abc import AsyncIterator, Callable
from typing import Any

import structlog

from lns.api.http import serve_http, serve_internal
from lns.clock import system_now
from lns.network import PACK_EVERY_S, Network, NotDurable
from lns.ports import JoinServerPort, KeyStorePort
from lns.settings import NetworkSettings
from lns.udp import UdpServer

PRUNE_EVERY_S = 3600.0
STALE_EVERY_S = 30.0
GC_THRESHOLDS = (1_000, 2_500, 100)
"""Few young objects at a time, a fraction of a millisecond, for no downlink waits for more. The generations behind them
seldom: frames make no cycles, and looking through all that lives stops the process for as long as there is of it."""

log = structlog.get_logger("network")


@contextlib.asynccontextmanager
async def running(
    settings: NetworkSettings,
    kek: bytes,
    token: str,
    join_server: JoinServerPort,
    key_store: KeyStorePort,
    restored: int = 0,
) -> AsyncIterator[Network]:
    """Everything of the network process, as a context: on leaving it is stopped and durable."""
    network = Network(settings, kek, join_server, key_store, restored)
    await network.start()
    # What was loaded stays: the collector need not walk a million sessions again and again.
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(network.stop)
        udp = UdpServer(network, settings.gateways.udp) if settings.gateways.udp.listen else None
        await stack.enter_async_context(serve_internal(network, token))
        if settings.http.listen:
            await stack.enter_async_context(serve_http(network, settings.http))
        if udp is not None:
            udp.start()
            stack.callback(udp.stop)
        mqtt = None
        if settings.gateways.mqtt.server:
            from lns.gateways.mqtt.client import MqttGateways  # paho and protobuf: 15 MB that others need not load

            mqtt = MqttGateways(network, settings.gateways.mqtt)
            mqtt.start()
            stack.push_async_callback(mqtt.stop)
        stations = None
        if settings.gateways.basicstation.listen:
            from lns.gateways.basicstation.server import StationServer

            stations = StationServer(network, settings.gateways.basicstation)
            await stations.start()
            stack.push_async_callback(stations.stop)
        network.spawn(_housekeeping(network))
        network.spawn(_packing(network))
        log.info(
            "network server is ready",
            udp=f"{udp.address[0]}:{udp.address[1]}" if udp is not None else "off",
            mqtt=mqtt.address if mqtt is not None else "off",
            basicstation=f"{stations.address[0]}:{stations.address[1]}" if stations is not None else "off",
            region=settings.region,
            devices=len(network.state.devices),
            sessions=len(network.state.sessions),
        )
        yield network


async def run(
    settings: NetworkSettings,
    kek: bytes,
    token: str,
    join_server: JoinServerPort,
    key_store: KeyStorePort,
    stop: asyncio.Event,
    ready: Callable[[], None] = lambda: None,
    restored: int = 0,
) -> None:
    """Serve until ``stop`` is set. Raises what made the store untrustworthy, if that happened."""
    async with running(settings, kek, token, join_server, key_store, restored) as network:
        ready()
        stopped = asyncio.ensure_future(stop.wait())
        waiting: set[asyncio.Future[Any]] = {stopped, network.failed}
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if network.failed.done():
            network.failed.result()


async def _housekeeping(network: Network) -> None:
    since_prune = PRUNE_EVERY_S
    while True:
        await asyncio.sleep(STALE_EVERY_S)
        now = system_now()
        for gateway in network.state.gateways:
            network.engine.gwmp.forget_stale(gateway, now)
        network.guarded(network.engine.keeper.tend, now)
        network.guarded(network.engine.expire_items, now)
        network.pump()
        since_prune += STALE_EVERY_S
        if since_prune >= PRUNE_EVERY_S and network.storage == "ok":
            since_prune = 0.0
            with contextlib.suppress(NotDurable):
                deleted = await network.prune(now)
                if deleted:
                    log.info(
                        "old blocks of frames deleted", blocks=deleted, older_than_days=network.settings.frame_log_days
                    )


async def _packing(network: Network) -> None:
    """Move settled frames into the frame log, again and again."""
    while True:
        await asyncio.sleep(PACK_EVERY_S)
        try:
            await network.pack(system_now())
        except NotDurable:
            pass  # told already
        except sqlite3.Error as error:
            log.warning("settled frames stay in the journal for now", why=str(error))
