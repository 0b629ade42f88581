"""Has the device the beacon? Only its uplinks tell, and the newest one decides (TS001-1.0.4 §9, FCtrl.ClassB).

A device that has heard no beacon for two hours falls back to class A and says so with its next uplink; until then the
server sends into ping slots that may not be opened any more, which a confirmed frame or its absence shows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lns.session import Session
    from lns.state import NetworkState

F_CTRL_CLASS_B = 0x10


def heard(state: NetworkState, session: Session, f_ctrl: int) -> None:
    """The newest uplink of a session was handed over; the lock is durable with it."""
    locked = bool(f_ctrl & F_CTRL_CLASS_B)
    if locked is not session.radio.beacon_locked:
        session.radio = state.radio(session.radio._replace(beacon_locked=locked))
        state.dirty(session)
        state.counters["beacon_locks" if locked else "beacon_locks_lost"] += 1
