"""DeviceTimeReq: what time was it when your frame ended? (TS001-1.0.4 §5.9)"""

from __future__ import annotations

from lns.mac.context import MacContext
from lorawan.commands import DeviceTimeReq
from lorawan.gps import device_time_ans


def on_uplink(command: DeviceTimeReq, context: MacContext) -> None:
    """Answer with GPS time at the end of the uplink, by the server's clock.

    The moment is the earliest arrival less the delay that the gateway's counter shows; a gateway's own UTC time is not
    trusted here, for it may be years off.
    """
    first = min(context.gathered.copies, key=lambda rx: rx.heard_us)
    context.answers.append(device_time_ans(context.now.wall_us - (context.now.mono_us - first.heard_us)))
