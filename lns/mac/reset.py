"""ResetInd: a 1.1 ABP device has reset its MAC layer (LoRaWAN 1.1 §5.1)."""

from __future__ import annotations

from lns.mac.context import MacContext
from lorawan.commands import ResetConf, ResetInd


def on_uplink(command: ResetInd, context: MacContext) -> None:
    """The device is back at the region's defaults: forget what it had acknowledged, and confirm."""
    session, plan = context.session, context.state.plan
    session.radio = context.state.radio(
        session.radio._replace(
            rx1_delay_s=plan.receive_delay1_s,
            rx1_dr_offset=0,
            rx2_dr=plan.rx2_dr,
            rx2_frequency_hz=plan.rx2_frequency_hz,
        )
    )
    session.tx_power, session.nb_trans = 0, 1
    context.mac.link_adr = None
    context.state.dirty(session)
    context.answers.append(ResetConf(minor=min(1, command.minor)))
