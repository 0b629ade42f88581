"""The network server of a stopped data folder, opened for one command: the same methods, no sockets."""

from __future__ import annotations

from types import TracebackType
from typing import Any

from internalapi import messages as m
from internalapi.client import ApiError
from joinserver.settings import HttpSettings
from lns.api.errors import Refused
from lns.api.http import call
from lns.network import Network
from lorawan.identifiers import NetID
from meterwan import log
from meterwan.application import now_us
from meterwan.datadir import DataDir
from meterwan.joining import JoinRoom, open_join_room
from meterwan.settings import Settings


class OfflineNetwork:
    """Stands in for ``internalapi.client.NetworkClient`` while no server runs; an async context manager.

    Holds the locks of the server and of its network process, so none can start meanwhile. Raises Failure when one runs.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._data = DataDir(settings.data_dir)
        self._locks = (self._data.lock(), self._data.role_lock("network"))
        self._joins: JoinRoom
        self._network: Network

    async def __aenter__(self) -> OfflineNetwork:
        log.configure("offline", "error")
        for lock in self._locks:
            lock.acquire()
        self._data.create()
        settings = self._settings.for_network()
        silent = self._settings.joinserver.model_copy(update={"http": HttpSettings()})
        self._joins = await open_join_room(self._data, now_us, silent, NetID.parse(settings.net_id)).__aenter__()
        restored = self._data.restore_number()
        self._network = Network(settings, self._data.read_kek(), self._joins, self._joins, restored)
        await self._network.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._network.stop()
        await self._joins.__aexit__()
        for lock in self._locks:
            lock.release()

    async def call(self, method: str, request: Any) -> Any:
        """Call a method with its request struct. Raises ApiError as the client does."""
        try:
            return await call(self._network, method, request)
        except Refused as refused:
            raise ApiError(refused.status, refused.problem) from None

    def __getattr__(self, name: str) -> Any:
        if name not in m.METHODS:
            raise AttributeError(name)
        request_type = m.METHODS[name][0]

        async def method(**fields: Any) -> Any:
            return await self.call(name, request_type(**fields))

        return method
