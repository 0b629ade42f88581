"""Which of the frames on the air a gateway decodes: sensitivity, collisions with capture, other spreading factors, and its
number of demodulators.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from lorasim.propagation import noise_dbm
from lorasim.radio import REQUIRED_SNR_DB

MAX_SNR_DB = 13.0
"""A concentrator reports no more, however strong the signal."""
CAPTURE_DB = 6.0
REJECTION_DB: dict[int, dict[int, float]] = {
    7: {7: 6, 8: -16, 9: -18, 10: -19, 11: -19, 12: -20},
    8: {7: -24, 8: 6, 9: -20, 10: -22, 11: -22, 12: -22},
    9: {7: -27, 8: -27, 9: 6, 10: -23, 11: -25, 12: -25},
    10: {7: -30, 8: -30, 9: -30, 10: 6, 11: -26, 12: -28},
    11: {7: -33, 8: -33, 9: -33, 10: -33, 11: 6, 12: -29},
    12: {7: -36, 8: -36, 9: -36, 10: -36, 11: -36, 12: 6},
}
"""Wanted spreading factor → interfering one → signal to interference that decoding needs, dB. From Goursaud and Gorce,
"Dedicated networks for IoT: PHY/MAC state of the art and challenges" (EAI Endorsed Transactions on IoT, 2015)."""
LONGEST_FRAME_S = 10.0


def sensitivity_dbm(sf: int, bandwidth_hz: int = 125_000) -> float:
    """The weakest signal that is decoded."""
    return noise_dbm(bandwidth_hz) + REQUIRED_SNR_DB[sf]


@dataclass(slots=True)
class OnAir:
    """One transmission as the gateways have it at their antennas."""

    frequency_hz: int
    sf: int
    start_s: float
    end_s: float
    rssi_dbm: Sequence[float]
    """By gateway."""
    lost: list[str] = field(default_factory=list)
    """By gateway: why it was not decoded, empty when it was."""


class Band:
    """All transmissions that may still overlap with another.

    Call :meth:`begin` in the order of starts and :meth:`decode` at a frame's end. ``capture`` False and ``inter_sf`` False
    make it pure ALOHA per channel and spreading factor: whatever overlaps is lost.
    """

    __slots__ = ("_deaf", "_on_air", "capture", "demodulators", "gateways", "inter_sf")

    def __init__(
        self, gateways: int, demodulators: int | Sequence[int] = 8, capture: bool = True, inter_sf: bool = True
    ) -> None:
        self.gateways = gateways
        self.demodulators = [demodulators] * gateways if isinstance(demodulators, int) else list(demodulators)
        self.capture = capture
        self.inter_sf = inter_sf
        self._on_air: deque[OnAir] = deque()
        self._deaf: list[deque[tuple[float, float]]] = [deque(maxlen=16) for _ in range(gateways)]

    def begin(self, frame: OnAir) -> None:
        """A device starts to transmit."""
        on_air = self._on_air
        while on_air and on_air[0].start_s < frame.start_s - LONGEST_FRAME_S:
            on_air.popleft()
        on_air.append(frame)

    def transmit(self, gateway: int, start_s: float, end_s: float) -> None:
        """A gateway transmits: it hears nothing meanwhile."""
        self._deaf[gateway].append((start_s, end_s))

    def decode(self, frame: OnAir) -> list[int]:
        """The gateways that decoded a frame, at its end."""
        others = [
            one for one in self._on_air if one is not frame and one.start_s < frame.end_s and one.end_s > frame.start_s
        ]
        frame.lost = [self._why_lost(frame, gateway, others) for gateway in range(self.gateways)]
        return [gateway for gateway, why in enumerate(frame.lost) if not why]

    def _why_lost(self, frame: OnAir, gateway: int, others: list[OnAir]) -> str:
        rssi = frame.rssi_dbm[gateway]
        if rssi < SENSITIVITY_DBM[frame.sf]:
            return "signal"
        if any(start < frame.end_s and end > frame.start_s for start, end in self._deaf[gateway]):
            return "half duplex"
        if others and self._collides(frame, gateway, rssi, others):
            return "collision"
        free = self.demodulators[gateway]
        if len(others) >= free and self._busy(frame, gateway, others) >= free:
            return "demodulators"
        return ""

    def _collides(self, frame: OnAir, gateway: int, rssi_dbm: float, others: list[OnAir]) -> bool:
        """Does the energy of any spreading factor, as far as it overlaps, come too near?"""
        energy: dict[int, float] = {}
        for other in others:
            if other.frequency_hz != frame.frequency_hz:
                continue
            if not self.capture and other.sf == frame.sf:
                return True
            if other.sf == frame.sf or self.inter_sf:
                shared_s = min(frame.end_s, other.end_s) - max(frame.start_s, other.start_s)
                share = shared_s / (frame.end_s - frame.start_s)
                energy[other.sf] = energy.get(other.sf, 0.0) + share * 10 ** (other.rssi_dbm[gateway] / 10)
        signal = 10 ** (rssi_dbm / 10)
        rejection = REJECTION_DB[frame.sf]
        return any(signal < amount * 10 ** (rejection[sf] / 10) for sf, amount in energy.items())

    def _busy(self, frame: OnAir, gateway: int, others: list[OnAir]) -> int:
        """Demodulators that earlier frames hold when this one comes."""
        return sum(
            other.start_s < frame.start_s and other.rssi_dbm[gateway] >= SENSITIVITY_DBM[other.sf] for other in others
        )


SENSITIVITY_DBM = {sf: sensitivity_dbm(sf) for sf in range(7, 13)}
