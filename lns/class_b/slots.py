"""When a device of class B listens next, and which gateways can speak to it then (TS001-1.0.4 §11).

Ping slots are GPS times. The server knows GPS time from its gateways only, never from its own wall clock, so a step of that
clock moves no slot. A frame gets its counter and bytes shortly before its slot: an answer to an uplink may come in between,
and a device refuses a counter out of its order.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, NamedTuple

from lns.downlink.listener import class_of, gateways_to
from lns.downlink.offer import Offer
from lns.downlink.options import MAX_GATEWAYS, WINDOW_GAP_US, Option, airtime_us
from lns.downlink.queue import ItemState
from lns.gateways.frames import AtGpsTime
from lns.gateways.gps import best_clock
from lns.gateways.ledger import Priority
from lorawan.class_b import BEACON_PERIOD_US, beacon_start_us, disturbs_beacon, ping_slots_us

if TYPE_CHECKING:
    from lns.clock import Now
    from lns.gateways.gateway import Gateway
    from lns.multicast.group import Group
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


class Channel(NamedTuple):
    """Where somebody listens in ping slots."""

    dev_addr: int
    periodicity: int
    dr: int
    frequency_hz: int
    """0: the region's, which hops in some."""
    limit: int
    """The longest MACPayload."""


def options(state: NetworkState, session: Session, now: Now) -> Offer:
    """Gateways for the device's next ping slot, the best heard first; or when to ask again."""
    device, radio = session.device, session.radio
    if class_of(device) != "B" or not radio.beacon_locked:
        return Offer([], None, "the device has no beacon: it hears only answers to its uplinks")
    periodicity = periodicity_of(session)
    if periodicity is None:
        return Offer([], None, "the device has not told its ping slots (PingSlotInfoReq)")
    dr = ping_slot_dr(state.plan, radio)
    if dr is None:
        return Offer([], None, f"{state.plan.name} has no ping slots")
    gateways = speakers(state, session, now)
    if not gateways:
        return Offer([], now.mono_us + NO_GATEWAY_AGAIN_US, "no gateway that reaches the device has GPS time")
    limit = state.plan.max_mac_payload(dr, dwell=radio.downlink_dwell, downlink=True)
    channel = Channel(session.dev_addr, periodicity, dr, radio.ping_slot_frequency_hz, limit)
    longest = max((len(item.data) for item in device.queue or () if item.state is ItemState.QUEUED), default=0)
    earliest_us = now.mono_us + min(lead_us(gateway) for gateway in gateways)
    if device.listener is not None and device.listener.uplink_us is not None:
        # During its receive windows a device of class B follows class A.
        window_us = radio.rx1_delay_s * 1_000_000 + WINDOW_GAP_US + RX2_OPEN_US
        earliest_us = max(earliest_us, device.listener.uplink_us + window_us)
    size = min(limit + 5, longest + PHY_OVERHEAD)
    return in_slot(state, gateways, channel, size, earliest_us, Priority.APPLICATION, now)


def group_options(state: NetworkState, group: Group, gateways: list[Gateway], size: int, now: Now) -> Offer:
    """All gateways of a multicast group in the group's next ping slot; or when to ask again.

    They send the same bytes at the same time: GPS keeps them within a fraction of a symbol, and a member that several
    of them reach hears one frame.
    """
    able = [gateway for gateway in gateways if gateway.gps.is_locked(now.mono_us)]
    if not able:
        return Offer([], now.mono_us + NO_GATEWAY_AGAIN_US, "no gateway of the group has GPS time")
    if not group.frequency_hz and not state.plan.class_b.ping_slot_frequencies_hz:
        return Offer([], now.mono_us + NO_GATEWAY_AGAIN_US, f"{state.plan.name} has no ping slots: name a frequency")
    limit = state.plan.max_mac_payload(group.dr, downlink=True)
    channel = Channel(group.mc_addr, group.ping_periodicity, group.dr, group.frequency_hz, limit)
    earliest_us = now.mono_us + max(lead_us(gateway) for gateway in able)
    return in_slot(state, able, channel, size, earliest_us, Priority.BULK, now)


def in_slot(
    state: NetworkState,
    gateways: list[Gateway],
    channel: Channel,
    size: int,
    earliest_us: int,
    priority: Priority,
    now: Now,
) -> Offer:
    """An option for each of ``gateways`` that has room for ``size`` bytes in the first slot from ``earliest_us`` on.

    While that slot is far there are none yet: the frame would get its counter too early.
    """
    plan, clock = state.plan, gateways[0].gps
    airtime = airtime_us(plan, channel.dr, size)
    slots = slots_from(clock.gps_us(earliest_us), channel.dev_addr, channel.periodicity)
    slot_us = next(slot for slot in slots if not disturbs_beacon(slot, airtime))
    decide_us = clock.mono_us(slot_us) - max(lead_us(gateway) for gateway in gateways) - SPARE_US
    if now.mono_us < decide_us:
        return Offer([], decide_us, "the next ping slot is yet to come")
    frequency_hz = channel.frequency_hz or plan.ping_slot_frequency_hz(channel.dev_addr, slot_us // 1_000_000)
    band, ways = plan.sub_band(frequency_hz), []
    for gateway in gateways:
        start_us = gateway.gps.mono_us(slot_us)
        rich = gateway.ledger.left_us(band, now.mono_us, priority) >= airtime
        if rich and gateway.schedule.is_free(start_us, airtime):
            timing = AtGpsTime(slot_us)
            ways.append(Option("ping slot", gateway, timing, start_us, frequency_hz, channel.dr, channel.limit))
    if ways:
        return Offer(ways)
    return Offer(
        [], clock.mono_us(slot_us), "the gateways transmit something else in the ping slot, or have no airtime"
    )


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
