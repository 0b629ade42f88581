"""What a journal that came from a backup must not do again: it does not know what happened after the backup was made.

Counters go ahead of all that may have been used since, numbers too, and what may have been sent is not sent again. FCntUp
stays where the backup has it: devices have counted on, and a frame heard in between is a reading like any other when it
comes again, once, for the readings are of the same backup.
"""

from __future__ import annotations

from lns.device import Device
from lns.downlink.queue import ItemState
from lns.session import Session
from lns.state import NetworkState
from lns.store.embedded.statements import RESTORES

F_CNT_SKIP = 1024
"""Downlink counters left out: more than a server sends a device between two backups, less than MAX_FCNT_GAP."""
NUMBERS_SKIP = 1_000_000_000
"""Numbers of frames, events and sessions left out. Whoever took an event of the lost days never sees its number again."""


def restores(state: NetworkState, known: int, restored: int) -> int:
    """How many restores this file does not know of: each skips one step further than the one before.

    ``known``: the number of the last restore in the file, ``restored`` that of this start, 0 for none.
    """
    if not restored:
        return 0
    number = max(restored, known + 1)
    state.batch.operations.append(("set_mark", (RESTORES, number)))
    return number - known


def skip_numbers(state: NetworkState, steps: int) -> None:
    """Frames, events and sessions get numbers that nobody outside has heard of."""
    state.last_frame_id += steps * NUMBERS_SKIP
    state.last_event_id += steps * NUMBERS_SKIP
    state.last_session_id += steps * NUMBERS_SKIP


def skip_counters(state: NetworkState, session: Session, steps: int) -> None:
    """FCntDown goes ahead: no counter is used twice."""
    if steps:
        session.n_f_cnt_down += steps * F_CNT_SKIP
        session.a_f_cnt_down += steps * F_CNT_SKIP
        state.dirty(session)


def cancel_items(state: NetworkState, device: Device) -> None:
    """Items that must not come twice may have been sent after the backup: somebody has to decide anew."""
    for item in list(device.queue or ()):
        if item.state is ItemState.QUEUED and (not item.confirmed or item.at_most_once):
            item.move(
                ItemState.CANCELLED,
                "the server was restored from a backup: this may have been sent since; queue it again if it still applies",
            )
            state.batch.operations.append(("item_state", item.row()))
            assert device.queue is not None
            device.queue.remove(item)
    if not device.queue:
        device.queue = None
