"""Downlink queues of devices, and multicast groups with theirs."""

from __future__ import annotations

from msgspec import UNSET, Struct, UnsetType


class QueueWrite(Struct):
    dev_eui: str
    f_port: int
    data: bytes
    confirmed: bool = False
    expires_at_us: int | None = None
    idempotency_key: str = ""
    attempts: int | None = None
    """How often a confirmed item is sent, each time anew, until it is acknowledged; None: as the profile says."""
    at_most_once: bool = False
    """Once it may have been on the air it is never sent again: for valves and relays. Not together with ``confirmed``."""
    encrypted_f_cnt: int | None = None
    """``data`` is encrypted already, with this FCntDown: for sessions whose AppSKey only the application has."""


class QueueItem(Struct):
    id: str
    dev_eui: str
    f_port: int
    data: bytes
    confirmed: bool
    state: str
    """``queued``, ``scheduled``, ``sent``, ``unknown``, ``acked``, ``failed``, ``expired``, ``cancelled``."""
    reason: str
    created_at_us: int
    expires_at_us: int | None
    f_cnt_down: int | None
    attempts: int = 1
    at_most_once: bool = False
    attempts_made: int = 0


class QueuePage(Struct):
    items: list[QueueItem]


class GroupWrite(Struct):
    """A multicast group as it is made (empty ``id``) or changed; keys left UNSET keep their value."""

    name: str
    mc_addr: str
    id: str = ""
    device_class: str = "C"
    """``B`` or ``C``."""
    dr: int = 0
    frequency_hz: int = 0
    """0 in class B: the region's ping slot frequency."""
    ping_periodicity: int = 7
    """Class B: a ping slot every 2**n s."""
    mc_nwk_s_key: str | UnsetType = UNSET
    mc_app_s_key: str | UnsetType = UNSET
    f_cnt_down: int | UnsetType = UNSET
    """Next FCntDown; lower than before only together with new keys."""
    gateways: list[str] = []
    """EUIs of the gateways that send; empty: the fewest that reach all members."""


class GroupRecord(Struct):
    """A multicast group; its keys are never told."""

    id: str
    name: str
    mc_addr: str
    device_class: str
    dr: int
    frequency_hz: int
    ping_periodicity: int
    f_cnt_down: int
    gateways: list[str]
    created_at_us: int
    members: int
    queued: int
    """Items that wait or are being sent."""
    gateways_now: list[str]
    """Those that would send now: the chosen or fewest ones with a path to them."""
    unreached: int
    """Members that none of these is known to reach."""


class GroupPage(Struct):
    items: list[GroupRecord]
    next_cursor: str | None = None


class GroupMembers(Struct):
    """Members to add to a group and to take from it, by DevEUI."""

    group: str
    add: list[str] = []
    remove: list[str] = []


class GroupMemberList(Struct):
    dev_euis: list[str]


class GroupQueueWrite(Struct):
    group: str
    f_port: int
    data: bytes
    expires_at_us: int | None = None
    idempotency_key: str = ""


class GroupItem(Struct):
    id: str
    group: str
    f_port: int
    data: bytes
    state: str
    """``queued``, ``scheduled``, ``sent``, ``unknown``, ``failed``, ``expired``, ``cancelled``."""
    reason: str
    created_at_us: int
    expires_at_us: int | None
    f_cnt_down: int | None


class GroupQueuePage(Struct):
    items: list[GroupItem]
