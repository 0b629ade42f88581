"""Queue items whose time is over.

A device that speaks is looked at whenever something could be sent to it. One that has fallen silent never is: its items are
closed here, so that whoever waits for them is told, and so that they take nobody's place in the queue.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

from lns import events
from lns.downlink.queue import Item, drop_closed, take_expired

if TYPE_CHECKING:
    from lns.clock import Now
    from lns.device import Device
    from lns.state import NetworkState


def expire(state: NetworkState, device: Device, wall_us: int) -> None:
    """Close and tell the items of a device that wait and whose time is over."""
    expired = take_expired(device, wall_us)
    for one in expired:
        state.batch.operations.append(("item_state", one.row()))
        events.emit_log(state, device, wall_us, "WARNING", "EXPIRED", one.reason, {"queue_item_id": one.id})
    if expired:
        drop_closed(device)


class Expiries:
    """When items expire, of all devices. The wall clock decides: it is what was asked for."""

    __slots__ = ("_heap",)

    def __init__(self) -> None:
        self._heap: list[tuple[int, int]] = []
        """(expires at, device id); an item that has come to its end before stays until then."""

    def add(self, device: Device, item: Item) -> None:
        if item.expires_at_us is not None:
            heapq.heappush(self._heap, (item.expires_at_us, device.id))

    def handle(self, state: NetworkState, now: Now) -> None:
        """Look at the devices whose items' time has come."""
        while self._heap and self._heap[0][0] <= now.wall_us:
            _, id = heapq.heappop(self._heap)
            device = state.devices_by_id.get(id) if state.devices_by_id.is_loaded(id) else None
            if device is not None and device.queue is not None:
                expire(state, device, now.wall_us)
