"""Accept a data frame: session, MIC, counter, durable row.

The rules of counters (TS001-1.0.4 §4.3.1.5): a new frame has a counter not below the next expected one, extended from the
16 bits on the air; up to LoRaWAN 1.0.3 the jump is below MAX_FCNT_GAP. The newest frame again is a repetition: by the
device when a gateway that had it hears it anew, otherwise a copy that was slow on its way. An older one that was never seen
is taken as late data within a window of 128, and refused as a replay otherwise. The MIC is over the full counter, so nobody
can move a frame to another counter.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from lns import events
from lns.clock import Now
from lns.gateways.clock import WRAP_US
from lns.gateways.frames import RxFrame
from lns.lifecycle import activate
from lns.mac import expected_channel
from lns.radio import channel_index
from lns.session import Session
from lns.state import NetworkState
from lns.uplink import relaxed
from lns.uplink.gather import Gathered, Gatherer, Kind
from lns.uplink.reception import time_of, to_detail
from lns.uplink.refused import log_refused
from lorawan.counters import MAX_F_CNT, full_f_cnt, late_f_cnt, within_gap
from lorawan.errors import FrameError
from lorawan.hot import data_header

REFUSALS = {
    "mic_failed": "no session of this DevAddr makes this MIC: another network's device, lost keys, or too far a counter",
    "disabled": "the device is disabled",
    "private_gateway": "the gateway is private to another organisation than the device's",
}
CONFIRMED_UP = 4
F_CTRL_ACK = 0x20
REPEAT_AFTER_US = 800_000
"""A device repeats a frame only behind its receive windows (RECEIVE_DELAY1 is at least 1 s)."""
F_CNT_RUNNING_OUT = (1 << 32) - (1 << 20)
"""From here on the end of a session's counter is near."""
EARLIER_CONFIRMED = 128
"""How far back the FCntDown may lie that a 1.1 device's ACK is bound to."""
FORGOTTEN_CONFIRMED = 1024
"""How many counters of each restore are looked through for a confirmed downlink that the server has forgotten."""
LATE_WITHIN_US = 86_400_000_000
"""A gateway that keeps frames while its backhaul is down is believed as far back."""
LATE_APART_US = 1_000
"""Late frames of which only the order is known lie so far apart."""
BEHIND_WINDOWS_US = 1_800_000
"""From RECEIVE_DELAY1 to the end of RX2 and the shortest RETRANSMIT_TIMEOUT, less what clocks are unsure of."""


def accept(state: NetworkState, gatherer: Gatherer, rx: RxFrame, now: Now) -> None:
    """Take a data uplink that no open window has. Rejections are counted; nothing is raised."""
    counters = state.counters
    try:
        m_hdr, dev_addr, f_ctrl, f_cnt16 = data_header(rx.phy)
    except FrameError:
        counters["bad_frames"] += 1
        return
    dr = state.plan.dr_of(rx.datr, rx.codr)
    if dr is None:
        counters["unknown_data_rate"] += 1
        return
    sessions = state.sessions.get(dev_addr)
    if not sessions:
        counters["unknown_dev_addr"] += 1
        return
    phy = rx.phy
    message, mic = phy[:-4], phy[-4:]
    refusal = "mic_failed"
    for session in sessions:
        if session.device.disabled:
            refusal = "disabled"
            continue
        if rx.gateway.private_to and not rx.gateway.serves(session.device.tags):
            refusal = "private_gateway"
            continue
        next_expected = session.f_cnt_up
        f_cnt = full_f_cnt(f_cnt16, next_expected)
        if f_cnt >= next_expected:
            gap_is_fair = not session.device.profile.has_max_f_cnt_gap or within_gap(f_cnt, next_expected)
            if gap_is_fair and _mic_holds(state, session, message, mic, f_ctrl, f_cnt, dr, rx):
                was_used = bool(state.resets) and relaxed.was_used(state, session, f_cnt)
                if was_used and relaxed.is_replay(state, session, f_cnt, mic):
                    _replayed(state, session, rx, f_cnt)
                else:
                    _fresh(state, gatherer, session, rx, m_hdr, f_ctrl, f_cnt, dr, now)
                return
        elif f_cnt == next_expected - 1 and _mic_holds(state, session, message, mic, f_ctrl, f_cnt, dr, rx):
            if _is_repetition(session, mic) or not _begins_anew(
                state, gatherer, session, rx, m_hdr, f_ctrl, f_cnt16, dr, now
            ):
                _again(state, gatherer, session, rx, f_cnt, dr, now)
            return
        late = late_f_cnt(f_cnt16, next_expected)
        if late is not None and late != f_cnt and _mic_holds(state, session, message, mic, f_ctrl, late, dr, rx):
            if not session.was_taken(late) and not relaxed.is_replay(state, session, late, mic):
                _take(state, gatherer, Kind.LATE, session, rx, m_hdr, f_ctrl, late, dr, now)
            elif not _begins_anew(state, gatherer, session, rx, m_hdr, f_ctrl, f_cnt16, dr, now):
                _replayed(state, session, rx, late)
            return
        if _begins_anew(state, gatherer, session, rx, m_hdr, f_ctrl, f_cnt16, dr, now):
            return
    counters[refusal] += 1
    log_refused(state, rx, "rejected", REFUSALS[refusal], sessions[0] if len(sessions) == 1 else None, None, dev_addr)


