"""What a MAC command handler may see and do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from lns.mac.state import MacState
from lorawan.commands import Command

if TYPE_CHECKING:
    from internalapi.adr import AdrReason
    from lns.adr import Memory
    from lns.clock import Now
    from lns.device import Device
    from lns.radio import RadioParameters
    from lns.session import Session
    from lns.state import NetworkState
    from lns.uplink.gather import Gathered

Block: TypeAlias = Sequence[Command]
"""MAC commands that go down together or not at all."""


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
    payload_length: int = 0
    """Bytes of FRMPayload in this uplink: what the device will want to send again."""
    answers: list[Command] = field(default_factory=list)
    """Answers to the device's requests: they go down with the next frame and make one when there is none."""
    urgent: list[Block] = field(default_factory=list)
    """What the server asks before any application item goes."""
    requests: list[Block] = field(default_factory=list)
    """What else the server asks; it takes the room that is left."""
    answered: set[int] = field(default_factory=set)
    """CIDs that this uplink answered."""
    repeats: bool = False
    """It carries an answer that the device repeats until it hears a downlink."""
    must_answer: bool = False
    """Some downlink must go, be it an empty one: the device repeats an answer until it hears one."""
    adr_asked: tuple[int, int, int] | None = None
    """Data rate, power index and NbTrans that ADR asks for in answer to this uplink."""
    adr_reason: AdrReason | None = None
    adr_memory: Memory | None = None
    """What ADR remembers, with this uplink; None: as the session has it."""
    adr_due: bool = False
    """An ordinary uplink, with which the link is to be looked at."""
    only_rx1: bool = False
    """An answer holds for RX1 only."""

    @property
    def mac(self) -> MacState:
        """The device's MAC memory, made when first needed."""
        if self.device.mac is None:
            self.device.mac = MacState()
        return self.device.mac

    @property
    def blocks(self) -> list[Block]:
        """What goes before application items, in this order."""
        return [*((command,) for command in self.answers), *self.urgent]

    def set_radio(self, radio: RadioParameters) -> None:
        """The device uses these parameters from now on."""
        self.session.radio = self.state.radio(radio)
        self.state.dirty(self.session)
