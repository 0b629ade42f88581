"""Make the one downlink that answers an uplink: what goes in, its counter, its bytes.

The counter is allocated and the frame encrypted here, once. Everything goes into the batch; the transmission starts only
when that batch is durable.
"""

from __future__ import annotations

from lns import events
from lns.clock import Now
from lns.downlink.options import Option, data_options
from lns.downlink.queue import Item, ItemState, awaiting_ack, drop_closed, next_item
from lns.downlink.transmit import Transmission
from lns.gateways.frames import RxFrame
from lns.session import Session
from lns.state import NetworkState
from lorawan.commands import Command, encode_commands
from lorawan.counters import MAX_F_CNT
from lorawan.frames import DataFrame

MAX_F_OPTS = 15
FHDR_BYTES = 7


def compose(
    state: NetworkState,
    session: Session,
    copies: list[RxFrame],
    dr: int,
    ack_f_cnt: int | None,
    answers: list[Command],
    requests: list[Command],
    must_answer: bool,
    reply_to: int,
    now: Now,
) -> Transmission | None:
    """Compose the class A answer to an uplink, or None when there is nothing to say or no way to say it.

    ``ack_f_cnt`` is the FCntUp to acknowledge, None for none; ``must_answer`` asks for an empty frame if there is nothing
    else (ADRACKReq). MAC commands that do not fit stay away: the device asks again, and so do we.
    """
    device = session.device
    item = _next_sendable(state, session, now) if device.queue is not None else None
    waiting = item is not None
    if ack_f_cnt is None and not answers and not requests and not must_answer and not waiting:
        return None
    options = data_options(state, copies, dr, session.radio)
    if not options:
        state.counters["no_downlink_option"] += 1
        return None
    room = max(option.max_mac_payload for option in options) - FHDR_BYTES
    commands = _that_fit([*answers, *requests], min(MAX_F_OPTS, room))
    f_opts = encode_commands(commands)
    if item is not None and len(f_opts) + 1 + len(item.data) > room:
        if not f_opts and ack_f_cnt is None and not must_answer:
            _too_long(state, session, item, room - 1, now)
            return None
        if 1 + len(item.data) > room:
            _too_long(state, session, item, room - 1, now)
            waiting = False  # FPending would have the device call again for nothing
        item = None
    if _is_exhausted(state, session, item is not None, now):
        return None
    size = FHDR_BYTES + len(f_opts) + (1 + len(item.data) if item is not None else 0)
    usable = [option for option in options if option.max_mac_payload >= size]
    if not usable:
        state.counters["no_downlink_option"] += 1
        return None
    more = waiting and (item is None or _has_more(session, item))
    phy, f_cnt = encode(state, session, item, f_opts, ack_f_cnt, more)
    frame_id = state.next_frame_id()
    transmission = Transmission(device, frame_id, phy, usable, item, now)
    if item is not None:
        item.f_cnt_down = f_cnt
        item.move(ItemState.SCHEDULED)
        state.batch.operations.append(("item_state", item.row()))
    log_downlink(state, "down", session, transmission, f_cnt, item, reply_to)
    state.dirty(session)
    state.counters["downlinks"] += 1
    return transmission


def encode(
    state: NetworkState, session: Session, item: Item | None, f_opts: bytes, ack_f_cnt: int | None, f_pending: bool
) -> tuple[bytes, int]:
    """Burn a counter and make the bytes of a downlink. Returns (PHYPayload, FCntDown)."""
    cipher = state.cipher(session)
    application = item is not None
    f_cnt = session.next_f_cnt_down(application)
    if session.lorawan_1_1 and f_opts:
        f_opts = cipher.f_opts(f_opts, f_cnt, uplink=False, a_f_cnt=application)
    confirmed = item is not None and item.confirmed
    if confirmed:
        session.conf_f_cnt_down = f_cnt
    frame = DataFrame(
        uplink=False,
        confirmed=confirmed,
        dev_addr=session.dev_addr,
        adr=session.device.profile.adr != "off",
        ack=ack_f_cnt is not None,
        f_pending=f_pending,
        f_cnt=f_cnt & 0xFFFF,
        f_opts=f_opts,
        f_port=item.f_port if item is not None else None,
        frm_payload=cipher.payload(item.f_port, item.data, f_cnt, uplink=False) if item is not None else b"",
    )
    message = frame.encode_without_mic()
    return message + cipher.downlink_mic(message, f_cnt, ack_f_cnt or 0), f_cnt


def log_downlink(
    state: NetworkState,
    kind: str,
    session: Session,
    transmission: Transmission,
    f_cnt: int | None,
    item: Item | None,
    reply_to: int,
) -> None:
    """The frame's row: with it a restart knows that this counter may have been on the air."""
    first: Option = transmission.options[0]
    state.batch.frames.append(
        (
            transmission.frame_id,
            kind,
            transmission.wall_us,
            session.device.id,
            session.id,
            session.dev_addr,
            f_cnt,
            item.f_port if item is not None else None,
            item.confirmed if item is not None else False,
            first.frequency_hz,
            state.plan.datr(first.dr, downlink=True),
            transmission.phy,
            b"",
            first.gateway.eui_text,
            reply_to,
            "scheduled",
        )
    )


def _next_sendable(state: NetworkState, session: Session, now: Now) -> Item | None:
    """The next item, unless an earlier confirmed one still waits for its ACK."""
    device = session.device
    item, expired = next_item(device, now.wall_us)
    if expired:
        drop_closed(device)
    for one in expired:
        state.batch.operations.append(("item_state", one.row()))
        events.emit_log(state, device, now.wall_us, "WARNING", "EXPIRED", one.reason, {"queue_item_id": one.id})
    if item is not None and item.confirmed and awaiting_ack(device) is not None:
        return None
    return item


def _has_more(session: Session, item: Item) -> bool:
    return any(other is not item and other.state is ItemState.QUEUED for other in session.device.queue or ())


def _that_fit(commands: list[Command], room: int) -> list[Command]:
    """As many commands from the front as fit; answers come before our own questions."""
    taken: list[Command] = []
    for command in commands:
        if len(encode_commands([*taken, command])) > room:
            break
        taken.append(command)
    return taken


def _is_exhausted(state: NetworkState, session: Session, application: bool, now: Now) -> bool:
    """True when the counter of this downlink has been used to its end: no frame can go down any more."""
    if session.peek_f_cnt_down(application) <= MAX_F_CNT:
        return False
    events.emit_log(
        state, session.device, now.wall_us, "ERROR", "F_CNT_DOWN",
        "FCntDown has reached its end, 2**32 - 1: nothing can be sent until the device joins again",
    )  # fmt: skip
    return True


def _too_long(state: NetworkState, session: Session, item: Item, limit: int, now: Now) -> None:
    reason = (
        f"{len(item.data)} bytes, but at the device's present data rate at most {limit} fit; it waits for a better one"
    )
    if item.reason == reason:
        return
    item.reason = reason
    state.batch.operations.append(("item_state", item.row()))
    events.emit_log(
        state, session.device, now.wall_us, "ERROR", "DOWNLINK_PAYLOAD_SIZE", reason, {"queue_item_id": item.id}
    )