def _replayed(state: NetworkState, session: Session, rx: RxFrame, f_cnt: int) -> None:
    state.counters["replayed"] += 1
    log_refused(state, rx, "rejected", "a replay: this FCntUp was taken before", session, f_cnt, session.dev_addr)


def _begins_anew(
    state: NetworkState,
    gatherer: Gatherer,
    session: Session,
    rx: RxFrame,
    m_hdr: int,
    f_ctrl: int,
    f_cnt16: int,
    dr: int,
    now: Now,
) -> bool:
    """Take a frame that the rules refuse, from a device that is allowed to lose its counter. False for all others."""
    if not session.device.profile.relaxed_f_cnt_reset or session.device.activation != "ABP":
        return False
    message, mic = rx.phy[:-4], rx.phy[-4:]
    holds = partial(_mic_holds_at, state, session, message, mic, f_ctrl, dr, rx)
    f_cnt = relaxed.begins_anew(state, session, f_cnt16, mic, holds, rx.wall_us)
    if f_cnt is None:
        return False
    _fresh(state, gatherer, session, rx, m_hdr, f_ctrl, f_cnt, dr, now)
    return True


def _mic_holds(
    state: NetworkState, session: Session, message: bytes, mic: bytes, f_ctrl: int, f_cnt: int, dr: int, rx: RxFrame
) -> bool:
    cipher = state.cipher(session)
    if not session.lorawan_1_1:
        return cipher.uplink_mic(message, f_cnt) == mic
    conf_f_cnt = session.conf_f_cnt_down if f_ctrl & F_CTRL_ACK else 0
    channel = _channel(state, session, rx.frequency_hz)
    if channel is None:
        return False
    expected = cipher.uplink_mic(message, f_cnt, conf_f_cnt, dr, channel)
    if expected == mic or not f_ctrl & F_CTRL_ACK or expected[2:] != mic[2:]:
        return expected == mic
    # Half the MIC has just held; the other half is over the counter of a confirmed downlink, and not of the last one.
    others = _other_confirmed(state, session, f_cnt)
    return any(cipher.uplink_mic(message, f_cnt, one, dr, channel) == mic for one in others)


def _channel(state: NetworkState, session: Session, frequency_hz: int) -> int | None:
    """The number of the channel that a 1.1 device has used, which is in its MIC."""
    channel = channel_index(state.plan, session.radio, frequency_hz)
    return expected_channel(state, session, frequency_hz) if channel is None else channel


