"""The values of the join server: what is known of a device, and what an operator gives and gets.

Keys never appear in a ``repr``: a value of this file may be logged whole.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from joinserver.nonces import NonceSet
from lorawan.identifiers import EUI64, NetID


@dataclass(slots=True, frozen=True)
class Session:
    """What the join server keeps of a session it has made."""

    join_nonce: int
    """24 bits; with DevEUI and JoinEUI the name of the session."""
    app_s_key: bytes = field(repr=False)
    s_nwk_s_int_key: bytes | None = field(default=None, repr=False)
    """1.1 only: proves a rejoin-request of type 0 or 2."""
    next_rj_count0: int = 0
    """Smallest RJcount0 still to be accepted in this session."""


@dataclass(slots=True, frozen=True)
class JoinRecord:
    """All that a join decision about one device rests on."""

    dev_eui: EUI64
    join_eui: EUI64
    app_key: bytes | None = field(default=None, repr=False)
    nwk_key: bytes | None = field(default=None, repr=False)
    home_net_id: NetID | None = None
    """When set, only this network may activate the device."""
    next_join_nonce: int = 1
    """The JoinNonce of the next accept; 2**24 when all are spent. Never falls."""
    used_dev_nonces: NonceSet = field(default_factory=NonceSet)
    next_rj_count1: int = 0
    """Smallest RJcount1 still to be accepted; 2**16 when all are spent."""
    last_dev_nonce: int | None = None
    last_join_at_us: int | None = None
    """When the last accept was made, by a join or a rejoin."""
    sessions: tuple[Session, ...] = ()
    """Newest first; loaded for rejoin-requests only."""


@dataclass(slots=True, frozen=True)
class DeviceKeys:
    """A device as an operator gives it. None keeps what is stored (for a new device: there is none)."""

    dev_eui: EUI64
    join_eui: EUI64 | None = None
    app_key: bytes | None = field(default=None, repr=False)
    """16 bytes; empty takes the key away."""
    nwk_key: bytes | None = field(default=None, repr=False)
    """16 bytes, 1.1 devices only; empty takes the key away."""
    home_net_id: NetID | None = None
    next_join_nonce: int | None = None
    """From the server the device used before. Never lowers the stored one."""
    used_dev_nonces: NonceSet | None = None
    """From the server the device used before; added to the stored ones."""


@dataclass(slots=True, frozen=True)
class PutResult:
    """What a bulk write did, or with ``dry_run`` would do."""

    created: int
    changed: int
    unchanged: int
    warnings: tuple[str, ...] = ()
    """Keys that are guessable or shared by several devices, one sentence each."""


@dataclass(slots=True, frozen=True)
class DeviceInfo:
    """A device as it is listed: everything but its keys."""

    dev_eui: EUI64
    join_eui: EUI64
    has_app_key: bool
    has_nwk_key: bool
    home_net_id: NetID | None
    created_at_us: int
    next_join_nonce: int
    used_dev_nonces: int
    """How many DevNonces are used up."""
    highest_dev_nonce: int | None
    last_join_at_us: int | None


@dataclass(slots=True, frozen=True)
class AuditEntry:
    """Who did what to the nonces or keys, when and why."""

    at_us: int
    who: str
    action: str
    dev_eui: EUI64 | None
    why: str
    detail: str
