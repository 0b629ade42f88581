"""Commands to devices: plain JSON values, checked key by key, so that a refusal says which key and what to write."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from appserver.codecs.base import CommandError, Encoder

MISSING = object()


class Command:
    """The keys of a command while they are read."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = dict(values)
        self._read: set[str] = set()

    def take(self, key: str, default: Any = MISSING) -> Any:
        """The value of a key; CommandError when it is missing and has no default."""
        self._read.add(key)
        if key in self._values:
            return self._values[key]
        if default is MISSING:
            raise CommandError("is missing", key)
        return default

    def integer(self, key: str, low: int, high: int, default: Any = MISSING) -> int:
        """A whole number from ``low`` to ``high``."""
        value = self.take(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise CommandError(f"must be a whole number from {low} to {high}", key)
        return value

    def one_of(self, key: str, known: Sequence[str], default: Any = MISSING) -> str:
        """One of the known words."""
        value = self.take(key, default)
        if value not in known:
            raise CommandError(f"must be one of {', '.join(known)}", key)
        return str(value)

    def bits(self, key: str, known: Sequence[str]) -> int:
        """A list of known words as bits, the first is bit 0."""
        value = self.take(key)
        if not isinstance(value, list) or any(word not in known for word in value):
            raise CommandError(f"must be a list out of {', '.join(known)}", key)
        return sum(1 << known.index(word) for word in set(value))

    def time(self, key: str, default: Any = MISSING) -> datetime | None:
        """A moment on the device's clock, without a zone; None only when the default is."""
        value = self.take(key, default)
        if value is None and default is None:
            return None
        try:
            moment = datetime.fromisoformat(value)
        except (TypeError, ValueError):
            raise CommandError("must be a time such as 2024-01-15T13:00:00", key) from None
        if moment.tzinfo is not None:
            raise CommandError("must be without a zone: the device's own clock is meant", key)
        return moment

    def done(self) -> None:
        """CommandError when a key is left that nobody has read."""
        unknown = sorted(set(self._values) - self._read)
        if unknown:
            raise CommandError(f"is unknown; known are {', '.join(sorted(self._read))}", unknown[0])


def encoder(commands: Mapping[str, Callable[[Command], tuple[int, bytes]]]) -> Encoder:
    """An encoder of the commands by their name, which the key ``command`` tells."""

    def encode(values: dict[str, Any]) -> tuple[int, bytes]:
        command = Command(values)
        made = commands[command.one_of("command", list(commands))](command)
        command.done()
        return made

    return encode
