"""CtrlUplinkListReq: a relay forgets a device that is no longer ours, or whose session has ended (TS011-1.0.1 §10.5)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lns.mac import relay
from lns.mac.context import Block, MacContext
from lorawan.commands import CtrlUplinkListAns, CtrlUplinkListReq, UpdateUplinkListReq

REMOVE = 1


def ask(context: MacContext) -> Iterator[Block]:
    """For the first place whose DevAddr no session has any more."""
    mac, radio = context.device.mac, context.session.radio
    if not radio.relay or (
        mac is not None and not mac.is_due(CtrlUplinkListReq.cid, context.gathered.f_cnt, context.now.mono_us)
    ):
        return
    for place, entry in relay.trusted(radio.relay).items():
        if not context.state.sessions.get(entry.dev_addr):
            context.mac.replace_wish(CtrlUplinkListReq(place, REMOVE))
            yield (CtrlUplinkListReq(place, REMOVE),)
            return


def note_sent(block: Block, context: MacContext) -> None:
    context.mac.asking_of(CtrlUplinkListReq.cid).sent(context.gathered.f_cnt, context.now.mono_us)


def on_uplink(answers: Sequence[CtrlUplinkListAns], context: MacContext) -> None:
    """Removed, or it was not there: in both cases the place is empty now."""
    wish = context.mac.wish_of(CtrlUplinkListReq)
    if not isinstance(wish, CtrlUplinkListReq):
        context.state.counters["unasked_mac_answers"] += 1
        return
    context.mac.fulfilled(CtrlUplinkListReq)
    radio = context.session.radio
    context.set_radio(radio._replace(relay=relay.dropped(radio.relay, (UpdateUplinkListReq.cid, wish.index))))
