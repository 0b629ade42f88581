"""A frame on its way to the air: option after option with the same bytes, until one gateway takes it.

States: READY (durable, not yet handed to a gateway) → HANDED (a gateway has it) → SENT (TX_ACK) | UNKNOWN (silence) | back to
READY with the next option (refused) → FAILED (no option left). A refused frame was not on the air, so the same bytes under
the same counter may go to another gateway. Silence is not a refusal: the frame may have been sent, and is not sent again.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Sequence
from enum import Enum, auto
from typing import TYPE_CHECKING, NamedTuple

from lns import events
from lns.clock import Now
from lns.downlink.options import Option, airtime_us
from lns.downlink.queue import Item, ItemState, drop_closed
from lns.gateways.airtime import Sending
from lns.gateways.frames import Immediately
from lns.gateways.ledger import Priority
from lns.gateways.schedule import MAX_ADVANCE_US
from lns.state import NetworkState, pack

if TYPE_CHECKING:
    from lns.device import Device
    from lns.session import Session
    from lorawan.commands import Command

TX_ACK_WITHIN_US = 3_000_000
"""Forwarders answer when they queue the frame, long before they send it."""
TRIED_WITHIN_US = 8_000_000
"""What is tried although it may be too late is waited for longer: TOO_LATE leaves a queue item as it is, silence does not."""


GPS_UNLOCKED = "GPS_UNLOCKED"
"""What a forwarder says to a frame at a GPS time when its receiver has none."""
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


class Handed(NamedTuple):
    """An option that a gateway has been asked for, and what of it is booked there."""

    option: Option
    airtime_us: int
    booking: int
    promised: tuple[int, int]
    """What of the transmitter's time is kept for it: (start, length)."""


class Transmission:
    """One downlink frame, its options and what became of it."""

    __slots__ = (
        "after_us",
        "blocks",
        "device",
        "frame_id",
        "handed",
        "item",
        "options",
        "phy",
        "priority",
        "reasons",
        "session",
        "started_us",
        "state",
        "timeline",
        "untried",
        "wall_us",
    )

    def __init__(
        self, device: Device | None, frame_id: int, phy: bytes, options: list[Option], item: Item | None, now: Now
    ) -> None:
        self.device = device
        """None: a multicast group."""
        self.frame_id = frame_id
        self.phy = phy
        self.options = options
        self.untried = deque(options)
        self.item = item
        self.priority = Priority.ANSWER
        """Which share of a duty-cycle budget it may use."""
        self.after_us: int | None = None
        """When the downlink before it is off the air, as far as that mattered."""
        self.session: Session | None = None
        """The session whose counter it has burned; None for a join-accept."""
        self.blocks: Sequence[Sequence[Command]] = ()
        """MAC commands in it."""
        self.state = TxState.READY
        self.handed: list[Handed] = []
        """What the gateway that has the frame now may choose from, in the order of its choice."""
        self.reasons: list[str] = []
        """Why options were passed over or refused."""
        self.started_us = now.mono_us
        self.wall_us = now.wall_us
        self.timeline: list[tuple[str, int]] = []

    def mark(self, step: str, now: Now) -> None:
        self.timeline.append((step, now.mono_us - self.started_us))


