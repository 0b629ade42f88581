"""The class C half of a device: it listens with the parameters of RX2 whenever it does not transmit (TS001-1.0.4 §17)."""

from __future__ import annotations

from dataclasses import dataclass, field

from lorasim.radio import Downlink, same_channel
from lorasim.session import Session


@dataclass(slots=True, frozen=True)
class GroupChannel:
    """A multicast group and where it is heard: class C listens on one channel, so this is what RXC is set to."""

    session: Session
    frequency_hz: int
    datr: str


@dataclass(slots=True)
class ClassC:
    """RXC, locked onto a frame or not."""

    groups: list[GroupChannel] = field(default_factory=list)
    group: Session | None = None
    """Whose frame the last one may be: a group's keys and counter; None for the device's own session."""
    window: str = "RXC"
    _locked_on: Downlink | None = None

    @property
    def receiving(self) -> bool:
        return self._locked_on is not None

    def detect(self, downlink: Downlink, now: int, sends_until_us: int, rxc: tuple[int, str]) -> str | None:
        """A preamble begins: lock onto it (None), or say why it goes unheard. ``rxc``: RX2's frequency and data rate."""
        if now < sends_until_us:
            return "RXC: the device is transmitting"
        if self._locked_on is not None:
            return "RXC: already receiving another frame"
        if not downlink.inverted:
            return "RXC: IQ is not inverted"
        channels = [(None, *rxc), *((one.session, one.frequency_hz, one.datr) for one in self.groups)]
        for group, frequency_hz, datr in channels:
            if same_channel(downlink.frequency_hz, frequency_hz) and downlink.datr == datr and _is_for(downlink, group):
                self._locked_on, self.group = downlink, group
                return None
        if not same_channel(downlink.frequency_hz, rxc[0]):
            return f"RXC listens on {rxc[0]} Hz, not {downlink.frequency_hz}"
        return f"RXC listens at {rxc[1]}, not {downlink.datr}"

    def release(self, downlink: Downlink) -> bool:
        """A frame is complete; whether it is the one that was locked onto."""
        if self._locked_on is not downlink:
            return False
        self._locked_on = None
        return True

    def close(self) -> None:
        """Power off, or the transmitter takes the radio."""
        self._locked_on = None


def _is_for(downlink: Downlink, group: Session | None) -> bool:
    """A group's channel may be the device's own: the address tells whose frame it is."""
    return group is None or downlink.phy[1:5] == int(group.dev_addr).to_bytes(4, "little")
