"""When a device of class B listens next, and which gateways can speak to it then (TS001-1.0.4 §11).

Ping slots are GPS times. The server knows GPS time from its gateways only, never from its own wall clock, so a step of that
clock moves no slot. A frame gets its counter and bytes shortly before its slot: an answer to an uplink may come in between,
and a device refuses a counter out of its order.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from lns.downlink.listener import class_of, gateways_to
from lns.downlink.offer import Offer
from lns.downlink.options import MAX_GATEWAYS, WINDOW_GAP_US, Option, airtime_us
from lns.downlink.queue import ItemState
from lns.gateways.frames import AtGpsTime
from lns.gateways.gps import best_clock
from lorawan.class_b import BEACON_PERIOD_US, beacon_start_us, disturbs_beacon, ping_slots_us

if TYPE_CHECKING:
    from lns.clock import Now
    from lns.gateways.gateway import Gateway
    from lns.radio import RadioParameters
    from lns.session import Session
    from lns.state import NetworkState
    from regional import Plan

COMMIT_US: Final = 60_000
"""From the decision to the datagram: one group commit on a slow disk."""
SPARE_US: Final = 200_000
"""Decided so much earlier than necessary, for a second gateway after the first one's refusal."""
NO_GATEWAY_AGAIN_US: Final = 30_000_000
RX2_OPEN_US: Final = 300_000
"""A device that heard nothing in RX2 is done with it after this (SF12: five symbols and its clock's error)."""
PHY_OVERHEAD: Final = 28
"""MHDR, FHDR with 15 bytes of FOpts, FPort, MIC."""


def options(state: NetworkState, session: Session, now: Now) -> Offer:
    """Gateways for the device's next ping slot, the best heard first; or when to ask again."""
    device, radio = session.device, session.radio
    if class_of(device) != "B" or not radio.beacon_locked:
        return Offer([], None, "the device has no beacon: it hears only answers to its uplinks")
    periodicity = periodicity_of(session)
    if periodicity is None:
        return Offer([], None, "the device has not told its ping slots (PingSlotInfoReq)")
    gateways = speakers(state, session, now)
    if not gateways:
        return Offer([], now.mono_us + NO_GATEWAY_AGAIN_US, "no gateway that reaches the device has GPS time")
    dr = ping_slot_dr(state.plan, radio)
    if dr is None:
        return Offer([], None, f"{state.plan.name} has no ping slots")
    longest = max((len(item.data) for item in device.queue or () if item.state is ItemState.QUEUED), default=0)
    limit = state.plan.max_mac_payload(dr, dwell=radio.downlink_dwell, downlink=True)
    airtime = airtime_us(state.plan, dr, min(limit + 5, longest + PHY_OVERHEAD))

    earliest_us = now.mono_us + min(lead_us(gateway) for gateway in gateways)
    listener = device.listener
    if listener is not None and listener.uplink_us is not None:
        # During its receive windows a device of class B follows class A.
        quiet_us = listener.uplink_us + radio.rx1_delay_s * 1_000_000 + WINDOW_GAP_US + RX2_OPEN_US
        earliest_us = max(earliest_us, quiet_us)
    clock = gateways[0].gps
    slot_us = next(
        slot
        for slot in slots_from(clock.gps_us(earliest_us), session.dev_addr, periodicity)
        if not disturbs_beacon(slot, airtime)
    )
    decide_us = clock.mono_us(slot_us) - max(lead_us(gateway) for gateway in gateways) - SPARE_US
    if now.mono_us < decide_us:
        return Offer([], decide_us, "the next ping slot is yet to come")
    ways = slot_options(state, gateways, slot_us, session.dev_addr, radio, airtime, limit)
    if not ways:
        return Offer([], clock.mono_us(slot_us), "the gateways transmit something else in the ping slot")
    return Offer(ways)


def slot_options(
    state: NetworkState,
    gateways: list[Gateway],
    slot_us: int,
    dev_addr: int,
    radio: RadioParameters,
    airtime: int,
    limit: int,
) -> list[Option]:
    """One option a gateway that is free at this GPS time."""
    plan = state.plan
    dr = ping_slot_dr(plan, radio)
    assert dr is not None
    frequency_hz = radio.ping_slot_frequency_hz or plan.ping_slot_frequency_hz(dev_addr, slot_us // 1_000_000)
    ways = []
    for gateway in gateways:
        start_us = gateway.gps.mono_us(slot_us)
        if gateway.schedule.is_free(start_us, airtime):
            ways.append(Option("ping slot", gateway, AtGpsTime(slot_us), start_us, frequency_hz, dr, limit))
    return ways


def speakers(state: NetworkState, session: Session, now: Now) -> list[Gateway]:
    """Gateways that reach the device and have GPS time, the best first."""
    reached = gateways_to(state, session.device)
    return [gateway for gateway in reached if gateway.gps.is_locked(now.mono_us)][:MAX_GATEWAYS]


def lead_us(gateway: Gateway) -> int:
    """How long before a slot a frame for this gateway must be decided at the latest."""
    return gateway.lead_us + COMMIT_US


def periodicity_of(session: Session) -> int | None:
    """What the device has told, else what its profile knows of devices that tell nothing; None: no ping slots."""
    told = session.radio.ping_periodicity
    return session.device.profile.ping_slot_periodicity if told is None else told


def ping_slot_dr(plan: Plan, radio: RadioParameters) -> int | None:
    """Data rate of the ping slots; None where the region has none."""
    if not plan.class_b.ping_slot_frequencies_hz and not radio.ping_slot_frequency_hz:
        return None
    return plan.class_b.ping_slot_dr if radio.ping_slot_dr is None else radio.ping_slot_dr


def slots_from(gps_us: int, dev_addr: int, periodicity: int) -> Iterator[int]:
    """All ping slots of an address that begin at or after a GPS time."""
    beacon_us = beacon_start_us(gps_us)
    while True:
        for slot_us in ping_slots_us(beacon_us, dev_addr, periodicity):
            if slot_us >= gps_us:
                yield slot_us
        beacon_us += BEACON_PERIOD_US


def next_slot_us(state: NetworkState, session: Session, now: Now) -> int | None:
    """The device's next ping slot as GPS time, for people; None when it has none or no gateway has GPS time."""
    periodicity = periodicity_of(session)
    clock = best_clock((gateway.gps for gateway in state.gateways), now.mono_us)
    if class_of(session.device) != "B" or not session.radio.beacon_locked or periodicity is None or clock is None:
        return None
    return next(slots_from(clock.gps_us(now.mono_us), session.dev_addr, periodicity))
