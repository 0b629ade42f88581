"""The MAC layer: one file a command.

A device has current parameters (``session.radio``: what it has acknowledged) and desired ones (:mod:`lns.mac.desired`). A file
says for its command what to ask for the difference and what an answer changes; :mod:`lns.mac.negotiate` is what they have in
common, :mod:`lns.mac.table` lists them. For each uplink :func:`handle` takes the device's commands, :func:`ask` collects
what to say, and :func:`sent` notes which of it went down.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lns.mac import link_adr
from lns.mac.context import Block, MacContext
from lns.mac.desired import desired
from lns.mac.negotiate import after_all, note_sent, windows
from lns.mac.room import with_room
from lns.mac.table import ASKERS, HANDLERS, IN_STEP, NOTERS
from lns.mac.versions import version_of
from lns.radio import channel_index
from lorawan.commands import Command, LinkADRReq, NewChannelReq, UnknownCommand, parse_commands

if TYPE_CHECKING:
    from lns.session import Session
    from lns.state import NetworkState

__all__ = ["ask", "expected_channel", "handle", "sent", "windows"]


def handle(data: bytes, context: MacContext) -> None:
    """Take a device's MAC commands, all of one kind together, in the order of their first.

    Unknown ones are counted, and what follows them cannot be read; so are those that the device's version does not have.
    """
    if data:
        _take(data, context)
    device = context.device
    if device.mac is not None:
        if not context.repeats:
            device.mac.sticky = 0
        if device.mac.is_empty:
            device.mac = None
    link_adr.after_uplink(context)


def _take(data: bytes, context: MacContext) -> None:
    counters = context.state.counters
    version = version_of(context.session)
    kinds: dict[type[Command], list[Command]] = {}
    for command in parse_commands(data, uplink=True, lorawan_1_1=context.session.lorawan_1_1):
        kinds.setdefault(type(command), []).append(command)
    for kind, commands in kinds.items():
        row = HANDLERS.get(kind)
        if row is not None and version in row.versions:
            row.on_uplink(commands, context)
        elif kind is UnknownCommand:
            counters["unknown_mac_commands"] += 1
        else:
            counters["unsupported_mac_commands"] += len(commands)
            context.mac.unsupported += len(commands)


def ask(context: MacContext) -> None:
    """Collect what the server wants to ask this device now, as far as the device's next uplink has room to answer."""
    device, session = context.device, context.session
    in_step = session.radio is desired(context.state, session) and (device.mac is None or device.mac.wishes is None)
    blocks = [block for asker in (IN_STEP if in_step else ASKERS) for block in asker(context)]
    if not blocks:
        return
    chosen = with_room(blocks, context)
    if any(isinstance(block[0], NewChannelReq) for block in chosen):
        # The mask would be made without the new channel, and switch it off.
        chosen = [block for block in chosen if not isinstance(block[0], LinkADRReq)]
    context.requests.extend(chosen)


def sent(blocks: Sequence[Block], context: MacContext) -> None:
    """These blocks are in the frame that was made; what stayed away is asked another time."""
    asked = [block for block in (*context.urgent, *context.requests) if any(block is one for one in blocks)]
    for block in asked:
        NOTERS.get(type(block[0]), note_sent)(block, context)


def expected_channel(state: NetworkState, session: Session, frequency_hz: int) -> int | None:
    """The number of a channel that the device has not acknowledged: it was asked to make it, or brought it along."""
    for radio in (after_all(session.radio, state.plan), desired(state, session)):
        index = channel_index(state.plan, radio, frequency_hz)
        if index is not None:
            return index
    return None
