"""The join server as the network server sees it: in the same process, on a thread of its own."""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Callable, Sequence

from joinserver.backend.http import JoinHttpServer
from joinserver.client import JoinRouter
from joinserver.local import LocalJoinServer
from joinserver.server import JoinServer
from joinserver.settings import JoinServerSettings
from joinserver.store import JoinStore
from joinserver.values import DeviceKeys
from lns.ports import RootKeys
from lorawan.backend import JoinAns, JoinReq
from lorawan.errors import StateError
from lorawan.identifiers import EUI64, NetID
from meterwan.datadir import DataDir
from meterwan.errors import Failure
from meterwan.rotation import finish_rotation

BY_NETWORK = "network server"


class JoinRoom:
    """Joins and root keys of one data folder. Fills ``lns.ports.JoinServerPort`` and ``lns.ports.KeyStorePort``.

    Joins of devices whose JoinEUI belongs to somebody else's join server are asked there. With ``[joinserver.http]`` it
    also answers network servers of others. A context manager: on leaving, ``join.db`` is closed cleanly.
    """

    def __init__(
        self, server: JoinServer, clock: Callable[[], int], settings: JoinServerSettings, net_id: NetID
    ) -> None:
        self._local = LocalJoinServer(server, clock)
        self._clock = clock
        self._router = JoinRouter.of(self._local, settings, secrets.randbelow(1 << 31))
        self._http = JoinHttpServer(self._local, settings, net_id) if settings.http.listen else None

    async def __aenter__(self) -> JoinRoom:
        try:
            if self._http is not None:
                await self._http.start()
        except BaseException:
            await self._local.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        """Answer what waits, then close connections and the file."""
        if self._http is not None:
            await self._http.close()
        await self._router.close()
        await self._local.close()

    async def join(self, requests: Sequence[JoinReq]) -> Sequence[JoinAns]:
        """Answer join- and rejoin-requests; accepts are durable when this returns."""
        return await self._router.join(requests)

    def holds_keys_of(self, join_eui: int) -> bool:
        """Whether devices with this JoinEUI join here; False: an external join server has their keys."""
        return self._router.port_for(EUI64(join_eui)) is self._local

    async def put_keys(self, devices: Sequence[RootKeys], dry_run: bool = False) -> Sequence[str]:
        """Create or replace root keys, all or none; returns warnings. Raises StateError that names the device."""
        keys = [
            DeviceKeys(EUI64(device.dev_eui), EUI64(device.join_eui), device.app_key, device.nwk_key)
            for device in devices
            if device.app_key or device.nwk_key or self.holds_keys_of(device.join_eui)
        ]
        now_us = self._clock()
        result = await self._local.run(lambda server: server.put_devices(keys, now_us, dry_run=dry_run))
        return result.warnings

    async def delete_keys(self, dev_eui: int) -> None:
        """Forget a device's root keys and sessions; its nonces stay."""
        now_us = self._clock()
        await self._local.run(
            lambda server: server.delete_device(EUI64(dev_eui), who=BY_NETWORK, why="device deleted", now_us=now_us)
        )

    async def forget_nonces(self, dev_euis: Sequence[int], who: str) -> int:
        """Forget the DevNonces that these devices have used; returns for how many there were some."""
        euis = [EUI64(dev_eui) for dev_eui in dev_euis]
        now_us = self._clock()
        return await self._local.run(lambda server: server.forget_nonces(euis, who=who, why="asked for", now_us=now_us))


def open_join_room(data: DataDir, clock: Callable[[], int], settings: JoinServerSettings, net_id: NetID) -> JoinRoom:
    """Open ``join.db`` with the folder's key. After a restore every JoinNonce skips ahead.

    Raises Failure when the file, or the key for it, is not the right one.
    """
    finish_rotation(data, clock())
    try:
        store = JoinStore(data.path / "join.db", data.read_kek())
        if data.restored.exists():
            store.mark_restored(
                who="start",
                why="the data folder was restored from a backup",
                now_us=clock(),
                replaced_epoch=data.replaced_epoch(),
            )
    except (StateError, sqlite3.Error) as error:
        raise Failure(f"cannot open {data.path / 'join.db'}: {error}") from None
    return JoinRoom(JoinServer(store), clock, settings, net_id)
