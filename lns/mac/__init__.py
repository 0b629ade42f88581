"""The MAC layer: one file a command.

A file has ``on_uplink(command, context)`` for what a device says and, where the server asks by itself, ``ask(context)``. Both
only read and change the context; a lost answer is no special case, for ``ask`` compares what is wanted with what the device
has acknowledged and asks again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lns.mac import dev_status, device_time, link_adr, link_check, rekey, reset
from lns.mac.context import MacContext
from lorawan.commands import (
    Command,
    DeviceTimeReq,
    DevStatusAns,
    LinkADRAns,
    LinkCheckReq,
    RekeyInd,
    ResetInd,
    UnknownCommand,
    parse_commands,
)

HANDLERS: dict[type[Command], Callable[[Any, MacContext], None]] = {
    LinkCheckReq: link_check.on_uplink,
    LinkADRAns: link_adr.on_uplink,
    DevStatusAns: dev_status.on_uplink,
    DeviceTimeReq: device_time.on_uplink,
    ResetInd: reset.on_uplink,
    RekeyInd: rekey.on_uplink,
}

ASKERS: tuple[Callable[[MacContext], None], ...] = (link_adr.ask, dev_status.ask)


def handle(data: bytes, context: MacContext) -> None:
    """Take a device's MAC commands in their order. Unknown ones are counted; what follows them cannot be read."""
    counters = context.state.counters
    for command in parse_commands(data, uplink=True, lorawan_1_1=context.session.lorawan_1_1):
        handler = HANDLERS.get(type(command))
        if handler is not None:
            handler(command, context)
        elif isinstance(command, UnknownCommand):
            counters["unknown_mac_commands"] += 1
        else:
            counters["unhandled_mac_commands"] += 1
    link_adr.after_uplink(context)


def ask(context: MacContext) -> None:
    """Collect what the server wants to ask this device now."""
    for asker in ASKERS:
        asker(context)
