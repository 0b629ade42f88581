"""ResetInd: a 1.1 ABP device has reset its MAC layer (LoRaWAN 1.1 §5.1)."""

from __future__ import annotations

from collections.abc import Sequence

from lns.mac.context import MacContext
from lns.radio import at_boot
from lorawan.commands import ResetConf, ResetInd


def on_uplink(commands: Sequence[ResetInd], context: MacContext) -> None:
    """The device is back at the region's defaults: forget what it had acknowledged and what was asked, and confirm.

    It repeats itself until it hears the answer; each time says the same, for it obeys nothing else before.
    """
    session = context.session
    if session.device.activation != "ABP":
        context.state.counters["unsupported_mac_commands"] += 1
        return
    session.tx_power, session.nb_trans, session.adr = 0, 1, b""
    context.set_radio(at_boot(context.state.plan))
    context.mac.forget_requests()
    context.answers.append(ResetConf(minor=min(1, commands[-1].minor)))
