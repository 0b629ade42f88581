"""LinkCheckReq: how well is the device heard? (TS001-1.0.4 §5.1)"""

from __future__ import annotations

from collections.abc import Sequence

from lns import events
from lns.mac.context import MacContext
from lorawan.commands import LinkCheckAns, LinkCheckReq


def on_uplink(commands: Sequence[LinkCheckReq], context: MacContext) -> None:
    """Answer with the margin over the demodulation floor at the best gateway, and how many gateways heard."""
    copies = events.best_copies(context.gathered.copies)
    floor = context.state.plan.required_snr_db(context.gathered.dr) or 0.0
    snr = copies[0].snr_db if copies[0].snr_db is not None else floor
    gateways = {rx.gateway.eui for rx in copies}
    answer = LinkCheckAns(margin=max(0, min(254, round(snr - floor))), gw_cnt=min(255, len(gateways)))
    context.answers.extend([answer] * len(commands))
