"""What the server knows of a device that listens between its uplinks: who reaches it, and when it last spoke.

Devices of class A have none of this.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from lns import events

if TYPE_CHECKING:
    from lns.clock import Now
    from lns.device import Device
    from lns.gateways.frames import RxFrame
    from lns.state import NetworkState

KNOWN_GATEWAYS = 8
FORGET_US = 7 * 86_400_000_000
"""A gateway that has not heard the device for so long is no way to it."""


class Reach:
    """How well one gateway heard the device lately."""

    __slots__ = ("heard_us", "missed", "signal")

    def __init__(self, signal: tuple[float, float], heard_us: int, missed: int = 0) -> None:
        self.signal = signal
        """SNR and RSSI of the last uplink that it heard."""
        self.heard_us = heard_us
        """When, wall clock."""
        self.missed = missed
        """Downlinks from it in a row that the device should have answered and did not."""


class Listener:
    """One device of class B or C."""

    __slots__ = ("gateways", "mode", "sender", "session_id", "uplink_us")

    def __init__(self) -> None:
        self.mode = "A"
        """The class that the device itself told by its last DeviceModeInd; only 1.1 has that."""
        self.session_id = 0
        """The session in which it told."""
        self.gateways: dict[int, Reach] = {}
        self.sender = 0
        """The gateway of the last downlink."""
        self.uplink_us: int | None = None
        """When its newest uplink ended, monotonic; None: not since the start."""

    def heard(self, copies: Iterable[RxFrame], now: Now) -> None:
        """An uplink of the device: these gateways reach it."""
        for rx in events.best_copies(list(copies)):
            reach = self.gateways.get(rx.gateway.eui)
            missed = reach.missed if reach is not None else 0
            self.gateways[rx.gateway.eui] = Reach(events.signal(rx), rx.wall_us, missed)
            if self.uplink_us is None or rx.heard_us > self.uplink_us:
                self.uplink_us = rx.heard_us
        if len(self.gateways) > KNOWN_GATEWAYS:
            newest = sorted(self.gateways.items(), key=lambda one: one[1].heard_us, reverse=True)
            self.gateways = dict(newest[:KNOWN_GATEWAYS])

    def answered(self) -> None:
        """A confirmed downlink was acknowledged: the gateway that sent it reaches the device."""
        if self.sender in self.gateways:
            self.gateways[self.sender].missed = 0

    def missed(self) -> None:
        """A confirmed downlink was not: another gateway may be better heard (SEC-05)."""
        if self.sender in self.gateways:
            self.gateways[self.sender].missed += 1


def class_of(device: Device) -> str:
    """The class in which the device listens now: ``A``, ``B`` or ``C``.

    Nothing goes to a device unasked before the first uplink of its session (TS001-1.0.4 §17, §18: class A comes first). A
    1.1 device is class C when it has said so by DeviceModeInd; the devices before 1.1 are when their profile says so. For
    class B this is the profile's word: whether the device has the beacon is class B's own affair.
    """
    session, wanted = device.session, device.profile.device_class
    if wanted == "A" or session is None or device.disabled or session.last_seen_us is None:
        return "A"
    if wanted == "C" and session.lorawan_1_1:
        listener = device.listener
        return listener.mode if listener is not None and listener.session_id == session.id else "A"
    return wanted


def listener_of(device: Device) -> Listener:
    """The device's listener, made when first needed."""
    if device.listener is None:
        device.listener = Listener()
    return device.listener


def set_mode(state: NetworkState, device: Device, mode: str) -> None:
    """DeviceModeInd: the device says in which class it is from now on, ``A`` or ``C``."""
    listener = listener_of(device)
    listener.mode = mode
    listener.session_id = device.session.id if device.session is not None else 0
