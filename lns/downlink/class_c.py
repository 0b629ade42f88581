"""Class C: the device listens always, with the parameters of RX2 (TS001-1.0.4 §18)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lns.downlink.listener import class_of
from lns.downlink.offer import Offer
from lns.downlink.options import WINDOW_GAP_US, Option
from lns.gateways.frames import Immediately

if TYPE_CHECKING:
    from lns.clock import Now
    from lns.session import Session
    from lns.state import NetworkState

LEAD_US = 1_000_000
"""A forwarder of the first generation begins an immediate frame a second after it came (jitqueue.c, TX_START_DELAY)."""


def options(state: NetworkState, session: Session, now: Now) -> Offer:
    """Gateways that reach the device, the best heard first, each at once."""
    device, radio = session.device, session.radio
    listener = device.listener
    if listener is None or class_of(device) != "C":
        return Offer([], None, "the device is not in class C yet")
    if listener.uplink_us is not None:
        quiet_us = listener.uplink_us + radio.rx1_delay_s * 1_000_000 + WINDOW_GAP_US
        if now.mono_us < quiet_us:
            return Offer([], quiet_us, "the receive windows of an uplink are open")
    limit = state.plan.max_mac_payload(radio.rx2_dr, downlink=True)
    reached = sorted(listener.gateways.items(), key=lambda one: (-one[1].missed, *one[1].signal), reverse=True)
    ways = []
    for eui, _ in reached:
        gateway = state.gateways.get(eui)
        if gateway is not None and gateway.front is not None:
            start_us = now.mono_us + LEAD_US
            ways.append(
                Option("class C", gateway, Immediately(), start_us, radio.rx2_frequency_hz, radio.rx2_dr, limit)
            )
    return Offer(ways, None if ways else now.mono_us + 30_000_000, "no gateway that reaches the device is connected")
