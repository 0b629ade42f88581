"""How the run tells a server what it must know beforehand: gateways, devices, downlinks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from lorasim.conformance.probe import Identity

WISHES = frozenset(
    {
        "adr",
        "rx1_delay_s",
        "rx1_dr_offset",
        "rx2_dr",
        "rx2_frequency_hz",
        "channels",
        "max_duty_cycle",
        "adr_ack_limit_exp",
        "adr_ack_delay_exp",
        "rejoin_time_n",
        "rejoin_count_n",
        "ping_slot_frequency_hz",
        "ping_slot_dr",
        "beacon_frequency_hz",
        "dev_status_interval_s",
    }
)
"""What cases may want a server to want of a device."""


@dataclass(slots=True, frozen=True)
class Received:
    """An uplink as the application got it."""

    f_cnt: int
    f_port: int
    data: bytes


class AdapterError(Exception):
    """The server's interface cannot be used; the text says what to do."""


class Adapter(Protocol):
    """See the module. Methods raise :class:`AdapterError`, or ``NotSupported`` for what this server does not have."""

    name: str
    wishes: frozenset[str]

    async def open(self) -> None: ...

    async def close(self) -> None:
        """Take out of the server again what was put in."""

    async def add_gateway(self, eui: int, beacons: bool = False) -> None:
        """``beacons``: the server shall make this gateway send class B beacons."""

    async def station_token(self, eui: int) -> str:
        """The token of a gateway's own with which it comes as a Basics Station; empty: the server gives none."""

    async def add_device(self, identity: Identity) -> None:
        """Make a device anew: an older one of the same DevEUI goes, with its session and its nonces."""

    async def queue(self, dev_eui: int, f_port: int, data: bytes, confirmed: bool) -> None: ...

    async def uplinks(self, dev_eui: int) -> list[Received] | None:
        """What the application got of a device, in order; None when this cannot be asked."""

    async def rejoin(self, dev_eui: int, rejoin_type: int) -> None:
        """Have the server send ForceRejoinReq."""
