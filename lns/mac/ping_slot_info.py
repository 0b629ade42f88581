"""PingSlotInfoReq: how often a class B device opens ping slots (TS001-1.0.4 §12.1)."""

from __future__ import annotations

from collections.abc import Sequence

from lns.mac.context import MacContext
from lorawan.commands import PingSlotInfoAns, PingSlotInfoReq


def on_uplink(commands: Sequence[PingSlotInfoReq], context: MacContext) -> None:
    """Keep the periodicity: class B downlinks are possible from now on. It must be confirmed in this uplink's windows."""
    context.set_radio(context.session.radio._replace(ping_periodicity=commands[-1].periodicity))
    context.answers.append(PingSlotInfoAns())
