"""The application's database and services, opened for a command: WAL lets a command and the server share the file."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from meterwan.datadir import DataDir, write_secret
from meterwan.errors import Failure
from meterwan.settings import Loaded

if TYPE_CHECKING:
    from collections.abc import Iterator

    from appserver.auth.store import AuthStore
    from appserver.db import Database

T = TypeVar("T")

FIRST_ADMINISTRATOR = "admin"


def now_us() -> int:
    return time.time_ns() // 1000


@contextmanager
def opened(loaded: Loaded) -> Iterator[Database]:
    """application.db of the settings' data folder, brought up to date. Raises Failure when there is none."""
    from appserver.db import open_database

    data = DataDir(loaded.settings.data_dir)
    file = data.path / "application.db"
    if not file.exists():
        raise Failure(f"there is no application database in {data.path}; start the server once: meterwan serve")
    database = open_database(file)
    try:
        yield database
    finally:
        database.close()


def auth_store(database: Database) -> AuthStore:
    """Users and tokens of a database."""
    from appserver.auth.store import AuthStore, SessionLimits

    return AuthStore(database, SessionLimits(0, 0), now_us)


def with_auth(loaded: Loaded, work: Callable[[AuthStore], Coroutine[Any, Any, T]]) -> T:
    """Run ``work`` on the users and tokens of the data folder."""
    with opened(loaded) as database:
        return asyncio.run(work(auth_store(database)))


def first_password_file(data: DataDir) -> Path:
    """Holds the first administrator's one-time password from its making until it was shown."""
    return data.path / "first-sign-in"


def prepare(data: DataDir, password_memory_kib: int) -> None:
    """Bring application.db up to date and make the first administrator when there is no user.

    Done in a process of its own: the supervisor stays small.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as one:
        one.submit(_prepare, data.path, password_memory_kib).result()


def _prepare(data_dir: Path, password_memory_kib: int) -> None:
    from appserver.auth.passwords import one_time_password
    from appserver.auth.roles import Role
    from appserver.db import open_database
    from appserver.models import User

    data = DataDir(data_dir)
    database = open_database(data.path / "application.db")
    auth = auth_store(database)

    async def make() -> None:
        if await auth.any_user():
            return
        password = one_time_password()
        write_secret(first_password_file(data), password.encode())
        await auth.create_user(
            User(
                login=FIRST_ADMINISTRATOR,
                name="Administrator",
                role=Role.admin.value,
                password_hash=hashed(password, password_memory_kib),
                must_change_password=True,
                created_at_us=0,
            )
        )
        await auth.audit("system", "", "user.create", f"user/{FIRST_ADMINISTRATOR}", {"first": True})

    try:
        asyncio.run(make())
    finally:
        database.close()


def hashed(password: str, memory_kib: int) -> str:
    """The stored form of a password."""
    from argon2 import PasswordHasher

    return PasswordHasher(time_cost=3, memory_cost=memory_kib, parallelism=1).hash(
        password.encode("utf-8", "surrogatepass")
    )


def take_first_password(data: DataDir) -> str | None:
    """The first administrator's one-time password, once: reading it removes it."""
    file = first_password_file(data)
    try:
        password = file.read_text()
    except FileNotFoundError:
        return None
    file.unlink()
    return password
