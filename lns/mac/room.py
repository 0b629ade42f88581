"""Room for answers in the device's uplinks: a frame that a meter sends must not grow too long by what we ask.

At DR0 to DR2 an uplink carries 51 bytes, and each answer takes some of them. A request whose answers would push the meter's
data out waits: for a shorter frame, for a better data rate, and at last for its turn.
"""

from __future__ import annotations

from collections.abc import Iterable

from lns.mac.context import Block, MacContext
from lns.mac.versions import version_of
from lorawan.commands import COMMANDS, Command, LinkADRReq

MAX_F_OPTS = 15
PATIENCE = 8
"""Uplinks that a request waits for a better moment; then one goes down and costs the device a frame of its own."""

ANSWER_BYTES: dict[type[Command], int] = {
    row.downlink: 1 + row.uplink.layout.length
    for row in COMMANDS
    if row.downlink is not None and row.uplink is not None
}


def answer_bytes(block: Block, version: str) -> int:
    """What the answers to a block take in the uplink after it; 1.1 answers a block of LinkADRReq once."""
    if version == "1.1.0" and isinstance(block[0], LinkADRReq):
        return ANSWER_BYTES[LinkADRReq]
    return sum(ANSWER_BYTES.get(type(command), 0) for command in block)


def with_room(blocks: Iterable[Block], context: MacContext) -> list[Block]:
    """The blocks whose answers fit beside a frame as long as this one. A raised data rate makes room by itself."""
    plan, session = context.state.plan, context.session
    limit = plan.max_payload(context.gathered.dr, dwell=session.radio.uplink_dwell)
    room = min(MAX_F_OPTS, limit - context.payload_length)
    version = version_of(session)
    chosen: list[Block] = []
    late: list[Block] = []
    for block in blocks:
        length = answer_bytes(block, version)
        if length <= room or _raises_dr(block, context):
            chosen.append(block)
            room -= length
        else:
            late.append(block)
    if not late:
        return chosen
    context.mac.postponed += 1
    if context.mac.postponed > PATIENCE and not chosen:
        chosen.append(late[0])
    if chosen:
        context.mac.postponed = 0
    return chosen


def _raises_dr(block: Block, context: MacContext) -> bool:
    first = block[0]
    return isinstance(first, LinkADRReq) and context.adr_asked is not None and first.dr > context.gathered.dr
