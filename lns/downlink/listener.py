"""What the server knows of a device that listens between its uplinks: who reaches it, and when it last spoke.

Devices of class A have none of this.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from lns import events

if TYPE_CHECKING:
    from lns.device import Device
    from lns.gateways.frames import RxFrame
    from lns.gateways.gateway import Gateway
    from lns.state import NetworkState

KNOWN_GATEWAYS = 8
FORGET_US = 7 * 86_400_000_000
"""A gateway that has not heard the device for so long is no way to it, while there is a better one."""


class Heard(NamedTuple):
    """How well one gateway heard the device last."""

    signal: tuple[float, float]
    """SNR and RSSI."""
    wall_us: int


class Listener:
    """One device of class B or C."""

    __slots__ = ("gateways", "uplink_us")

    def __init__(self) -> None:
        self.gateways: dict[int, Heard] = {}
        """By EUI."""
        self.uplink_us: int | None = None
        """When its newest uplink ended, monotonic; None: not since the start."""

    def spoke(self, heard_us: int) -> None:
        """The device has just transmitted: its receive windows follow."""
        if self.uplink_us is None or heard_us > self.uplink_us:
            self.uplink_us = heard_us

    def heard_by(self, copies: Iterable[RxFrame]) -> None:
        """These gateways heard an uplink of the device."""
        newest = 0
        for rx in events.best_copies(list(copies)):
            self.spoke(rx.heard_us)
            self.gateways[rx.gateway.eui] = Heard(events.signal(rx), rx.wall_us)
            newest = max(newest, rx.wall_us)
        fresh = {eui: heard for eui, heard in self.gateways.items() if newest - heard.wall_us < FORGET_US}
        if len(fresh) > KNOWN_GATEWAYS:
            last = sorted(fresh.items(), key=lambda one: one[1].wall_us, reverse=True)
            fresh = dict(last[:KNOWN_GATEWAYS])
        self.gateways = fresh

    def pack(self) -> bytes:
        """What of it must outlive the process."""
        return msgspec.msgpack.encode([(eui, *heard.signal, heard.wall_us) for eui, heard in self.gateways.items()])

    def unpack(self, data: bytes) -> None:
        rows: list[list[Any]] = msgspec.msgpack.decode(data)
        self.gateways = {eui: Heard((snr, rssi), wall_us) for eui, snr, rssi, wall_us in rows}


def class_of(device: Device) -> str:
    """The class in which the device listens now: ``A``, ``B`` or ``C``.

    Nothing goes to a device unasked before the first uplink of its session (TS001-1.0.4 §17, §18: class A comes first). A
    1.1 device is class C when it has said so by DeviceModeInd; the devices before 1.1 are when their profile says so. For
    class B this is the profile's word: whether the device has the beacon is class B's own affair.
    """
    session, wanted = device.session, device.profile.device_class
    if session is None or device.disabled or session.last_seen_us is None:
        return "A"
    if session.lorawan_1_1 and wanted != "B":
        return session.radio.device_class or "A"
    return wanted


def note_uplink(state: NetworkState, device: Device, copies: Iterable[RxFrame]) -> None:
    """A new uplink of a device was gathered: when it is one that listens, remember by whom it was heard."""
    if class_of(device) == "A":
        return
    if device.listener is None:
        device.listener = Listener()
    device.listener.heard_by(copies)
    state.batch.operations.append(("listener_put", (device.id, device.listener.pack())))


def gateways_to(state: NetworkState, device: Device) -> list[Gateway]:
    """Gateways with a path to them that heard the device lately, the best first; behind are those that it seems not to hear."""
    listener = device.listener
    if listener is None:
        return []
    found = []
    for eui, heard in listener.gateways.items():
        gateway = state.gateways.get(eui)
        if gateway is not None and gateway.front is not None:
            found.append((state.reach.demerits(device.id, eui), -heard.signal[0], -heard.signal[1], eui, gateway))
    return [entry[-1] for entry in sorted(found)]
