"""The application's database and services, opened for a command: WAL lets a command and the server share the file."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from meterwan.datadir import DataDir, write_secret
from meterwan.errors import Failure
from meterwan.settings import Loaded

if TYPE_CHECKING:
    from collections.abc import Iterator

    from appserver.auth.store import AuthStore
    from appserver.db import Database

T = TypeVar("T")


def now_us() -> int:
    return time.time_ns() // 1000


@contextmanager
def opened(loaded: Loaded) -> Iterator[Database]:
    """The application's database of the settings, brought up to date. Raises Failure when there is none."""
    from sqlalchemy.exc import DatabaseError

    from appserver.db import ERRORS, open_database

    data = DataDir(loaded.settings.data_dir)
    file = data.path / "application.db"
    url = loaded.settings.database.url
    if not url and not file.exists():
        raise Failure(f"there is no application database in {data.path}; start the server once: meterwan serve")
    unusable: tuple[type[Exception], ...] = (DatabaseError, RuntimeError, *ERRORS)
    try:
        database = open_database(file, url)
    except unusable as error:
        raise Failure(f"{url_without_password(url) or file} cannot be used: {error}") from None
    try:
        yield database
    finally:
        database.close()


def url_without_password(url: str) -> str:
    """A database's URL as it may be shown."""
    password = urlsplit(url).password
    return url.replace(f":{password}@", ":********@", 1) if password else url


def auth_store(database: Database) -> AuthStore:
    """Users and tokens of a database."""
    from appserver.auth.store import AuthStore, SessionLimits

    return AuthStore(database, SessionLimits(0, 0), now_us)


def with_auth(loaded: Loaded, work: Callable[[AuthStore], Coroutine[Any, Any, T]]) -> T:
    """Run ``work`` on the users and tokens of the data folder."""
    with opened(loaded) as database:
        return asyncio.run(work(auth_store(database)))


def first_password_file(data: DataDir) -> Path:
    """Holds the first administrator's login and one-time password from their making until they were shown."""
    return data.path / "first-sign-in"


def keep_first_password(data: DataDir, login: str, password: str) -> None:
    """Keep them safe until somebody can be shown them, also when the server dies before."""
    write_secret(first_password_file(data), f"{login}\n{password}\n".encode())


def take_first_password(data: DataDir) -> tuple[str, str] | None:
    """Login and one-time password of the first administrator, once: reading them removes them."""
    file = first_password_file(data)
    try:
        login, password = file.read_text().split()
    except (FileNotFoundError, ValueError):
        return None
    file.unlink()
    return login, password


def hashed(password: str, memory_kib: int) -> str:
    """The stored form of a password."""
    from argon2 import PasswordHasher

    return PasswordHasher(time_cost=3, memory_cost=memory_kib, parallelism=1).hash(
        password.encode("utf-8", "surrogatepass")
    )
