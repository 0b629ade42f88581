"""ForceRejoinReq: have a device join anew, when an operator wants it (LoRaWAN 1.1 §5.13). It has no answer but the rejoin.

The wish lies with the requests under way in the session, so a restart does not forget it and the new session does.

The specification and LoRaMac-node disagree on the order of its two bytes. Period and retries are chosen here so that both bytes
are the same: every device reads what was meant.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from lns.mac import negotiate
from lns.mac.context import Block, MacContext
from lorawan.commands import ForceRejoinReq

if TYPE_CHECKING:
    from lns.session import Session
    from lns.state import NetworkState

MAX_TRIES = 5
"""Afterwards the operator may wish it again."""


def request(rejoin_type: int, dr: int) -> ForceRejoinReq:
    """The request whose bytes read the same in both orders: period and retries repeat type and data rate."""
    byte = rejoin_type << 4 | dr
    return ForceRejoinReq(period=byte >> 3, max_retries=byte & 7, rejoin_type=rejoin_type, dr=dr)


def wish(state: NetworkState, session: Session, rejoin_type: int, dr: int) -> None:
    """Send it with the next answers to this device, before anything else."""
    radio = session.radio
    asked = negotiate.without(radio.asked, {ForceRejoinReq.cid}) + request(rejoin_type, dr).encode()
    session.radio = state.radio(radio._replace(asked=asked))
    state.dirty(session)
    if session.device.mac is not None:
        session.device.mac.answered(ForceRejoinReq.cid)


def ask(context: MacContext) -> Iterator[Block]:
    """Until a new session replaces this one."""
    asked = context.session.radio.asked
    wishes = [one for one in negotiate.under_way(asked) if isinstance(one, ForceRejoinReq)] if asked else []
    mac = context.device.mac
    if wishes and (mac is None or mac.is_due(ForceRejoinReq.cid, context.gathered.f_cnt, context.now.mono_us)):
        context.urgent.append(tuple(wishes))
    yield from ()


def note_sent(block: Block, context: MacContext) -> None:
    asking = context.mac.asking_of(ForceRejoinReq.cid)
    asking.sent(context.gathered.f_cnt, context.now.mono_us)
    if asking.tries >= MAX_TRIES:
        radio = context.session.radio
        context.mac.answered(ForceRejoinReq.cid)
        context.set_radio(radio._replace(asked=negotiate.without(radio.asked, {ForceRejoinReq.cid})))