def _other_confirmed(state: NetworkState, session: Session, f_cnt: int) -> Iterator[int]:
    """Counters of confirmed downlinks that the ACK in a 1.1 device's frame may be bound to, beside the last one known.

    A frame that was long on its way, and whose ACK counts for nothing, may acknowledge an earlier one. A server that came from
    a backup does not know those that it sent in the days it has lost; without a restore there are none.
    """
    last = session.conf_f_cnt_down
    if f_cnt < session.f_cnt_up - 1:
        yield from range(last - 1, max(-1, last - 1 - EARLIER_CONFIRMED), -1)
    if state.restores:
        next_f_cnt = max(session.n_f_cnt_down, session.a_f_cnt_down)
        yield from range(last + 1, min(next_f_cnt, last + 1 + state.restores * FORGOTTEN_CONFIRMED))


def acknowledges_last(state: NetworkState, session: Session, gathered: Gathered) -> bool:
    """Is the ACK of this accepted frame for the last confirmed downlink known, and not for one that a restore has forgotten?"""
    if not session.lorawan_1_1 or not state.restores:
        return True
    phy, channel = gathered.phy, _channel(state, session, gathered.copies[0].frequency_hz)
    if channel is None:
        return False
    cipher, conf_f_cnt = state.cipher(session), session.conf_f_cnt_down
    return cipher.uplink_mic(phy[:-4], gathered.f_cnt, conf_f_cnt, gathered.dr, channel) == phy[-4:]


def _mic_holds_at(
    state: NetworkState, session: Session, message: bytes, mic: bytes, f_ctrl: int, dr: int, rx: RxFrame, f_cnt: int
) -> bool:
    return _mic_holds(state, session, message, mic, f_ctrl, f_cnt, dr, rx)


def _fresh(
    state: NetworkState,
    gatherer: Gatherer,
    session: Session,
    rx: RxFrame,
    m_hdr: int,
    f_ctrl: int,
    f_cnt: int,
    dr: int,
    now: Now,
) -> None:
    if f_cnt >= F_CNT_RUNNING_OUT:
        _tell_end(state, session, f_cnt, rx.wall_us)
    if not session.confirmed:
        activate(state, session, rx.wall_us)
    _take(state, gatherer, Kind.DATA, session, rx, m_hdr, f_ctrl, f_cnt, dr, now)


def _tell_end(state: NetworkState, session: Session, f_cnt: int, wall_us: int) -> None:
    """Counters end; a device that sends every minute needs two years from the first alarm to the end."""
    device = session.device
    if f_cnt == MAX_F_CNT:
        text = "FCntUp has reached its end, 2**32 - 1: the device must join again"
        events.emit_log(state, device, wall_us, "ERROR", "UPLINK_F_CNT_RESET", text)
    elif session.f_cnt_up <= F_CNT_RUNNING_OUT:
        text = f"FCntUp is {f_cnt}, {MAX_F_CNT - f_cnt} frames before its end: let the device join again"
        events.emit_log(state, device, wall_us, "WARNING", "UPLINK_F_CNT_RESET", text)


def _take(
    state: NetworkState,
    gatherer: Gatherer,
    kind: Kind,
    session: Session,
    rx: RxFrame,
    m_hdr: int,
    f_ctrl: int,
    f_cnt: int,
    dr: int,
    now: Now,
) -> None:
    """Counter and frame go into one batch: both survive, or neither."""
    phy = rx.phy
    if session.device.profile.relaxed_f_cnt_reset:
        relaxed.note(state, session, f_cnt, phy[-4:])
    session.take_f_cnt_up(f_cnt, phy[-4:])
    frame_id = state.next_frame_id()
    wall_us = rx.wall_us
    if kind is Kind.DATA:
        session.last_seen_us = wall_us
        session.rssi_dbm = rx.rssi_dbm
        session.snr_db = rx.snr_db
        session.last_frame_id = frame_id
        session.dr = dr
    else:
        wall_us = _sent_at_us(session, rx, f_cnt)
    port_at = 8 + (f_ctrl & 0x0F)
    device = session.device
    if device.listener is not None:
        device.listener.spoke(rx.heard_us)
    state.batch.frames.append(
        (
            frame_id,
            "late" if kind is Kind.LATE else "up",
            wall_us,
            device.id,
            session.id,
            session.dev_addr,
            f_cnt,
            phy[port_at] if port_at < len(phy) - 4 else None,
            m_hdr >> 5 == CONFIRMED_UP,
            rx.frequency_hz,
            rx.datr,
            phy,
            to_detail(rx),
            rx.gateway.eui_text,
            0,
            "",
        )
    )
    state.batch.sessions[session.id] = session
    state.counters["accepted"] += 1
    gathered = gatherer.open(kind, rx, dr, now)
    gathered.session = session
    gathered.f_cnt = f_cnt
    gathered.frame_id = frame_id
    gathered.batch = state.batch
    gathered.wall_us = wall_us


