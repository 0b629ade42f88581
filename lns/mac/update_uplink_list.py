"""UpdateUplinkListReq: a relay may trust a device of ours (TS011-1.0.1 §10.4). 27 bytes: only on port 0."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from lns.mac import relay
from lns.mac.context import Block, MacContext
from lorawan.commands import UpdateUplinkListAns, UpdateUplinkListReq
from lorawan.crypto import derive_root_wor_s_key

if TYPE_CHECKING:
    from lns.session import Session
    from lorawan.identifiers import DevAddr

PLACES = 16


def trust(dev_addr: DevAddr, context: MacContext) -> None:
    """Have the relay forward the device with this address. It must be ours, and have one session only."""
    sessions = [one for one in context.state.sessions.get(dev_addr) if one.confirmed and not one.device.disabled]
    known = {one.dev_addr for one in relay.trusted(context.session.radio.relay).values()}
    if len(sessions) != 1 or dev_addr in known:
        return
    context.mac.wish(_entry(sessions[0], context))


def _entry(session: Session, context: MacContext) -> UpdateUplinkListReq:
    taken = relay.trusted(context.session.radio.relay)
    free = next((place for place in range(PLACES) if place not in taken), context.gathered.f_cnt % PLACES)
    keys = context.state.keys.unseal(session.sealed_keys, session.lorawan_1_1)
    rate = relay.reload_rate(context.device.profile.relay_settings)
    return UpdateUplinkListReq(free, rate, 0, session.dev_addr, 0, derive_root_wor_s_key(keys.nwk_s_enc_key))


def ask(context: MacContext) -> Iterator[Block]:
    mac = context.device.mac
    wish = mac.wish_of(UpdateUplinkListReq) if mac is not None else None
    if mac is not None and wish is not None and mac.is_due(wish.cid, context.gathered.f_cnt, context.now.mono_us):
        yield (wish,)


def note_sent(block: Block, context: MacContext) -> None:
    """Its key stays in memory only: after a restart the relay reports the device again, and it is told again."""
    context.mac.asking_of(UpdateUplinkListReq.cid).sent(context.gathered.f_cnt, context.now.mono_us)


def on_uplink(answers: Sequence[UpdateUplinkListAns], context: MacContext) -> None:
    """The relay has stored the entry; it is remembered without its key."""
    wish = context.mac.wish_of(UpdateUplinkListReq)
    if not isinstance(wish, UpdateUplinkListReq) or not context.mac.was_asked(UpdateUplinkListReq.cid):
        context.state.counters["unasked_mac_answers"] += 1
        return
    context.mac.fulfilled(UpdateUplinkListReq)
    radio = context.session.radio
    context.set_radio(radio._replace(relay=relay.kept(radio.relay, replace(wish, root_wor_s_key=relay.NO_KEY))))
