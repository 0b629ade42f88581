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
    """Waits: for the device's next uplink, for class B or C its turn, after a missing ACK for its next attempt."""
    SCHEDULED = "scheduled"
    """Has a counter and is durable; not yet taken by a gateway."""
    SENT = "sent"
    """A gateway took it. The end of an unconfirmed item; a confirmed one waits for the ACK."""
    UNKNOWN = "unknown"
    """Handed to a gateway that said nothing, or the server died meanwhile: it may have been sent. The end of an unconfirmed
    item, which is never sent twice; a confirmed one waits for the ACK all the same."""
    ACKED = "acked"
    NACKED = "nacked"
    """The device did not acknowledge it. A passing state: it is queued again, or has failed."""
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
    ItemState.NACKED: frozenset({ItemState.QUEUED, ItemState.FAILED, ItemState.EXPIRED}),
    ItemState.FAILED: frozenset(),
    ItemState.EXPIRED: frozenset(),
    ItemState.CANCELLED: frozenset(),
}

MAX_ATTEMPTS = 10
FIRST_BACK_OFF_US = 10_000_000
BACK_OFF_FACTOR = 4
LONGEST_BACK_OFF_US = 3_600_000_000


def back_off_us(attempts: int) -> int:
    """How long after its last transmission an item waits for the next one: 10 s, 40 s, 160 s … an hour at most."""
    return int(min(FIRST_BACK_OFF_US * BACK_OFF_FACTOR ** (attempts - 1), LONGEST_BACK_OFF_US))


class Item:
    """One application payload for one device."""

    __slots__ = (
        "at_most_once",
        "attempts",
        "attempts_made",
        "confirmed",
        "created_at_us",
        "data",
        "dev_eui",
        "encrypted_f_cnt",
        "expires_at_us",
        "f_cnt_down",
        "f_port",
        "id",
        "not_before_us",
        "off_air_us",
        "reason",
        "seq",
        "session_id",
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
        attempts: int = 1,
        at_most_once: bool = False,
        encrypted_f_cnt: int | None = None,
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
        self.attempts = attempts
        """How often a confirmed item may be on the air until it is acknowledged, each time under a new counter."""
        self.at_most_once = at_most_once
        """A promise to the sender: once it may have been on the air, it never is again."""
        self.encrypted_f_cnt = encrypted_f_cnt
        """``data`` is encrypted by the application, for this FCntDown; None: the server encrypts it."""
        self.attempts_made = 0
        """How often it has, or may have, been on the air."""
        self.not_before_us = 0
        """Earliest time of the next attempt, wall clock."""
        self.state = ItemState.QUEUED
        self.reason = ""
        """Why it is in this state, for people."""
        self.f_cnt_down: int | None = None
        self.session_id = 0
        """The session whose counter ``f_cnt_down`` is: an ACK in another one says nothing about it."""
        self.off_air_us: int | None = None
        """When its last transmission ends, monotonic; None: not sent, or not by this process."""

    @property
    def is_open(self) -> bool:
        """True while something may still happen to it."""
        if self.state in (ItemState.SENT, ItemState.UNKNOWN, ItemState.NACKED):
            return self.confirmed
        return bool(TRANSITIONS[self.state])

    @property
    def awaits_ack(self) -> bool:
        return self.confirmed and self.state in (ItemState.SENT, ItemState.UNKNOWN)

    def pause_us(self, wall_us: int) -> int:
        """How long it still waits for its next attempt; never longer than it was told to, whatever the wall clock does."""
        left_us = self.not_before_us - wall_us
        return left_us if 0 < left_us <= back_off_us(max(1, self.attempts_made)) else 0

    def move(self, state: ItemState, reason: str = "") -> None:
        """Go to ``state``. Raises StateError for a step that the table does not have."""
        if state not in TRANSITIONS[self.state]:
            raise StateError(f"queue item {self.id} cannot go from {self.state.value} to {state.value}")
        self.state = state
        self.reason = reason

    def transmitted(self, state: ItemState, reason: str, off_air_us: int | None, wall_us: int) -> None:
        """It was, or may have been, on the air: :attr:`ItemState.SENT` or :attr:`ItemState.UNKNOWN`."""
        self.move(state, reason)
        self.attempts_made += 1
        self.off_air_us = off_air_us
        self.not_before_us = wall_us + back_off_us(self.attempts_made)

    def not_acknowledged(self, why: str, wall_us: int) -> None:
        """The ACK did not come: queue it again, or give it up."""
        self.move(ItemState.NACKED, why)
        if self.expires_at_us is not None and self.expires_at_us <= wall_us:
            self.move(ItemState.EXPIRED, f"{why}; it has expired meanwhile")
        elif self.attempts_made < self.attempts:
            self.move(ItemState.QUEUED, f"{why}; attempt {self.attempts_made} of {self.attempts}, it is sent again")
        else:
            self.move(ItemState.FAILED, f"{why}; {self.attempts_made} of {self.attempts} attempts are used up")

    def row(self) -> tuple[object, ...]:
        """What of it changes, as the store's ``item_state`` operation takes it."""
        return (
            self.state.value,
            self.reason,
            self.f_cnt_down,
            self.session_id,
            self.attempts_made,
            self.not_before_us,
            self.id,
        )


def take_expired(device: Device, wall_us: int) -> list[Item]:
    """Queued items whose time is over: already moved; the caller keeps them and drops them from the queue."""
    expired = []
    for item in device.queue or ():
        if item.state is ItemState.QUEUED and item.expires_at_us is not None and item.expires_at_us <= wall_us:
            item.move(ItemState.EXPIRED, "it expired before it could be sent")
            expired.append(item)
    return expired


def sendable(device: Device, wall_us: int) -> list[Item]:
    """Items that may go now, in their order.

    None while one is on its way or waits for its ACK (there is at most one such, TS001-1.0.4 §4.3.1.2), nor while the first
    one waits for its next attempt: what was queued later does not overtake it.
    """
    queued = []
    for item in device.queue or ():
        if item.state is not ItemState.QUEUED:
            return []
        queued.append(item)
    return [] if queued and queued[0].pause_us(wall_us) else queued


def awaiting_ack(device: Device) -> Item | None:
    """The confirmed item that the device has yet to acknowledge."""
    for item in device.queue or ():
        if item.awaits_ack:
            return item
    return None


def drop_closed(device: Device) -> None:
    """Forget items that have come to their end; the store keeps them."""
    if device.queue is not None:
        for item in [item for item in device.queue if not item.is_open]:
            device.queue.remove(item)
        if not device.queue:
            device.queue = None
