"""The air between devices and gateways: how strong a frame arrives, and which gateways decode it.

The strength comes from a terrain. :class:`Map` knows where things stand: log-distance path loss, walls and basements,
shadowing that wanders, fading over time (:mod:`lorasim.propagation`). :class:`Means` knows no places, only a mean signal of
every device at every gateway and how frames vary around it. What is decoded follows from sensitivity, collisions with capture
and between spreading factors, and free demodulators (:mod:`lorasim.link`), whatever the terrain.

All levels here are relative to a noise of :func:`~lorasim.propagation.noise_dbm`; a terrain with another noise says by how
much. Everything comes from one seed.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from lorasim.dice import Dice
from lorasim.link import MAX_SNR_DB, SENSITIVITY_DBM, Band, OnAir
from lorasim.propagation import SURROUNDINGS, PathLoss, Paths, noise_dbm
from lorasim.radio import Uplink, parse_datr
from lorasim.scenario import GatewayEntry, Radio

NOISE_DBM = noise_dbm()
FULL_POWER_DBM = 16.0
"""At which a device of :class:`Means` has its mean signal (EIRP)."""
GATEWAY_POWER_DBM = 14.0
"""At which a gateway of :class:`Means` is heard as well as it hears."""

PLACES_TRIED = 100


@dataclass(slots=True, frozen=True)
class Signal:
    rssi_dbm: float
    snr_db: float


class Terrain(Protocol):
    """Gains between antennas. ``at_s`` never goes back."""

    rssi_offset_db: float
    """How much higher than :data:`NOISE_DBM` the noise is."""

    def gains_db(self, dev_eui: int, at_s: float) -> list[float]:
        """From a device to every gateway, for one frame."""

    def gain_db(self, dev_eui: int, gateway: int, at_s: float) -> float:
        """From one gateway to a device, for one frame."""

    def move(self, dev_eui: int, gateway: int) -> None:
        """The device is near this gateway from now on."""


class Means:
    """Every device has a mean signal at every gateway; frames vary around it."""

    __slots__ = ("_count", "_dice", "_full_db", "_mean", "_radio", "_seed", "rssi_offset_db")

    def __init__(self, radio: Radio, gateways: int, seed: int) -> None:
        self._radio, self._count, self._seed = radio, gateways, seed
        self._dice = Dice(f"{seed}/air")
        self._mean: dict[int, tuple[float, ...]] = {}
        self.rssi_offset_db = radio.rssi_dbm - radio.snr_db - NOISE_DBM
        self._full_db = radio.snr_db + NOISE_DBM - FULL_POWER_DBM

    def _of(self, dev_eui: int) -> tuple[float, ...]:
        mean = self._mean.get(dev_eui)
        if mean is None:
            rng = random.Random(f"{self._seed}/signal/{dev_eui:x}")
            mean = self._place(dev_eui, rng.sample(range(self._count), self._count), rng)
        return mean

    def _place(self, dev_eui: int, order: Sequence[int], rng: random.Random) -> tuple[float, ...]:
        radio, full_db = self._radio, self._full_db
        means = [0.0] * self._count
        for rank, gateway in enumerate(order):
            means[gateway] = full_db + rng.gauss(0, radio.spread_db) - rank * radio.weaker_db
        self._mean[dev_eui] = found = tuple(means)
        return found

    def gains_db(self, dev_eui: int, at_s: float) -> list[float]:
        gauss, fading_db = self._dice.gauss, self._radio.fading_db
        return [mean + (gauss(0, fading_db) if fading_db else 0.0) for mean in self._of(dev_eui)]

    def gain_db(self, dev_eui: int, gateway: int, at_s: float) -> float:
        return (
            self._of(dev_eui)[gateway] + FULL_POWER_DBM - GATEWAY_POWER_DBM + self._dice.gauss(0, self._radio.fading_db)
        )

    def move(self, dev_eui: int, gateway: int) -> None:
        rng = random.Random(f"{self._seed}/signal/{dev_eui:x}/{gateway}")
        others = [one for one in range(self._count) if one != gateway]
        self._place(dev_eui, [gateway, *rng.sample(others, len(others))], rng)


class Map:
    """Gateways and devices have places, in metres; see :mod:`lorasim.propagation`."""

    __slots__ = ("_gateways", "_kinds", "_loss", "_paths", "_radio", "_seed", "rssi_offset_db")

    def __init__(self, radio: Radio, gateways: Sequence[GatewayEntry], seed: int) -> None:
        self._radio, self._seed = radio, seed
        self._loss = PathLoss(radio.path_loss_at_1_km_db, radio.path_loss_exponent)
        self.rssi_offset_db = noise_dbm(noise_figure_db=radio.noise_figure_db) - NOISE_DBM
        angles = [2 * math.pi * n / len(gateways) for n in range(len(gateways))]
        ring_m = radio.radius_m / 2 if len(gateways) > 1 else 0.0
        self._gateways = [
            (one.x_m, one.y_m)
            if one.x_m is not None and one.y_m is not None
            else (ring_m * math.cos(angle), ring_m * math.sin(angle))
            for one, angle in zip(gateways, angles, strict=True)
        ]
        self._kinds = [SURROUNDINGS[name] for name in radio.surroundings]
        self._paths: dict[int, Paths] = {}

    def _of(self, dev_eui: int) -> Paths:
        paths = self._paths.get(dev_eui)
        if paths is None:
            paths = self._place(dev_eui)
        return paths

    def _place(self, dev_eui: int, near: int | None = None) -> Paths:
        """Anywhere within the radius, or near a gateway; but where the best gateway is to be heard as planned."""
        dice = Dice(f"{self._seed}/place/{dev_eui:x}{'' if near is None else f'/{near}'}")
        kind = self._kinds[dice.randrange(len(self._kinds))]
        centre, radius_m = (0.0, 0.0), self._radio.radius_m
        if near is not None:
            centre, radius_m = self._gateways[near], radius_m / 4
        least_db = NOISE_DBM + self.rssi_offset_db + self._radio.coverage_snr_db - FULL_POWER_DBM
        for attempt in range(400):
            if attempt >= PLACES_TRIED:  # the area is larger than its gateways reach: nearer to them, then
                radius_m *= 0.97
            angle, far_m = dice.uniform(0, 2 * math.pi), radius_m * math.sqrt(dice.random())
            x, y = centre[0] + far_m * math.cos(angle), centre[1] + far_m * math.sin(angle)
            distances_m = [math.hypot(x - a, y - b) for a, b in self._gateways]
            walls_db = dice.uniform(*kind.walls_db)
            means_db = [-self._loss.db(distance_m) - walls_db for distance_m in distances_m]
            if max(means_db) >= least_db:
                break
        self._paths[dev_eui] = paths = Paths(means_db, kind, dice)
        return paths

    def gains_db(self, dev_eui: int, at_s: float) -> list[float]:
        offset_db = self.rssi_offset_db
        return [gain_db - offset_db for gain_db in self._of(dev_eui).gains_db(at_s)]

    def gain_db(self, dev_eui: int, gateway: int, at_s: float) -> float:
        return self._of(dev_eui).gains_db(at_s)[gateway] - self.rssi_offset_db

    def move(self, dev_eui: int, gateway: int) -> None:
        self._place(dev_eui, gateway)


class Air:
    """See the module. ``collisions`` False: every frame is alone on the air."""

    __slots__ = ("_dice", "_gateways", "_index", "_radio", "band", "collisions", "deaf", "terrain")

    def __init__(self, radio: Radio, gateways: Sequence[GatewayEntry], seed: int, collisions: bool = True) -> None:
        self._radio = radio
        self._gateways = [int(one.eui, 16) for one in gateways]
        self._index = {eui: n for n, eui in enumerate(self._gateways)}
        self._dice = Dice(f"{seed}/loss")
        self.terrain: Terrain = Map(radio, gateways, seed) if radio.radius_m else Means(radio, len(gateways), seed)
        demodulators = [one.demodulators for one in gateways]
        self.band = Band(len(gateways), demodulators, radio.capture, radio.inter_sf)
        self.collisions = collisions
        self.deaf: dict[int, float] = {}
        """Devices that miss a share of all downlinks."""

    def begin(self, uplink: Uplink) -> OnAir:
        """A device starts to transmit. Call in the order of starts, and :meth:`decode` at the frame's end."""
        shape = parse_datr(uplink.datr)
        assert shape is not None, uplink.datr
        start_s = uplink.start_us / 1e6
        power_dbm = uplink.power_dbm
        levels = [power_dbm + gain for gain in self.terrain.gains_db(uplink.dev_eui, start_s)]
        frame = OnAir(uplink.frequency_hz, shape[0], start_s, uplink.end_us / 1e6, levels)
        if self.collisions:
            self.band.begin(frame)
        return frame

    def begin_foreign(self, frequency_hz: int, sf: int, start_s: float, airtime_s: float, level_dbm: float) -> OnAir:
        """Somebody else's device starts to transmit, as loud at every gateway."""
        frame = OnAir(frequency_hz, sf, start_s, start_s + airtime_s, [level_dbm] * len(self._gateways))
        self.band.begin(frame)
        return frame

    def decode(self, frame: OnAir, hears: Callable[[int], str]) -> list[tuple[int, Signal]]:
        """The gateways (their EUIs) that have decoded a frame, and how it arrived; ``frame.lost`` says why others have not.

        ``hears``: why a gateway did not listen to it, by its EUI; empty when it did.
        """
        self.band.decode(frame)
        loss, offset_db, found = self._radio.loss, self.terrain.rssi_offset_db, []
        for index, eui in enumerate(self._gateways):
            why = hears(eui) or frame.lost[index]
            if not why and loss and self._dice.random() < loss:
                why = "loss"
            frame.lost[index] = why
            if not why:
                level = frame.rssi_dbm[index]
                found.append((eui, Signal(level + offset_db, min(MAX_SNR_DB, level - NOISE_DBM))))
        return found

    def why_lost(self, frame: OnAir) -> dict[str, str]:
        """Why gateways have not decoded a frame, by EUI."""
        return {f"{eui:016x}": why for eui, why in zip(self._gateways, frame.lost, strict=True) if why}

    def downlink(
        self, dev_eui: int, gateway_eui: int, datr: str, power_dbm: float = GATEWAY_POWER_DBM, at_us: int = 0
    ) -> Signal | None:
        """How a device would hear a gateway's frame now; None: it does not."""
        loss = self.deaf.get(dev_eui, self._radio.downlink_loss)
        if loss and self._dice.random() < loss:
            return None
        shape = parse_datr(datr)
        level = power_dbm + self.terrain.gain_db(dev_eui, self._index[gateway_eui], at_us / 1e6)
        if shape is None or shape[0] not in SENSITIVITY_DBM or level < SENSITIVITY_DBM[shape[0]]:
            return None
        return Signal(level + self.terrain.rssi_offset_db, min(MAX_SNR_DB, level - NOISE_DBM))

    def move(self, dev_eui: int, gateway_eui: int) -> None:
        """A device has come near this gateway."""
        self.terrain.move(dev_eui, self._index[gateway_eui])
