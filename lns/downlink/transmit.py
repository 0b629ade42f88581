"""A frame on its way to the air: option after option with the same bytes, until one gateway takes it.

States: READY (durable, not yet handed to a gateway) → HANDED (PULL_RESP sent) → SENT (TX_ACK) | UNKNOWN (silence) | back to
READY with the next option (refused) → FAILED (no option left). A refused frame was not on the air, so the same bytes under
the same counter may go to another gateway. Silence is not a refusal: the frame may have been sent, and is not sent again.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from enum import Enum, auto
from typing import TYPE_CHECKING

from lns import events
from lns.clock import Now
from lns.downlink.options import Option, airtime_us
from lns.downlink.queue import Item, ItemState, drop_closed
from lns.gateways.frames import TxFrame
from lns.gateways.gateway import Gateway
from lns.state import NetworkState, pack

if TYPE_CHECKING:
    from lns.device import Device

TX_ACK_WITHIN_US = 3_000_000
"""Forwarders answer when they queue the frame, long before they send it."""


LONG_US = 500_000
CROWDED = 8
"""A gateway with so many frames before it takes no long one more. When power returns to a town, one join-accept at SF12 in RX2
(1.8 s) would silence fifteen in RX1, whose devices would then ask again: the crowd would grow instead of melting."""


class TxState(Enum):
    READY = auto()
    HANDED = auto()
    SENT = auto()
    UNKNOWN = auto()
    FAILED = auto()


class Transmission:
    """One downlink frame, its options and what became of it."""

    __slots__ = (
        "booking",
        "device",
        "frame_id",
        "handed_to",
        "item",
        "next_option",
        "options",
        "phy",
        "reasons",
        "started_us",
        "state",
        "timeline",
        "wall_us",
    )

    def __init__(
        self, device: Device, frame_id: int, phy: bytes, options: list[Option], item: Item | None, now: Now
    ) -> None:
        self.device = device
        self.frame_id = frame_id
        self.phy = phy
        self.options = options
        self.next_option = 0
        self.item = item
        self.state = TxState.READY
        self.handed_to: Option | None = None
        self.booking = 0
        self.reasons: list[str] = []
        """Why options were passed over or refused."""
        self.started_us = now.mono_us
        self.wall_us = now.wall_us
        self.timeline: list[tuple[str, int]] = []

    def mark(self, step: str, now: Now) -> None:
        self.timeline.append((step, now.mono_us - self.started_us))


class Transmitter:
    """Hands transmissions to gateways and learns what became of them."""

    def __init__(self, state: NetworkState, hand_over: Callable[[Gateway, TxFrame, Transmission, Now], bool]) -> None:
        self._state = state
        self._hand_over = hand_over
        self._waiting: list[tuple[int, int, Transmission]] = []
        self._order = 0

    def timer_us(self) -> int | None:
        """When the oldest missing TX_ACK is given up, monotonic microseconds."""
        while self._waiting and self._waiting[0][2].state is not TxState.HANDED:
            heapq.heappop(self._waiting)
        return self._waiting[0][0] if self._waiting else None

    def start(self, transmission: Transmission, now: Now) -> None:
        """The frame and its counter are durable: try to send it."""
        transmission.mark("committed", now)
        self._try(transmission, now)

    def _try(self, transmission: Transmission, now: Now) -> None:
        plan = self._state.plan
        while transmission.next_option < len(transmission.options):
            option = transmission.options[transmission.next_option]
            transmission.next_option += 1
            gateway = option.gateway
            airtime = airtime_us(plan, option.dr, len(transmission.phy))
            sub_band = plan.sub_band(option.frequency_hz)
            name = f"{option.window} at {gateway.eui_text}"
            if now.mono_us > option.latest_us:
                transmission.reasons.append(f"{name}: too late by {(now.mono_us - option.latest_us) // 1000} ms")
            elif gateway.ledger.left_us(sub_band, now.mono_us) < airtime:
                transmission.reasons.append(f"{name}: duty-cycle budget of the sub-band is used up")
            elif airtime > LONG_US and gateway.schedule.promised(now.mono_us) >= CROWDED:
                transmission.reasons.append(
                    f"{name}: the gateway is crowded, {airtime // 1000} ms on air would cost others their windows"
                )
            elif not gateway.schedule.is_free(option.start_us, airtime):
                transmission.reasons.append(f"{name}: the gateway transmits something else then")
            elif not self._hand_over(gateway, option.tx_frame(plan, transmission.phy), transmission, now):
                transmission.reasons.append(f"{name}: no downlink path, the gateway has sent no PULL_DATA")
            else:
                gateway.schedule.take(option.start_us, airtime, now.mono_us)
                transmission.booking = gateway.ledger.book(sub_band, option.start_us, airtime)
                transmission.handed_to = option
                transmission.state = TxState.HANDED
                transmission.mark(f"handed over, {name}", now)
                self._order += 1
                heapq.heappush(self._waiting, (now.mono_us + TX_ACK_WITHIN_US, self._order, transmission))
                return
        self._finish(transmission, TxState.FAILED, "failed: " + ("; ".join(transmission.reasons) or "no window"), now)

    def answered(self, transmission: Transmission, error: str, warning: str, now: Now) -> None:
        """A TX_ACK came: empty ``error`` means that the gateway has the frame in its queue."""
        option = transmission.handed_to
        if transmission.state is not TxState.HANDED or option is None:
            return
        transmission.mark(f"TX_ACK {error or 'NONE'}", now)
        if not error:
            option.gateway.downlinks += 1
            note = f" (gateway warns: {warning})" if warning else ""
            self._finish(transmission, TxState.SENT, f"sent{note}", now)
            return
        airtime = airtime_us(self._state.plan, option.dr, len(transmission.phy))
        option.gateway.schedule.release(option.start_us, airtime)
        option.gateway.ledger.cancel(self._state.plan.sub_band(option.frequency_hz), transmission.booking)
        transmission.reasons.append(f"{option.window} at {option.gateway.eui_text}: {error}")
        transmission.handed_to = None
        transmission.state = TxState.READY
        self._try(transmission, now)

    def handle_timer(self, now: Now) -> None:
        """Give up waiting for TX_ACKs that are overdue."""
        while self._waiting and (self._waiting[0][0] <= now.mono_us or self._waiting[0][2].state is not TxState.HANDED):
            transmission = heapq.heappop(self._waiting)[2]
            if transmission.state is TxState.HANDED and transmission.handed_to is not None:
                transmission.handed_to.gateway.tx_outcomes["SILENT"] += 1
                self._finish(transmission, TxState.UNKNOWN, "unknown: the gateway sent no TX_ACK", now)

    def _finish(self, transmission: Transmission, state: TxState, outcome: str, now: Now) -> None:
        transmission.state = state
        self._state.counters[f"downlinks_{state.name.lower()}"] += 1
        option = transmission.handed_to or transmission.options[-1] if transmission.options else None
        plan = self._state.plan
        self._state.batch.operations.append(
            (
                "frame_outcome",
                (
                    outcome,
                    option.gateway.eui_text if option is not None else "",
                    option.frequency_hz if option is not None else 0,
                    plan.datr(option.dr, downlink=True) if option is not None else "",
                    pack(transmission.timeline),
                    transmission.frame_id,
                ),
            )
        )
        if transmission.item is not None:
            self._finish_item(transmission, transmission.item, state, outcome, now)

    def _finish_item(self, transmission: Transmission, item: Item, state: TxState, outcome: str, now: Now) -> None:
        device = transmission.device
        if state is TxState.SENT and transmission.handed_to is not None:
            item.move(ItemState.SENT, f"{transmission.handed_to.window} at {transmission.handed_to.gateway.eui_text}")
            events.emit_tx_ack(
                self._state,
                device,
                now.wall_us,
                item,
                transmission.handed_to.gateway.eui_text,
                transmission.frame_id,
            )
        elif state is TxState.UNKNOWN:
            item.move(ItemState.UNKNOWN, "the gateway did not say whether it sent the frame")
        else:
            item.move(ItemState.QUEUED, f"not sent ({outcome}); waits for the next uplink")
        self._state.batch.operations.append(("item_state", item.row()))
        drop_closed(device)
