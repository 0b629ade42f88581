"""Passwords: argon2id in threads, a few at a time, with the same cost for users that do not exist."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

P = ParamSpec("P")
T = TypeVar("T")

MIN_LENGTH = 8
MAX_LENGTH = 256
_ALPHABET = "abcdefghjkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"
_COMMON = frozenset(
    """
    password password1 passw0rd 12345678 123456789 1234567890 qwertyui qwerty123 qwertyuiop 11111111 00000000 iloveyou
    adminadmin administrator changeme letmein1 welcome1 meterwan meterwan1 йцукенгш пароль12 парольпароль
    """.split()  # noqa: SIM905
)


class PasswordRefused(ValueError):
    """A new password that is too short, too long or too common; the text is a message id for people."""


def check_strength(password: str, login: str) -> None:
    """Raise PasswordRefused when ``password`` may not be set for ``login``."""
    if len(password) < MIN_LENGTH:
        raise PasswordRefused("The password is too short: at least 8 characters.")
    if len(password) > MAX_LENGTH:
        raise PasswordRefused("The password is too long: at most 256 characters.")
    if password.lower() in _COMMON or password.lower() == login.lower() or len(set(password)) < 3:
        raise PasswordRefused("This password is too easy to guess.")


def one_time_password() -> str:
    """A password that a person can copy from a screen: 20 letters and digits, 115 bits."""
    return "-".join("".join(secrets.choice(_ALPHABET) for _ in range(5)) for _ in range(4))


class Passwords:
    """Hashes and checks passwords without holding up the event loop."""

    def __init__(self, memory_kib: int = 65536, parallel: int = 2) -> None:
        self._hasher = PasswordHasher(time_cost=3, memory_cost=memory_kib, parallelism=1)
        self._executor = ThreadPoolExecutor(parallel, thread_name_prefix="argon2")
        self._gate = asyncio.Semaphore(parallel)
        self._dummy = self._hasher.hash(secrets.token_hex(16))

    def close(self) -> None:
        """Let the threads end."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    def hash_now(self, password: str) -> str:
        """The stored form of ``password``, computed in the calling thread."""
        return self._hasher.hash(password.encode("utf-8", "surrogatepass"))

    async def hash(self, password: str) -> str:
        """The stored form of ``password``."""
        return await self._run(self.hash_now, password)

    async def verify(self, stored: str | None, password: str) -> bool:
        """Whether ``password`` is the one stored; None stands for an unknown user and costs the same time."""
        right = await self._run(self._verify_now, stored or self._dummy, password[: MAX_LENGTH + 1])
        return right and stored is not None

    async def _run(self, function: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        async with self._gate:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._executor, partial(function, *arguments, **named))

    def _verify_now(self, stored: str, password: str) -> bool:
        try:
            return self._hasher.verify(stored, password.encode("utf-8", "surrogatepass"))
        except (VerificationError, InvalidHashError):
            return False
