"""What becomes of a confirmed item once it has been sent: acknowledged, tried again, or given up.

Nothing is ever transmitted again under the same counter (TS001-1.0.4 §4.3.1.3): the next attempt is a new frame.
"""

from __future__ import annotations

from lns import events
from lns.clock import Now
from lns.downlink.queue import Item, ItemState, awaiting_ack, drop_closed
from lns.session import Session
from lns.state import NetworkState

SESSION_UNKNOWN = 0
"""Items that an older version of the server has sent do not tell their session."""


def take_ack(state: NetworkState, session: Session, acknowledged: bool, heard_us: int, now: Now) -> None:
    """A new uplink, heard at ``heard_us`` (monotonic), decides the item that waits for its ACK.

    An uplink that began before the downlink was over says nothing about it, whatever its ACK bit: that is how an old ACK
    would be passed off as a new one. Neither does one of another session, in which the ACK can no longer come.
    """
    item = awaiting_ack(session.device)
    if item is None:
        return
    if item.session_id not in (session.id, SESSION_UNKNOWN):
        missed(state, session, item, "the device began a new session", now)
    elif item.off_air_us is not None and heard_us < item.off_air_us:
        state.counters["early_acks"] += acknowledged
    elif acknowledged:
        item.move(ItemState.ACKED, "the device acknowledged it")
        state.reach.heard(session.device.id)
        _keep(state, session, item, now)
    else:
        missed(state, session, item, "the device's next uplink came without an ACK", now)


def missed(state: NetworkState, session: Session, item: Item, why: str, now: Now) -> None:
    """The ACK of a sent item did not come."""
    item.not_acknowledged(why, now.wall_us)
    state.reach.missed(session.device.id)
    _keep(state, session, item, now)


def _keep(state: NetworkState, session: Session, item: Item, now: Now) -> None:
    state.batch.operations.append(("item_state", item.row()))
    if item.state is not ItemState.QUEUED:
        events.emit_ack(state, session.device, now.wall_us, item, item.state is ItemState.ACKED)
        drop_closed(session.device)
