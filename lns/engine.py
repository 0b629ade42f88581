"""The network server without a socket, a clock or a disk.

Feed it datagrams and the time (:meth:`Engine.receive`), wake it when it asks (:meth:`Engine.timer`,
:meth:`Engine.handle_timer`), carry its questions to the join server (:meth:`Engine.take_joins`,
:meth:`Engine.join_answered`), and make its batches durable (:meth:`Engine.take_batch`) before doing what they promise. The
same input and the same times give the same output, so a year can be run in minutes.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from lns.class_b.beacons import Beacons, BeaconShot
from lns.clock import Now
from lns.device import Device
from lns.downlink.transmit import Transmission, Transmitter
from lns.downlink.unprompted import Unprompted
from lns.gateways.frames import RxFrame
from lns.gateways.gateway import Address
from lns.gateways.gwmp.front import GwmpFront
from lns.gateways.keeper import Keeper
from lns.keys import KeyRing
from lns.multicast.sender import MulticastSender
from lns.settings import NetworkSettings
from lns.state import NetworkState
from lns.store.batch import Batch
from lns.uplink import join, relay
from lns.uplink.accept import accept
from lns.uplink.gather import Gathered, Gatherer, Kind
from lns.uplink.handover import hand_over
from lorawan.backend import JoinAns
from lorawan.frames import MType

MAX_BATCH = 50_000
"""Rows and answers that may wait for a store that is stuck; beyond it frames are dropped, and not acknowledged."""


class Engine:
    """One partition of the network server. Not thread-safe: one thread owns it."""

    def __init__(
        self,
        settings: NetworkSettings,
        keys: KeyRing,
        send: Callable[[bytes, Address], None],
        rng: random.Random | None = None,
    ) -> None:
        self.state = NetworkState(settings, keys, rng or random.SystemRandom())
        self._gatherer = Gatherer(settings.deduplication_window_ms * 1000)
        self._joins: list[join.JoinAsked] = []
        self.gwmp = GwmpFront(
            self, send, lambda: self.state.rng.getrandbits(16).to_bytes(2, "big"), settings.gateways.udp
        )
        self.unprompted = Unprompted(self.state, self._start_when_durable)
        self.beacons = Beacons(self.state)
        self.multicast = MulticastSender(self.state, self._start_when_durable)
        self._transmitter = Transmitter(self.state, self._finished)
        self.keeper = Keeper(self.state)
        self.registry = self.state.gateways
        self.counters = self.state.counters

    # ---------------------------------------------------------------------------------------------------- input

    def receive(self, datagram: bytes, address: Address, now: Now) -> None:
        """Take a datagram of a Semtech UDP packet forwarder."""
        if self.is_overloaded:
            self.counters["overload"] += 1
            return
        self.gwmp.receive(datagram, address, now)

    @property
    def is_overloaded(self) -> bool:
        """True while the store takes nothing and as much waits for it as may."""
        return len(self.state.batch) > MAX_BATCH

    def timer(self) -> int | None:
        """When :meth:`handle_timer` wants to be called, monotonic microseconds; None when nothing waits."""
        clients = (self._gatherer, self._transmitter, self.unprompted, self.multicast, self.beacons)
        return min((time for one in clients if (time := one.timer_us()) is not None), default=None)

    def handle_timer(self, now: Now) -> None:
        """Close the windows whose time is over, give up TX_ACKs that are overdue, and speak to those who listen."""
        for gathered in self._gatherer.closed(now):
            self._close(gathered, now)
        self._transmitter.handle_timer(now)
        self.unprompted.handle_timer(now)
        self.multicast.handle_timer(now)
        self.beacons.handle_timer(now)

    def queue_changed(self, device: Device) -> None:
        """Something was put into the device's queue: a device that listens gets it without an uplink."""
        self.unprompted.wake(device)

    def expire_items(self, now: Now) -> None:
        """Close queue items whose time is over, also of devices that never speak again. Call it now and then."""
        self.state.expiries.handle(self.state, now)

    def join_answered(self, asked: join.JoinAsked, answer: JoinAns, now: Now) -> None:
        """The join server's answer to a question of :meth:`take_joins`."""
        self._answer(asked.gathered, join.answered(self.state, asked, answer, now), now)

    def recover(self, gathered: Gathered, now: Now) -> None:
        """Hand over a frame that was accepted before the last stop. Its receive windows are long gone."""
        for rx in gathered.copies:
            rx.tmst = None
        hand_over(self.state, gathered, now)
        self._take_relayed(now)
        if gathered.session is not None:
            self.state.heard.pop(gathered.session.id, None)  # nobody knows when that was on this process's clock

    # --------------------------------------------------------------------------------------------------- output

    def take_joins(self) -> list[join.JoinAsked]:
        """Questions for the join server; each must be answered with :meth:`join_answered`."""
        asked, self._joins = self._joins, []
        return asked

    def take_batch(self) -> Batch | None:
        """What must become durable now, None when there is nothing. Then do ``batch.acks`` and ``batch.after``."""
        return None if self.state.batch.is_empty else self.state.take_batch()

    # ------------------------------------------------------------------------------------- what the front calls

    def uplink(self, rx: RxFrame, now: Now) -> None:
        """A gateway heard a frame."""
        gathered = self._gatherer.get(rx.phy)
        if gathered is not None:
            if rx.gateway.private_to and not self._serves(rx, gathered):
                self.counters["private_gateway"] += 1
                return
            gathered.copies.append(rx)
            self.counters["copies"] += 1
            return
        m_type = rx.phy[0] >> 5
        if m_type in (MType.UNCONFIRMED_DATA_UP, MType.CONFIRMED_DATA_UP):
            accept(self.state, self._gatherer, rx, now)
        elif m_type in (MType.JOIN_REQUEST, MType.REJOIN_REQUEST):
            join.accept_join(self.state, self._gatherer, rx, now)
        else:
            self.counters["other_frames"] += 1

    def after_commit(self, datagram: bytes, address: Address) -> None:
        """Send this answer when everything taken so far is durable."""
        self.state.batch.acks.append((datagram, address))

    def tx_done(self, transmission: Any, error: str, warning: str, now: Now, chosen: int = 0) -> None:
        """A gateway accepted or refused a transmission; ``chosen``: which of the frames handed to it."""
        if isinstance(transmission, BeaconShot):
            self.beacons.answered(transmission, error, now)
            return
        self._transmitter.answered(transmission, error, warning, now, chosen)

    # --------------------------------------------------------------------------------------------------- within

    def _close(self, gathered: Gathered, now: Now) -> None:
        if gathered.kind is Kind.JOIN:
            asked = join.ask(self.state, gathered)
            if asked is not None:
                self._joins.append(asked)
            return
        self._answer(gathered, hand_over(self.state, gathered, now), now)
        if gathered.session is not None and gathered.session.device.queue is not None:
            self.unprompted.wake(gathered.session.device)
        if self.state.relayed:
            self._take_relayed(now)

    def _answer(self, gathered: Gathered, transmission: Transmission | None, now: Now) -> None:
        way = relay.via(gathered.copies)
        if way is not None:
            transmission = relay.answer(self.state, way, transmission, now)
        self._start_when_durable(transmission)

    def _serves(self, rx: RxFrame, gathered: Gathered) -> bool:
        """May this gateway's copy join the others? One that is for other devices only has not heard it."""
        session = gathered.session
        device = session.device if session is not None else join.device_of(self.state, rx.phy)
        return device is not None and rx.gateway.serves(device.tags)

    def _take_relayed(self, now: Now) -> None:
        """Take the frames that were found inside relays' frames; a relay whose frame held nothing new is answered at once."""
        relayed, self.state.relayed = self.state.relayed, []
        for rx in relayed:
            self.uplink(rx, now)
            gathered = self._gatherer.get(rx.phy)
            if rx.via is not None and (gathered is None or rx is not gathered.copies[0]):
                self._start_when_durable(rx.via.own_answer(now))

    def _finished(self, transmission: Transmission, now: Now) -> None:
        """A downlink has come to its outcome."""
        if transmission.device is None:
            self.multicast.finished(transmission, now)
        else:
            self.unprompted.finished(transmission, now)

    def _start_when_durable(self, transmission: Transmission | None) -> None:
        if transmission is not None:
            self._transmitter.reserve(transmission)
            self.state.batch.after.append(lambda now: self._transmitter.start(transmission, now))
