"""Power returns to a town: ten thousand devices join within ten minutes, in virtual time.

Every gateway has a real just-in-time queue and one radio, and the regulator's airtime: what is measured is how many are in a
session when, and that nobody has got two accepts for one request, a JoinNonce twice, or a session that does not work.
``python -m tests.faults.joins``.
"""

from __future__ import annotations

import argparse
import heapq
import json
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lorasim import gwmp
from lorasim.crypto import SessionKeys
from lorasim.jit import FORWARDERS, JitQueue
from lorasim.radio import Downlink, airtime_us

from internalapi import messages as m
from tests.faults import report, seeds
from tests.support.fake_gateway import FakeGateway
from tests.support.lab import SECOND_US, Lab
from tests.support.node import Node
from tests.support.otaa_device import OtaaDevice
from tests.support.scratch import scratch

HEARD_BY = 3
FIRST_DEV_EUI = 0x70B3D5FFFE100000
JOIN_EUI = 0x70B3D5FFFE0000FF
AGAIN_US = (10 * SECOND_US, 60 * SECOND_US)
"""A device without an answer asks again after a random pause, longer each time."""


class JitGateway(FakeGateway):
    """A forwarder whose queue refuses what overlaps, and a radio that sends what it has taken."""

    def __init__(self, lab: Lab, eui: str, port: int, boot_us: int) -> None:
        super().__init__(lab, eui, port, boot_us)
        self.jit = JitQueue(FORWARDERS["1302"])
        self.sent: list[bytes] = []
        self.refused: list[str] = []

    def take(self, datagram: bytes) -> None:
        if datagram[3] != 3:
            super().take(datagram)
            return
        packet = gwmp.parse_txpk(datagram[4:])
        assert packet.tmst is not None and isinstance(packet.datr, str)
        now_us, here = self.lab.mono_us, self.tmst()
        self.jit.take_due(now_us)
        airtime = airtime_us(len(packet.data), packet.datr, crc=False)
        start_us = now_us + (packet.tmst - here) % (1 << 32)
        token = int.from_bytes(datagram[1:3], "little")
        downlink = Downlink(
            int(self.eui, 16),
            token,
            packet.data,
            packet.frequency_hz,
            packet.datr,
            True,
            packet.power_dbm,
            start_us,
            airtime,
        )
        error = self.jit.enqueue(packet.tmst, downlink, here)
        if error == "NONE":
            self.sent.append(packet.data)
            self.answer(datagram[1:3])
        else:
            self.refused.append(error)
            self.answer(datagram[1:3], json.dumps({"txpk_ack": {"error": error}}).encode())


