"""The network process of the benchmark: the real one, with ABP sessions put into its data folder before.

``python -m benchmarks.support.network_child DATA_DIR SESSIONS.jsonl PORT GATEWAY…`` prints ``ready SESSIONS_KIB`` and serves
until its standard input closes.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from lns import runtime
from lns.device import Device, Profile
from lns.lifecycle import open_session
from lns.network import Network
from lns.session import RadioParameters
from lns.settings import NetworkSettings
from lns.store.embedded.load import profile_body
from lorawan.crypto import SessionKeys
from lorawan.identifiers import DevAddr

KEK = bytes(range(32))
TOKEN = "benchmark"
PROFILE = Profile("benchmark", mac_version="1.0.3", dev_status_interval_s=0)


class NoJoins:
    """There are no joins in this benchmark."""

    async def join(self, requests):  # type: ignore[no-untyped-def]
        return []

    def holds_keys_of(self, join_eui):  # type: ignore[no-untyped-def]
        return True

    async def put_keys(self, devices, dry_run=False):  # type: ignore[no-untyped-def]
        return []


def resident_kib() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    return 0


def settings(data_dir: Path, port: int) -> NetworkSettings:
    return NetworkSettings.model_validate(
        {
            "data_dir": data_dir,
            "gateways": {"udp": {"listen": f"127.0.0.1:{port}", "datagrams_per_s": 0}},
            "http": {"listen": ""},
        }
    )


async def fill(data_dir: Path, sessions: Path) -> None:
    """Put one ABP device a line into the data folder."""
    network = Network(settings(data_dir, 0), KEK, NoJoins(), NoJoins())  # type: ignore[arg-type]
    await network.start()
    state, plan = network.state, network.state.plan
    state.profiles[PROFILE.name] = PROFILE
    state.batch.operations.append(("profile_put", (PROFILE.name, profile_body(PROFILE))))
    radio = RadioParameters(1, 0, plan.rx2_dr, plan.rx2_frequency_hz, ())
    with sessions.open() as file:
        for number, line in enumerate(file, start=1):
            entry = json.loads(line)
            device = Device(number, int(entry["dev_eui"], 16), 0, f"device {number}", PROFILE)
            device.activation = "ABP"
            row = (
                number,
                device.dev_eui.to_bytes(8, "big"),
                bytes(8),
                device.name,
                PROFILE.name,
                "ABP",
                "{}",
                False,
                0,
            )
            state.batch.operations.append(("device_put", row))
            keys = SessionKeys.for_1_0(bytes.fromhex(entry["nwk_s_key"]), bytes.fromhex(entry["app_s_key"]))
            session = open_session(state, device, DevAddr(int(entry["dev_addr"], 16)), keys, radio, 0)
            session.confirmed = True
            device.pending = None
    await network.durable()
    await network.stop()


async def serve(data_dir: Path, port: int, gateways: list[str]) -> None:
    before = resident_kib()
    async with runtime.running(settings(data_dir, port), KEK, TOKEN, NoJoins(), NoJoins()) as network:  # type: ignore[arg-type]
        for gateway in gateways:
            network.state.gateways.add(int(gateway, 16))
        print("ready", resident_kib() - before, flush=True)
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, sys.stdin.read)


def main() -> None:
    data_dir, sessions, port, *gateways = sys.argv[1:]
    if sessions != "-":
        asyncio.run(fill(Path(data_dir), Path(sessions)))
    else:
        asyncio.run(serve(Path(data_dir), int(port), gateways))


if __name__ == "__main__":
    main()
