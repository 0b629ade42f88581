"""The air, thin: every device has a mean signal at every gateway, and each frame fades around it.

Nothing here knows distances, walls or collisions; a thicker model keeps the two questions that the world asks.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from lorasim.radio import REQUIRED_SNR_DB, parse_datr
from lorasim.scenario import Radio

MAX_SNR_DB = 13.0
"""A concentrator reports no more, however strong the signal."""


@dataclass(slots=True, frozen=True)
class Signal:
    rssi_dbm: float
    snr_db: float


class Air:
    """Signals between devices and gateways, all from one seed."""

    __slots__ = ("_gateways", "_mean", "_radio", "_rng", "_seed", "deaf")

    def __init__(self, radio: Radio, gateways: list[int], seed: int) -> None:
        self._radio = radio
        self._gateways = gateways
        self._seed = seed
        self._rng = random.Random(f"{seed}/air")
        self._mean: dict[int, dict[int, float]] = {}
        self.deaf: dict[int, float] = {}
        """Devices that miss a share of all downlinks."""

    def _relative_db(self, dev_eui: int, gateway_eui: int) -> float:
        """How much the mean signal differs from the scenario's."""
        mean = self._mean.get(dev_eui)
        if mean is None:
            radio, rng = self._radio, random.Random(f"{self._seed}/signal/{dev_eui:x}")
            order = rng.sample(self._gateways, len(self._gateways))
            mean = self._mean[dev_eui] = {
                eui: rng.gauss(0, radio.spread_db) - rank * radio.weaker_db for rank, eui in enumerate(order)
            }
        return mean[gateway_eui]

    def _signal(self, dev_eui: int, gateway_eui: int, datr: str) -> Signal | None:
        """A faded frame; None below the demodulation floor."""
        radio = self._radio
        relative = self._relative_db(dev_eui, gateway_eui) + self._rng.gauss(0, radio.fading_db)
        snr = min(MAX_SNR_DB, radio.snr_db + relative)
        shape = parse_datr(datr)
        if shape is None or snr < REQUIRED_SNR_DB[shape[0]]:
            return None
        return Signal(radio.rssi_dbm + relative, snr)

    def uplink(self, dev_eui: int, gateway_eui: int, datr: str) -> Signal | None:
        """How a gateway hears a device's frame now; None: it does not."""
        return None if self._rng.random() < self._radio.loss else self._signal(dev_eui, gateway_eui, datr)

    def downlink(self, dev_eui: int, gateway_eui: int, datr: str) -> Signal | None:
        """How a device would hear a gateway's frame now."""
        loss = self.deaf.get(dev_eui, self._radio.downlink_loss)
        return None if self._rng.random() < loss else self._signal(dev_eui, gateway_eui, datr)
