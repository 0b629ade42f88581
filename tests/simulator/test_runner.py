"""The simulation over real UDP sockets, against a tiny network server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from lorasim import runner, scenario
from lorasim.runner import Simulation
from lorasim.world import World

from tests.support.fake_network import FakeNetwork, network_of

TWO_METERS = """
name = "two meters"
[clock]
days = 1
speed = 30000
lead_in_s = 0.5
zone = "Asia/Yekaterinburg"
[[gateways]]
eui = "0016c001ff1e5a01"
[[gateways]]
eui = "0016c001ff1e5a02"
forwarder = "1301"
[house]
organisation = "УК"
address = "Сатка, 12"
flats = 1
confirmed_devices = 0
join_spread_s = 2.0
"""


class _Server(asyncio.DatagramProtocol):
    def __init__(self, network: FakeNetwork) -> None:
        self.network = network

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        now = runner.now_us()
        for address, answer in self.network.receive(data, addr, now):
            self.transport.sendto(answer, address)


@asynccontextmanager
async def served(network: FakeNetwork) -> AsyncIterator[tuple[str, int]]:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: _Server(network), local_addr=("127.0.0.1", 0))
    try:
        yield transport.get_extra_info("sockname")[:2]
    finally:
        transport.close()


async def test_a_house_joins_and_tells_its_readings_over_udp(tmp_path: Path) -> None:
    plan = scenario.parse(TWO_METERS)
    network = network_of(World(plan, runner.now_us()))
    seen = []
    path = tmp_path / "run.jsonl"
    async with served(network) as server:
        summary = await runner.run(plan, server, progress=lambda s: seen.append((s.joined, s.day)), recording=path)
    assert summary.joined == 4
    assert seen[-1] == (4, 1) and len(seen) >= 5
    assert summary.readings == summary.readings_acknowledged >= 4 * 2
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    kinds = {line["type"] for line in lines}
    assert {"run", "device", "gateway", "push_data", "push_ack", "joined", "uplink", "on_air", "tx_ack"} <= kinds
    told = {(line["dev_eui"], line["f_cnt"], line["data"]) for line in lines if line["type"] == "uplink"}
    heard = {
        (f"{s.dev_eui:016x}", f_cnt, data.hex()) for s in network.sessions.values() for f_cnt, _, data in s.uplinks
    }
    assert heard == told


async def test_a_server_that_is_down_stops_nothing() -> None:
    world = World(scenario.parse(TWO_METERS), runner.now_us())
    async with Simulation(world, ("127.0.0.1", 9)) as simulation:
        await simulation.until(lambda w: w.snapshot().join_requests >= 4 and w.snapshot().push_data >= 4, 10)
    assert world.snapshot().push_ack == 0


async def test_a_scenario_without_a_house_runs_as_long_as_it_says() -> None:
    text = 'name = "short"\n[clock]\nduration_s = 0.3\n[[gateways]]\neui = "0016c001ff1e5a01"\n[[devices]]\n'
    summary = await runner.run(scenario.parse(text), ("127.0.0.1", 9))
    assert 0.3 <= summary.elapsed_s < 5
