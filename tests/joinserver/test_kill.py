"""INV-11 and INV-13 under ``kill -9``: the recorder is the device's side, decrypting what left the process."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from joinserver.store import JoinStore
from tests.support.joins import KEK, NOW_US, keys_of
from tests.support.otaa_device import OtaaDevice

DEVICES = 40
KILLS = 12


class Child:
    def __init__(self, path: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.join_child", str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdin and self.process.stdout
        self.stdin, self.stdout = self.process.stdin, self.process.stdout
        assert self.stdout.readline() == "ready\n"

    def send(self, batches: list[list[tuple[int, str]]]) -> None:
        self.stdin.write("".join(json.dumps(batch) + "\n" for batch in batches))
        self.stdin.flush()

    def kill(self) -> list[str]:
        """Kill it and give the whole lines it had written."""
        self.process.kill()
        text = self.stdout.read()
        self.process.wait()
        self.stdin.close()
        self.stdout.close()
        return [line for line in text.split("\n")[:-1] if line]


@pytest.mark.slow
def test_inv_11_inv_13_kill_9_in_the_middle_of_joins(path: Path) -> None:
    """Each round sends a stream of batches and kills the process somewhere in it.

    Then every request of the round is sent again, answered or not: no DevNonce that was answered may be answered
    again, and over all rounds no device may see a JoinNonce that does not rise.
    """
    chance = random.Random(20261123)
    devices = {n: OtaaDevice(dev_eui=n, app_key=chance.randbytes(16)) for n in range(1, DEVICES + 1)}
    with JoinStore(path, KEK) as store:
        store.put_devices([keys_of(d) for d in devices.values()], NOW_US)
    answered: set[tuple[int, int]] = set()
    killed_with_work_left = 0

    def record(batch: list[tuple[int, str]], line: str) -> None:
        for (dev_eui, request), (result, accept) in zip(batch, json.loads(line), strict=True):
            dev_nonce = int.from_bytes(bytes.fromhex(request)[17:19], "little")
            if result == "Success":
                assert (dev_eui, dev_nonce) not in answered, "one DevNonce, two accepts"
                answered.add((dev_eui, dev_nonce))
                devices[dev_eui].accept(bytes.fromhex(accept), dev_nonce)
            else:
                assert result == "FrameReplayed"

    for round_number in range(KILLS):
        batches = [
            [(n, d.join_request(round_number * 30 + step).hex()) for n, d in devices.items()] for step in range(30)
        ]
        child = Child(path)
        child.send(batches)
        time.sleep(chance.uniform(0.0, 0.03))  # a real process, a real moment
        lines = child.kill()
        killed_with_work_left += len(lines) < len(batches)
        for batch, line in zip(batches, lines, strict=False):
            record(batch, line)
        child = Child(path)
        for batch in batches:
            child.send([batch])
            record(batch, child.stdout.readline())
        assert child.kill() == []

    assert killed_with_work_left >= KILLS // 2, "the kills came too late to prove anything"
    assert len(answered) > DEVICES * 30
    for device in devices.values():
        nonces = [a.join_nonce for a in device.accepted]
        assert nonces == sorted(set(nonces)), "JoinNonce must rise strictly"
