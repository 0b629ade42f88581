"""NotifyNewEndDeviceReq: a relay has heard a device that it does not know (TS011-1.0.1 §10.7)."""

from __future__ import annotations

from collections.abc import Sequence

from lns.mac import update_uplink_list
from lns.mac.context import MacContext
from lorawan.commands import NotifyNewEndDeviceReq


def on_uplink(commands: Sequence[NotifyNewEndDeviceReq], context: MacContext) -> None:
    """A device of ours is trusted from now on; others are none of the relay's business. It needs no answer."""
    if not context.device.profile.relay:
        context.state.counters["unsupported_mac_commands"] += len(commands)
        return
    for command in commands:
        update_uplink_list.trust(command.dev_addr, context)
