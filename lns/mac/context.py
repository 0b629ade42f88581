"""What a MAC command handler may see and do."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lns.mac.state import MacState

if TYPE_CHECKING:
    from lns.clock import Now
    from lns.device import Device
    from lns.session import Session
    from lns.state import NetworkState
    from lns.uplink.gather import Gathered
    from lorawan.commands import Command


@dataclass(slots=True)
class MacContext:
    """One uplink's MAC commands on the way through their handlers."""

    state: NetworkState
    session: Session
    device: Device
    gathered: Gathered
    adr: bool
    """The device lets the server choose (FCtrl.ADR)."""
    adr_ack_req: bool
    now: Now
    answers: list[Command] = field(default_factory=list)
    """Answers to the device's requests: they go down with the next frame and make one when there is none."""
    requests: list[Command] = field(default_factory=list)
    """What the server itself asks."""

    @property
    def mac(self) -> MacState:
        """The device's MAC memory, made when first needed."""
        if self.device.mac is None:
            self.device.mac = MacState()
        return self.device.mac
