"""INV-20: sessions that share a DevAddr, and floods of addresses that nobody has: bounded work for each frame."""

from __future__ import annotations

import time

import pytest
from lorasim.crypto import SessionKeys

from tests.support.lab import Lab
from tests.support.node import Node

DEV_ADDR = 0x0100_0001


def crowd(lab: Lab, count: int) -> list[Node]:
    """Devices with one DevAddr and keys of their own."""
    nodes = []
    profile = lab.profile()
    for number in range(count):
        keys = SessionKeys.of_1_0(number.to_bytes(16, "big"), number.to_bytes(15, "big") + b"\x02")
        dev_eui = lab.device(0xB0_0000 + number, activation="ABP", profile=profile)
        lab.call(
            "session_put",
            dev_eui=dev_eui,
            dev_addr=f"{DEV_ADDR:08x}",
            nwk_s_key=keys.nwk_s_enc_key.hex(),
            app_s_key=keys.app_s_key.hex(),
        )
        nodes.append(Node(DEV_ADDR, keys, 0, dev_eui))
    return nodes


@pytest.mark.slow
def test_inv_20_a_thousand_devices_on_one_dev_addr(lab: Lab) -> None:
    """Each frame finds its device, and 99 of 100 are accepted within 50 ms of the processor's time."""
    gateway = lab.gateway()
    nodes = crowd(lab, 1000)
    spent = []
    for number, node in enumerate(nodes[::5]):
        phy = node.up(number.to_bytes(2, "big"))
        begin = time.thread_time()
        gateway.hear(phy)
        spent.append(time.thread_time() - begin)
        lab.advance(10_000)
    lab.advance(1_000_000)
    events = lab.events("up")
    assert [event.dev_eui for event in events] == [node.dev_eui for node in nodes[::5]]
    assert [int.from_bytes(event.data, "big") for event in events] == list(range(200))
    assert sorted(spent)[-2] < 0.05


def test_inv_20_a_flood_of_foreign_addresses_costs_no_look_into_a_file(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Addresses of other networks, and of ours that nobody has: counted, acknowledged, forgotten."""
    gateway, node = lab.gateway(), lab.abp()
    lab.uplink(node.up(b"ours"))
    foreign = [Node(0x2600_0000 + number, node.keys).up(b"\x01") for number in range(2000)]
    statements: list[str] = []
    with lab.journal.reader() as db:
        monkeypatch.setattr(lab.journal, "commit", lambda sealed: pytest.fail("a foreign frame was written"))
        db.set_trace_callback(statements.append)
        begin = time.thread_time()
        for phy in foreign:
            gateway.hear(phy)
            lab.advance(10_000)  # a source has a budget of its own
        spent = time.thread_time() - begin
    monkeypatch.undo()
    assert lab.counters["unknown_dev_addr"] == 2000 and statements == []
    assert len(lab.state.ciphers._ciphers) <= 1, "no keys are unsealed for them"
    assert spent / len(foreign) < 0.001
    lab.advance(1_000_000)
    lab.uplink(node.up(b"still ours"))
    assert [data for _, data in lab.ups()] == [b"ours", b"still ours"]
