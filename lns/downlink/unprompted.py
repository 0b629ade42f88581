"""Downlinks that answer no uplink: who may be spoken to, and when.

A device comes here when something is put into its queue, when its class changes, at the start, and after the outcome of
each downlink to it. At its time its class is asked for options. A class that can speak only later says when, so that a
frame gets its counter and its bytes late: what is queued early may be overtaken by an answer to an uplink.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable

from lns.class_b import slots
from lns.clock import Now
from lns.device import Device, Profile
from lns.downlink import class_c
from lns.downlink.acknowledge import missed
from lns.downlink.compose import compose
from lns.downlink.listener import class_of
from lns.downlink.offer import Offer
from lns.downlink.queue import Item, ItemState, awaiting_ack
from lns.downlink.transmit import Transmission, TxState
from lns.session import Session
from lns.state import NetworkState

CLASS_OPTIONS: dict[str, Callable[[NetworkState, Session, Now], Offer]] = {"B": slots.options, "C": class_c.options}
"""Where and when a class listens. A class that is not here is spoken to only in answer to an uplink."""
AS_SOON_AS_POSSIBLE = 0


SHORTEST_PAUSE_US = 2_000_000
LONGEST_PAUSE_US = 600_000_000
"""Between attempts that no gateway took: twice as long each time, for each uses up a counter."""


class Unprompted:
    """A heap of (time, device). A device is in it once; an earlier time replaces a later one."""

    def __init__(self, state: NetworkState, start: Callable[[Transmission | None], None]) -> None:
        self._state = state
        self._start = start
        self._heap: list[tuple[int, int, Device]] = []
        self._due: dict[int, tuple[int, int]] = {}
        """Device id → the (time, number) of its entry in the heap that counts."""
        self._number = 0
        self._is_new = True
        self._pauses: dict[int, int] = {}
        """Device id → how long it was last waited after an attempt that failed at all gateways."""

    def wake(self, device: Device, at_us: int = AS_SOON_AS_POSSIBLE) -> None:
        """Look at this device at a monotonic time; by default with the next :meth:`handle_timer`."""
        if device.queue is None or class_of(device) not in CLASS_OPTIONS:
            return
        due = self._due.get(device.id)
        if due is None or at_us < due[0]:
            self._number += 1
            self._due[device.id] = (at_us, self._number)
            heapq.heappush(self._heap, (at_us, self._number, device))

    def finished(self, transmission: Transmission, now: Now) -> None:
        """A downlink has come to its outcome: perhaps there is more to say to its device."""
        device = transmission.device
        if device is None:
            return
        if transmission.state is not TxState.FAILED:
            self._pauses.pop(device.id, None)
            self.wake(device)
        elif device.queue is not None and class_of(device) in CLASS_OPTIONS:
            pause_us = min(2 * self._pauses.get(device.id, SHORTEST_PAUSE_US // 2), LONGEST_PAUSE_US)
            self._pauses[device.id] = pause_us
            self.wake(device, now.mono_us + pause_us)

    def timer_us(self) -> int | None:
        """When the first device wants to be looked at, monotonic microseconds. At the start all that have something waiting."""
        if self._is_new:
            self._is_new = False
            for device in self._state.devices.loaded():
                if device.queue is not None:
                    self.wake(device)
        heap = self._heap
        while heap and not self._counts(heap[0]):
            heapq.heappop(heap)
        return heap[0][0] if heap else None

    def handle_timer(self, now: Now) -> None:
        """Speak to all whose time has come."""
        heap = self._heap
        while heap and heap[0][0] <= now.mono_us:
            entry = heapq.heappop(heap)
            if self._counts(entry):
                del self._due[entry[2].id]
                again_us = self._speak(entry[2], now)
                if again_us is not None:
                    self.wake(entry[2], max(again_us, now.mono_us + 1))

    def _counts(self, entry: tuple[int, int, Device]) -> bool:
        return self._due.get(entry[2].id) == entry[:2]

    def _speak(self, device: Device, now: Now) -> int | None:
        """Say what there is to say now. Returns when to look again, None when something else will tell."""
        state, session, source = self._state, device.session, CLASS_OPTIONS.get(class_of(device))
        if session is None or source is None:
            return None
        on_air_until_us = state.speaking.get(device.id, 0)
        if now.mono_us < on_air_until_us:
            return on_air_until_us
        item = awaiting_ack(device)
        if item is not None:
            answer_by_us = self._answer_by_us(device.profile, item, now)
            if now.mono_us < answer_by_us:
                return answer_by_us
            missed(state, session, item, "the device sent no ACK in time", now)
        first = next((item for item in device.queue or () if item.state is ItemState.QUEUED), None)
        if first is None:
            return None
        if pause_us := first.pause_us(now.wall_us):
            return now.mono_us + pause_us
        offer = source(state, session, now)
        if offer.options:
            self._start(compose(state, session, lambda: offer.options, now))
            return None
        if offer.reason and first.reason != offer.reason and not first.attempts_made:
            first.reason = offer.reason
            state.batch.operations.append(("item_state", first.row()))
        return offer.again_us

    def _answer_by_us(self, profile: Profile, item: Item, now: Now) -> int:
        """When the ACK of an item in class B or C is given up: CLASS_B_C_RESP_TIMEOUT after it was sent."""
        if item.off_air_us is None:
            item.off_air_us = now.mono_us  # sent by an earlier process: the time runs from its end
        timeout_s = profile.class_b_timeout_s if profile.device_class == "B" else None
        return item.off_air_us + (timeout_s or self._state.settings.class_b_c_resp_timeout_s) * 1_000_000
