"""An hour of mixed classes against Semtech-like forwarders with real just-in-time queues, in virtual time.

Both generations of the program, with the margins of their own sources (``lorasim.jit``): 32 places, guards of 31.5 and
41.5 ms, refusals of what is late, early or overlaps. Nothing is broken here, so nothing may be refused.
``python -m tests.faults.forwarder``.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lorasim import checker
from lorasim.device import Device, DeviceConfig
from lorasim.scenario import GatewayEntry

from lns.store.embedded.journal import StoreError
from tests.faults import checks, report, seeds
from tests.faults.universe import DEV_EUI, GATEWAY, JOIN_EUI, SECOND_US, VERSIONS, Universe
from tests.support.scratch import scratch

CLASSES = "AAAACCB"
"""Of so many devices each is of this class."""


class Hour(Universe):
    """A universe without faults, with devices of all classes and a full downlink queue."""

    count = 28

    def _gateways(self) -> list[GatewayEntry]:
        return [
            GatewayEntry(
                f"{GATEWAY + n:016x}",
                forwarder=("1301", "1302")[n % 2],
                tmst_offset_us=(1 << 32) - (n + 1) * 600 * SECOND_US,
                stat_s=60.0,
                gps=True,
                beacons=n == 1,
            )
            for n in range(3)
        ]

    def _devices(self) -> list[Device]:
        devices = []
        for n in range(self.count):
            kind = CLASSES[n % len(CLASSES)]
            version = VERSIONS[n % len(VERSIONS)] if kind == "A" else "1.0.3"
            devices.append(
                self.world.add_device(
                    DeviceConfig(
                        DEV_EUI + n,
                        JOIN_EUI,
                        self.rng.randbytes(16),
                        self.rng.randbytes(16),
                        mac_version=version,
                        dr=(5, 5, 3, 2)[n % 4],
                        class_c=kind == "C",
                        ping_periodicity=4 if kind == "B" else None,
                    )
                )
            )
        return devices

    def _profile(self, config: DeviceConfig) -> str:
        kind = "C" if config.class_c else "B" if config.ping_periodicity is not None else "A"
        if kind == "A":
            return super()._profile(config)
        name = f"class-{kind.lower()}"
        self.server.call("profile_put", name=name, mac_version=config.mac_version, device_class=kind, region="RU864")
        return name

    def _plan(self) -> None:
        rng, begin, end = self.rng, self.now, self.faults_end_us
        for device in self.devices:
            at = begin + rng.randrange(10 * SECOND_US, 60 * SECOND_US)
            while at < end:
                self.at(at, self._uplink, device.config.dev_eui, rng.random() < 0.4)
                at += rng.randrange(20, 80) * SECOND_US
            at = begin + rng.randrange(60 * SECOND_US, 120 * SECOND_US)
            while at < end:
                self.at(at, self._queue, device.config.dev_eui)
                at += rng.randrange(60, 240) * SECOND_US
        for minute in range(2, round((end - begin) / 60e6), 3):
            self.at(begin + minute * 60 * SECOND_US, self.crowd)

    def _queue(self, dev_eui: int) -> None:
        self._item += 1
        data = self._item.to_bytes(4, "big")
        try:
            self.server.call(
                "queue_put", dev_eui=f"{dev_eui:016x}", f_port=20, data=data, confirmed=self.rng.random() < 0.3
            )
        except StoreError as error:
            raise AssertionError(f"nothing is broken, and the store says {error}") from error


def hour(minutes: float = 60.0, seed: int = 1) -> dict[str, Any]:
    """Play it. Returns the figures; ``refused`` and ``violations`` must be empty."""
    with tempfile.TemporaryDirectory(prefix="meterwan-hour-", dir=scratch()) as folder:
        universe = Hour(seed, Path(folder), frozenset(), minutes)
        universe.world.air._radio.loss = universe.world.air._radio.downlink_loss = 0.02
        universe.run()
    lines = universe.history.lines
    outcomes = Counter(line["outcome"].get("error", "warn") for line in lines if line["type"] == "tx_ack")
    asked = Counter(_way(line["txpk"]) for line in lines if line["type"] == "pull_resp")
    heard = Counter(line.get("window", "?") for line in lines if line["type"] == "downlink")
    violations = [
        *checks.check_air(lines),
        *checks.check_transmitters(lines),
        *checks.check_readings(lines),
        *checker.check_devices(lines),
    ]
    return {
        "minutes": minutes,
        "devices": len(universe.devices),
        "uplinks": sum(line["type"] == "uplink" for line in lines),
        "pull_resps": sum(asked.values()),
        "timing": dict(asked),
        "taken": outcomes["NONE"] + outcomes["warn"],
        "refused": {error: count for error, count in outcomes.items() if error not in ("NONE", "warn")},
        "heard": dict(heard),
        "violations": [f"{one.rule}: {one.text}" for one in violations],
    }


def _way(txpk: str) -> str:
    return "imme" if '"imme":true' in txpk else "tmms" if '"tmms":' in txpk and '"tmst":' not in txpk else "tmst"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.forwarder", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args(arguments)
    seeds.quiet()
    figures = hour(given.minutes, given.seed)
    report.note("forwarder", figures)
    return bool(figures["refused"] or figures["violations"])


if __name__ == "__main__":
    sys.exit(main())
