"""The two errors of the wire: their garbage and our misuse."""

from __future__ import annotations


class FrameError(ValueError):
    """Bytes or text from outside are not what the specification allows.

    ``reason`` says what is wrong, ``offset`` at which byte (None where there is no single byte to blame).
    """

    def __init__(self, reason: str, offset: int | None = None) -> None:
        super().__init__(reason, offset)
        self.reason = reason
        self.offset = offset

    def __str__(self) -> str:
        return self.reason if self.offset is None else f"{self.reason} (at byte {self.offset})"


class StateError(RuntimeError):
    """Our own code asked for something impossible: a value that does not fit its field, a key of the wrong length."""
