"""JSON over HTTP, as far as adapters need it."""

from __future__ import annotations

from typing import Any

import aiohttp

from lorasim.conformance.adapters import AdapterError


class Rest:
    """An API below ``base``; ``header`` carries the token."""

    def __init__(self, base: str, token: str, header: str = "Authorization", scheme: str = "Bearer ") -> None:
        self._base = base.rstrip("/")
        self._headers = {header: f"{scheme}{token}"}
        self._http: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        self._http = aiohttp.ClientSession(headers=self._headers, timeout=aiohttp.ClientTimeout(total=30))

    async def close(self) -> None:
        if self._http is not None:
            await self._http.close()

    async def ask(self, method: str, path: str, body: Any = None, fine: tuple[int, ...] = ()) -> Any:
        """The answer's JSON; None for a status in ``fine``. Raises AdapterError for other errors."""
        assert self._http is not None
        try:
            async with self._http.request(method, self._base + path, json=body) as answer:
                if answer.status in fine:
                    return None
                if answer.status >= 400:
                    text = (await answer.text())[:300]
                    raise AdapterError(f"{method} {self._base}{path}: {answer.status} {text}")
                return await answer.json() if answer.content_length != 0 and answer.status != 204 else None
        except (aiohttp.ClientError, TimeoutError) as error:
            raise AdapterError(f"{method} {self._base}{path}: {type(error).__name__} {error}") from error
