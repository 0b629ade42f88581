"""Beacons: sent for gateways that leave it to the server, and kept free of downlinks at those that send their own.

A gateway whose ``class_b`` is ``server`` gets each beacon as a frame at a GPS time; one whose ``class_b`` is ``gateway`` has
a forwarder that makes beacons by itself. Either way the transmitter is promised for it and its airtime is booked before
any class A answer could want that moment. A beacon uses up no counter and repeats no bytes, so nothing of it is stored but
its airtime: a restart loses at most one.
"""

from __future__ import annotations

from typing import Final

from lns.clock import Now
from lns.downlink.options import eirp_dbm
from lns.gateways.airtime import Sending
from lns.gateways.frames import AtGpsTime, TxFrame
from lns.gateways.front import Front
from lns.gateways.gateway import Gateway
from lns.gateways.gps import best_clock
from lns.gateways.ledger import Priority
from lns.state import NetworkState
from lorawan.airtime import lora_airtime_us
from lorawan.class_b import (
    BEACON_DELAY_US,
    BEACON_PERIOD_US,
    BEACON_RESERVED_US,
    Beacon,
    gateway_identity,
    gateway_position,
    next_beacon_us,
)

AHEAD_US: Final = 20_000_000
"""Promised and handed over so long before: no answer is planned further ahead (RECEIVE_DELAY1 of 15 s), and forwarders
take a frame up to 512 s early."""
RETRY_US: Final = 10_000_000
"""Looked again for a gateway with GPS time after this, when none has it."""
PREC_1_MS: Final = 3
"""Param of a beacon whose time forwarders know to the millisecond only (``tmms``): 10**(3 - 6) s (§13.2)."""
GPS_UNLOCKED: Final = "GPS_UNLOCKED"


class BeaconShot:
    """One beacon on its way to one gateway, in place of a transmission."""

    __slots__ = ("airtime_us", "booking", "frequency_hz", "gateway", "key", "start_us")

    def __init__(
        self, gateway: Gateway, start_us: int, airtime_us: int, frequency_hz: int, booking: int, key: int
    ) -> None:
        self.gateway = gateway
        self.start_us = start_us
        self.airtime_us = airtime_us
        self.frequency_hz = frequency_hz
        self.booking = booking
        self.key = key
        """Of its airtime in the store."""

    @property
    def sending(self) -> Sending:
        """What of the gateway's airtime it takes."""
        return Sending(self.gateway.eui, self.frequency_hz, self.start_us, self.airtime_us)


