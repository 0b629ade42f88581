"""Class C: the device listens always, with the parameters of RX2 (TS001-1.0.4 §18)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lns.downlink.listener import class_of, gateways_to
from lns.downlink.offer import Offer
from lns.downlink.options import MAX_GATEWAYS, WINDOW_GAP_US, Option, airtime_us
from lns.downlink.queue import ItemState
from lns.gateways.frames import Immediately
from lns.gateways.ledger import Priority

if TYPE_CHECKING:
    from lns.clock import Now
    from lns.gateways.gateway import Gateway
    from lns.multicast.group import Group
    from lns.session import Session
    from lns.state import NetworkState

RETRANSMIT_US = 3_000_000
"""A device repeats an unanswered frame up to so long behind RX2 (RETRANSMIT_TIMEOUT, TS001-1.0.4 §7)."""
LOOK_AGAIN_US = 10_000_000
"""Nothing tells when a gateway comes back or airtime is free again: look now and then."""
PHY_OVERHEAD = 13


def options(state: NetworkState, session: Session, now: Now) -> Offer:
    """Gateways that can speak to the device at once, the best first; or when to ask again."""
    device, radio = session.device, session.radio
    if class_of(device) != "C":
        return Offer([], None, "the device is not in class C")
    listener = device.listener
    if listener is not None and listener.uplink_us is not None:
        quiet_us = listener.uplink_us + radio.rx1_delay_s * 1_000_000 + WINDOW_GAP_US + RETRANSMIT_US
        if now.mono_us < quiet_us:
            return Offer([], quiet_us, "the device has just sent: its receive windows come first")
    gateways = gateways_to(state, device)[:MAX_GATEWAYS]
    longest = max((len(item.data) for item in device.queue or () if item.state is ItemState.QUEUED), default=0)
    limit = state.plan.max_mac_payload(radio.rx2_dr, dwell=radio.downlink_dwell, downlink=True)
    size = PHY_OVERHEAD + min(longest, limit)
    return at_once(state, gateways, radio.rx2_frequency_hz, radio.rx2_dr, limit, size, Priority.APPLICATION, now)


def at_once(
    state: NetworkState,
    gateways: list[Gateway],
    frequency_hz: int,
    dr: int,
    limit: int,
    size: int,
    priority: Priority,
    now: Now,
) -> Offer:
    """Those of ``gateways`` whose transmitter and budget have room for ``size`` bytes now; or when one is free."""
    if not gateways:
        return Offer([], now.mono_us + LOOK_AGAIN_US, "no gateway that reaches the device is connected")
    plan = state.plan
    airtime = airtime_us(plan, dr, size)
    ways, free_us, poor = [], [], 0
    for gateway in gateways:
        if gateway.ledger.left_us(plan.sub_band(frequency_hz), now.mono_us, priority) < airtime:
            poor += 1
            continue
        soonest_us, latest_us = now.mono_us + gateway.kind.soonest_us, gateway.immediate_us(now.mono_us)
        wait_us = gateway.schedule.next_free_us(soonest_us, latest_us - soonest_us + airtime) - soonest_us
        if wait_us:
            free_us.append(now.mono_us + wait_us)
        else:
            ways.append(Option("class C", gateway, Immediately(), latest_us, frequency_hz, dr, limit))
    if ways:
        return Offer(ways)
    if free_us:
        return Offer([], min(free_us), "the gateways that reach the device are transmitting")
    return Offer([], now.mono_us + LOOK_AGAIN_US, f"the duty-cycle budget of {poor} gateways is used up")


def group_options(state: NetworkState, group: Group, gateways: list[Gateway], size: int, now: Now) -> Offer:
    """Each of ``gateways`` that can send a frame of ``size`` bytes to a multicast group now; or when to ask again."""
    limit = state.plan.max_mac_payload(group.dr, downlink=True)
    return at_once(state, gateways, group.frequency_hz, group.dr, limit, size, Priority.BULK, now)
