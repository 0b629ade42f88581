"""How sessions begin and end.

An ended session's row stays until its last frames are handed over: their payloads need its keys.
"""

from __future__ import annotations

from lns import events
from lns.device import Device
from lns.session import RadioParameters, Session
from lns.state import NetworkState
from lorawan.crypto import SessionKeys
from lorawan.identifiers import DevAddr

MAX_UNUSED = 4
"""Sessions of a device that may wait for their first uplink."""


def open_session(
    state: NetworkState,
    device: Device,
    dev_addr: DevAddr,
    keys: SessionKeys,
    radio: RadioParameters,
    wall_us: int,
) -> Session:
    """Begin a session that the device has yet to use.

    One before it that is unused too may still be the one: a request that was held up on its way, or that somebody
    repeats, comes after the device's own and must not take away the session whose accept is in the air.
    """
    if device.pending is not None:
        device.superseded = (*device.superseded, device.pending)
        if len(device.superseded) >= MAX_UNUSED:
            end_session(state, device.superseded[0])
    state.last_session_id += 1
    session = Session(
        state.last_session_id, device, dev_addr, keys.lorawan_1_1, state.keys.seal(keys), wall_us, state.radio(radio)
    )
    device.pending = session
    state.sessions.add(session)
    state.batch.operations.append(
        (
            "session_add",
            (
                session.id,
                device.id,
                int(dev_addr),
                session.lorawan_1_1,
                session.sealed_keys,
                wall_us,
            ),
        )
    )
    state.dirty(session)
    return session


def activate(state: NetworkState, session: Session, wall_us: int) -> None:
    """The first uplink of a new session: all before it end here and not before (TS001-1.0.4 §6.2.2).

    Later ones live on. The uplink may have been held up on its way, and the device may be in one of them by now.
    """
    device = session.device
    later = [one for one in device.sessions if one.id > session.id]
    for other in device.sessions:
        if other.id < session.id:
            end_session(state, other)
    session.confirmed = True
    device.session, device.pending = session, later.pop() if later else None
    device.superseded = tuple(later)
    device.mac = None
    events.emit_join(state, session, wall_us)


def end_session(state: NetworkState, session: Session) -> None:
    """No frame with these keys is taken any more."""
    state.sessions.remove(session)
    state.ciphers.drop(session)
    state.heard.pop(session.id, None)
    state.batch.operations.append(("session_end", (session.id,)))
    if state.resets.pop(session.id, None) is not None:
        state.batch.operations.append(("f_cnt_reset_delete", (session.id,)))
        state.batch.operations.append(("taken_mics_delete", (session.id,)))
    device = session.device
    if device.session is session:
        device.session = None
    elif device.pending is session:
        device.pending = None
    elif device.superseded:
        device.superseded = tuple(one for one in device.superseded if one is not session)
