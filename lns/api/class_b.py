"""What people see of a device's class, and of class B."""

from __future__ import annotations

from internalapi import messages as m
from lns.class_b.slots import next_slot_us, periodicity_of, ping_slot_dr, speakers
from lns.clock import Now
from lns.downlink.listener import class_of
from lns.session import Session
from lns.state import NetworkState
from lorawan.gps import gps_to_utc_us


def listens_as(session: Session) -> str:
    """``A``, ``B`` or ``C``: how the device listens now."""
    device_class = class_of(session.device)
    return "A" if device_class == "B" and not session.radio.beacon_locked else device_class


def class_b_of(state: NetworkState, session: Session, now: Now) -> m.ClassBState | None:
    """The state of class B; None of a device whose profile has another class."""
    if session.device.profile.device_class != "B":
        return None
    slot_us, radio = next_slot_us(state, session, now), session.radio
    return m.ClassBState(
        radio.beacon_locked,
        periodicity_of(session),
        radio.ping_slot_frequency_hz,
        ping_slot_dr(state.plan, radio),
        None if slot_us is None else gps_to_utc_us(slot_us),
        len(speakers(state, session, now)),
    )
