"""A running application process on a free port, with a network process in memory, and a program that talks to it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from appserver.main import Started, application
from appserver.services import Services
from appserver.settings import ApplicationSettings, HttpSettings
from tests.support.memory_network import NOW_US, MemoryNetwork
from tests.support.schema import empty_database


@dataclass
class Clock:
    """A clock that moves when it is told to."""

    us: int = NOW_US

    def __call__(self) -> int:
        return self.us

    def forward(self, seconds: float) -> None:
        self.us += int(seconds * 1_000_000)


@dataclass
class Answer:
    """An HTTP answer with its body read."""

    status: int
    headers: Any
    body: bytes
    url: str

    @property
    def json(self) -> Any:
        import json

        return json.loads(self.body)

    @property
    def text(self) -> str:
        return self.body.decode()


@dataclass
class Console:
    """The process and everything a test needs to talk to it."""

    url: str
    services: Services
    started: Started
    network: MemoryNetwork
    clock: Clock
    http: aiohttp.ClientSession
    port: int = 0
    tokens: dict[str, str] = field(default_factory=dict)

    async def ask(self, method: str, path: str, **arguments: Any) -> Answer:
        """One request, redirects not followed."""
        arguments.setdefault("allow_redirects", False)
        from yarl import URL

        async with self.http.request(method, URL(self.url + path, encoded=True), **arguments) as response:
            return Answer(response.status, response.headers, await response.read(), str(response.url))

    async def api(self, method: str, path: str, role: str = "admin", **arguments: Any) -> Answer:
        """One request of the API with a token of ``role``."""
        if role not in self.tokens:
            from appserver.auth.roles import Role

            _, self.tokens[role] = await self.services.auth.create_token(role, Role(role), None, None)
        headers = {"Authorization": f"Bearer {self.tokens[role]}"} | arguments.pop("headers", {})
        return await self.ask(method, "/api/v1" + path, headers=headers, **arguments)

    async def add_user(self, login: str, password: str, role: str = "admin", **fields: Any) -> int:
        """A user who may sign in at once."""
        from appserver.models import User

        user = User(
            login=login,
            password_hash=await self.services.passwords.hash(password),
            role=role,
            created_at_us=0,
            **fields,
        )
        return (await self.services.auth.create_user(user)).id or 0

    async def sign_in(self, login: str = "boss", password: str = "correct horse", role: str = "admin") -> None:
        """Make the user when there is none, and sign in by the form."""
        if await self.services.auth.user_by_login(login) is None:
            await self.add_user(login, password, role)
        answer = await self.ask("POST", "/sign-in", data={"login": login, "password": password})
        assert answer.status == 303, answer.text

    async def csrf(self) -> str:
        """The form token of the signed-in session."""
        found = re.search(r'name="csrf" content="([^"]+)"', (await self.ask("GET", "/profile")).text)
        assert found
        return found[1]

    async def post(self, path: str, **fields: str) -> Answer:
        """Send a form of the console."""
        return await self.ask("POST", path, data={"_csrf": await self.csrf(), **fields})


@asynccontextmanager
async def running_console(data_dir: Path, **http_settings: Any) -> AsyncIterator[Console]:
    """Start the process on a free port; passwords cost little here."""
    settings = ApplicationSettings(
        data_dir=data_dir,
        http=HttpSettings(listen="127.0.0.1:0", **http_settings),
        password_memory_kib=64,
        language="en",
    )
    if not (data_dir / "application.db").exists():
        data_dir.mkdir(parents=True, exist_ok=True)
        (data_dir / "application.db").write_bytes(empty_database())
    network, clock = MemoryNetwork(), Clock()
    async with application(settings, network, clock, background=False) as (services, started):
        url = re.sub(r"^https", "http", started.url)
        async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as http:
            yield Console(url, services, started, network, clock, http, started.port)
