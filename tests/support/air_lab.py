"""The server of ``tests.support.lab`` and the simulator's world, with one clock: devices, gateways and air in virtual time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lorasim import checker, scenario
from lorasim.device import Device
from lorasim.gateway import Gateway
from lorasim.recording import Recorder
from lorasim.world import World

from internalapi import messages as m
from tests.support.lab import SECOND_US, Lab

T0 = 1_790_000_000 * SECOND_US


class AirLab(Lab):
    """``run(seconds)`` lets time go by for all. Gateways and devices of the scenario are registered."""

    def __init__(self, folder: Path, text: str, profile: str = "", start_us: int = T0, **settings: Any) -> None:
        self.recording = folder / "run.jsonl"
        self.world = World(scenario.parse(text), start_us, recorder=Recorder(self.recording))
        self._addresses = {
            (eui, pull): (f"10.0.0.{n}", 4000 + pull) for n, eui in enumerate(self.world.gateways) for pull in (0, 1)
        }
        self._euis = {address: eui for (eui, _), address in self._addresses.items()}
        super().__init__(folder, **settings)
        self.wall_us = start_us
        self._offset_us = start_us - self.mono_us
        for eui, config in self.world.gateways.items():
            self.call("gateway_put", gateway_eui=f"{eui:016x}", **self._gateway_fields(config))
        self._register_devices(profile)

    def _register_devices(self, profile: str) -> None:
        for dev_eui, one in self.world.devices.items():
            self.device(
                dev_eui,
                profile=profile or self.profile(one.config.mac_version),
                join_eui=f"{one.config.join_eui:016x}",
                app_key=one.config.app_key.hex(),
                **({"nwk_key": one.config.nwk_key.hex()} if one.config.lorawan_1_1 else {}),
            )

    def _gateway_fields(self, gateway: Gateway) -> dict[str, Any]:
        return {"class_b": "gateway" if gateway.config.beacon_hz else "off"}

    @property
    def radio_us(self) -> int:
        """The radio's clock, which is always right."""
        return self.mono_us + self._offset_us

    def switch_on(self) -> None:
        self.world.start(self.radio_us)
        self._exchange()

    def run(self, seconds: float) -> None:
        until = self.mono_us + round(seconds * SECOND_US)
        while True:
            times = (self.engine.timer(), self._of_world(self.world.timer()))
            due = min((time for time in times if time is not None), default=until)
            if due > until:
                break
            self._move(max(due, self.mono_us))
            self.world.handle_timer(self.radio_us)
            self._exchange()
            self.engine.handle_timer(self.now)
            self.pump()
            self._exchange()
        self._move(until)

    def _of_world(self, time_us: int | None) -> int | None:
        return None if time_us is None else time_us - self._offset_us

    def _exchange(self) -> None:
        while (out := self.world.next_datagram()) is not None:
            self.receive(out.data, self._addresses[out.gateway_eui, int(out.pull)])

    def _send(self, datagram: bytes, address: tuple[Any, ...]) -> None:
        self.world.receive(self._euis[address[0], address[1]], datagram, self.radio_us)

    # ------------------------------------------------------------------------------------------------ what happened

    def lines(self, *kinds: str) -> list[dict[str, Any]]:
        """The recording of the air, in order."""
        self.world.recorder.flush()
        return [line for line in checker.read(self.recording) if line["type"] in kinds or not kinds]

    def heard(self, dev_eui: int, window: str = "") -> list[dict[str, Any]]:
        """Downlinks that a device has accepted, in a window."""
        return [
            line
            for line in self.lines("downlink")
            if line["dev_eui"] == f"{dev_eui:016x}" and window in ("", line["window"])
        ]

    def only_device(self) -> Device:
        (device,) = self.world.devices.values()
        return device

    def frame_rows(self, kind: str) -> list[m.FrameRecord]:
        return [row for row in self.call("frames").items if row.kind == kind]


def txpk(line: dict[str, Any]) -> dict[str, Any]:
    """What a recorded PULL_RESP asks for."""
    found: dict[str, Any] = json.loads(line["txpk"])["txpk"]
    return found
