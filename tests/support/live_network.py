"""The network process without its process: real asyncio, sockets, files and join server, on free ports."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from internalapi import messages as m
from internalapi.client import NetworkClient, socket_path
from joinserver.local import LocalJoinServer
from joinserver.server import JoinServer
from joinserver.store import JoinStore
from joinserver.values import DeviceKeys
from lns import runtime
from lns.clock import system_now
from lns.network import Network
from lns.ports import RootKeys
from lns.settings import NetworkSettings, parse_listen
from lorawan.backend import JoinAns, JoinReq
from lorawan.identifiers import EUI64
from tests.support.lab import KEK
from tests.support.node import Node, keys_1_0
from tests.support.ports import free_port

TOKEN = "test-token"
EUI = "70b3d50000000001"
KEYS = keys_1_0(1)


def settings_of(folder: Path, **fields: Any) -> NetworkSettings:
    port = free_port(socket.SOCK_DGRAM)
    values: dict[str, Any] = {"http": {"listen": ""}, "gateways": {"udp": {"listen": f"127.0.0.1:{port}"}}}
    return NetworkSettings(data_dir=folder, **(values | fields))


@contextlib.asynccontextmanager
async def server(folder: Path, **fields: Any) -> AsyncIterator[tuple[Network, NetworkClient, Forwarder]]:
    """The network process without its process."""
    joins = Joins(folder / "join.db")
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(joins.close)
        settings = settings_of(folder, **fields)
        network = await stack.enter_async_context(runtime.running(settings, KEK, TOKEN, joins, joins))
        client = await stack.enter_async_context(NetworkClient(socket_path(folder), TOKEN))
        forwarder = Forwarder(parse_listen(settings.gateways.udp.listen))
        stack.callback(forwarder.close)
        yield network, client, forwarder


class Joins:
    """``lns.ports.JoinServerPort`` and ``KeyStorePort`` on a join server of its own."""

    def __init__(self, path: Path) -> None:
        self._local = LocalJoinServer(JoinServer(JoinStore(path, KEK)), lambda: system_now().wall_us)
        self.close = self._local.close

    async def join(self, requests: Sequence[JoinReq]) -> Sequence[JoinAns]:
        return await self._local.join(requests)

    def holds_keys_of(self, join_eui: int) -> bool:
        return True

    async def put_keys(self, devices: Sequence[RootKeys], dry_run: bool = False) -> Sequence[str]:
        keys = [DeviceKeys(EUI64(one.dev_eui), EUI64(one.join_eui), one.app_key, one.nwk_key) for one in devices]
        now_us = system_now().wall_us
        result = await self._local.run(lambda server: server.put_devices(keys, now_us, dry_run=dry_run))
        return result.warnings

    async def delete_keys(self, dev_eui: int) -> None:
        now_us = system_now().wall_us
        await self._local.run(
            lambda server: server.delete_device(EUI64(dev_eui), who="test", why="asked for", now_us=now_us)
        )

    async def forget_nonces(self, dev_euis: Sequence[int], who: str) -> int:
        euis, now_us = [EUI64(dev_eui) for dev_eui in dev_euis], system_now().wall_us
        return await self._local.run(lambda server: server.forget_nonces(euis, who=who, why="asked for", now_us=now_us))


class Forwarder:
    """A packet forwarder on a real socket."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.connect(address)
        self._token = 0

    def send(self, identifier: int, body: bytes = b"") -> bytes:
        self._token += 1
        token = self._token.to_bytes(2, "big")
        self._socket.send(b"\x02" + token + bytes((identifier,)) + bytes.fromhex(EUI) + body)
        return token

    async def answer(self, timeout_s: float = 5.0) -> bytes:
        return await asyncio.wait_for(asyncio.get_running_loop().sock_recv(self._socket, 65_536), timeout_s)

    def answered(self) -> list[bytes]:
        """What lies in the socket now."""
        found = []
        with contextlib.suppress(BlockingIOError):
            while True:
                found.append(self._socket.recv(65_536))
        return found

    def close(self) -> None:
        self._socket.close()


async def registered(client: NetworkClient) -> Node:
    await client.gateway_put(gateway_eui=EUI)
    await client.profile_put(name="quiet", mac_version="1.0.3", dev_status_interval_s=0, adr="off")
    write = m.DeviceWrite("0000000000a00001", profile="quiet", activation="ABP")
    await client.devices_put(items=[write])
    await client.session_put(
        dev_eui=write.dev_eui,
        dev_addr="01000001",
        app_s_key=KEYS.app_s_key.hex(),
        nwk_s_key=KEYS.nwk_s_enc_key.hex(),
    )
    return Node(0x01000001, KEYS, 0, write.dev_eui)


def rxpk(phy: bytes, tmst: int = 1_000_000) -> bytes:
    entry = {"tmst": tmst, "freq": 868.9, "datr": "SF9BW125", "stat": 1, "rssi": -90, "lsnr": 5.0}
    return json.dumps({"rxpk": [entry | {"data": base64.b64encode(phy).decode()}]}).encode()


async def until(condition: Callable[[], Awaitable[bool]] | Callable[[], bool], timeout_s: float = 5.0) -> None:
    async with asyncio.timeout(timeout_s):
        while True:
            result = condition()
            if result if isinstance(result, bool) else await result:
                return
            await asyncio.sleep(0.005)