def _sent_at_us(session: Session, rx: RxFrame, f_cnt: int) -> int:
    """When a late frame was sent, UTC: before the newest one, or its reading would seem to be the newer of the two.

    By its gateway's own time where that can be (INV-24); else all that is known is the order.
    """
    if session.last_seen_us is None:
        return rx.wall_us
    latest_us = min(rx.wall_us, session.last_seen_us) - (session.f_cnt_up - 1 - f_cnt) * LATE_APART_US
    said_us = rx.gateway_time_us
    if said_us is not None and latest_us - LATE_WITHIN_US <= said_us <= latest_us:
        return said_us
    return latest_us


def _is_repetition(session: Session, mic: bytes) -> bool:
    """Is a frame with the newest counter the same frame as before?"""
    # A 1.1 MIC has the channel and data rate in its first half, and a repetition may change both (LoRaWAN 1.1 §4.4).
    return mic[-2:] == session.last_mic[-2:] if session.lorawan_1_1 else mic == session.last_mic


def _again(
    state: NetworkState, gatherer: Gatherer, session: Session, rx: RxFrame, f_cnt: int, dr: int, now: Now
) -> None:
    """The newest counter once more, with a MIC that holds."""
    if not _is_repetition(session, rx.phy[-4:]):
        # Two different frames under one counter: the device has lost its counter or its mind.
        state.counters["counter_reused"] += 1
        log_refused(state, rx, "rejected", "another frame under the newest FCntUp", session, f_cnt, session.dev_addr)
        events.emit_log(
            state, session.device, rx.wall_us, "WARNING", "UPLINK_F_CNT_RETRANSMISSION",
            f"another frame with FCntUp {f_cnt}, which was already used; the first one is kept",
        )  # fmt: skip
        return
    if not _repeated_by_device(state, session, rx):
        state.counters["late_copies"] += 1
        return
    state.counters["repeated"] += 1
    if session.device.listener is not None:
        session.device.listener.spoke(rx.heard_us)
    gathered: Gathered = gatherer.open(Kind.REPEATED, rx, dr, now)
    gathered.session = session
    gathered.f_cnt = f_cnt
    gathered.frame_id = session.last_frame_id


def _repeated_by_device(state: NetworkState, session: Session, rx: RxFrame) -> bool:
    """Did the device transmit a confirmed frame again, or was this copy only slow on its way?

    A gateway that had the frame and now has it at another concentrator time heard the device again. A gateway that did not
    have it may be slow: it is believed when it heard the frame after the receive windows, and noted otherwise, so that a
    second hearing of it counts. Nothing is known of frames from before the server's start, then the wall clock must do. A
    repeated unconfirmed frame (NbTrans) needs no answer and is always a copy.
    """
    if rx.phy[0] >> 5 != CONFIRMED_UP:
        return False
    heard = state.heard.get(session.id)
    if heard is None:
        return session.last_seen_us is None or rx.wall_us - session.last_seen_us > REPEAT_AFTER_US
    before = heard.by.get(rx.gateway.eui)
    heard.by[rx.gateway.eui] = time_of(rx)
    if before is None:
        return rx.heard_us - heard.at_us > session.radio.rx1_delay_s * 1_000_000 + BEHIND_WINDOWS_US
    return (time_of(rx) - before) % WRAP_US > REPEAT_AFTER_US