class Transmitter:
    """Hands transmissions to gateways and learns what became of them."""

    def __init__(self, state: NetworkState, finished: Callable[[Transmission, Now], None]) -> None:
        self._state = state
        self._finished = finished
        self._waiting: list[tuple[int, int, Transmission]] = []
        self._order = 0

    def timer_us(self) -> int | None:
        """When the oldest missing TX_ACK is given up, monotonic microseconds."""
        while self._waiting and self._waiting[0][2].state is not TxState.HANDED:
            heapq.heappop(self._waiting)
        return self._waiting[0][0] if self._waiting else None

    def reserve(self, transmission: Transmission) -> None:
        """The frame is in the batch that is being filled: so is its airtime, wherever it may go."""
        plan = self._state.plan
        ways = [
            _sending(option, airtime_us(plan, option.dr, len(transmission.phy)))
            for option in transmission.options
            if plan.sub_bands or option.gateway.max_duty_cycle is not None
        ]
        now = Now(transmission.started_us, transmission.wall_us)
        self._state.airtime.reserve(self._state.batch, transmission.frame_id, ways, now)

    def start(self, transmission: Transmission, now: Now) -> None:
        """The frame and its counter are durable: try to send it."""
        transmission.mark("committed", now)
        self._try(transmission, now)

    def _try(self, transmission: Transmission, now: Now) -> None:
        """Hand the frame to the gateway of the first option that is possible."""
        plan, untried = self._state.plan, transmission.untried
        while untried:
            option = untried.popleft().as_of(now.mono_us)
            gateway = option.gateway
            front = gateway.front
            objection = self._objection(option, transmission, now)
            if objection:
                transmission.reasons.append(f"{_name(option)}: {objection}")
                continue
            chosen = [option]
            if front is not None and front.alternatives > 1:
                for other in [other for other in untried if other.gateway is gateway][: front.alternatives - 1]:
                    if not self._objection(other, transmission, now):
                        untried.remove(other)
                        chosen.append(other)
            frames = [one.tx_frame(plan, transmission.phy) for one in chosen]
            if front is None or not front.transmit(gateway, frames, transmission, now):
                untried.extendleft(reversed(chosen[1:]))
                transmission.reasons.append(f"{_name(option)}: there is no path to the gateway now")
                continue
            for one in chosen:
                airtime = airtime_us(plan, one.dr, len(transmission.phy))
                promised = _span_us(one, airtime, now)
                gateway.schedule.take(*promised, now.mono_us)
                booking = gateway.ledger.book(plan.sub_band(one.frequency_hz), one.start_us, airtime)
                transmission.handed.append(Handed(one, airtime, booking, promised))
            transmission.state = TxState.HANDED
            transmission.mark(f"handed over, {_name(option)}", now)
            answer_by_us = now.mono_us + (TRIED_WITHIN_US if gateway.roundtrip.is_guess else TX_ACK_WITHIN_US)
            if front.answers_after_sending:
                last = transmission.handed[-1]
                answer_by_us = max(answer_by_us, last.option.start_us + last.airtime_us + TX_ACK_WITHIN_US)
            self._order += 1
            heapq.heappush(self._waiting, (answer_by_us, self._order, transmission))
            return
        if self._has_doubts(transmission, now):
            self._try(transmission, now)
            return
        self._finish(transmission, TxState.FAILED, "failed: " + ("; ".join(transmission.reasons) or "no window"), now)

    @staticmethod
    def _has_doubts(transmission: Transmission, now: Now) -> bool:
        """Nothing is left to try. May a gateway be quicker than it was when last measured? Then its options are tried after
        all: a frame that comes too late is lost no more than one that is not sent, and its answer is a measurement."""
        slow = [option for option in transmission.options if option.latest_us < now.mono_us < option.start_us]
        for option in slow:
            option.gateway.roundtrip.relax(now.mono_us)
        transmission.untried.extend(option for option in slow if now.mono_us <= option.latest_us)
        return bool(transmission.untried)

    def _objection(self, option: Option, transmission: Transmission, now: Now) -> str:
        """Why a frame cannot go this way, in words; empty when it can."""
        plan, gateway, priority = self._state.plan, option.gateway, transmission.priority
        airtime = airtime_us(plan, option.dr, len(transmission.phy))
        if now.mono_us > option.latest_us:
            return f"too late by {(now.mono_us - option.latest_us) // 1000} ms"
        if gateway.ledger.left_us(plan.sub_band(option.frequency_hz), now.mono_us, priority) < airtime:
            return f"duty-cycle budget of the sub-band is used up for {priority.name.lower()} frames"
        if airtime > LONG_US and gateway.schedule.promised(now.mono_us) >= CROWDED:
            return f"the gateway is crowded, {airtime // 1000} ms on air would cost others their windows"
        if not gateway.schedule.is_free(*_span_us(option, airtime, now)):
            return "the gateway transmits something else then"
        if gateway.schedule.is_full(now.mono_us):
            return "the gateway's queue is full"
        if option.start_us - now.mono_us > MAX_ADVANCE_US:
            return "the gateway takes nothing so early"
        return ""

    def answered(self, transmission: Transmission, error: str, warning: str, now: Now, chosen: int = 0) -> None:
        """The gateway's word: empty ``error`` means that it has taken the frame, with its option number ``chosen``."""
        if transmission.state is not TxState.HANDED:
            return
        transmission.mark(f"TX_ACK {error or 'NONE'}", now)
        transmission.handed[0].option.gateway.answered(error, warning)
        if not error:
            taken = transmission.handed[chosen]
            self._give_back([one for one in transmission.handed if one is not taken])
            transmission.handed = [taken]
            taken.option.gateway.downlinks += 1
            note = f" (gateway warns: {warning})" if warning else ""
            self._finish(transmission, TxState.SENT, f"sent{note}", now)
            return
        if error == GPS_UNLOCKED:
            transmission.handed[0].option.gateway.gps.lost()
        self._give_back(transmission.handed)
        transmission.reasons.extend(f"{_name(one.option)}: {error}" for one in transmission.handed)
        transmission.handed = []
        transmission.state = TxState.READY
        self._try(transmission, now)

    def _give_back(self, handed: list[Handed]) -> None:
        """These were not sent: their time and airtime are free again."""
        for option, _, booking, promised in handed:
            option.gateway.schedule.release(*promised)
            option.gateway.ledger.cancel(self._state.plan.sub_band(option.frequency_hz), booking)

    def handle_timer(self, now: Now) -> None:
        """Give up waiting for TX_ACKs that are overdue."""
        while self._waiting and (self._waiting[0][0] <= now.mono_us or self._waiting[0][2].state is not TxState.HANDED):
            transmission = heapq.heappop(self._waiting)[2]
            if transmission.state is not TxState.HANDED:
                continue
            gateway = transmission.handed[0].option.gateway
            gateway.was_silent()
            if not gateway.gives_tx_ack:
                self._finish(transmission, TxState.SENT, "sent (this gateway never says so)", now)
            else:
                self._finish(transmission, TxState.UNKNOWN, "unknown: the gateway sent no TX_ACK", now)

    def _finish(self, transmission: Transmission, state: TxState, outcome: str, now: Now) -> None:
        transmission.state = state
        self._state.counters[f"downlinks_{state.name.lower()}"] += 1
        last = transmission.options[-1] if transmission.options else None
        option = transmission.handed[0].option if transmission.handed else last
        plan = self._state.plan
        if transmission.session is not None and transmission.device is not None:
            if transmission.handed:
                self._state.reach.sent(transmission.device.id, transmission.handed[0].option.gateway.eui)
            ends_us = _off_air_us(transmission) if transmission.handed else transmission.after_us
            self._state.speaks_until(transmission.device, ends_us)
        self._state.airtime.settle(
            self._state.batch, transmission.frame_id, [_sending(*one[:2]) for one in transmission.handed], now
        )
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
        if transmission.item is not None and transmission.device is not None:
            self._finish_item(transmission, transmission.device, transmission.item, state, outcome, now)
        self._finished(transmission, now)

    def _finish_item(
        self, transmission: Transmission, device: Device, item: Item, state: TxState, outcome: str, now: Now
    ) -> None:
        if state is TxState.SENT:
            option = transmission.handed[0].option
            item.transmitted(ItemState.SENT, _name(option), _off_air_us(transmission), now.wall_us)
            events.emit_tx_ack(
                self._state,
                device,
                now.wall_us,
                item,
                option.gateway.eui_text,
                transmission.frame_id,
            )
        elif state is TxState.UNKNOWN:
            why = "the gateway did not say whether it sent the frame"
            item.transmitted(ItemState.UNKNOWN, why, _off_air_us(transmission), now.wall_us)
        else:
            item.move(ItemState.QUEUED, f"not sent ({outcome}); it waits for the next occasion")
        self._state.batch.operations.append(("item_state", item.row()))
        drop_closed(device)


def _name(option: Option) -> str:
    return f"{option.window} at {option.gateway.eui_text}"


def _sending(option: Option, airtime_us: int) -> Sending:
    return Sending(option.gateway.eui, option.frequency_hz, option.start_us, airtime_us)


def _span_us(option: Option, airtime_us: int, now: Now) -> tuple[int, int]:
    """The transmitter's time that an option needs: (start, length). What goes at once begins when the forwarder likes."""
    if not isinstance(option.timing, Immediately):
        return option.start_us, airtime_us
    soonest_us = min(option.start_us, now.mono_us + option.gateway.kind.soonest_us)
    return soonest_us, option.start_us - soonest_us + airtime_us


def _off_air_us(transmission: Transmission) -> int:
    """When the frame has been on the air, whichever of its options the gateway took."""
    return max(one.option.start_us + one.airtime_us for one in transmission.handed)
