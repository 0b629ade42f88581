"""The guarded exception for ABP devices that lose their counter (``relaxed_f_cnt_reset`` of their profile).

TS001-1.0.4 §4.3.1.5: an ABP device shall not reset its frame counters. Some do, when their battery is changed, and would
never be heard again. For those a session may begin anew, under three conditions: FCntUp is at most 16; the frame was never
taken before (the MICs of all frames of such a session are remembered, of all beginnings, and none is ever taken twice);
and should the device after all count on where it was, the reset was somebody else's replay, and is undone. Each is told
to the operator. FCntDown is never reset: no keystream is used twice.
"""

from __future__ import annotations

from collections.abc import Callable

from lns import events
from lns.session import Session
from lns.state import NetworkState
from lorawan.counters import full_f_cnt, within_gap

MAX_FIRST = 16
"""A device that begins anew has sent no more frames that nobody heard."""
MIC_BYTES = 4
REMEMBERED = 65_536
"""Frames of a session whose MICs are remembered: a meter's hours of seven years. Beyond it no reset is taken any more."""


class Reset:
    """What is known of the beginnings of one session."""

    __slots__ = ("before", "mics")

    def __init__(self, before: int = 0, mics: bytes = b"") -> None:
        self.before = before
        """The next FCntUp expected before the last reset; 0 when there was none, or when it was undone."""
        self.mics = bytearray(mics)
        """Marks of the frames taken, four bytes each."""

    def has_taken(self, mic: bytes) -> bool:
        at = self.mics.find(mic)
        while at > 0 and at % MIC_BYTES:  # found across two of them
            at = self.mics.find(mic, at + 1)
        return at >= 0

    @property
    def is_full(self) -> bool:
        return len(self.mics) >= REMEMBERED * MIC_BYTES


def _mark(session: Session, f_cnt: int, mic: bytes) -> bytes:
    """What tells a frame from others. In 1.1 half of a MIC changes with the channel of a repetition, and the other half alone
    would soon be that of some other frame: the counter goes with it."""
    return (f_cnt & 0xFFFF).to_bytes(2, "little") + mic[-2:] if session.lorawan_1_1 else mic


def was_used(state: NetworkState, session: Session, f_cnt: int) -> bool:
    """Had the session counted as far before its last reset? Beyond that no frame can be one of an earlier life."""
    reset = state.resets.get(session.id)
    return reset is not None and f_cnt < reset.before


def is_replay(state: NetworkState, session: Session, f_cnt: int, mic: bytes) -> bool:
    """Was this frame taken in an earlier life of the session? Its counter alone does not tell after a reset."""
    reset = state.resets.get(session.id)
    return reset is not None and reset.has_taken(_mark(session, f_cnt, mic))


def note(state: NetworkState, session: Session, f_cnt: int, mic: bytes) -> None:
    """A frame is taken: remember it, for its counter may come again."""
    reset = state.resets.setdefault(session.id, Reset())
    if not reset.is_full:
        mark = _mark(session, f_cnt, mic)
        reset.mics += mark
        state.batch.operations.append(("taken_mic_add", (session.id, mark)))


def begins_anew(
    state: NetworkState, session: Session, f_cnt16: int, mic: bytes, mic_holds: Callable[[int], bool], wall_us: int
) -> int | None:
    """The full FCntUp of a frame that the rules refuse and this exception takes, or None. The session is made ready for it."""
    reset = state.resets.get(session.id) or Reset()
    if reset.has_taken(_mark(session, f_cnt16, mic)):
        return None
    if reset.before > session.f_cnt_up:
        f_cnt = full_f_cnt(f_cnt16, reset.before)
        if f_cnt >= reset.before and within_gap(f_cnt, reset.before) and mic_holds(f_cnt):
            session.f_cnt_up, session.window, reset.before = reset.before, 0, 0
            _keep(state, session, reset)
            text = f"the device goes on with FCntUp {f_cnt}: the reset before was a replay, or the device's mistake"
            _tell(state, session, wall_us, text)
            return f_cnt
    if f_cnt16 > MAX_FIRST or reset.is_full:
        return None
    if not mic_holds(f_cnt16):
        return None
    text = (
        f"FCntUp was reset from {session.f_cnt_up - 1} to {f_cnt16}, as this device's profile allows; FCntDown goes on"
    )
    reset.before = max(reset.before, session.f_cnt_up)
    state.resets[session.id] = reset
    session.f_cnt_up = session.window = 0
    state.batch.operations.append(("session_f_cnt_reset", (session.id,)))
    state.batch.operations.append(("audit", (wall_us, "network", f"device {session.device.dev_eui_text}: {text}")))
    _keep(state, session, reset)
    _tell(state, session, wall_us, text)
    return f_cnt16


def _keep(state: NetworkState, session: Session, reset: Reset) -> None:
    state.batch.operations.append(("f_cnt_reset_put", (session.id, reset.before)))


def _tell(state: NetworkState, session: Session, wall_us: int, text: str) -> None:
    state.counters["f_cnt_resets"] += 1
    events.emit_log(
        state, session.device, wall_us, "WARNING", "UPLINK_F_CNT_RESET", text, {events.AUDIT: "device.f_cnt_reset"}
    )
