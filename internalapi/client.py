"""Client of the internal API: one Unix socket, one token, typed methods."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from internalapi import messages as m


class ApiError(Exception):
    """The network process refused a request. ``status`` is the HTTP status, ``problem`` says why."""

    def __init__(self, status: int, problem: m.Problem) -> None:
        super().__init__(problem.detail)
        self.status = status
        self.problem = problem


class NetworkUnavailable(Exception):
    """The network process does not answer: it is stopped, starting, or being restarted."""


_DECODERS = {name: m.decoder(result) for name, (_, result) in m.METHODS.items()}
_PROBLEM = m.decoder(m.Problem)


class NetworkClient:
    """Calls the network process. Use as an async context manager, or call :meth:`close`.

    >>> async with NetworkClient(socket_path, token) as network:
    ...     page = await network.devices(limit=50)

    Each method of :data:`internalapi.messages.METHODS` is a method here that takes the request's fields as keywords.
    """

    def __init__(self, socket_path: Path, token: str, timeout_s: float = 30.0) -> None:
        self._path = socket_path
        self._token = token
        self._timeout = aiohttp.ClientTimeout(total=None, sock_connect=5.0, sock_read=timeout_s)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> NetworkClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def call(self, method: str, request: Any) -> Any:
        """Call ``method`` with its request struct; returns its result struct.

        Raises ApiError when the network process refuses, NetworkUnavailable when it does not answer.
        """
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.UnixConnector(path=str(self._path)),
                timeout=self._timeout,
                headers={"Authorization": f"Bearer {self._token}"},
            )
        try:
            async with self._session.post(f"http://network/internal/v1/{method}", data=m.encode(request)) as response:
                body = await response.read()
                status = response.status
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise NetworkUnavailable(f"the network process does not answer on {self._path}: {error}") from error
        if status != 200:
            try:
                problem = _PROBLEM.decode(body)
            except msgspec.MsgspecError:
                problem = m.Problem("unavailable", body[:200].decode("utf-8", "replace"))
            raise ApiError(status, problem)
        return _DECODERS[method].decode(body)

    def __getattr__(self, name: str) -> Any:
        if name not in m.METHODS:
            raise AttributeError(name)
        request_type = m.METHODS[name][0]

        async def method(**fields: Any) -> Any:
            return await self.call(name, request_type(**fields))

        return method


def socket_path(data_dir: Path) -> Path:
    """Where the network process of this data folder listens.

    A Unix socket's name is limited to about 107 bytes, so a deep data folder gets a short name in the temporary folder
    that depends on the folder's real path alone.
    """
    path = data_dir.resolve() / "network.sock"
    if len(os.fsencode(path)) <= 100:
        return path
    digest = hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"meterwan-{os.getuid()}-{digest}.sock"
