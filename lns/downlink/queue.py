"""Application items on their way to a device, and the states they go through."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from lorawan.errors import StateError

if TYPE_CHECKING:
    from lns.device import Device


class ItemState(StrEnum):
    """Where an item is. The words are the API's."""

    QUEUED = "queued"
    """Waits for the device's next uplink."""
    SCHEDULED = "scheduled"
    """Has a counter and is durable; not yet taken by a gateway."""
    SENT = "sent"
    """A gateway took it. The end of an unconfirmed item; a confirmed one waits for the ACK."""
    UNKNOWN = "unknown"
    """Handed to a gateway that said nothing, or the server died meanwhile: it may have been sent. Never sent twice."""
    ACKED = "acked"
    NACKED = "nacked"
    """The device's next uplink did not acknowledge it."""
    FAILED = "failed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


TRANSITIONS: dict[ItemState, frozenset[ItemState]] = {
    ItemState.QUEUED: frozenset({ItemState.SCHEDULED, ItemState.EXPIRED, ItemState.CANCELLED, ItemState.FAILED}),
    # Back to the queue only when every gateway refused it: then it was not on the air.
    ItemState.SCHEDULED: frozenset({ItemState.SENT, ItemState.UNKNOWN, ItemState.QUEUED, ItemState.FAILED}),
    ItemState.SENT: frozenset({ItemState.ACKED, ItemState.NACKED}),
    ItemState.UNKNOWN: frozenset({ItemState.ACKED, ItemState.NACKED}),
    ItemState.ACKED: frozenset(),
    ItemState.NACKED: frozenset(),
    ItemState.FAILED: frozenset(),
    ItemState.EXPIRED: frozenset(),
    ItemState.CANCELLED: frozenset(),
}


class Item:
    """One application payload for one device."""

    __slots__ = (
        "confirmed",
        "created_at_us",
        "data",
        "dev_eui",
        "expires_at_us",
        "f_cnt_down",
        "f_port",
        "id",
        "reason",
        "seq",
        "state",
    )

    def __init__(
        self,
        id: str,
        seq: int,
        dev_eui: int,
        f_port: int,
        data: bytes,
        confirmed: bool,
        created_at_us: int,
        expires_at_us: int | None,
    ) -> None:
        self.id = id
        self.seq = seq
        """Order within the whole queue."""
        self.dev_eui = dev_eui
        self.f_port = f_port
        self.data = data
        self.confirmed = confirmed
        self.created_at_us = created_at_us
        self.expires_at_us = expires_at_us
        self.state = ItemState.QUEUED
        self.reason = ""
        """Why it is in this state, for people."""
        self.f_cnt_down: int | None = None

    @property
    def is_open(self) -> bool:
        """True while something may still happen to it."""
        if self.state in (ItemState.SENT, ItemState.UNKNOWN):
            return self.confirmed
        return bool(TRANSITIONS[self.state])

    def move(self, state: ItemState, reason: str = "") -> None:
        """Go to ``state``. Raises StateError for a step that the table does not have."""
        if state not in TRANSITIONS[self.state]:
            raise StateError(f"queue item {self.id} cannot go from {self.state.value} to {state.value}")
        self.state = state
        self.reason = reason

    def row(self) -> tuple[object, ...]:
        """What of it changes, as the store's ``item_state`` operation takes it."""
        return (self.state.value, self.reason, self.f_cnt_down, self.id)


def take_expired(device: Device, wall_us: int) -> list[Item]:
    """Queued items whose time is over: already moved; the caller keeps them and drops them from the queue."""
    expired = []
    for item in device.queue or ():
        if item.state is ItemState.QUEUED and item.expires_at_us is not None and item.expires_at_us <= wall_us:
            item.move(ItemState.EXPIRED, "it expired before it could be sent")
            expired.append(item)
    return expired


def awaiting_ack(device: Device) -> Item | None:
    """The confirmed item that the device has yet to acknowledge: there is at most one (TS001-1.0.4 §4.3.1.2)."""
    for item in device.queue or ():
        if item.confirmed and item.state in (ItemState.SENT, ItemState.UNKNOWN, ItemState.SCHEDULED):
            return item
    return None


def drop_closed(device: Device) -> None:
    """Forget items that have come to their end; the store keeps them."""
    if device.queue is not None:
        for item in [item for item in device.queue if not item.is_open]:
            device.queue.remove(item)
        if not device.queue:
            device.queue = None
