"""DeviceModeInd: a 1.1 device has changed its class (LoRaWAN 1.1 §18.1)."""

from __future__ import annotations

from collections.abc import Sequence

from lns.mac.context import MacContext
from lorawan.commands import DeviceModeConf, DeviceModeInd


def on_uplink(commands: Sequence[DeviceModeInd], context: MacContext) -> None:
    """The class changes here and not before; the device repeats itself until it hears this answer."""
    mode = commands[-1]
    if mode.device_class is None:
        context.state.counters["unsupported_mac_commands"] += 1
        return
    context.set_radio(context.session.radio._replace(device_class=mode.device_class))
    context.answers.append(DeviceModeConf(mode.mode))