def joins(devices: int, seconds: int, gateways: int, folder: Path, seed: int = 1) -> dict[str, Any]:
    """Let so many join within ``seconds`` and a while longer. Returns the figures."""
    rng = random.Random(seed)
    lab = Lab(folder)
    towers = []
    for number in range(1, gateways + 1):
        eui = f"{0x70B3D50000000000 + number:016x}"
        lab.call("gateway_put", gateway_eui=eui)
        tower = JitGateway(lab, eui, 20_000 + 2 * number, lab.mono_us - number * 7_000_000)
        lab.gateways[eui] = tower
        tower.pull()
        towers.append(tower)
    town = [OtaaDevice(FIRST_DEV_EUI + n, JOIN_EUI, rng.randbytes(16)) for n in range(devices)]
    writes = [
        m.DeviceWrite(
            f"{one.dev_eui:016x}", profile="lorawan-1.0.4", join_eui=f"{JOIN_EUI:016x}", app_key=one.app_key.hex()
        )
        for one in town
    ]
    for at in range(0, devices, 1000):
        lab.call("devices_put", items=writes[at : at + 1000])
    begin = lab.mono_us
    due = [(begin + rng.randrange(seconds * SECOND_US), n, 0) for n in range(devices)]
    heapq.heapify(due)
    near = [rng.sample(towers, min(HEARD_BY, gateways)) for _ in range(devices)]
    waiting: dict[int, tuple[int, int]] = {}
    joined: dict[int, int] = {}
    requests, wrong = 0, []
    cpu = time.process_time()
    while due and due[0][0] < begin + 2 * seconds * SECOND_US:
        at, n, nonce = heapq.heappop(due)
        lab.advance(max(0, at - lab.mono_us))
        if n in waiting:
            # The windows of its last request are over: was there an accept for it in one of them?
            asked_us, asked = waiting.pop(n)
            accept = _accept(town[n], asked, near[n])
            if accept is not None:
                joined[n] = asked_us
                if len(town[n].accepted) > 1:
                    wrong.append(f"{town[n].dev_eui:016x} has two accepts that fit")
                continue
        requests += 1
        phy = town[n].join_request(nonce)
        for tower in near[n]:
            tower.hear(
                phy, freq=rng.choice((868.9, 869.1)), datr=rng.choice(("SF7BW125", "SF7BW125", "SF8BW125", "SF9BW125"))
            )
        waiting[n] = (lab.mono_us, nonce)
        # 6 s to RX2, and the pause before the next request; an answer is looked at in between
        tries = min(nonce, 3)
        heapq.heappush(due, (at + 7 * SECOND_US + (rng.randrange(*AGAIN_US) << tries if nonce else 0), n, nonce + 1))
    silent = _speak(lab, town, near, joined, rng)
    nonces = [one.join_nonce for device in town for one in device.accepted]
    in_time = sum(at - begin <= seconds * SECOND_US for at in joined.values())
    figures = {
        "devices": devices,
        "seconds": seconds,
        "gateways": gateways,
        "requests": requests,
        "accepts_sent": sum(len(tower.sent) for tower in towers),
        "refused_by_gateways": sum(len(tower.refused) for tower in towers),
        "asked_in_time_and_joined": in_time,
        "joined": len(joined),
        "first_uplink_silent": silent,
        "sessions": len(lab.state.sessions),
        "wrong": wrong[:5],
        "join_nonces": len(nonces),
        "cpu_s": round(time.process_time() - cpu, 1),
    }
    lab.close()
    return figures


def _accept(device: OtaaDevice, nonce: int, near: Sequence[JitGateway]) -> object | None:
    for tower in near:
        for phy in reversed(tower.sent[-400:]):
            if phy[0] >> 5 == 1:
                try:
                    return device.accept(phy, nonce)
                except AssertionError:
                    continue  # another device's
    return None


def _speak(
    lab: Lab,
    town: Sequence[OtaaDevice],
    near: Sequence[Sequence[JitGateway]],
    joined: dict[int, int],
    rng: random.Random,
) -> int:
    """Every device that has joined says one thing; how many are not heard."""
    for n in joined:
        accept = town[n].accepted[-1]
        keys = SessionKeys.of_1_0(accept.keys["NwkSKey"], accept.keys["AppSKey"])
        phy = Node(accept.dev_addr, keys).up(n.to_bytes(4, "big"))
        near[n][0].hear(phy, freq=868.9, datr="SF7BW125")
        lab.advance(rng.randrange(20_000))
    lab.advance(SECOND_US)
    heard = {int.from_bytes(data, "big") for _, data in lab.ups()}
    return len(joined.keys() - heard)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.joins", description=__doc__)
    parser.add_argument("--devices", type=int, default=10_000)
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--gateways", type=int, default=24)
    given = parser.parse_args(arguments)
    seeds.quiet()
    with tempfile.TemporaryDirectory(prefix="meterwan-joins-", dir=scratch()) as folder:
        figures = joins(given.devices, given.seconds, given.gateways, Path(folder))
    report.note("joins", figures)
    return bool(figures["wrong"] or figures["first_uplink_silent"] or figures["joined"] < 0.9 * given.devices)


if __name__ == "__main__":
    sys.exit(main())
