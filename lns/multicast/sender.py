"""Takes the queue of each group through the air, one item at a time.

An item gets its counter and its bytes once, durable before the first gateway is asked; each gateway of the group then sends
the same bytes once. Gateways that reach the same members take turns. The item has been sent when one gateway took it; what
dies in between is not sent again, for some members have it already.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from lns.class_b import slots
from lns.clock import Now
from lns.downlink import class_c
from lns.downlink.offer import Offer
from lns.downlink.options import Option
from lns.downlink.queue import Item, ItemState
from lns.downlink.transmit import Transmission, TxState
from lns.gateways.ledger import Priority
from lns.gateways.schedule import GUARD_US
from lns.multicast.coverage import coverage, reaches, rounds

if TYPE_CHECKING:
    from lns.gateways.gateway import Gateway
    from lns.multicast.group import Group
    from lns.state import NetworkState

GROUP_OPTIONS: dict[str, Callable[[NetworkState, Group, list[Gateway], int, Now], Offer]] = {
    "B": slots.group_options,
    "C": class_c.group_options,
}
"""Where and when a class listens to its groups: an option for each of these gateways that can speak now."""
LOOK_AGAIN_US = 10_000_000
PAUSE_US = 60_000_000
"""After all gateways have refused an item: each attempt uses up a counter."""
PATIENCE_US = 600_000_000
"""A gateway that has no time or no airtime for so long is left out."""
PHY_OVERHEAD = 13


class Passage:
    """One item on its way through the gateways of its group."""

    __slots__ = ("begun_us", "f_cnt", "free_us", "in_flight", "item", "outcomes", "phy", "rounds", "silent", "taken")

    def __init__(self, item: Item, phy: bytes, f_cnt: int, turns: list[list[Gateway]], now: Now) -> None:
        self.item = item
        self.phy = phy
        self.f_cnt = f_cnt
        self.rounds = turns
        self.begun_us = now.mono_us
        self.in_flight: set[Transmission] = set()
        self.free_us = 0
        """When what was sent so far is off the air, monotonic."""
        self.taken = self.silent = 0
        self.outcomes: list[str] = []
        """What the gateways that did not take it said."""


class MulticastSender:
    """Wakes groups whose time has come."""

    def __init__(self, state: NetworkState, start: Callable[[Transmission | None], None]) -> None:
        self._state = state
        self._start = start
        self._due: dict[str, int] = {}
        self._passages: dict[str, Passage] = {}
        self._is_new = True

    def wake(self, group: Group, at_us: int = 0) -> None:
        """Look at this group at a monotonic time; by default with the next :meth:`handle_timer`."""
        self._due[group.id] = min(at_us, self._due.get(group.id, at_us))

    def timer_us(self) -> int | None:
        """When the first group wants to be looked at. At the start all that have something waiting."""
        if self._is_new:
            self._is_new = False
            for group in self._state.groups.values():
                if group.queue:
                    self.wake(group)
        return min(self._due.values(), default=None)

    def handle_timer(self, now: Now) -> None:
        """Go on with all groups whose time has come."""
        for id in [id for id, at_us in self._due.items() if at_us <= now.mono_us]:
            del self._due[id]
            group = self._state.groups.get(id)
            if group is None:
                self._passages.pop(id, None)
                continue
            again_us = self._go_on(group, now)
            if again_us is not None:
                self.wake(group, max(again_us, now.mono_us + 1))

    def finished(self, transmission: Transmission, now: Now) -> None:
        """A gateway took or refused its part of a passage, or said nothing."""
        for id, passage in self._passages.items():
            if transmission in passage.in_flight:
                passage.in_flight.remove(transmission)
                self._note(passage, transmission)
                group = self._state.groups.get(id)
                if group is not None:
                    self.wake(group, passage.free_us if passage.rounds else 0)
                return

    def _note(self, passage: Passage, transmission: Transmission) -> None:
        if transmission.state is TxState.FAILED:
            passage.outcomes.extend(transmission.reasons[-1:])
            return
        option, airtime = transmission.handed[0][:2]
        passage.free_us = max(passage.free_us, option.start_us + airtime + GUARD_US)
        if transmission.state is TxState.UNKNOWN:
            passage.silent += 1
            passage.outcomes.append(f"{option.gateway.eui_text} said nothing")
        else:
            passage.taken += 1

    def _go_on(self, group: Group, now: Now) -> int | None:
        """Do what is next. Returns when to look again, None when something else will tell."""
        passage = self._passages.get(group.id)
        if passage is None:
            return self._begin(group, now)
        if passage.in_flight:
            return None
        if not passage.rounds:
            return self._end(group, passage, now)
        if now.mono_us < passage.free_us:
            return passage.free_us
        turn = passage.rounds[0]
        offer = GROUP_OPTIONS[group.device_class](self._state, group, turn, len(passage.phy), now)
        if not offer.options:
            if now.mono_us - passage.begun_us < PATIENCE_US:
                return offer.again_us or now.mono_us + LOOK_AGAIN_US
            passage.outcomes.append(f"{', '.join(gateway.eui_text for gateway in turn)}: {offer.reason}")
            del passage.rounds[0]
            return now.mono_us
        able = {option.gateway.eui for option in offer.options}
        passage.rounds[0] = [gateway for gateway in turn if gateway.eui not in able]
        if not passage.rounds[0]:
            del passage.rounds[0]
        for option in offer.options:
            self._send(group, passage, option, now)
        return None

    def _begin(self, group: Group, now: Now) -> int | None:
        """Take the first item that can go."""
        for late in [
            item for item in group.queue if item.expires_at_us is not None and item.expires_at_us <= now.wall_us
        ]:
            self._close(group, late, ItemState.EXPIRED, "it expired before it could be sent")
        if not group.queue:
            return None
        item = group.queue[0]
        state, plan = self._state, self._state.plan
        limit = plan.max_mac_payload(group.dr, downlink=True) - 8
        if len(item.data) > limit:
            why = f"{len(item.data)} bytes, but at the group's DR{group.dr} at most {limit} fit"
            self._close(group, item, ItemState.FAILED, why)
            return now.mono_us
        if group.is_exhausted:
            self._say(item, "the group's FCntDown has reached its end, 2**32 - 1: it needs new keys")
            return None
        way = coverage(state, group)
        if not way.gateways:
            able = "is connected" if group.device_class != "B" else "is connected and has GPS time"
            self._say(item, f"no gateway {'of the group' if group.gateways else 'that reaches a member'} {able}")
            return now.mono_us + LOOK_AGAIN_US
        # In a ping slot all send at once, by GPS time: a member that several of them reach hears one frame.
        turns = [way.gateways] if group.device_class == "B" else rounds(way.gateways, reaches(state, group))
        offer = GROUP_OPTIONS[group.device_class](state, group, turns[0], PHY_OVERHEAD + len(item.data), now)
        if not offer.options:
            self._say(item, offer.reason)
            return offer.again_us or now.mono_us + LOOK_AGAIN_US
        keys = state.keys.unseal(group.sealed_keys, lorawan_1_1=False)
        phy, f_cnt = group.encode(keys, item.f_port, item.data)
        item.f_cnt_down = f_cnt
        item.move(ItemState.SCHEDULED, f"to be sent by {len(way.gateways)} gateways")
        state.batch.operations.append(("group_counter", (group.f_cnt_down, group.id)))
        _keep(state, item)
        self._passages[group.id] = Passage(item, phy, f_cnt, turns, now)
        state.counters["multicasts"] += 1
        return now.mono_us

    def _send(self, group: Group, passage: Passage, option: Option, now: Now) -> None:
        state = self._state
        transmission = Transmission(None, state.next_frame_id(), passage.phy, [option], None, now)
        transmission.priority = Priority.BULK
        passage.in_flight.add(transmission)
        state.batch.frames.append(
            (
                transmission.frame_id,
                "down",
                now.wall_us,
                0,
                0,
                group.mc_addr,
                passage.f_cnt,
                passage.item.f_port,
                False,
                option.frequency_hz,
                state.plan.datr(option.dr, downlink=True),
                passage.phy,
                b"",
                option.gateway.eui_text,
                0,
                "scheduled",
            )
        )
        self._start(transmission)

    def _end(self, group: Group, passage: Passage, now: Now) -> int:
        """All gateways have had their turn. Returns when to go on with the queue."""
        del self._passages[group.id]
        item, said = passage.item, "; ".join(passage.outcomes)
        note = f"; not by all: {said}" if said else ""
        if passage.taken:
            self._close(group, item, ItemState.SENT, f"by {passage.taken} gateways{note}")
        elif passage.silent:
            self._close(group, item, ItemState.UNKNOWN, said)
        else:
            item.move(ItemState.QUEUED, f"not sent ({said}); it waits for the next occasion")
            _keep(self._state, item)
            return now.mono_us + PAUSE_US
        return now.mono_us

    def _close(self, group: Group, item: Item, end: ItemState, why: str) -> None:
        item.move(end, why)
        _keep(self._state, item)
        group.queue.remove(item)

    def _say(self, item: Item, why: str) -> None:
        if item.reason != why:
            item.reason = why
            _keep(self._state, item)


def _keep(state: NetworkState, item: Item) -> None:
    state.batch.operations.append(("group_item_state", (item.state.value, item.reason, item.f_cnt_down, item.id)))
