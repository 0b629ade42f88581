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
from lns.device import Device
from lns.downlink import class_c
from lns.downlink.compose import compose
from lns.downlink.listener import class_of
from lns.downlink.offer import Offer
from lns.downlink.queue import ItemState
from lns.downlink.transmit import Transmission
from lns.session import Session
from lns.state import NetworkState

CLASS_OPTIONS: dict[str, Callable[[NetworkState, Session, Now], Offer]] = {"B": slots.options, "C": class_c.options}
"""Where and when a class listens. A class that is not here is spoken to only in answer to an uplink."""
AS_SOON_AS_POSSIBLE = 0


class Unprompted:
    """A heap of (time, device). A device is in it once; an earlier time replaces a later one."""

    def __init__(self, state: NetworkState, start: Callable[[Transmission | None], None]) -> None:
        self._state = state
        self._start = start
        self._heap: list[tuple[int, int, Device]] = []
        self._due: dict[int, tuple[int, int]] = {}
        """Device id → the (time, number) of its entry in the heap that counts."""
        self._number = 0

    def wake(self, device: Device, at_us: int = AS_SOON_AS_POSSIBLE) -> None:
        """Look at this device at a monotonic time; by default with the next :meth:`handle_timer`."""
        if class_of(device) not in CLASS_OPTIONS:
            return
        due = self._due.get(device.id)
        if due is None or at_us < due[0]:
            self._number += 1
            self._due[device.id] = (at_us, self._number)
            heapq.heappush(self._heap, (at_us, self._number, device))

    def finished(self, transmission: Transmission, now: Now) -> None:
        """A downlink has come to its outcome: perhaps there is more to say to its device."""
        if transmission.device.queue is not None:
            self.wake(transmission.device)

    def timer_us(self) -> int | None:
        """When the first device wants to be looked at, monotonic microseconds."""
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
                self._speak(entry[2], now)

    def _counts(self, entry: tuple[int, int, Device]) -> bool:
        return self._due.get(entry[2].id) == entry[:2]

    def _speak(self, device: Device, now: Now) -> None:
        session, source = device.session, CLASS_OPTIONS.get(class_of(device))
        if session is None or source is None or not any(i.state is ItemState.QUEUED for i in device.queue or ()):
            return
        on_air_until_us = self._state.speaking.get(device.id, 0)
        if now.mono_us < on_air_until_us:
            self.wake(device, on_air_until_us)
            return
        offer = source(self._state, session, now)
        if not offer.options:
            if offer.again_us is not None:
                self.wake(device, max(offer.again_us, now.mono_us + 1))
            return
        self._start(compose(self._state, session, lambda: offer.options, now))
