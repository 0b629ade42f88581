"""One group commit: all that the server wants to survive, and what it does once it has.

Rows for the hot path are plain tuples in the order of the columns named here. Everything rare is an operation by name
with its parameters; each house has a table from names to its own statements.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from lns.clock import Now
    from lns.gateways.gateway import Address
    from lns.session import Session

FRAME_COLUMNS = (
    "id",
    "kind",
    "time_us",
    "device_id",
    "session_id",
    "dev_addr",
    "f_cnt",
    "f_port",
    "confirmed",
    "frequency_hz",
    "datr",
    "phy",
    "detail",
    "gateway",
    "reply_to",
    "outcome",
)
EVENT_COLUMNS = ("id", "frame_id", "device_id", "body", "way")


class Batch:
    """Filled by the engine, sealed by the runtime, committed by the store."""

    __slots__ = ("acks", "after", "durable_us", "events", "frames", "marks", "operations", "sessions")

    def __init__(self) -> None:
        self.frames: list[tuple[Any, ...]] = []
        self.events: list[list[Any]] = []
        self.sessions: dict[int, Session] = {}
        """Sessions whose row changes; their state is read when the batch is sealed."""
        self.operations: list[tuple[str, tuple[Any, ...]]] = []
        self.marks: tuple[int, int, int, int] | None = None
        """(last frame id, last event id, last session id, last frame handed over) as of the seal."""
        self.durable_us: int | None = None
        """When it was on the disk, monotonic; None until then."""
        self.acks: list[tuple[bytes, Address]] = []
        """Answers to gateways that promise durability."""
        self.after: list[Callable[[Now], Any]] = []
        """Called in the engine's thread once the batch is durable."""

    def __len__(self) -> int:
        """How much waits here, rows and answers: what bounds the memory while the store is stuck."""
        return len(self.frames) + len(self.events) + len(self.sessions) + len(self.operations) + len(self.acks)

    @property
    def writes_nothing(self) -> bool:
        return not (self.frames or self.events or self.sessions or self.operations)

    @property
    def is_empty(self) -> bool:
        return self.writes_nothing and not self.acks and not self.after