class Beacons:
    """Wakes up once a beacon period, and never where no gateway has class B."""

    def __init__(self, state: NetworkState) -> None:
        self._state = state
        self._wake_us: int | None = 0
        self._done_gps_us = 0
        """The last beacon that was seen to."""

    def rearm(self) -> None:
        """A gateway was configured: look at the next opportunity."""
        self._wake_us = 0

    def timer_us(self) -> int | None:
        """When :meth:`handle_timer` wants to be called, monotonic microseconds."""
        return self._wake_us

    def handle_timer(self, now: Now) -> None:
        """See to the next beacon when its time has come."""
        if self._wake_us is None or now.mono_us < self._wake_us:
            return
        gateways = [gateway for gateway in self._state.gateways if gateway.class_b != "off"]
        if not gateways or not self._state.plan.class_b.beacon_frequencies_hz:
            self._wake_us = None
            return
        clock = best_clock((gateway.gps for gateway in gateways), now.mono_us)
        if clock is None:
            self._wake_us = now.mono_us + RETRY_US
            return
        # The wake-up is rounded by the clock's small corrections: without this a beacon could be seen to twice.
        beacon_us = next_beacon_us(max(clock.gps_us(now.mono_us), self._done_gps_us))
        if clock.mono_us(beacon_us) - AHEAD_US > now.mono_us:
            self._wake_us = clock.mono_us(beacon_us) - AHEAD_US
            return
        self._done_gps_us = beacon_us
        for gateway in gateways:
            if gateway.gps.is_locked(now.mono_us):
                self._prepare(gateway, beacon_us, now)
            elif gateway.class_b == "server":
                gateway.beacons["NO_GPS_TIME"] += 1
        self._wake_us = clock.mono_us(beacon_us + BEACON_PERIOD_US) - AHEAD_US

    def answered(self, shot: BeaconShot, error: str, now: Now) -> None:
        """The gateway's word on a beacon; ``SILENT`` is not told and leaves it booked, for it may be sent."""
        gateway = shot.gateway
        gateway.beacons[error or "NONE"] += 1
        self._state.counters["beacons_refused" if error else "beacons"] += 1
        if error:
            gateway.schedule.release(shot.start_us, shot.airtime_us)
            gateway.ledger.cancel(self._state.plan.sub_band(shot.frequency_hz), shot.booking)
        self._state.airtime.settle(self._state.batch, shot.key, [] if error else [shot.sending], now)
        if error == GPS_UNLOCKED:
            gateway.gps.lost()

    def _prepare(self, gateway: Gateway, beacon_us: int, now: Now) -> None:
        state = self._state
        plan = state.plan
        phy, frequency_hz, dr = beacon(state, gateway, beacon_us)
        rate = plan.data_rate(dr, downlink=True)
        airtime = lora_airtime_us(len(phy), rate.sf, rate.bw_hz, crc=False, implicit=True, preamble=10)
        band = plan.sub_band(frequency_hz)
        start_us = gateway.gps.mono_us(beacon_us + BEACON_DELAY_US)
        if gateway.class_b == "gateway":
            # Its forwarder refuses all frames in the reserved time (COLLISION_BEACON).
            gateway.schedule.take(start_us, BEACON_RESERVED_US, now.mono_us)
            self._settled(self._book(gateway, start_us, airtime, frequency_hz, now), now)
            return
        front = gateway.front
        if front is None or not front.sends_beacons:
            gateway.beacons["NO_PATH" if front is None else "NOT_POSSIBLE"] += 1
            return
        if gateway.ledger.left_us(band, now.mono_us, Priority.BULK) < airtime:
            gateway.beacons["DUTY_CYCLE"] += 1
            return
        shot = self._book(gateway, start_us, airtime, frequency_hz, now)
        gateway.schedule.take(start_us, airtime, now.mono_us)
        frame = TxFrame(
            phy,
            frequency_hz,
            plan.datr(dr, downlink=True),
            eirp_dbm(plan, frequency_hz),
            AtGpsTime(beacon_us + BEACON_DELAY_US),
            beacon=True,
        )
        state.batch.after.append(lambda now: self._send(front, frame, shot, now))

    def _book(self, gateway: Gateway, start_us: int, airtime_us: int, frequency_hz: int, now: Now) -> BeaconShot:
        state = self._state
        booking = gateway.ledger.book(state.plan.sub_band(frequency_hz), start_us, airtime_us)
        shot = BeaconShot(gateway, start_us, airtime_us, frequency_hz, booking, state.airtime.new_key())
        if state.plan.sub_bands or gateway.max_duty_cycle is not None:
            state.airtime.reserve(state.batch, shot.key, [shot.sending], now)
        return shot

    def _settled(self, shot: BeaconShot, now: Now) -> None:
        self._state.airtime.settle(self._state.batch, shot.key, [shot.sending], now)

    def _send(self, front: Front, frame: TxFrame, shot: BeaconShot, now: Now) -> None:
        """Its airtime is durable: hand it over."""
        if not front.transmit(shot.gateway, [frame], shot, now):
            self.answered(shot, "NO_PATH", now)


def beacon(state: NetworkState, gateway: Gateway, beacon_us: int) -> tuple[bytes, int, int]:
    """The beacon of a gateway at a time: its bytes, its frequency and data rate. PlanError where the region has none."""
    plan, time_s = state.plan, beacon_us // 1_000_000
    dr = plan.class_b.beacon_dr
    assert dr is not None
    position = gateway.position
    if position is not None:
        place = gateway_position(position.latitude, position.longitude)
    else:
        place = gateway_identity(state.net_id, gateway.eui)
    payload = Beacon(time_s % (1 << 32), place, PREC_1_MS, plan.data_rate(dr, downlink=True).sf)
    return payload.encode(), plan.beacon_frequency_hz(time_s), dr
