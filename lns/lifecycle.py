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


def open_session(
    state: NetworkState,
    device: Device,
    dev_addr: DevAddr,
    keys: SessionKeys,
    radio: RadioParameters,
    wall_us: int,
) -> Session:
    """Begin a session that the device has yet to use; an unused one before it ends."""
    if device.pending is not None:
        end_session(state, device.pending)
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
    """The first uplink of a new session: the old session ends here and not before (TS001-1.0.4 §6.2.2)."""
    device = session.device
    if device.session is not None and device.session is not session:
        end_session(state, device.session)
    session.confirmed = True
    device.session = session
    if device.pending is session:
        device.pending = None
    device.mac = None
    events.emit_join(state, session, wall_us)


def end_session(state: NetworkState, session: Session) -> None:
    """No frame with these keys is taken any more."""
    state.sessions.remove(session)
    state.ciphers.drop(session)
    state.heard.pop(session.id, None)
    state.batch.operations.append(("session_end", (session.id,)))
    if session.device.pending is session:
        session.device.pending = None
    if session.device.session is session:
        session.device.session = None
