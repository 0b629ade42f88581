"""A world and a tiny network server in counted time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from lorasim import checker, scenario
from lorasim.device import Device
from lorasim.recording import Recorder
from lorasim.world import World

from tests.support.fake_network import FakeNetwork, FakeSession, drive, network_of

T0 = 1_790_000_000_000_000
CFLIST_864 = bytes.fromhex("e8d983b8e18388e98358f18328f98300")

SCENARIO = """
name = "lab"
[radio]
snr_db = 10
spread_db = 0
fading_db = 0
weaker_db = 0
[backhaul]
jitter_ms = 5
{backhaul}
[[gateways]]
eui = "0016c001ff1e5a01"
{gateway}
[[gateways]]
eui = "0016c001ff1e5a02"
forwarder = "1301"
[[devices]]
interval_s = {interval_s}
join_spread_s = 0.1
{device}
"""


@dataclass
class Lab:
    """``run(seconds)`` lets counted time pass; ``lines`` is the recording so far."""

    world: World
    network: FakeNetwork
    path: Path
    now: int = T0
    dev_eui: int = field(init=False)

    def __post_init__(self) -> None:
        self.dev_eui = next(iter(self.world.devices))
        self.world.start(T0)

    def run(self, seconds: float) -> None:
        self.now += round(seconds * 1e6)
        drive(self.world, self.network, self.now)

    @property
    def device(self) -> Device:
        return self.world.devices[self.dev_eui]

    @property
    def session(self) -> FakeSession:
        """The newest one at the server."""
        return list(self.network.sessions.values())[-1]

    def queue(self, **item: Any) -> None:
        self.network.queue.setdefault(self.dev_eui, []).append(item)

    def lines(self, *kinds: str) -> list[dict[str, Any]]:
        self.world.recorder.flush()
        return [line for line in checker.read(self.path) if line["type"] in kinds or not kinds]

    def device_does(self, action: Callable[[int], None]) -> None:
        self.world.act(self.device, action)


MakeLab = Callable[..., Lab]


@pytest.fixture
def make_lab(tmp_path: Path) -> MakeLab:
    def make(device: str = "", gateway: str = "", backhaul: str = "", interval_s: float = 10.0, **network: Any) -> Lab:
        text = SCENARIO.format(device=device, gateway=gateway, backhaul=backhaul, interval_s=interval_s)
        path = tmp_path / "run.jsonl"
        world = World(scenario.parse(text), T0, recorder=Recorder(path))
        return Lab(world, network_of(world, cflist=CFLIST_864, **network), path)

    return make
