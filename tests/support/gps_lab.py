"""A lab whose gateways have GPS, for class B: the slots are reckoned by the simulator's code, not by the server's."""

from __future__ import annotations

from typing import Any

from lorasim import class_b as oracle

from tests.support.fake_gateway import FakeGateway, Sent
from tests.support.lab import SECOND_US, Lab
from tests.support.node import Node

PERIODICITY = 4
BEACON_PERIOD_US = 128 * SECOND_US


def class_b_node(lab: Lab, number: int = 1, mac_version: str = "1.0.3", **fields: Any) -> Node:
    profile = lab.profile(mac_version, device_class="B", **({"ping_slot_periodicity": PERIODICITY} | fields))
    return lab.abp(number, mac_version, profile)


class Air:
    """A lab whose gateways have GPS: the true GPS time follows the monotonic clock, whatever happens to the wall clock."""

    def __init__(self, lab: Lab, gateways: int = 1) -> None:
        self.lab = lab
        # A test begins 30 s behind a beacon, whatever the time of the day.
        lab.wall_us += 30 * SECOND_US - oracle.gps_of(lab.wall_us) % BEACON_PERIOD_US
        self.offset_us = oracle.gps_of(lab.wall_us) - lab.mono_us
        self.gateways = [lab.gateway(n + 1) for n in range(gateways)]

    @property
    def gps_us(self) -> int:
        return self.lab.mono_us + self.offset_us

    def hear(self, phy: bytes, *gateways: FakeGateway, snrs: tuple[float, ...] = (), gps: bool = True) -> list[Sent]:
        """Gateways hear a frame, one better than the next, and the window closes."""
        heard = gateways or tuple(self.gateways)
        before = len(self.lab.air)
        for n, gateway in enumerate(heard):
            snr = snrs[n] if snrs else 8.0 - n
            gateway.hear(phy, lsnr=snr, tmms=self.gps_us // 1000 if gps else None)
        self.lab.advance(200_000)
        return self.lab.air[before:]

    def at_gps_times(self, since: int = 0) -> list[Sent]:
        return [
            sent for sent in self.lab.air[since:] if sent.txpk.get("tmms") is not None and not sent.txpk.get("nhdr")
        ]

    def is_ping_slot(self, sent: Sent, dev_addr: int, periodicity: int = PERIODICITY) -> bool:
        gps_us = sent.txpk["tmms"] * 1000
        return gps_us in oracle.slots(gps_us - gps_us % BEACON_PERIOD_US, dev_addr, periodicity)


def hear_a_stranger(air: Air, n: int = 0) -> None:
    """A frame of no device of ours tells the GPS time too."""
    air.hear(b"\x40\xff\xff\xff\x7f\x00" + bytes((n,)) * 7)


def quiet(air: Air) -> None:
    """Until class A is over."""
    air.lab.advance(6 * SECOND_US)
