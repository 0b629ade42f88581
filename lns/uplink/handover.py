"""The window has closed: one event, the MAC layer, and perhaps a downlink."""

from __future__ import annotations

from collections.abc import Sequence

from lns import events, mac
from lns.class_b import lock
from lns.clock import Now
from lns.downlink.acknowledge import take_ack
from lns.downlink.compose import Block, compose
from lns.downlink.listener import note_uplink
from lns.downlink.options import Option, data_options
from lns.downlink.transmit import Transmission
from lns.gateways.frames import RxFrame
from lns.mac.context import MacContext
from lns.session import Session
from lns.state import Heard, NetworkState
from lns.uplink import relay, way
from lns.uplink.accept import CONFIRMED_UP, acknowledges_last
from lns.uplink.gather import Gathered, Kind
from lns.uplink.reception import time_of
from lorawan.crypto import SessionCipher
from lorawan.hot import data_payload

F_CTRL_ADR = 0x80
F_CTRL_ADR_ACK_REQ = 0x40
F_CTRL_ACK = 0x20


def hand_over(state: NetworkState, gathered: Gathered, now: Now) -> Transmission | None:
    """Make the event of a gathered data frame. Returns the downlink that answers it, to be started when durable."""
    state.silence = way.NOTHING_TO_SAY
    transmission = _hand_over(state, gathered, now)
    if gathered.event is not None:
        reply = (0, state.silence) if transmission is None else (transmission.frame_id, "")
        gathered.event[-1] = way.to_bytes(gathered, *reply, now)
    return transmission


def _hand_over(state: NetworkState, gathered: Gathered, now: Now) -> Transmission | None:
    session = gathered.session
    assert session is not None
    phy = gathered.phy
    f_ctrl = phy[5]
    confirmed = phy[0] >> 5 == CONFIRMED_UP
    if gathered.kind is Kind.REPEATED and gathered.f_cnt < session.f_cnt_up - 1:
        # Held up, or repeated by somebody, while the device has gone on: it waits for the answer to the newer frame.
        state.silence = "the device has sent a newer frame meanwhile"
        return None
    if confirmed and gathered.kind is not Kind.LATE:
        state.remember_heard(session, _heard(gathered.copies))
    ack_f_cnt = gathered.f_cnt if confirmed else None
    if gathered.kind is Kind.REPEATED:
        state.reach.missed(session.device.id)
        return _answer(state, session, gathered, ack_f_cnt, None, now) if _is_in_use(session) else None

    cipher = state.cipher(session)
    f_opts, f_port, data = data_payload(phy, f_ctrl)
    relayed = f_port == relay.RELAY_PORT and session.device.profile.relay
    if f_port is not None and data:
        data = cipher.payload(f_port, data, gathered.f_cnt, uplink=True)
    late = gathered.kind is Kind.LATE
    state.handed_over_id = gathered.frame_id
    adr = bool(f_ctrl & F_CTRL_ADR)
    events.emit_up(
        state,
        gathered,
        session,
        f_port,
        data if f_port and not relayed else b"",
        confirmed,
        adr,
        late,
        cipher.keys.app_s_key_envelope,
    )
    if late or not _is_in_use(session):
        state.silence = "late: data only" if late else "the device has a newer session"
        return None
    best = gathered.copies[0]
    if len(gathered.copies) == 1:
        session.gateways = 1
    else:
        session.gateways = len({rx.gateway.eui for rx in gathered.copies})
        best = max(gathered.copies, key=events.signal)
    session.rssi_dbm, session.snr_db = best.rssi_dbm, best.snr_db
    lock.heard(state, session, f_ctrl)
    if session.device.queue is not None:
        acknowledged = bool(f_ctrl & F_CTRL_ACK) and acknowledges_last(state, session, gathered)
        take_ack(state, session, acknowledged, min(rx.heard_us for rx in gathered.copies), now)
    adr_ack_req = bool(f_ctrl & F_CTRL_ADR_ACK_REQ)
    context = MacContext(state, session, session.device, gathered, adr, adr_ack_req, now, len(data) if f_port else 0)
    mac.handle(_mac_commands(cipher, session, gathered.f_cnt, f_opts, f_port, data), context)
    note_uplink(state, session.device, gathered.copies)
    if relayed and relay.unwrap(
        state,
        session,
        gathered,
        data,
        ack_f_cnt,
        lambda now: _answer(state, session, gathered, ack_f_cnt, context, now),
    ):
        state.silence = "a relay: answered after the frame within"
        return None  # the relay is answered when the frame within has been
    return _answer(state, session, gathered, ack_f_cnt, context, now)


def _heard(copies: list[RxFrame]) -> Heard:
    return Heard(min(rx.heard_us for rx in copies), {rx.gateway.eui: time_of(rx) for rx in copies})


def _is_in_use(session: Session) -> bool:
    return session.device.session is session


def _mac_commands(
    cipher: SessionCipher, session: Session, f_cnt: int, f_opts: bytes, f_port: int | None, data: bytes
) -> bytes:
    if f_port == 0:
        return data
    if f_opts and session.lorawan_1_1:
        return cipher.f_opts(f_opts, f_cnt, uplink=True)
    return f_opts


def _answer(
    state: NetworkState,
    session: Session,
    gathered: Gathered,
    ack_f_cnt: int | None,
    context: MacContext | None,
    now: Now,
) -> Transmission | None:
    copies = gathered.copies
    path = relay.via(copies)
    must_answer = False
    answers: Sequence[Block] = ()
    if context is not None:
        if path is not None or copies[0].tmst is not None or any(rx.is_answerable for rx in copies):
            mac.ask(context)  # otherwise no downlink is possible, and what is not sent must not wait for an answer
        answers, must_answer = context.blocks, context.adr_ack_req or context.must_answer
        if not (
            answers or must_answer or context.requests or ack_f_cnt is not None or session.device.queue is not None
        ):
            return None  # as most uplinks of meters

    def options() -> list[Option]:
        if path:
            return relay.options(state, path)
        found = data_options(state, gathered.copies, gathered.dr, *mac.windows(state, session))
        return [one for one in found if one.window == "RX1"] if context is not None and context.only_rx1 else found

    transmission = compose(
        state,
        session,
        options,
        now,
        ack_f_cnt=ack_f_cnt,
        answers=answers,
        requests=context.requests if context is not None else (),
        must_answer=must_answer,
        reply_to=gathered.frame_id,
    )
    if transmission is not None and context is not None:
        mac.sent(transmission.blocks, context)
    return transmission
