"""RekeyInd: a 1.1 device confirms its new keys (LoRaWAN 1.1 §5.10)."""

from __future__ import annotations

from collections.abc import Sequence

from lns.mac.context import MacContext
from lorawan.commands import RekeyConf, RekeyInd


def on_uplink(commands: Sequence[RekeyInd], context: MacContext) -> None:
    """Confirm with the lower of the two minor versions; the device repeats the question until it hears this."""
    context.answers.append(RekeyConf(minor=min(1, commands[-1].minor)))
