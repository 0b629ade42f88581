"""Make one downlink: what goes in, its counter, its bytes.

Classes A, B, C and multicast differ in where and when they may speak; here they are one. The counter is allocated and the
frame encrypted once. Everything goes into the batch; the transmission starts only when that batch is durable.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from lns import events
from lns.adr import chosen
from lns.clock import Now
from lns.downlink.expiry import expire
from lns.downlink.options import Option
from lns.downlink.queue import Item, ItemState, drop_closed, sendable
from lns.downlink.ranking import ranked
from lns.downlink.transmit import Transmission
from lns.gateways.ledger import Priority
from lns.session import Session
from lns.state import NetworkState
from lorawan.commands import Command, encode_commands
from lorawan.counters import MAX_F_CNT
from lorawan.frames import DataFrame

MAX_F_OPTS = 15
FHDR_BYTES = 7
MAC_PORT = 0

Block: TypeAlias = Sequence[Command]
"""MAC commands that go down together or not at all."""


def compose(
    state: NetworkState,
    session: Session,
    options: Callable[[], list[Option]],
    now: Now,
    *,
    ack_f_cnt: int | None = None,
    answers: Sequence[Block] = (),
    requests: Sequence[Block] = (),
    must_answer: bool = False,
    reply_to: int = 0,
) -> Transmission | None:
    """Compose a downlink, or None when there is nothing to say or no way to say it.

    ``options`` are asked for only when there is something to say. ``ack_f_cnt`` is the FCntUp to acknowledge, None for none;
    ``must_answer`` asks for an empty frame if there is nothing else (ADRACKReq). The order of precedence is: answers, the
    application's item, requests. Blocks that do not fit stay away, and :attr:`Transmission.blocks` tells which went:
    commands beyond 15 bytes go on port 0 when no item wants the place. ``reply_to``: the frame that this answers, 0 for none.
    """
    device = session.device
    queued = _sendable(state, session, now) if device.queue is not None else []
    if ack_f_cnt is None and not answers and not requests and not must_answer and not queued:
        return None
    ways = options()
    usable = in_order(state, session, ways)
    if not usable:
        state.counters["no_downlink_option"] += 1
        state.silence = f"no window: {'an earlier downlink is not over' if ways else 'no gateway can send in time'}"
        return None
    room = max(option.max_mac_payload for option in usable) - FHDR_BYTES
    waiting = [
        item
        for item in queued
        if _is_readable(state, session, item, now) and _fits(state, session, item, room - 1, now)
    ]
    item = waiting[0] if waiting else None
    blocks = _that_fit(answers, min(MAX_F_OPTS, room))
    if item is not None and _size(blocks) + 1 + len(item.data) > room:
        item = None  # FPending has the device call again for it
    left = room - (1 + len(item.data) if item is not None else 0)
    if len(blocks) == len(answers):
        blocks += _that_fit(requests, min(MAX_F_OPTS, left) - _size(blocks))
    on_mac_port = False
    if item is None and len(blocks) < len(answers) + len(requests):
        more = _that_fit([*answers, *requests], room - 1)
        on_mac_port = len(more) > len(blocks)
        blocks = more if on_mac_port else blocks
    if item is None and not blocks and ack_f_cnt is None and not must_answer:
        state.silence = "what waits does not fit into a frame at this data rate"
        return None
    if _is_exhausted(state, session, item is not None, now):
        state.silence = "FCntDown has reached its end"
        return None
    mac = encode_commands([command for block in blocks for command in block])
    size = FHDR_BYTES + len(mac) + (1 + len(item.data) if item is not None else on_mac_port)
    usable = [option for option in usable if option.max_mac_payload >= size]
    pending = any(one is not item for one in waiting)
    phy, f_cnt = encode(state, session, item, mac, ack_f_cnt, pending, on_mac_port)
    priority = Priority.ANSWER
    if ack_f_cnt is None and not must_answer:
        priority = Priority.MAC if blocks else Priority.APPLICATION
    usable, why = ranked(state, device.id, usable, len(phy), session.tx_power, priority, now)
    transmission = Transmission(device, state.next_frame_id(), phy, usable, item, now)
    transmission.session = session
    transmission.blocks = blocks
    transmission.priority = priority
    if why:
        transmission.mark(f"put behind: {why}", now)
    transmission.after_us = state.speaking.get(device.id)
    if item is not None:
        item.f_cnt_down, item.session_id = f_cnt, session.id
        item.move(ItemState.SCHEDULED)
        state.batch.operations.append(("item_state", item.row()))
    f_port = item.f_port if item is not None else MAC_PORT if on_mac_port else None
    log_downlink(state, "down", session, transmission, f_cnt, f_port, reply_to)
    state.dirty(session)
    state.speaks_until(device, max(option.end_us(state.plan, len(phy)) for option in usable))
    state.counters["downlinks"] += 1
    return transmission


def in_order(state: NetworkState, session: Session, options: list[Option]) -> list[Option]:
    """Options that begin when all frames before this one are off the air: a device refuses a counter out of its order."""
    until_us = state.speaking.get(session.device.id)
    if until_us is None:
        return options
    return [option for option in options if option.start_us >= until_us]


def encode(
    state: NetworkState,
    session: Session,
    item: Item | None,
    mac: bytes,
    ack_f_cnt: int | None,
    f_pending: bool,
    on_mac_port: bool = False,
    carried: tuple[int, bytes] | None = None,
) -> tuple[bytes, int]:
    """Burn a counter and make the bytes of a downlink, its MAC commands in FOpts or on port 0.

    ``carried``: (FPort, data) of the network's own for a relay, under its NwkSEncKey.

    Returns (PHYPayload, FCntDown).
    """
    cipher = state.cipher(session)
    application = item is not None
    if item is not None and item.encrypted_f_cnt is not None:
        session.skip_to_f_cnt_down(item.encrypted_f_cnt)
    f_cnt = session.next_f_cnt_down(application)
    f_opts, f_port, payload = mac, None, b""
    if item is not None:
        f_port, payload = item.f_port, item.data
        if item.encrypted_f_cnt is None:
            payload = cipher.payload(item.f_port, item.data, f_cnt, uplink=False)
    elif on_mac_port:
        f_opts, f_port, payload = b"", MAC_PORT, cipher.payload(MAC_PORT, mac, f_cnt, uplink=False)
    elif carried is not None:
        f_port, payload = carried[0], cipher.payload(*carried, f_cnt, uplink=False)
    if session.lorawan_1_1 and f_opts:
        f_opts = cipher.f_opts(f_opts, f_cnt, uplink=False, a_f_cnt=application)
    confirmed = item is not None and item.confirmed
    if confirmed:
        session.conf_f_cnt_down = f_cnt
    frame = DataFrame(
        uplink=False,
        confirmed=confirmed,
        dev_addr=session.dev_addr,
        adr=chosen(session.device.profile.adr, state.settings.adr) != "off",
        ack=ack_f_cnt is not None,
        f_pending=f_pending,
        f_cnt=f_cnt & 0xFFFF,
        f_opts=f_opts,
        f_port=f_port,
        frm_payload=payload,
    )
    message = frame.encode_without_mic()
    return message + cipher.downlink_mic(message, f_cnt, ack_f_cnt or 0), f_cnt


def log_downlink(
    state: NetworkState,
    kind: str,
    session: Session,
    transmission: Transmission,
    f_cnt: int | None,
    f_port: int | None,
    reply_to: int,
    carries: bool = False,
) -> None:
    """The frame's row: with it a restart knows that this counter may have been on the air.

    ``carries``: the frame of ``transmission`` is inside this one, a relay's, which has a row of its own.
    """
    first: Option = transmission.options[0]
    state.batch.frames.append(
        (
            state.next_frame_id() if carries else transmission.frame_id,
            kind,
            transmission.wall_us,
            session.device.id,
            session.id,
            session.dev_addr,
            f_cnt,
            f_port,
            transmission.item is not None and transmission.item.confirmed,
            first.frequency_hz,
            state.plan.datr(first.dr, downlink=True),
            transmission.phy,
            b"",
            first.gateway.eui_text,
            reply_to,
            f"carries frame {transmission.frame_id}" if carries else "scheduled",
        )
    )


def _sendable(state: NetworkState, session: Session, now: Now) -> list[Item]:
    """Items that may go now, in their order; those whose time is over are told and dropped."""
    expire(state, session.device, now.wall_us)
    return sendable(session.device, now.wall_us)


def _that_fit(blocks: Sequence[Block], room: int) -> list[Block]:
    """As many blocks from the front as fit."""
    taken: list[Block] = []
    for block in blocks:
        room -= len(encode_commands(block))
        if room < 0:
            break
        taken.append(block)
    return taken


def _size(blocks: Sequence[Block]) -> int:
    return sum(len(encode_commands(block)) for block in blocks)


def _is_exhausted(state: NetworkState, session: Session, application: bool, now: Now) -> bool:
    """True when the counter of this downlink has been used to its end: no frame can go down any more."""
    if session.peek_f_cnt_down(application) <= MAX_F_CNT:
        return False
    events.emit_log(
        state, session.device, now.wall_us, "ERROR", "F_CNT_DOWN",
        "FCntDown has reached its end, 2**32 - 1: nothing can be sent until the device joins again",
    )  # fmt: skip
    return True


def _is_readable(state: NetworkState, session: Session, item: Item, now: Now) -> bool:
    """Would the device understand it? An item that the application has encrypted is bound to one counter of one session."""
    if item.encrypted_f_cnt is None:
        if not session.is_end_to_end:
            return True
        why = "only the application has this session's AppSKey: give the item encrypted, with its FCntDown"
    elif item.encrypted_f_cnt >= session.peek_f_cnt_down(application=True):
        return True
    else:
        why = f"it is encrypted for FCntDown {item.encrypted_f_cnt}, which is used: encrypt it anew"
    item.move(ItemState.FAILED, why)
    state.batch.operations.append(("item_state", item.row()))
    events.emit_log(state, session.device, now.wall_us, "ERROR", "F_CNT_DOWN", why, {"queue_item_id": item.id})
    drop_closed(session.device)
    return False


def _fits(state: NetworkState, session: Session, item: Item, limit: int, now: Now) -> bool:
    """Does the item fit? One that does not waits and says so, once, and blocks nobody behind it."""
    if len(item.data) <= limit:
        return True
    plan, needed = state.plan, len(item.data) + 1 + FHDR_BYTES
    rates = (dr for dr in range(len(plan.data_rates)) if plan.max_mac_payload(dr, downlink=True) >= needed)
    dr = next(rates, None)
    needs = "no data rate carries it" if dr is None else f"it needs DR{dr}"
    reason = f"{needs}: {len(item.data)} bytes, and at present at most {limit} fit; items behind it go first"
    if item.reason != reason:
        item.reason = reason
        state.batch.operations.append(("item_state", item.row()))
        events.emit_log(
            state, session.device, now.wall_us, "ERROR", "DOWNLINK_PAYLOAD_SIZE", reason, {"queue_item_id": item.id}
        )
    return False
