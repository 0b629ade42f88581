"""DeviceTimeReq: what time was it when your frame ended? (TS001-1.0.4 §5.10)

The best clock is that of a gateway with a GPS receiver, then a gateway's own UTC time, both only when plausible; then the
server's, less the delay that the gateway's counter shows.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median_low

from lns.mac.context import MacContext
from lorawan.commands import DeviceTimeReq
from lorawan.gps import device_time_ans, gps_to_utc_us

GPS_WITHIN_US = 300_000_000
"""A GPS receiver is believed within five minutes of the server's clock."""
UTC_WITHIN_US = 1_000_000
"""A gateway's UTC is as good as its NTP: believed within what a network's delay explains."""


def on_uplink(commands: Sequence[DeviceTimeReq], context: MacContext) -> None:
    """Answer with GPS time at the end of the uplink."""
    context.answers.extend([device_time_ans(uplink_end_utc_us(context))] * len(commands))


def uplink_end_utc_us(context: MacContext) -> int:
    """When the uplink ended, microseconds of UTC since 1970, by the best clock at hand."""
    copies, now = context.gathered.copies, context.now
    first = min(copies, key=lambda rx: rx.heard_us)
    own_us = now.wall_us - (now.mono_us - first.heard_us)
    by_gps = [gps_to_utc_us(rx.gps_us) for rx in copies if rx.gps_us is not None]
    by_utc = [rx.gateway_time_us for rx in copies if rx.gateway_time_us is not None]
    for times, within_us in ((by_gps, GPS_WITHIN_US), (by_utc, UTC_WITHIN_US)):
        plausible = [time_us for time_us in times if abs(time_us - own_us) <= within_us]
        if plausible:
            return median_low(plausible)
    return own_us
